//go:build unix

package boundedfile

import "syscall"

// flags let an open return at once, whatever was put in the file's place since it was looked at: a FIFO without a writer
// too, and a terminal that would become ours. noFollow refuses a link in the last element.
const (
	flags    = syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_CLOEXEC
	noFollow = syscall.O_NOFOLLOW
)
