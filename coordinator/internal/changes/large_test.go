package changes_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"ataraxis.dev/landfall/coordinator/internal/changes"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/git/gittest"
	"ataraxis.dev/landfall/shared/pipeline"
)

const (
	largeFiles   = 100_000
	largeChanges = 20_000
)

// large is a repository with 100,000 files in 1,000 folders, whose second commit changes every
// fifth: 12,000 modified, 4,000 deleted, 4,000 added.
func large(t testing.TB) (r *gittest.Repo, base, head string) {
	t.Helper()
	r = gittest.New(t)
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir = r.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}
	stream, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writeLarge(stream)
	_ = stream.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, errs.Bytes())
	}
	return r, r.Git("rev-parse", "main~1"), r.Git("rev-parse", "main")
}

func writeLarge(w io.Writer) {
	path := func(i int) string { return fmt.Sprintf("part%03d/sub%d/file%06d.txt", i%100, i%10, i) }
	commit := func(message string) {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter Ada <ada@example.org> 1767268800 +0000\ndata %d\n%s\n", len(message), message)
	}
	file := func(name, content string) {
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	commit("one")
	for i := range largeFiles {
		file(path(i), fmt.Sprintf("one %d\ntwo\n", i))
	}
	commit("two")
	for i := range largeChanges {
		name := path(i * 5)
		switch i % 5 {
		case 0:
			fmt.Fprintf(w, "D %s\n", name)
		case 1:
			file("new/"+name, "one\n")
		default:
			file(name, fmt.Sprintf("changed %d\ntwo\nthree\n", i))
		}
	}
}

func TestLargeRepository(t *testing.T) {
	t.Parallel()
	r, base, head := large(t)
	set := detect(t, r, base, head)
	d := set.Diff
	if d.Files != largeChanges || d.Insertions != 12_000*2+4_000 || d.Deletions != 12_000+4_000*2 || d.Commits != 1 || set.Everything != "" {
		t.Errorf("files %d, +%d -%d, commits %d, everything %q", d.Files, d.Insertions, d.Deletions, d.Commits, set.Everything)
	}
	byStatus := map[byte]int{}
	for _, c := range set.Input().Changes {
		byStatus[c.Status]++
	}
	if byStatus['M'] != 12_000 || byStatus['A'] != 4_000 || byStatus['D'] != 4_000 {
		t.Errorf("modified, added, deleted: %d, %d, %d", byStatus['M'], byStatus['A'], byStatus['D'])
	}
}

// largeConfig has 17 flags as the reference has, which claim the folders of the large repository.
func largeConfig(b *testing.B) *pipeline.Config {
	b.Helper()
	text := "version: 1\nproject: large\nstacks: {core: {files: [compose.yml]}}\nflags:\n"
	for i := range 16 {
		text += fmt.Sprintf("  flag%d: {paths: [\"part%02d?/**\", \"new/part%02d[0-9]/sub*/**\", \"!**/*.md\"]}\n", i, i, i)
	}
	text += "  docs: {paths: [\"docs/**\", \"**/*.md\"]}\nverify: {probes: {up: {containers: {}}}}\n"
	config, err := pipeline.Parse("landfall.yaml", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return config
}

// BenchmarkDetectLarge measures the whole of detect-changes, from two commits to the flags, against the bare
// git diff --numstat of the same commits, in turns. The ratio is reported as x-git.
func BenchmarkDetectLarge(b *testing.B) {
	r, base, head := large(b)
	config := largeConfig(b)
	repo := git.Repo{Dir: r.Dir}
	var ours, gits time.Duration
	for b.Loop() {
		started := time.Now()
		r.Git("diff", "--numstat", "--no-renames", base, head)
		gits += time.Since(started)

		started = time.Now()
		set, err := changes.Detect(context.Background(), repo, remote, base, head)
		if err != nil {
			b.Fatal(err)
		}
		plan, err := pipeline.Compile(config, set.Input())
		if err != nil || len(plan.Flags) != 17 {
			b.Fatal(err)
		}
		ours += time.Since(started)
	}
	b.ReportMetric(ours.Seconds()/gits.Seconds(), "x-git")
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/detect")
	b.ReportMetric(float64(gits.Milliseconds())/float64(b.N), "ms/git-numstat")
}
