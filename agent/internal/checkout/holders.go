package checkout

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ataraxis.dev/landfall/shared/boundedfile"
)

// holder is a git that may hold a lock of the checkout.
type holder struct {
	pid     int
	command string // "git commit"
	unsure  bool   // we may not see where it works
}

func (h holder) String() string {
	text := fmt.Sprintf("%s (process %d)", h.command, h.pid)
	if h.unsure {
		text += ", whose folder only root may see"
	}
	return text
}

// gits lists the git processes that work in the checkout, by the kernel's process table in
// proc(5): inside the tree, its git folders, or another working tree of the same repository. One whose folder we may
// not see counts, too: a lock too many that stays costs a person a look, one too few
// their index. Without a process table there are none to be seen, and a lock's age decides.
func (c *Checkout) gits(own, common string) []holder {
	var ours []os.FileInfo
	for _, dir := range append([]string{c.Dir, own, common}, linked(common)...) {
		if info, err := os.Stat(dir); err == nil {
			ours = append(ours, info)
		}
	}
	entries, err := filepath.Glob(filepath.Join(c.proc, "[0-9]*"))
	if err != nil {
		return nil // only of a malformed pattern
	}
	var found []holder
	for _, dir := range entries {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !isGit(dir) {
			continue
		}
		works, err := worksIn(dir, ours)
		if works || errors.Is(err, fs.ErrPermission) {
			found = append(found, holder{pid: pid, command: commandOf(dir), unsure: err != nil})
		}
	}
	return found
}

// maxMark bounds the file in which git keeps where a working tree is, in bytes: it holds one path.
const maxMark = 64 << 10

// linked are the other working trees of a repository, by the files that git keeps of them.
func linked(common string) []string {
	marks, err := filepath.Glob(filepath.Join(common, "worktrees", "*", "gitdir"))
	if err != nil {
		return nil // only of a malformed pattern
	}
	var dirs []string
	for _, mark := range marks {
		if text, err := boundedfile.Read(mark, maxMark); err == nil {
			dirs = append(dirs, filepath.Dir(strings.TrimSpace(string(text))))
		}
	}
	return dirs
}

// isGit reports whether a process that has not ended is a git. The name is readable for everybody, unlike
// the program's path.
func isGit(dir string) bool {
	stat, err := os.ReadFile(filepath.Join(dir, "stat")) // 123 (git) S ..., proc_pid_stat(5)
	if err != nil {
		return false
	}
	from, to := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if from < 0 || to < from || to+2 >= len(stat) || stat[to+2] == 'Z' || stat[to+2] == 'X' {
		return false
	}
	name := string(stat[from+1 : to])
	return name == "git" || strings.HasPrefix(name, "git-")
}

// deepest bounds the way up from a working folder.
const deepest = 128

// worksIn reports whether a process's working folder is one of ours or lies below one. Folders are
// compared by what they are and not by name: a container sees the checkout under another name.
func worksIn(dir string, ours []os.FileInfo) (bool, error) {
	at := filepath.Join(dir, "cwd")
	var last os.FileInfo
	for range deepest {
		info, err := os.Stat(at)
		if err != nil {
			return false, err
		}
		for _, o := range ours {
			if os.SameFile(o, info) {
				return true, nil
			}
		}
		if last != nil && os.SameFile(last, info) {
			return false, nil // the top
		}
		last, at = info, at+"/.."
	}
	return false, syscall.ELOOP
}

// commandOf is git and its subcommand, without arguments: these may be secrets.
func commandOf(dir string) string {
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return "git"
	}
	args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-C" || a == "-c" || a == "--git-dir" || a == "--work-tree" || a == "--namespace":
			i++
		case !strings.HasPrefix(a, "-"):
			return "git " + name(a)
		}
	}
	return "git"
}

// name keeps what a subcommand of git may be called.
func name(s string) string {
	const longest = 40
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z') {
			return r
		}
		return '?'
	}, s)
	return clean[:min(len(clean), longest)]
}
