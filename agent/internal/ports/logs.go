package ports

import (
	"context"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// Logs reads what containers print.
type Logs interface {
	// Tail hands lines to out, one after another: old ones of all containers in the order of their time, then, with Follow, new ones as
	// they come. out may block: then the reading waits, and nothing is kept. Tail ends with ctx, with an error of out's, and without
	// Follow when everything is read. More containers than can be read side by side is the fault TOO_MANY_LOGS.
	Tail(ctx context.Context, q LogQuery, out func(LogLine) error) error
}

// LogQuery says which lines are wanted.
type LogQuery struct {
	Follow bool
	Tail   int       // old lines a container at most; negative: all
	Since  time.Time // only lines that are not older; zero: any
	// Positions are where to go on, by container: Tail and Since do not count for them.
	Positions map[string]LogPosition
	// From is where all other containers are read from, whole; zero: as Tail and Since say.
	From time.Time
	// Targets lists the services that are wanted. It is asked again when a container of another service appears.
	Targets func(ctx context.Context) ([]LogTarget, error)
	// Learn has the redactor know what the containers may print. It comes before each look at a container that was not there before.
	Learn func(ctx context.Context) error
}

// LogTarget is a service whose lines are wanted.
type LogTarget struct {
	picture.Key
	Stack string // "" when no compose file names it
}

// LogPosition is a place in a container's log, after a line.
type LogPosition struct {
	From time.Time // where the log is read again
	Skip uint64    // lines from there on that are known
	Last time.Time // newest time of a line that is known
}

// LogLine is a line that a container has printed, or a notice.
type LogLine struct {
	LogTarget
	Container string // its name
	ID        string
	Number    uint32 // among the containers of the service; 0 when unknown
	Time      time.Time
	Stream    operation.Stream
	Text      string
	Truncated bool
	After     LogPosition
	Notice    *LogNotice // instead of a line
}

// LogNotice tells something about the logs.
type LogNotice struct {
	Kind    LogNoticeKind
	Message string
	Began   time.Time // of Following: when the reading began
}

// LogNoticeKind is what a notice is about.
type LogNoticeKind int

// The kinds.
const (
	_ LogNoticeKind = iota
	// LogFollowing comes after the last old line.
	LogFollowing
	// LogUnreadable is about a container whose log cannot be read.
	LogUnreadable
	// LogEngineDown and LogEngineBack are about the engine.
	LogEngineDown
	LogEngineBack
)
