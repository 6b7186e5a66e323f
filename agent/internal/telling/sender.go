package telling

import (
	"context"
	"time"

	"ataraxis.dev/landfall/shared/notify"
)

// Sender delivers letters to one place.
type Sender interface {
	// Name tells senders apart, in the log and on disk: "discord".
	Name() string
	// Once says that a letter which arrives twice would be told twice. It is then marked on disk before it goes out, and one whose fate
	// nobody knows is not sent again.
	Once() bool
	// Ready reads what is needed to send, so that what is missing is found before a letter is marked.
	Ready() error
	// Send makes one delivery. It ends soon after ctx.
	Send(ctx context.Context, p Parcel) Outcome
}

// Parcel is a letter with what is known of the messages around it.
type Parcel struct {
	Letter
	// Filed is the identifier of the message about something in a channel, "" for none.
	Filed   func(about, channel string) string
	Missed  []string // messages before it that may not have arrived
	Dropped int      // messages before it that were dropped
}

// story is what the message says besides its news.
func (p Parcel) story(earlier string) notify.Story {
	return notify.Story{Over: p.Over, OverAt: p.OverAt, Earlier: earlier, Missed: p.Missed, Dropped: p.Dropped}
}

// Fate is what became of a letter.
type Fate int

// The fates.
const (
	Delivered Fate = iota
	Later          // it certainly did not arrive: try again
	Unsure         // nobody knows whether it arrived
	Refused        // it was not taken, and might never be
)

// Outcome is how one delivery went.
type Outcome struct {
	Fate    Fate
	Err     error         // why not; nil when delivered. It holds no address.
	Wait    time.Duration // what was asked for before the next; 0 when nobody said
	Channel string        // where a message is that can be edited, "" where none can
	Message string

	missed  []string // what it said of those before it
	dropped int
}
