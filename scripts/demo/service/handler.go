package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
)

// fault is what a message file may ask of its service, to show how a deployment copes.
type fault string

const (
	none      fault = ""
	unhealthy fault = "fault: unhealthy" // /healthz answers 503
	crash     fault = "fault: crash"     // the process ends at once with code 1
)

// state reads the fault that the first line of the message file asks for.
func state(file string) fault {
	line, _, _ := strings.Cut(readText(file), "\n")
	switch f := fault(strings.TrimSpace(line)); f {
	case unhealthy, crash:
		return f
	default:
		return none
	}
}

func readText(file string) string {
	if file == "" {
		return ""
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(text)
}

// version is the answer of /version. SHA is the commit that the image was built from.
type version struct {
	Name string `json:"name"`
	SHA  string `json:"sha"`
}

func handler(o options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(readText(o.message)))
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, version{Name: o.name, SHA: o.builtFrom})
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if state(o.message) == unhealthy {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "unhealthy, as the message file asks"})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "OK"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if o.upstream != "" {
			if err := check(r.Context(), o.upstream); err != nil {
				answer(w, http.StatusServiceUnavailable, map[string]string{"status": err.Error()})
				return
			}
		}
		answer(w, http.StatusOK, map[string]string{"status": "OK"})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone away is not our concern
}
