// Package trust says whether a file can have been written only by those whom we believe: root, or the user we run as.
//
// It promises that a path is judged as the kernel walks it, links included, and that what
// is judged is what is read. A refusal names the command that mends it. Start reading at
// [Judge.Folder].
package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
)

// ReasonUntrusted is the reason of every refusal; its kind is Invalid.
const ReasonUntrusted = "UNTRUSTED_FILE"

// ByOthers are the permission bits that let somebody else than the owner write. A POSIX
// access control list that does so shows in the group's bits, as its mask (acl(5)).
const ByOthers fs.FileMode = 0o022

// Judge judges for one user.
type Judge struct{ UID int }

// Us judges for the user we run as.
func Us() Judge { return Judge{UID: os.Geteuid()} }

// Folder judges a folder in which nobody else may make, replace or remove a file, and
// the way to it. The error is Invalid, UNTRUSTED_FILE, or what the file system says.
func (j Judge) Folder(path string) error {
	info, err := j.walk(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fault.New(fault.Invalid, ReasonUntrusted, "%s is no folder", path)
	}
	if info.Mode()&ByOthers != 0 { // sticky or not: what is not there yet can be planted
		return open(path, info.Mode())
	}
	return nil
}

// File judges a regular file that exists, and the way to it.
func (j Judge) File(path string) error {
	info, err := j.walk(path)
	if err != nil {
		return err
	}
	return j.Regular(path, info)
}

// Regular judges what was seen of a file that path names, without the way to it.
func (j Judge) Regular(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fault.New(fault.Invalid, ReasonUntrusted, "%s is no regular file but a %s", path, kind(info.Mode())).
			WithHint("look at it, then move it away: ls -l %s", Quote(path))
	case !j.owner(info):
		return j.foreign(path, info)
	case info.Mode()&ByOthers != 0:
		return open(path, info.Mode())
	}
	return nil
}

// Read reads a file of at most limit bytes, and judges the one that it has open. A pipe in
// its place does not hang it. The way to the file is not judged; see [Judge.Folder].
func (j Judge) Read(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // read only: closing cannot lose anything
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if err := j.Regular(path, info); err != nil {
		return nil, info, err
	}
	content, err := boundedfile.ReadOpen(f, path, limit)
	if fault.ReasonOf(err) == boundedfile.ReasonTooLarge {
		err = fault.New(fault.Invalid, ReasonUntrusted, "%s has more than the %d bytes it may have", path, limit)
	}
	return content, info, err
}

// maxLinks is how many links a path may lead through; Linux's own limit (path_resolution(7)).
const maxLinks = 40

// walk judges every folder and link on the way to a path, from the root on, and the owner of what it ends at. A
// folder that others may write is on nobody's way but with the sticky bit: there they
// cannot rename or remove what is not theirs.
func (j Judge) walk(path string) (fs.FileInfo, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	at, left, links := string(filepath.Separator), split(absolute), 0
	info, err := os.Lstat(at)
	for err == nil {
		if !j.owner(info) {
			return nil, j.foreign(at, info)
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return nil, fault.New(fault.Invalid, ReasonUntrusted, "%s leads through more than %d links", path, maxLinks)
			}
			var target string
			if target, err = os.Readlink(at); err != nil {
				return nil, err
			}
			if left = append(split(target), left...); filepath.IsAbs(target) {
				at = string(filepath.Separator)
			} else {
				at = filepath.Dir(at)
			}
		case len(left) == 0:
			return info, nil
		case info.IsDir() && info.Mode()&ByOthers != 0 && info.Mode()&fs.ModeSticky == 0:
			return nil, open(at, info.Mode())
		}
		if len(left) > 0 {
			at, left = filepath.Join(at, left[0]), left[1:] // ".." of a link's target is its parent by then
		}
		info, err = os.Lstat(at)
	}
	return nil, err
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

func (j Judge) owner(info fs.FileInfo) bool {
	uid, ok := Owner(info)
	return !ok || uid == 0 || uid == j.UID
}

// Owner is the user that owns a file; ok is false where the system has no such thing.
func Owner(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// Links is how many names a file has; ok is false where the system has no such thing.
func Links(info fs.FileInfo) (n uint64, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Nlink), true //nolint:unconvert // 16 bits on some systems
}

func (j Judge) foreign(path string, info fs.FileInfo) error {
	uid, _ := Owner(info)
	return fault.New(fault.Invalid, ReasonUntrusted, "%s belongs to user %d, who is neither root nor us", path, uid).
		WithHint("look at what it holds, then: chown -h %d %s", j.UID, Quote(path))
}

func open(path string, mode fs.FileMode) error {
	return fault.New(fault.Invalid, ReasonUntrusted, "%s can be written by others (mode %04o)", path, mode.Perm()).
		WithHint("look at what it holds, then: chmod go-w %s", Quote(path))
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "link"
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9/._+:@%=,-]+$`)

// Quote makes a path one word of a shell, for commands that people are told to run.
func Quote(path string) string {
	if plain.MatchString(path) && !strings.HasPrefix(path, "-") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// Untrusted reports whether an error is a refusal of this package.
func Untrusted(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Reason == ReasonUntrusted
}
