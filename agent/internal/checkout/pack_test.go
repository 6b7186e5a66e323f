package checkout

import (
	"crypto/sha1"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestCommitForDisplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha := w.push(nil)
	w.fetch(sha)
	got, err := w.Commit(t.Context(), sha)
	if err != nil || got.SHA != sha || got.Subject != "next" || got.Author != "Ada" || got.Time.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	w.dev.Git("config", "i18n.commitEncoding", "UTF-8")
	hostile := w.dev.Commit(strings.Repeat("x", 300)+"\x1b[31m \xff", nil)
	w.dev.Push()
	w.fetch(hostile)
	got, err = w.Commit(t.Context(), hostile)
	if err != nil || len([]rune(got.Subject)) != maxSubject || strings.Contains(got.Subject, "\x1b") {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.Commit(t.Context(), strings.Repeat("e", 40))
	wantFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
}

// Pack packs when there is enough to pack. Git guesses the number of loose objects from one of 256
// folders, so it takes few to make many.
func TestPackPacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if packs, err := filepath.Glob(filepath.Join(w.host.Dir, ".git/objects/pack/*.pack")); len(packs) > 1 || err != nil {
		t.Errorf("it packed a handful of objects: %q, %v", packs, err)
	}
	files := map[string]string{}
	for n := 0; len(files) < 40; n++ {
		content := fmt.Sprint(n)
		if sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)); sum[0] == 0x17 {
			files["many/"+content] = content
		}
	}
	w.host.Commit("many", files)
	loose := func() int {
		found, err := filepath.Glob(filepath.Join(w.host.Dir, ".git/objects/17/*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := loose(); n < 40 {
		t.Fatalf("%d objects are loose", n)
	}
	if err := w.Pack(t.Context()); err != nil || loose() != 0 {
		t.Errorf("%d objects are loose, %v", loose(), err)
	}
}
