package cli

import (
	"fmt"
	"os"
	"time"

	"ataraxis.dev/landfall/coordinator/internal/console"
	"ataraxis.dev/landfall/shared/command"
)

// warn writes one warning to stderr, in the form that is read there: an annotation in a job,
// an object among objects, else a line.
func (g *globals) warn(text string) {
	mode, err := console.ParseMode(g.progress, os.Getenv, command.IsTerminal(g.streams.Err))
	if err == nil && (mode == console.Actions || mode == console.JSON) {
		show := console.New(mode, g.streams.Err, console.Options{Now: time.Now})
		show.Warn(text)
		_ = show.Close() // a warning that cannot be written is no reason to fail
		return
	}
	fmt.Fprintln(g.streams.Err, "warning: "+text)
}
