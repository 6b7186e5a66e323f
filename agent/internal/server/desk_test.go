package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/pipeline"
)

// as is a context of a caller.
func as(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, principalKey{}, identity.Principal{Role: identity.RoleObserver, Name: name})
}

// However many ask the same at once: one answer is under way, and one more begins after the last has asked.
func TestEqualQuestionsShareAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(defaults())
		defer d.close()
		var begun atomic.Int64
		answer := func(context.Context) (int64, error) {
			n := begun.Add(1)
			time.Sleep(time.Second)
			return n, nil
		}
		var group sync.WaitGroup
		results := make([]int64, 60)
		for i := range results {
			group.Go(func() { results[i], _ = ask(as(t.Context(), fmt.Sprint("o", i%7)), d, "same", answer) })
			if i == 0 {
				synctest.Wait() // it has begun: the others may be after something that it has looked at already
			}
		}
		group.Wait()
		if begun.Load() != 2 || results[0] != 1 {
			t.Errorf("%d answers to 60 equal questions, the first got number %d", begun.Load(), results[0])
		}
		for i, r := range results[1:] {
			if r != 2 {
				t.Errorf("asker %d got answer %d, which began before he asked", i+1, r)
			}
		}
	})
}

// Different questions: a few at once, a few wait, the rest is told so; and one who asks a
// lot waits behind himself.
func TestQuestionsAreBoundedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := defaults()
		d := newDesk(l)
		var now, most, refused atomic.Int64
		answer := func(context.Context) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return 0, nil
		}
		var group sync.WaitGroup
		for i := range 60 {
			group.Go(func() {
				if _, err := ask(as(t.Context(), "eve"), d, fmt.Sprint("question ", i), answer); err != nil {
					requireStatus(t, err, codes.ResourceExhausted, reasonBusy)
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if want := int64(60 - l.questions - l.waitingPrincipal); refused.Load() != want {
			t.Errorf("%d of 60 were refused, want %d", refused.Load(), want)
		}
		began := time.Now()
		if _, err := ask(as(t.Context(), "ada"), d, "ada's", answer); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("somebody else waited %s, %v", time.Since(began), err)
		}
		group.Wait()
		if most.Load() != int64(l.questions) {
			t.Errorf("%d questions were answered at once", most.Load())
		}
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.next)+len(d.queue)+len(d.turns)+d.waiting+d.running != 0 {
			t.Errorf("left behind: %d waiting, %d running", d.waiting, d.running)
		}
	})
}

// Who does not wait any more frees his place, and what nobody wants any more is ended.
func TestAskersMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := defaults()
		l.questions = 1
		d := newDesk(l)
		defer d.close()
		ended := make(chan struct{}, 2)
		hung := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- struct{}{}
			return 0, ctx.Err()
		}
		leave := map[string]context.CancelFunc{}
		for _, what := range []string{"running", "waiting"} {
			var ctx context.Context
			ctx, leave[what] = context.WithCancel(as(t.Context(), "eve"))
			go func() { _, _ = ask(ctx, d, what, hung) }()
			synctest.Wait()
		}
		load := func() [2]int {
			d.mu.Lock()
			defer d.mu.Unlock()
			return [2]int{d.waiting, d.running}
		}
		if load() != [2]int{1, 1} {
			t.Fatalf("waiting and running: %v", load())
		}
		leave["waiting"]() // first: with its turn it would begin
		synctest.Wait()
		leave["running"]()
		<-ended
		synctest.Wait()
		if load() != [2]int{} || len(ended) != 0 {
			t.Errorf("after all have left, waiting and running: %v", load())
		}
		began := time.Now()
		_, err := ask(as(t.Context(), "eve"), d, "hung", hung)
		if fault.KindOf(err) != fault.Deadline || time.Since(began) != l.answer {
			t.Errorf("an answer that never comes: %v after %s", err, time.Since(began))
		}
		d.close()
		if _, err := ask(as(t.Context(), "eve"), d, "late", hung); fault.KindOf(err) != fault.Unreachable {
			t.Errorf("a question after the end: %v", err)
		}
	})
}

// slowProber counts the probes that run at once.
type slowProber struct {
	ports.Prober
	now, most atomic.Int64
}

func (p *slowProber) Probe(context.Context, *pipeline.Plan, pipeline.Probe, []picture.Excuse) operation.ProbeResult {
	p.most.Store(max(p.most.Load(), p.now.Add(1)))
	defer p.now.Add(-1)
	time.Sleep(50 * time.Millisecond)
	return operation.ProbeResult{}
}

// Over the wire: sixty Probe calls at once cost what two cost, and all are answered.
func TestSixtyProbes(t *testing.T) {
	t.Parallel()
	prober := &slowProber{}
	b := newBench(t, func(c *Config) { c.Prober = prober })
	client := b.diagnostics()
	resp, err := client.Probe(b.context(), &landfallv1.ProbeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	each := int64(len(resp.GetResults()))
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			if _, err := client.Probe(b.context(), &landfallv1.ProbeRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if prober.most.Load() > 2*each {
		t.Errorf("%d probes ran at once, %d a question", prober.most.Load(), each)
	}
}
