package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func exampleChanges() Changes {
	return Changes{
		Base: baseSHA, Head: targetSHA, AnyDeploy: true, Flags: map[string]bool{"caddy": true, "docs": false, "api": true},
		ChangeCounts: &ChangeCounts{Files: 3, Insertions: 10, Deletions: 2, Commits: 1}, Unclaimed: []string{"odd|file\n"}, Left: 2,
	}
}

func TestChanges(t *testing.T) {
	first := Changes{Head: targetSHA, Everything: "nothing was deployed here yet", AnyDeploy: true, Flags: map[string]bool{"docs": true}}
	nothing := Changes{Base: baseSHA, Head: targetSHA, Flags: map[string]bool{"docs": false}, ChangeCounts: &ChangeCounts{}}
	for _, format := range []string{"text", "markdown", "json"} {
		var b bytes.Buffer
		for _, c := range []Changes{exampleChanges(), first, nothing} {
			if err := WriteChanges(&b, c, format, exampleStyle); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "answers/changes."+format, b.String())
	}
	if err := WriteChanges(&bytes.Buffer{}, first, "xml", exampleStyle); err == nil || !strings.Contains(err.Error(), "xml") {
		t.Errorf("xml: %v", err)
	}
}

func TestChangesInJSONAreOneObjectALine(t *testing.T) {
	c := exampleChanges()
	c.Unclaimed = []string{"a\nb", "\xff", "\u202e"}
	var b bytes.Buffer
	if err := WriteChanges(&b, c, "json", exampleStyle); err != nil {
		t.Fatal(err)
	}
	var back Changes
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || strings.Count(b.String(), "\n") != 1 || back.Unclaimed[0] != "a\nb" || strings.Contains(b.String(), "\u202e") {
		t.Errorf("%s: %v", b.String(), err)
	}
}
