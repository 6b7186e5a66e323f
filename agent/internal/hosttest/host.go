// Package hosttest is a host in memory: working fakes with state for every port of package operation.
//
// It promises that the fakes obey the contracts of ports.go, held to them by the same
// suites (TestJournal, TestStamp, TestSentinels) as the real adapters, that every call
// is logged by label, that any call can be failed, delayed or counted. One [Host]
// outlives the engines over it, as a disk outlives a process: a new engine on the same
// host is a restart. A [Story] is an operation whose agent dies at any call, with what must be
// true afterwards. Start reading at [NewHost].
package hosttest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Call is one call of a port while it happens.
type Call struct {
	Label string       // the port, the method and what it works on: "Runtime.Run build/app/1"
	Out   ports.Output // nil where the port takes none
}

// Behaviour is what happens inside a call before its effect. An error ends the call
// without effect and is what the call returns.
type Behaviour func(ctx context.Context, c Call) error

// Host is a machine with a checkout, containers, a journal and the operators' files.
// Safe for concurrent use.
type Host struct {
	// OnCall is asked before every call that changes or reads the host, n counting from 1;
	// its error ends the call without effect. It is where a harness stops the world at the
	// n-th call: let it return an error for every call from the n-th on, then put a new
	// engine on the same host. It is never asked twice at a time. Reads of the journal are
	// not counted, because watchers make them at times of their own. Set it only while no
	// engine works; it must not call counted methods itself.
	OnCall func(n int, label string) error
	// OnEffect is asked after every call that changed the host; its error is what the caller
	// sees although the change was made: a connection that broke before the answer. It is held
	// to the rules of OnCall.
	OnEffect func(label string) error
	// Patience is how long a call waits for a container to stop before it gives up, as at the deadline of a step; 0 is for ever. The
	// engine goes on stopping it.
	Patience time.Duration
	// Redactor and Teacher are ports that the host has none of its own of; set them before an engine works.
	Redactor ports.Redactor
	Teacher  ports.Teacher

	asking     sync.Mutex // held around OnCall and OnEffect, so that they see the calls in their order
	mu         sync.Mutex
	calls      []string
	behaviours map[string]Behaviour

	repository repository
	fleet      fleet
	record     record
	files      files
	links      map[string]string // by "project/service", what of the host only the checkout's own links show it
	answers    map[string]func(attempt int) operation.ProbeResult
	attempts   map[string]int
	composer   string                      // version of Compose; "" is one that makes containers which do not tell it
	configs    map[string]*pipeline.Config // parsed, by text: nobody changes them
}

// NewHost makes a host whose remote has one commit, which is checked out: the sample
// fleet of [Files]. Nothing runs, nothing was deployed.
func NewHost() *Host {
	h := &Host{
		behaviours: map[string]Behaviour{},
		repository: newRepository(),
		fleet:      newFleet(),
		record:     newRecord(),
		links:      map[string]string{},
		answers:    map[string]func(int) operation.ProbeResult{},
		attempts:   map[string]int{},
		configs:    map[string]*pipeline.Config{},
	}
	first := h.Push(Files())
	h.repository.known[first] = true
	h.repository.head = first
	return h
}

// Ports are the host's ports.
func (h *Host) Ports() ports.Ports {
	return ports.Ports{
		Commits: Commits{h}, Trees: Trees{h}, Checkout: Checkout{h}, Runtime: Runtime{h}, Restorer: Runtime{h}, Inspector: Runtime{h}, Configs: Runtime{h},
		Orphans: Orphans{h}, Scripts: Scripts{h},
		Prober: Prober{h}, Gauge: Gauge{h}, Journal: Journal{h}, Records: Journal{h}, Stamp: StateFiles{h}, Sentinels: StateFiles{h},
		Redactor: h.Redactor, Teacher: h.Teacher,
	}
}

// On sets what happens inside the calls of a label; nil removes it. A label without its
// last part stands for every call that begins with it: "Runtime.Run".
func (h *Host) On(label string, b Behaviour) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b == nil {
		delete(h.behaviours, label)
		return
	}
	h.behaviours[label] = b
}

// FailAt makes the calls of a label fail; see [Host.On] for labels.
func (h *Host) FailAt(label string, err error) {
	h.On(label, func(context.Context, Call) error { return err })
}

// HoldAt makes the calls of a label wait until release is called or their context ends.
// reached receives a value for each call that waits.
func (h *Host) HoldAt(label string) (reached <-chan struct{}, release func()) {
	arrived, free := make(chan struct{}, 1024), make(chan struct{})
	h.On(label, func(ctx context.Context, _ Call) error {
		arrived <- struct{}{}
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	return arrived, sync.OnceFunc(func() { close(free) })
}

// Print makes the calls of a label print lines to standard output.
func (h *Host) Print(label string, lines ...string) {
	h.On(label, func(_ context.Context, c Call) error {
		for _, l := range lines {
			c.Out(operation.Stdout, l, false)
		}
		return nil
	})
}

// Calls are the labels of all counted calls so far that begin with prefix, in the order they began.
func (h *Host) Calls(prefix string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var some []string
	for _, c := range h.calls {
		if strings.HasPrefix(c, prefix) {
			some = append(some, c)
		}
	}
	return some
}

// call is the beginning of every port's method: it logs, counts, asks OnCall and runs
// the behaviour. Like a child process, a call does not begin once its context has ended.
func (h *Host) call(ctx context.Context, label string, out ports.Output) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	b, err := h.begin(label)
	if err != nil {
		return err
	}
	if b != nil {
		if err := b(ctx, Call{Label: label, Out: out}); err != nil {
			return err
		}
	}
	return stopped(ctx)
}

// begin counts a call and asks OnCall.
func (h *Host) begin(label string) (Behaviour, error) {
	h.asking.Lock()
	defer h.asking.Unlock()
	h.mu.Lock()
	h.calls = append(h.calls, label)
	n, b := len(h.calls), h.behaviour(label)
	h.mu.Unlock()
	if h.OnCall == nil {
		return b, nil
	}
	return b, h.OnCall(n, label)
}

// change is a call with an effect. It does not begin once ctx has ended; once begun it is made.
func (h *Host) change(ctx context.Context, label string, out ports.Output, effect func() error) error {
	if err := h.call(ctx, label, out); err != nil {
		return err
	}
	h.mu.Lock()
	err := effect()
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.asking.Lock()
	defer h.asking.Unlock()
	if h.OnEffect == nil {
		return nil
	}
	return h.OnEffect(label)
}

// look is call for reads of the journal, which are neither counted nor logged.
func (h *Host) look(label string) error {
	h.mu.Lock()
	b := h.behaviour(label)
	h.mu.Unlock()
	if b == nil {
		return nil
	}
	return b(context.Background(), Call{Label: label})
}

// behaviour finds the most specific one; h.mu is held.
func (h *Host) behaviour(label string) Behaviour {
	if b, ok := h.behaviours[label]; ok {
		return b
	}
	method, _, _ := strings.Cut(label, " ")
	return h.behaviours[method]
}

func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.Wrap(context.Cause(ctx), fault.Failed, "CHILD_CANCELLED", "stopped")
}

// Gauge implements ports.Gauge: there is always room.
type Gauge struct{ h *Host }

var _ ports.Gauge = Gauge{}

// Check implements ports.Gauge.
func (g Gauge) Check(ctx context.Context) error { return g.h.call(ctx, "Gauge.Check", nil) }

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
