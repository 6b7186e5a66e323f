package pipeline

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How many paths a plan carries to explain itself; counts are always complete.
const (
	maxFlagPaths = 20
	maxUnclaimed = 100
)

// detect fills in which flags are set, whether anything deploys, and what no flag claims.
func (k *compiler) detect(p *Plan) error {
	paths := make([]string, len(k.in.Changes))
	for i, change := range k.in.Changes {
		paths[i] = change.Path
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	claimed := make([]bool, len(paths))
	for _, name := range sortedKeys(k.config.Flags) {
		patterns, err := CompilePatterns(k.config.Flags[name].Paths)
		if err != nil {
			return err
		}
		flag := FlagState{Name: name}
		for i, path := range paths {
			if !patterns.Match(path) {
				continue
			}
			claimed[i] = true
			if flag.Count++; flag.Count <= maxFlagPaths {
				flag.Paths = append(flag.Paths, printable(path))
			}
		}
		flag.Set = flag.Count > 0 || k.in.Everything != ""
		p.Flags = append(p.Flags, flag)
	}
	skip, err := CompilePatterns(k.config.Skip)
	if err != nil {
		return err
	}
	// A commit without a change against what runs, a pushed revert say, still has to become what runs.
	p.AnyDeploy = k.in.Everything != "" || (len(paths) == 0 && k.in.Base != "" && k.in.Base != k.in.Target)
	for i, path := range paths {
		if skip.Match(path) {
			continue
		}
		p.AnyDeploy = true
		if claimed[i] {
			continue
		}
		if p.UnclaimedCount++; p.UnclaimedCount <= maxUnclaimed {
			p.Unclaimed = append(p.Unclaimed, printable(path))
		}
	}
	return nil
}

// printable quotes a path the way git does (core.quotePath) when it is not UTF-8 or
// holds control characters: a plan must survive JSON, protobuf and a terminal.
func printable(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, control) {
		return path
	}
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\t':
			out.WriteString(`\t`)
		case c == '\r':
			out.WriteString(`\r`)
		case c < 0x20 || c >= 0x7f:
			out.WriteByte('\\')
			out.WriteString(leftPad(strconv.FormatUint(uint64(c), 8), 3))
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func leftPad(digits string, width int) string {
	return strings.Repeat("0", width-len(digits)) + digits
}
