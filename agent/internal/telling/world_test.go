package telling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
	"ataraxis.dev/landfall/shared/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a host with its disk, a Discord and a receiver of webhooks, in the time of a synctest bubble. power may go at any moment: then
// nothing is written, and nobody is reached, until boot.
type world struct {
	t       *testing.T
	discord *discordtest.Server
	teller  *Teller
	config  Config // what is changed before boot
	log     *strings.Builder

	mu     sync.Mutex
	disk   []byte
	ops    []operation.Operation // oldest first
	pause  *ports.Pause
	blocks []ports.Blocked
	steps  int  // writes and requests, begun and ended
	cutAt  int  // the step at which power goes; 0 never
	off    bool // power is gone
	full   bool // the disk is full
	down   func() *discordtest.Answer
	hooked []string // bodies that the receiver of webhooks took
}

// step counts one moment; false when power is gone.
func (w *world) step() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	if w.steps == w.cutAt {
		w.off = true
	}
	return !w.off
}

var errPower = errors.New("the power is gone")

func (w *world) Told() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.disk), nil
}

func (w *world) SetTold(raw []byte) error {
	if !w.step() {
		return errPower
	}
	w.mu.Lock()
	if w.full {
		w.mu.Unlock()
		return errors.New("no space left on device")
	}
	w.disk = slices.Clone(raw)
	w.mu.Unlock()
	if !w.step() {
		return errPower
	}
	return nil
}

func (w *world) Operation(id string) (operation.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.ops {
		if o.ID == id {
			return o, nil
		}
	}
	return operation.Operation{}, fault.New(fault.NotFound, "UNKNOWN_OPERATION", "none")
}

func (w *world) Operations(before uint64, limit int) (out []operation.Operation, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range slices.Backward(w.ops) {
		if (before == 0 || o.Number < before) && len(out) < limit {
			out = append(out, o)
		}
	}
	return out, nil
}

func (w *world) Unfinished() (out []operation.Operation, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.ops {
		if !o.State.Terminal() {
			out = append(out, o)
		}
	}
	return out, nil
}

func (w *world) Pause() (*ports.Pause, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pause, nil
}

func (w *world) Blocked() ([]ports.Blocked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.blocks), nil
}

func (w *world) ChangePause(func(*ports.Pause) *ports.Pause) error         { return nil }
func (w *world) ChangeBlocked(func([]ports.Blocked) []ports.Blocked) error { return nil }

// RoundTrip is the network: Discord, and a receiver of webhooks.
func (w *world) RoundTrip(r *http.Request) (res *http.Response, err error) {
	if !w.step() {
		return nil, errors.New("connection refused")
	}
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/api/") && down != nil {
		a := down()
		if a == nil {
			return nil, errors.New("connection refused")
		}
		w.discord.Next(*a)
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	out := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil { // the server hangs up
			res, err = nil, cmpErr(r.Context().Err(), io.ErrUnexpectedEOF)
		}
	}()
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.discord.ServeHTTP(out, r)
	} else {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.hooked = append(w.hooked, string(body))
		w.mu.Unlock()
	}
	if !w.step() {
		return nil, io.ErrUnexpectedEOF // it arrived, and the answer is lost
	}
	return out.Result(), nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// newWorld is a world in a bubble; it has told nothing and nothing has ended.
func newWorld(t *testing.T) *world {
	w := &world{t: t, discord: discordtest.New(time.Now), log: &strings.Builder{}}
	w.config = Config{
		Store: w, Records: w, Sentinels: w, Host: "pi", Retry: Backoff{Jitter: func(d time.Duration) time.Duration { return d }},
		Subject: func(context.Context, string) (string, string, error) { return "feat: x", "Ann", nil },
		Pipeline: func(context.Context, string) (*pipeline.Config, error) {
			c := &pipeline.Config{Project: "shop"}
			c.Notify.SuppressWhenOnly = []string{"docs"}
			return c, nil
		},
	}
	w.config.Senders = []Sender{w.discordSender()}
	return w
}

func (w *world) discordSender() *Discord {
	return NewDiscord(func() (string, error) { return w.discord.WebhookURL(), nil },
		notify.Options{Transport: w, Jitter: func(d time.Duration) time.Duration { return d }})
}

func (w *world) hookSender() *Webhook {
	return NewWebhook(func() (notify.Hook, error) {
		return notify.ParseHook("https://hooks.example.org/secret-path-of-the-hook", "a secret of more than 24 bytes")
	}, w, nil)
}

// boot starts the agent's teller, and lets it do what it can do at once.
func (w *world) boot() {
	w.mu.Lock()
	w.off, w.cutAt = false, 0
	w.mu.Unlock()
	w.teller = Open(w.config, hclog.New(&hclog.LoggerOptions{Output: w.log}))
	w.teller.Start()
	synctest.Wait()
}

// reboot is what follows a power cut, or systemctl restart.
func (w *world) reboot() {
	w.teller.Close()
	w.boot()
}

// ends has an operation end, and waits until everything that can be done at once is done.
func (w *world) ends(o operation.Operation) {
	w.mu.Lock()
	o.Number = uint64(len(w.ops) + 1)
	w.ops = append(w.ops, o)
	w.mu.Unlock()
	w.teller.Ended(o)
	synctest.Wait()
}

// set changes the world.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// said are the titles and descriptions of the messages in the channel.
func (w *world) said() (out []string) {
	for _, m := range w.discord.Messages() {
		e := m.Body.Embeds[0]
		s := e.Title + "\n" + e.Description
		for _, f := range e.Fields {
			s += "\n" + f.Name + ": " + f.Value
		}
		out = append(out, s)
	}
	return out
}

// expect compares the messages with what each must have in it, parts separated by " & ".
func (w *world) expect(want ...string) {
	w.t.Helper()
	said := w.said()
	if len(said) != len(want) {
		w.t.Fatalf("%d messages, want %d:\n%s\n%s", len(said), len(want), strings.Join(said, "\n---\n"), w.log)
	}
	for i, parts := range want {
		for part := range strings.SplitSeq(parts, " & ") {
			if no, not := strings.CutPrefix(part, "NOT "); not && strings.Contains(said[i], no) || !not && !strings.Contains(said[i], part) {
				w.t.Errorf("message %d, %q:\n%s", i, part, said[i])
			}
		}
	}
}

func (w *world) outbox() int {
	w.teller.mu.Lock()
	defer w.teller.mu.Unlock()
	return len(w.teller.rec.Outbox)
}

// bubble runs a story in a bubble of its own time.
func bubble(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.boot()
		defer func() { w.teller.Close() }()
		story(w)
	})
}

func failure(o *operation.Operation) {
	o.Failure = &operation.Failure{Kind: fault.Failed, Reason: "PROBE_FAILED", Message: "web does not answer", Hint: "look", OutputTail: []string{"boom"}}
}

func times(n int, s string) string { return fmt.Sprintf(s, n) }
