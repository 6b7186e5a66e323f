package latest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

var limits = Limits{Wait: 300 * time.Millisecond, First: 800 * time.Millisecond, Deadline: 5 * time.Second}

// after is a reading that takes a time, unless its context ends first.
func after(d time.Duration, value int, err error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return value, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func TestGet(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		known bool // 1 was read a minute ago
		read  func(context.Context) (int, error)
		want  int
		fails string
		takes time.Duration
	}{
		"fresh":                       {true, after(100*time.Millisecond, 2, nil), 2, "", 100 * time.Millisecond},
		"first":                       {false, after(700*time.Millisecond, 2, nil), 2, "", 700 * time.Millisecond},
		"a failure is told as it is":  {true, after(0, 3, broken), 3, "broken", 0},
		"slow, something known":       {true, after(time.Second, 2, nil), 1, "no answer within 300ms; this is how it was 1m0s ago", 300 * time.Millisecond},
		"slow, nothing known":         {false, after(time.Hour, 2, nil), 0, "no answer within 800ms, and none before", 800 * time.Millisecond},
		"hung for ever, known before": {true, after(time.Hour, 2, nil), 1, "no answer within 300ms", 300 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := New[int](limits)
				defer v.Close()
				if tt.known {
					v.Put(1)
					time.Sleep(time.Minute)
				}
				began := time.Now()
				got, err := v.Get(t.Context(), tt.read)
				if took := time.Since(began); got != tt.want || took != tt.takes {
					t.Errorf("%d after %s, want %d after %s", got, took, tt.want, tt.takes)
				}
				if (err == nil) != (tt.fails == "") || (err != nil && !strings.Contains(err.Error(), tt.fails)) {
					t.Errorf("error %v, want %q", err, tt.fails)
				}
			})
		})
	}
}

// A hung reading costs one wait in all, not one a caller, and one child.
func TestAHungReadingIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New[int](limits)
		defer v.Close()
		v.Put(1)
		var readings atomic.Int32
		hang := func(ctx context.Context) (int, error) {
			readings.Add(1)
			<-ctx.Done()
			return 0, ctx.Err()
		}
		began := time.Now()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				for range 20 {
					if got, err := v.Get(t.Context(), hang); got != 1 || fault.ReasonOf(err) != "NO_ANSWER" {
						t.Errorf("%d, %v", got, err)
					}
				}
			})
		}
		group.Wait()
		if took := time.Since(began); took != limits.Wait || readings.Load() != 1 {
			t.Errorf("200 calls took %s and %d readings", took, readings.Load())
		}
		time.Sleep(limits.Deadline)
		synctest.Wait()
		if got, err := v.Get(t.Context(), after(0, 7, nil)); got != 7 || err != nil {
			t.Errorf("after the hung reading was ended: %d, %v", got, err)
		}
	})
}

// What a slow reading finds is there for the next caller.
func TestASlowReadingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New[int](limits)
		defer v.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.Get(ctx, after(2*time.Second, 5, nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who has left is told %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, err := v.Get(t.Context(), after(time.Hour, 6, nil)); got != 5 || fault.ReasonOf(err) != "NO_ANSWER" {
			t.Errorf("%d, %v", got, err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New[int](limits)
		if _, err := v.Get(t.Context(), after(time.Hour, 1, nil)); err == nil {
			t.Error("a reading of an hour has answered")
		}
		began := time.Now()
		v.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %s", took)
		}
		if _, err := v.Get(t.Context(), after(0, 1, nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("a closed value says %v", err)
		}
	})
}
