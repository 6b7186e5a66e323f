//go:build !unix

package boundedfile

// There are no FIFOs that an open waits for; a link that takes the file's place is found out by os.SameFile.
const (
	flags    = 0
	noFollow = 0
)
