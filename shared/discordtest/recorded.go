package discordtest

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed testdata/*.json
var recorded embed.FS

// Answer is what a request gets.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
	Hang   bool // answer nothing until the client gives up
	Drop   bool // close the connection without an answer
}

// Recorded is an answer of testdata by its name without ".json": "429_user". An unknown name is an error
// of the test, and panics.
func Recorded(name string) Answer {
	raw, err := recorded.ReadFile(path.Join("testdata", name+".json"))
	if err != nil {
		panic(fmt.Sprintf("no recorded answer %q", name))
	}
	var wrapper struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	if err := json.Unmarshal(raw, &wrapper); err != nil || wrapper.Status == 0 {
		panic(fmt.Sprintf("%s is no recorded answer: %v", name, err))
	}
	return Answer{Status: wrapper.Status, Header: wrapper.Headers, Body: string(wrapper.Body)}
}

// RecordedNames lists the recorded answers.
func RecordedNames() []string {
	files, err := fs.Glob(recorded, "testdata/[0-9]*.json")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(path.Base(file), ".json")
	}
	return files
}

// OpenAPI is the part of Discord's specification that is about webhooks.
func OpenAPI() []byte {
	raw, err := recorded.ReadFile("testdata/openapi_webhook_subset.json")
	if err != nil {
		panic(err) // it is embedded
	}
	return raw
}

func (a Answer) write(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.Drop:
		panic(http.ErrAbortHandler)
	case a.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if strings.HasPrefix(strings.TrimSpace(a.Body), "<") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}
