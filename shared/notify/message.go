package notify

import "unicode/utf16"

// Discord's limits, inclusive, in characters
// (https://discord.com/developers/docs/resources/message#embed-object-embed-limits). It does not say what a character is: UTF-16
// code units are never fewer than code points, so counting them is safe either way.
const (
	titleLimit       = 256
	descriptionLimit = 4096
	fieldsLimit      = 25
	fieldNameLimit   = 256
	fieldValueLimit  = 1024
	urlLimit         = 2048
	embedLimit       = 6000 // title, description, field names and values together
)

// Message is the body of a webhook's message: one embed, nobody mentioned.
type Message struct {
	Embeds []RichEmbed `json:"embeds"`
	// AllowedMentions goes with every message and every edit: an edit without it is read by Discord's defaults.
	AllowedMentions AllowedMentions `json:"allowed_mentions"`

	// bare is the same message without anything foreign, for when Discord refuses the text.
	bare *Message
}

// RichEmbed is Discord's embed object, as far as it is used here.
type RichEmbed struct {
	Title       string  `json:"title"`
	URL         string  `json:"url,omitempty"`
	Description string  `json:"description"`
	Color       int     `json:"color"` // 0xRRGGBB
	Fields      []Field `json:"fields,omitempty"`
	Timestamp   string  `json:"timestamp,omitempty"` // RFC 3339 UTC
}

// Field is a name and a value, neither empty.
type Field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline,omitempty"`
}

// AllowedMentions allows no mention. There is no way to allow one.
type AllowedMentions struct{}

// MarshalJSON writes the object that forbids every kind of mention; without it a webhook pings
// users (https://discord.com/developers/docs/resources/message#allowed-mentions-object).
func (AllowedMentions) MarshalJSON() ([]byte, error) { return []byte(`{"parse":[]}`), nil }

// units is the length of s as Discord may count it: UTF-16 code units.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// size is what counts against embedLimit.
func (e *RichEmbed) size() int {
	n := units(e.Title) + units(e.Description)
	for _, f := range e.Fields {
		n += units(f.Name) + units(f.Value)
	}
	return n
}

// field adds a field when it has a value and fits: what comes first is kept.
func (e *RichEmbed) field(name, value string, inline bool) {
	if value == "" || len(e.Fields) >= fieldsLimit || units(name) > fieldNameLimit || units(value) > fieldValueLimit ||
		e.size()+units(name)+units(value) > embedLimit {
		return
	}
	e.Fields = append(e.Fields, Field{Name: name, Value: value, Inline: inline})
}

// paragraph adds a paragraph to the description when it is not empty and fits: what comes first is kept.
func (e *RichEmbed) paragraph(text string) {
	if text == "" {
		return
	}
	if e.Description != "" {
		text = "\n" + text
	}
	if units(e.Description)+units(text) > descriptionLimit || e.size()+units(text) > embedLimit {
		return
	}
	e.Description += text
}
