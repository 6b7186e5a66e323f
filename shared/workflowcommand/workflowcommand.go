// Package workflowcommand writes the commands that an Actions runner reads in the log of a job.
//
// It promises that what others named can be part of a command's text and never a command: the escapes are those of the
// runner's own toolkit (https://github.com/actions/toolkit, packages/core/src/command.ts), and through a [Writer] nothing
// becomes a command by accident, whoever writes to it. Start reading at [Annotation], then [Writer].
package workflowcommand

import (
	"fmt"
	"strings"
)

// AnnotationLimit is the number of error, and of warning, annotations that GitHub keeps of a step
// (https://github.com/actions/toolkit, docs/problem-matchers.md, "Limitations"); the rest is lost without a word.
const AnnotationLimit = 10

// Annotation is a message that GitHub shows on the page of the run, and at a line of a file.
type Annotation struct {
	Level   string // error, warning or notice
	Title   string // may be empty
	File    string // from the top of the repository; may be empty
	Line    int    // from 1; 0: none
	Column  int    // from 1; 0: none
	Message string // may have several lines
}

// String is the command, without the line's end.
func (a Annotation) String() string {
	var properties []string
	add := func(name, value string) {
		if value != "" {
			properties = append(properties, name+"="+escapeProperty(value))
		}
	}
	add("file", a.File)
	if a.Line > 0 {
		add("line", fmt.Sprint(a.Line))
	}
	if a.Column > 0 {
		add("col", fmt.Sprint(a.Column))
	}
	add("title", a.Title)
	head := "::" + a.Level
	if len(properties) > 0 {
		head += " " + strings.Join(properties, ",")
	}
	return head + "::" + Escape(a.Message)
}

// Mask tells the runner to replace a value wherever it is printed from now on.
func Mask(value string) string { return "::add-mask::" + Escape(value) }

var (
	messageEscapes  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// Escape makes text the message of a command.
func Escape(text string) string { return messageEscapes.Replace(BreakMarks(text)) }

func escapeProperty(text string) string { return propertyEscapes.Replace(BreakMarks(text)) }
