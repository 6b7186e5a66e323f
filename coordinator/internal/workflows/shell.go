package workflows

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// program is a script as the shell reads it. Expressions, which GitHub replaces before any shell sees them, are words of ours
// in it.
type program struct {
	text   string
	embeds []pasted
	file   *syntax.File // nil: no shell that is known here, or a script that cannot be read
}

// placeholder is the word in an expression's place.
var placeholder = regexp.MustCompile(`__landfall_([0-9]+)__`)

// bareVariable is a variable that the word after it would become a part of.
var bareVariable = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)$`)

// replaceEmbeds puts a placeholder in the place of each expression of a text.
func replaceEmbeds(text string) string {
	var b strings.Builder
	at := 0
	for n, e := range embeds(text) {
		b.WriteString(bareVariable.ReplaceAllString(text[at:e.start], "$${$1}"))
		fmt.Fprintf(&b, "__landfall_%d__", n)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// posix are the shells that are read. Without a name it is bash, where there is one.
var posix = regexp.MustCompile(`^(?:|bash|sh|(?:/[^\s]*/)?(?:bash|sh|dash)(?:\s.*)?)$`)

func readScript(text, shell string) *program {
	p := &program{embeds: embeds(text)}
	p.text = strings.ReplaceAll(replaceEmbeds(text), "\r\n", "\n")
	if !posix.MatchString(strings.TrimSpace(shell)) || tooDeep(p.text) {
		return p
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)).Parse(strings.NewReader(p.text), "")
	if err == nil {
		p.file = file
	}
	return p
}

// The bounds of what is parsed. The parser calls itself for everything that is opened and has no bound of its own, and a stack
// that overflows ends the program. The longest scripts that people write have a tenth of this.
const (
	maxScript = 32 << 10
	maxOpened = 2000
)

// tooDeep reports whether a script is too long, or opens too much, to be parsed.
func tooDeep(text string) bool {
	opened := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{', '`', '?', '!', '[':
			opened++
		}
	}
	return len(text) > maxScript || opened > maxOpened
}

// sourceOf is the text of a node.
func (p *program) sourceOf(node syntax.Node) string {
	start, end := int(node.Pos().Offset()), int(node.End().Offset())
	if start > end || end > len(p.text) {
		return ""
	}
	return p.text[start:end]
}

// expressionsIn lists the expressions whose places are in a piece of the program's text.
func (p *program) expressionsIn(text string) []pasted {
	if !strings.Contains(text, "__landfall_") {
		return nil
	}
	var list []pasted
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil && n < len(p.embeds) {
			list = append(list, p.embeds[n])
		}
	}
	return list
}

// literal is a word without anything that the shell would replace; ok is false when there is.
func literal(word *syntax.Word) (text string, ok bool) {
	var b strings.Builder
	for _, part := range word.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescaped(part.Value))
		case *syntax.SglQuoted:
			if part.Dollar {
				return "", false
			}
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				lit, isLit := inner.(*syntax.Lit)
				if !isLit {
					return "", false
				}
				b.WriteString(unescaped(lit.Value))
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unescaped takes out the backslashes of quoting, and of lines that go on.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// spelled is a word as far as it is spelled out; what the shell replaces is left out.
func spelled(word *syntax.Word) string {
	var b strings.Builder
	syntax.Walk(word, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Lit:
			b.WriteString(unescaped(node.Value))
		case *syntax.SglQuoted:
			b.WriteString(node.Value)
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ParamExp, *syntax.ArithmExp:
			return false
		}
		return true
	})
	return b.String()
}

// nameOf is the program that a command starts, without folders; "" when it is computed.
func nameOf(call *syntax.CallExpr) string {
	if len(call.Args) == 0 {
		return ""
	}
	text, ok := literal(call.Args[0])
	if !ok {
		return ""
	}
	return path.Base(text)
}

// calls visits every command of a node, those within functions, blocks and substitutions too.
func calls(node syntax.Node, visit func(*syntax.CallExpr)) {
	syntax.Walk(node, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			visit(call)
		}
		return true
	})
}

// mentions reports whether a node names a variable.
func mentions(node syntax.Node, variable string) bool {
	found := false
	syntax.Walk(node, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == variable {
			found = true
		}
		return !found
	})
	return found
}

// Programs that take a program as an argument.
var (
	shells       = []string{"bash", "sh", "zsh", "dash", "ksh", "ash", "fish", "pwsh", "powershell"}
	interpreters = []string{"python", "python3", "python2", "node", "nodejs", "ruby", "perl", "php", "deno", "bun", "Rscript", "lua", "osascript"}
	codeOption   = regexp.MustCompile(`^(?:-[a-z]*[cer]|-E|--eval|-eval|-Command|-p|--print|--command)$`)
)

func isInterpreter(name string) bool {
	return slices.Contains(shells, name) || slices.Contains(interpreters, name)
}

// commandsOnly is the program without its comments, each line that goes on put together.
func (p *program) commandsOnly() string {
	text := []byte(p.text)
	syntax.Walk(p.file, func(node syntax.Node) bool {
		if comment, ok := node.(*syntax.Comment); ok {
			for i := comment.Pos().Offset(); i < comment.End().Offset() && int(i) < len(text); i++ {
				text[i] = ' '
			}
		}
		return true
	})
	return strings.ReplaceAll(string(text), "\\\n", " ")
}
