package console

import "io"

func newActions(w io.Writer, o Options) *lines { return newPlain(w, o) }
