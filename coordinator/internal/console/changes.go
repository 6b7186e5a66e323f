package console

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Changes is what lies between two commits, as detect-changes answers it.
type Changes struct {
	Base       string          `json:"base_sha"` // "" when there is none
	Head       string          `json:"head_sha"`
	Moved      string          `json:"moved_sha,omitempty"`         // commit that somebody moved the host's checkout to; what differs from it sets flags, too
	Everything string          `json:"everything_reason,omitempty"` // why every flag is set; then nothing was counted
	AnyDeploy  bool            `json:"any_deploy"`
	Because    string          `json:"any_deploy_reason,omitempty"` // why it deploys where no changed path asks for it
	Flags      map[string]bool `json:"flags"`                       // every flag of landfall.yaml
	*ChangeCounts
	Unclaimed []string `json:"unclaimed"` // changed paths that no flag claims, at most 100
	Left      int      `json:"unclaimed_count"`
}

// ChangeCounts are the sizes of a change set; nil where there is nothing to count from.
type ChangeCounts struct {
	Files      int `json:"files_changed"`
	Insertions int `json:"insertions"` // lines
	Deletions  int `json:"deletions"`  // lines
	Commits    int `json:"commits"`    // -1: unknown, the clone lacks history
}

// SetFlags are the flags that are set, in name order.
func (c Changes) SetFlags() []string {
	var set []string
	for name, on := range c.Flags {
		if on {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	return set
}

// WriteChanges writes a change set as text, Markdown or one object. An unknown format is a fault of kind Invalid.
func WriteChanges(w io.Writer, c Changes, format string, o Style) error {
	p := newPage(o)
	switch format {
	case "text":
		p.changes(c)
	case "markdown":
		p.changesMarkdown(c)
	case "json":
		object, err := json.Marshal(c)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "JSON", "write changes as JSON")
		}
		p.printf("%s\n", escapeUnprintable(object))
	default:
		return fault.New(fault.Invalid, "USAGE", "unknown format %q of changes", format).WithHint("use text, markdown or json")
	}
	return p.writeTo(w)
}

func (p *page) changes(c Changes) {
	base := short(c.Base)
	if base == "" {
		base = "nothing"
	}
	p.printf("%s → %s", base, p.paint(bold, short(c.Head)))
	if n := c.ChangeCounts; n != nil {
		commits := "unknown number of commits"
		if n.Commits >= 0 {
			commits = count(n.Commits, "commit")
		}
		p.printf("  %s, %s, +%d -%d", commits, count(n.Files, "file"), n.Insertions, n.Deletions)
	}
	p.printf("\n")
	if c.Everything != "" {
		p.printf("%s\n", p.paint(yellow, "every flag is set: "+clean(c.Everything)))
	}
	if c.Moved != "" && c.Everything == "" {
		p.printf("%s\n", p.paint(yellow, movedLine(c)))
	}
	p.field("flags", orNone(strings.Join(cleanAll(c.SetFlags()), ", ")))
	deploy := "yes"
	switch {
	case !c.AnyDeploy:
		deploy = "nothing to deploy"
	case c.Because != "":
		deploy += ": " + clean(c.Because)
	}
	p.field("deploy", deploy)
	if c.Left > 0 {
		p.printf("%s\n", p.paint(yellow, unclaimedLine(c)))
		for _, path := range c.Unclaimed {
			p.printf("  - %s\n", clean(path))
		}
	}
}

func (p *page) changesMarkdown(c Changes) {
	base := "nothing"
	if c.Base != "" {
		base = markdownCode(short(c.Base))
	}
	p.printf("### Changes: %s → %s\n\n", base, markdownCode(short(c.Head)))
	if c.Everything != "" {
		p.printf("Every flag is set: %s\n\n", markdownText(c.Everything))
	}
	if c.Moved != "" && c.Everything == "" {
		p.printf("%s\n\n", markdownText(movedLine(c)))
	}
	p.printf("| | |\n|---|---|\n")
	if n := c.ChangeCounts; n != nil {
		if n.Commits >= 0 {
			p.printf("| Commits | %d |\n", n.Commits)
		}
		p.printf("| Files | %d |\n| Lines | +%d −%d |\n", n.Files, n.Insertions, n.Deletions)
	}
	deploys := strconv.FormatBool(c.AnyDeploy)
	if c.Because != "" {
		deploys += ": " + markdownText(c.Because)
	}
	p.printf("| Flags | %s |\n| Deploys | %s |\n\n", orNone(markdownCodes(c.SetFlags())), deploys)
	if c.Left > 0 {
		p.printf("> [!WARNING]\n> %s: %s\n\n", markdownText(unclaimedLine(c)), markdownCodes(c.Unclaimed))
	}
}

// movedLine says where else flags come from.
func movedLine(c Changes) string {
	return "somebody moved the checkout to " + short(c.Moved) + ": flags are also set by what differs from that commit, counts are those from the base"
}

// unclaimedLine counts the paths that no flag claims.
func unclaimedLine(c Changes) string {
	return fmt.Sprintf("%s claimed by no flag", count(c.Left, "changed path"))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
