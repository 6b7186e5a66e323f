package redact

import "io"

// Writer is a writer through which nothing secret passes. Each Write is taken for whole lines, as loggers write them.
func (r *Redactor) Writer(to io.Writer) io.Writer { return writer{r, to} }

type writer struct {
	r  *Redactor
	to io.Writer
}

// Write implements io.Writer; it tells of the bytes that it was given.
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, w.r.Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
