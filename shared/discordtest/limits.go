package discordtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"
)

// Body is a message as it is sent to a webhook: the part of Discord's schema that is supported.
type Body struct {
	Content         string          `json:"content"`
	Username        *string         `json:"username"`
	Embeds          []Embed         `json:"embeds"`
	AllowedMentions json.RawMessage `json:"allowed_mentions"`
	Flags           int             `json:"flags"`
}

// Embed is Discord's embed object.
type Embed struct {
	Title       string  `json:"title"`
	URL         string  `json:"url"`
	Description string  `json:"description"`
	Color       *int    `json:"color"`
	Timestamp   string  `json:"timestamp"`
	Fields      []Field `json:"fields"`
	Footer      *Footer `json:"footer"`
	Author      *Author `json:"author"`
}

// Field is a field of an embed.
type Field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

// Footer is the footer of an embed.
type Footer struct {
	Text string `json:"text"`
}

// Author is the author of an embed.
type Author struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// size counts as strictly as Discord's "characters" can be meant: UTF-16 units, after trimming.
func size(s string) int { return len(utf16.Encode([]rune(strings.TrimSpace(s)))) }

// findings are the errors of one body, by path: "embeds.0.title".
type findings map[string]finding

type finding struct{ code, message string }

func (f findings) length(path, value string, most int) int {
	n := size(value)
	if n > most {
		f[path] = finding{"BASE_TYPE_MAX_LENGTH", fmt.Sprintf("Must be %d or fewer in length.", most)}
	}
	return n
}

func (f findings) required(path, value string) {
	if size(value) == 0 {
		f[path] = finding{"BASE_TYPE_REQUIRED", "This field is required"}
	}
}

func (f findings) url(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		f[path] = finding{"URL_TYPE_INVALID_URL", "Not a well formed URL."}
	}
	f.length(path, value, 2048)
}

// check reads a body and holds it against the documented limits. Stricter than Discord on
// purpose: keys that Discord would ignore are errors, and allowed_mentions must be there and allow nothing.
func check(raw []byte) (Body, findings, *Answer) {
	var b Body
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, nil, &Answer{Status: 400, Body: fmt.Sprintf(`{"message":%q,"code":50109}`, "The request body contains invalid JSON: "+err.Error())}
	}
	f := findings{}
	f.length("content", b.Content, 2000)
	if b.Username != nil {
		f.required("username", *b.Username)
		f.length("username", *b.Username, 80)
		if name := strings.ToLower(*b.Username); strings.Contains(name, "discord") || strings.Contains(name, "clyde") {
			f["username"] = finding{"USERNAME_INVALID_CONTAINS", `Username cannot contain "discord"`}
		}
	}
	var allowed struct{ Parse, Users, Roles []string }
	if err := json.Unmarshal(b.AllowedMentions, &allowed); err != nil || allowed.Parse == nil ||
		len(allowed.Parse)+len(allowed.Users)+len(allowed.Roles) > 0 {
		f["allowed_mentions"] = finding{"BASE_TYPE_REQUIRED", "This field is required, and must allow nothing"}
	}
	if len(b.Embeds) > 10 {
		f["embeds"] = finding{"BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length."}
	}
	total := 0
	for i, e := range b.Embeds {
		total += f.embed(fmt.Sprintf("embeds.%d", i), e)
	}
	if total > 6000 {
		f["embeds"] = finding{"MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000"}
	}
	if len(f) == 0 && size(b.Content) == 0 && len(b.Embeds) == 0 {
		return b, nil, &Answer{Status: 400, Body: `{"message":"Cannot send an empty message","code":50006}`}
	}
	return b, f, nil
}

// embed checks one embed and returns what counts against the sum.
func (f findings) embed(path string, e Embed) int {
	total := f.length(path+".title", e.Title, 256) + f.length(path+".description", e.Description, 4096)
	f.url(path+".url", e.URL)
	if e.Color != nil && (*e.Color < 0 || *e.Color > 0xffffff) {
		f[path+".color"] = finding{"NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215."}
	}
	if e.Timestamp != "" {
		if _, err := time.Parse(time.RFC3339, e.Timestamp); err != nil {
			f[path+".timestamp"] = finding{"DATE_TIME_TYPE_PARSE", "Could not parse. Should be ISO8601."}
		}
	}
	if len(e.Fields) > 25 {
		f[path+".fields"] = finding{"BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length."}
	}
	for i, field := range e.Fields {
		at := fmt.Sprintf("%s.fields.%d", path, i)
		f.required(at+".name", field.Name)
		f.required(at+".value", field.Value)
		total += f.length(at+".name", field.Name, 256) + f.length(at+".value", field.Value, 1024)
	}
	if e.Footer != nil {
		f.required(path+".footer.text", e.Footer.Text)
		total += f.length(path+".footer.text", e.Footer.Text, 2048)
	}
	if e.Author != nil {
		f.required(path+".author.name", e.Author.Name)
		total += f.length(path+".author.name", e.Author.Name, 256)
		f.url(path+".author.url", e.Author.URL)
	}
	if size(e.Title)+size(e.Description)+len(e.Fields) == 0 && e.Footer == nil && e.Author == nil {
		f[path] = finding{"BASE_TYPE_REQUIRED", "This field is required"}
	}
	return total
}

// answer nests the findings as API v8 and later do.
func (f findings) answer() Answer {
	tree := map[string]any{}
	for path, found := range f {
		node := tree
		for key := range strings.SplitSeq(path, ".") {
			next, ok := node[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				node[key] = next
			}
			node = next
		}
		node["_errors"] = []map[string]string{{"code": found.code, "message": found.message}}
	}
	raw, err := json.Marshal(map[string]any{"code": 50035, "message": "Invalid Form Body", "errors": tree})
	if err != nil {
		panic(err) // maps of strings
	}
	return Answer{Status: 400, Body: string(raw)}
}

// legacyAnswer tells the same as API v6 does: the first part of each path, with the index or words below it.
func (f findings) legacyAnswer() Answer {
	tree := map[string][]string{}
	for path, found := range f {
		head, rest, _ := strings.Cut(path, ".")
		said := found.message
		if rest != "" {
			said, _, _ = strings.Cut(rest, ".")
		}
		tree[head] = append(tree[head], said)
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		panic(err) // maps of strings
	}
	return Answer{Status: 400, Body: string(raw)}
}
