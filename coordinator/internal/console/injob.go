package console

import (
	"errors"
	"io"

	"ataraxis.dev/landfall/shared/workflowcommand"
)

// inJob is a renderer inside a job of GitHub Actions. The runner reads every stream of it, whatever its form is, so the
// stream is what keeps others' text from giving it commands.
type inJob struct {
	Renderer
	stream *workflowcommand.Writer
}

// newInJob makes the renderer of a mode on a stream that a runner reads. The actions mode writes past the guard: it gives
// commands, and makes the rest inert itself.
func newInJob(mode Mode, w io.Writer, o Options) Renderer {
	stream, guarded := w.(*workflowcommand.Writer)
	if !guarded {
		stream = &workflowcommand.Writer{To: w}
	}
	if mode == Actions {
		return inJob{newActions(workflowcommand.Commands(stream), o), stream}
	}
	return inJob{newOn(mode, stream, o), stream}
}

// Close implements Renderer. What the last line lacks of its end is passed on, too.
func (r inJob) Close() error { return errors.Join(r.Renderer.Close(), r.stream.Flush()) }
