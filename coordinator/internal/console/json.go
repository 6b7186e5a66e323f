package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

// WriteJSON writes m as one object on one line: fields by their names in the protocol,
// enums by name, times in RFC 3339 UTC, 64-bit numbers as strings, as protojson has it
// (https://protobuf.dev/programming-guides/json/). What is not set is left out.
func WriteJSON(w io.Writer, m proto.Message) error {
	object, err := marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(object, '\n'))
	return err
}

// marshal also takes out the spaces that protojson varies on purpose between builds.
func marshal(m proto.Message) ([]byte, error) {
	object, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, object); err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return escapeUnprintable(b.Bytes()), nil
}

// escapeUnprintable writes characters that a terminal would act on, or that reorder text,
// as JSON escapes: the value stays, the effect goes. They occur in strings only. So do the marks that a runner acts on: the
// object may be read by a job's next command, and shown there.
func escapeUnprintable(object []byte) []byte {
	var b bytes.Buffer
	for len(object) > 0 {
		r, n := utf8.DecodeRune(object)
		switch {
		case !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			b.Write(object[:n])
		case r > 0xffff: // as a surrogate pair
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		object = object[n:]
	}
	return []byte(workflowcommand.BreakMarksInJSON(b.String()))
}

// jsonLines shows one object a line, for machines.
type jsonLines struct {
	clock func() time.Time

	mu     sync.Mutex
	out    sink
	closed bool
}

func newJSONLines(w io.Writer, o Options) *jsonLines {
	return &jsonLines{clock: o.Now, out: sink{w: w}}
}

// eventObject is an event with the operation it belongs to.
type eventObject struct {
	Operation string          `json:"operation"`
	Event     json.RawMessage `json:"event"`
}

// noteObject is something the coordinator itself tells.
type noteObject struct {
	Time    time.Time `json:"time"`
	Note    string    `json:"note,omitempty"`
	Warning string    `json:"warning,omitempty"`
}

func (j *jsonLines) Event(operationID string, e *landfallv1.Event) {
	event, err := marshal(e)
	if err != nil { // text that is not UTF-8, which the wire does not carry
		j.Warn(err.Error())
		return
	}
	j.write(eventObject{Operation: operationID, Event: event})
}

func (j *jsonLines) Note(text string) { j.write(noteObject{Time: j.clock().UTC(), Note: text}) }

func (j *jsonLines) Warn(text string) { j.write(noteObject{Time: j.clock().UTC(), Warning: text}) }

func (j *jsonLines) write(object any) {
	text, err := json.Marshal(object)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.out.err != nil {
		return
	}
	if err != nil {
		j.out.err = fmt.Errorf("write progress as JSON: %w", err)
		return
	}
	j.out.flush(bytes.NewBuffer(append(escapeUnprintable(text), '\n')))
}

func (j *jsonLines) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return j.out.err
}
