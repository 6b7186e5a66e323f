package console

import "io"

func newTTY(w io.Writer, o Options) *lines { return newPlain(w, o) }
