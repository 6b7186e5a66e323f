package agentclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

func deployCommand() *landfallv1.ExecuteRequest {
	return &landfallv1.ExecuteRequest{CommandId: "deploy-1", Command: &landfallv1.ExecuteRequest_Deploy{Deploy: &landfallv1.DeployCommand{}}}
}

func toTheEnd(landfallv1.OperationState) bool { return false }

func isAwaiting(s landfallv1.OperationState) bool { return s == awaiting }

// inBubble runs a test against a scripted agent in fake time, where minutes of patience
// take no time and a goroutine that is left behind fails the test.
func inBubble(t *testing.T, a *agent, test func(t *testing.T, s *Session, w *watcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		s := connectTo(t, a).Session(w)
		t.Cleanup(s.Close)
		test(t, s, w)
	})
}

// TestSessionDeliversExactlyOnce breaks the stream after every event in turn, in every way
// a stream can end.
func TestSessionDeliversExactlyOnce(t *testing.T) {
	const last = 30
	for way, then := range map[string]error{"broken": errBroken, "ended": nil} {
		for breakAt := uint64(0); breakAt < last; breakAt++ {
			t.Run(fmt.Sprintf("%s after %d", way, breakAt), func(t *testing.T) {
				a := &agent{scenes: []scene{attached(breakAt, applying, then), attached(last, succeeded, nil)}}
				inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
					if err := s.Send(t.Context(), deployCommand()); err != nil {
						t.Fatal(err)
					}
					if err := s.Follow(t.Context(), toTheEnd); err != nil {
						t.Fatal(err)
					}
					w.requireHeard(t, 0, last)
					if s.State() != succeeded || s.OperationID() != theOperation || len(w.warnings) != 1 {
						t.Errorf("%s in %s, %q", s.OperationID(), s.State(), w.warnings)
					}
				})
			})
		}
	}
}

func TestSessionSurvivesManyBreaks(t *testing.T) {
	a := &agent{}
	for n := uint64(1); n < 30; n++ {
		a.scenes = append(a.scenes, attached(n, applying, errBroken))
	}
	a.scenes = append(a.scenes, attached(30, succeeded, nil))
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
		attaches := a.commandIDs(true)
		if slices.Sort(attaches); len(slices.Compact(attaches)) != 29 {
			t.Errorf("%d attach commands of 29 have identifiers of their own", len(slices.Compact(attaches)))
		}
	})
}

// An agent that repeats what was seen, as one does that counts differently, changes nothing.
func TestSessionDropsRepeatedEvents(t *testing.T) {
	a := &agent{scenes: []scene{func(s *stage) error {
		return errors.Join(
			s.accept(s.command(), applying, 0),
			s.events(1, 2, 3), s.events(2, 3, 4), s.events(4), s.events(1, 2, 3, 4, 5), s.events(upTo(0, 30)...),
		)
	}}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
	})
}

func TestSessionRefusesAGap(t *testing.T) {
	a := &agent{scenes: []scene{waiting(func(s *stage) error {
		return errors.Join(s.accept(s.command(), applying, 0), s.events(1, 2), s.events(4))
	})}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := s.Send(t.Context(), deployCommand()); err != nil {
			t.Fatal(err)
		}
		err := s.Follow(t.Context(), toTheEnd)
		if fault.ReasonOf(err) != "EVENT_GAP" || fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), "event 4 of "+theOperation+" follows event 2") {
			t.Errorf("a gap: %v", err)
		}
		w.requireHeard(t, 0, 2)
	})
}

// TestACommandIsSentAgainUnderItsName breaks the stream between a command and its
// acknowledgement: whether the agent has recorded it is not known then.
func TestACommandIsSentAgainUnderItsName(t *testing.T) {
	for name, breaking := range map[string]scene{
		"before it is read": func(*stage) error { return errBroken },
		"after it is read":  func(s *stage) error { s.command(); return errBroken },
		"with events before the answer": func(s *stage) error {
			s.command()
			_ = s.events(1, 2)
			return errBroken
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{scenes: []scene{breaking, breaking, waiting(attached(10, applying, nil))}}
			inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
				if err := s.Send(t.Context(), deployCommand()); err != nil {
					t.Fatal(err)
				}
				for _, id := range a.commandIDs(false) {
					if id != "deploy-1" {
						t.Errorf("sent again as %s", id)
					}
				}
				if n := len(a.commandIDs(false)); n == 0 || n > 3 {
					t.Errorf("%d commands arrived", n)
				}
				if err := s.Follow(t.Context(), func(s landfallv1.OperationState) bool { return s == applying }); err != nil {
					t.Fatal(err)
				}
				w.requireHeard(t, 0, 10)
			})
		})
	}
}

// An agent that went away after it may have read the command is waited for, as one is
// that is watched: the host may be about to change.
func TestACommandThatMayHaveArrivedIsNotGivenUp(t *testing.T) {
	a := &agent{}
	a.scenes = []scene{func(s *stage) error {
		s.command()
		a.setDown(true)
		time.AfterFunc(time.Minute, func() { a.setDown(false) })
		a.hangUp()
		return errBroken
	}, waiting(attached(0, applying, nil))}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		began := time.Now()
		if err := s.Send(t.Context(), deployCommand()); err != nil {
			t.Fatal(err)
		}
		if away := time.Since(began); away < time.Minute || away > 2*time.Minute || len(w.warnings) == 0 {
			t.Errorf("came back after %s with %d warnings", away, len(w.warnings))
		}
		if ids := a.commandIDs(false); !slices.Equal(ids, []string{"deploy-1", "deploy-1"}) {
			t.Errorf("commands: %q", ids)
		}
	})
}

func TestFirstContactFailsAtOnce(t *testing.T) {
	for name, contact := range map[string]func(*Session, context.Context) error{
		"send":   func(s *Session, ctx context.Context) error { return s.Send(ctx, deployCommand()) },
		"attach": func(s *Session, ctx context.Context) error { return s.Attach(ctx, theOperation, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &agent{down: true}, func(t *testing.T, s *Session, w *watcher) {
				began := time.Now()
				err := contact(s, t.Context())
				if fault.KindOf(err) != fault.Unreachable || fault.ExitCode(err) != 6 || time.Since(began) > time.Second || len(w.warnings) > 0 {
					t.Errorf("after %s: %v, warnings %q", time.Since(began), err, w.warnings)
				}
			})
		})
	}
}

// What the agent refuses is not asked again.
func TestARefusalIsNotRepeated(t *testing.T) {
	for _, refusal := range []*fault.Error{
		fault.New(fault.Refused, "HOST_LOCKED", "the host is locked").WithHint("wait"),
		fault.New(fault.Denied, "ROLE_NOT_ALLOWED", "observer/me may not"),
		fault.New(fault.Invalid, "BAD_SHA", "target_sha must be"),
		fault.New(fault.NotFound, "UNKNOWN_OPERATION", "there is no operation"),
		fault.New(fault.Degraded, "NOT_RUNNING", "nobody works on it"),
		fault.New(fault.Unimplemented, "NOT_YET", "not yet"),
		fault.New(fault.Internal, "BROKEN", "broken"),
	} {
		a := &agent{scenes: []scene{func(s *stage) error {
			s.command()
			return refusal
		}}}
		inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
			err := s.Send(t.Context(), deployCommand())
			if fault.KindOf(err) != refusal.Kind || fault.ReasonOf(err) != refusal.Reason || !strings.Contains(err.Error(), refusal.Error()) {
				t.Errorf("got %v %s (%v), want %v", fault.KindOf(err), fault.ReasonOf(err), err, refusal)
			}
			if len(w.warnings) > 0 || len(a.commandIDs(false)) != 1 {
				t.Errorf("%s was asked again: %q", refusal.Reason, w.warnings)
			}
		})
	}
}

func TestPatienceIsBounded(t *testing.T) {
	a := &agent{}
	a.scenes = []scene{func(s *stage) error {
		err := attached(5, applying, nil)(s)
		<-time.After(time.Second) // of fake time: what was sent has arrived
		a.setDown(true)
		a.hangUp()
		return errors.Join(err, errBroken)
	}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := s.Send(t.Context(), deployCommand()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err := s.Follow(t.Context(), toTheEnd)
		if fault.KindOf(err) != fault.Unreachable || time.Since(began) < patience || time.Since(began) > patience+time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if a.refused < 10 || a.refused > 120 || len(w.warnings) == 0 {
			t.Errorf("%d attempts in %s, %d warnings", a.refused, time.Since(began), len(w.warnings))
		}
		if fault.ReasonOf(err) != "AGENT_LOST" || !strings.Contains(err.Error(), "attach "+theOperation) {
			t.Errorf("it is not said how to go on: %v", err)
		}
		if len(w.warnings) > 3 {
			t.Errorf("the same trouble is told again and again: %q", w.warnings)
		}
	})
}

// A build may be silent for longer than the agent may stay away: patience counts from the
// moment the agent is lost, not from its last word.
func TestSilenceIsNotAbsence(t *testing.T) {
	silent := func(from, last uint64, then error) scene {
		return func(s *stage) error {
			req := s.command()
			err := s.accept(req, applying, last)
			select {
			case <-time.After(3 * patience):
			case <-s.stream.Context().Done():
				return s.stream.Context().Err()
			}
			return errors.Join(err, s.events(upTo(from, last)...), then)
		}
	}
	quiet := func(s *stage) error { // silent for long, then broken without a word
		err := s.accept(s.command(), applying, 30)
		<-time.After(3 * patience)
		return errors.Join(err, errBroken)
	}
	a := &agent{scenes: []scene{silent(0, 10, errBroken), quiet, quiet, silent(10, 30, nil)}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
	})
}

func TestContextEndsEverything(t *testing.T) {
	why := fault.New(fault.Interrupted, "TIMEOUT", "stopped waiting")
	for name, tt := range map[string]struct {
		scene scene
		down  bool
	}{
		"while events are awaited":            {scene: waiting(attached(5, applying, nil))},
		"while an acknowledgement is awaited": {scene: waiting(func(s *stage) error { s.command(); return nil })},
		"while the agent stays away":          {scene: attached(5, applying, errBroken), down: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := &agent{}
			a.scenes = []scene{func(s *stage) error {
				err := tt.scene(s)
				if tt.down {
					a.setDown(true)
					a.hangUp()
				}
				return err
			}}
			inBubble(t, a, func(t *testing.T, s *Session, _ *watcher) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				began := time.Now()
				time.AfterFunc(time.Minute, func() { cancel(why) })
				err := s.Send(ctx, deployCommand())
				if err == nil {
					err = s.Follow(ctx, toTheEnd)
				}
				if !errors.Is(err, why) || time.Since(began) != time.Minute {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		})
	}
}

// Where a deploy stops following, and how verify goes on over the same stream.
func TestFollowStopsWhereItIsTold(t *testing.T) {
	a := &agent{scenes: []scene{func(s *stage) error {
		if err := errors.Join(s.accept(s.command(), applying, 0), s.events(upTo(0, 20)...)); err != nil {
			return err
		}
		return errors.Join(s.accept(s.command(), awaiting, 20), s.events(upTo(20, 30)...))
	}}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), isAwaiting)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 20)
		verify := &landfallv1.ExecuteRequest{CommandId: "verify-1", Command: &landfallv1.ExecuteRequest_Verify{Verify: &landfallv1.VerifyCommand{OperationId: theOperation}}}
		if err := errors.Join(s.Send(t.Context(), verify), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
		if ids := a.commandIDs(false); !slices.Equal(ids, []string{"deploy-1", "verify-1"}) || len(a.commandIDs(true)) != 0 {
			t.Errorf("commands: %q, attached %d times", ids, len(a.commandIDs(true)))
		}
	})
}

// A verify whose stream breaks is sent again on a stream that is attached first.
func TestVerifyOverABrokenStream(t *testing.T) {
	a := &agent{scenes: []scene{
		func(s *stage) error {
			err := errors.Join(s.accept(s.command(), applying, 0), s.events(upTo(0, 20)...))
			s.command()
			return errors.Join(err, errBroken)
		},
		func(s *stage) error {
			if err := s.accept(s.command(), awaiting, 20); err != nil {
				return err
			}
			return errors.Join(s.accept(s.command(), awaiting, 20), s.events(upTo(20, 30)...))
		},
	}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		verify := &landfallv1.ExecuteRequest{CommandId: "verify-1", Command: &landfallv1.ExecuteRequest_Verify{Verify: &landfallv1.VerifyCommand{OperationId: theOperation}}}
		if err := errors.Join(
			s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), isAwaiting), s.Send(t.Context(), verify), s.Follow(t.Context(), toTheEnd),
		); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
		if ids := a.commandIDs(false); !slices.Equal(ids, []string{"deploy-1", "verify-1", "verify-1"}) {
			t.Errorf("commands: %q", ids)
		}
	})
}

// Attaching to what has ended is over at once, wherever it is attached.
func TestAttachToAnEndedOperation(t *testing.T) {
	for _, after := range []uint64{0, 17, 30} {
		inBubble(t, &agent{scenes: []scene{attached(30, succeeded, nil)}}, func(t *testing.T, s *Session, w *watcher) {
			if err := errors.Join(s.Attach(t.Context(), "7", after), s.Follow(t.Context(), toTheEnd)); err != nil {
				t.Fatal(err)
			}
			w.requireHeard(t, after, 30)
			if s.State() != succeeded || s.OperationID() != theOperation || len(w.warnings) != 0 {
				t.Errorf("%s in %s, %q", s.OperationID(), s.State(), w.warnings)
			}
		})
	}
}

func TestCommandIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewCommandID("deploy")
		if seen[id] || !strings.HasPrefix(id, "deploy-") || len(id) > 128 {
			t.Fatalf("identifier %q", id)
		}
		seen[id] = true
	}
}

// An operation that ends while a command is on its way ends the stream too: the command is
// heard on a stream of its own, where nothing is attached to.
func TestACommandToAnOperationThatHasJustEnded(t *testing.T) {
	verify := &landfallv1.ExecuteRequest{CommandId: "verify-1", Command: &landfallv1.ExecuteRequest_Verify{Verify: &landfallv1.VerifyCommand{OperationId: theOperation}}}
	a := &agent{scenes: []scene{attached(20, awaiting, errBroken), attached(30, succeeded, nil), func(s *stage) error {
		req := s.command()
		if req.GetVerify() == nil {
			return errors.New("scene: a verify is due")
		}
		return s.accept(req, succeeded, 30)
	}}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), isAwaiting)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Send(t.Context(), verify), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		w.requireHeard(t, 0, 30)
		if len(w.warnings) != 1 || s.State() != succeeded {
			t.Errorf("%s, warnings %q", s.State(), w.warnings)
		}
	})
}

// The answer at the end is worth as many connections as the events were.
func TestOperationOutlastsABrokenConnection(t *testing.T) {
	a := &agent{scenes: []scene{attached(30, succeeded, nil)}, lost: 3}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		op, err := s.Operation(t.Context())
		if err != nil || op.GetState() != succeeded || a.lost > 0 || len(w.warnings) != 1 {
			t.Errorf("%v, %v, %d looks were not made, warnings %q", op, err, a.lost, w.warnings)
		}
	})
}

// A further command to an agent that was there a moment ago waits for it to come back.
func TestAFurtherCommandWaitsForTheAgent(t *testing.T) {
	a := &agent{scenes: []scene{attached(30, succeeded, nil)}}
	inBubble(t, a, func(t *testing.T, s *Session, w *watcher) {
		if err := errors.Join(s.Send(t.Context(), deployCommand()), s.Follow(t.Context(), toTheEnd)); err != nil {
			t.Fatal(err)
		}
		a.setDown(true)
		a.hangUp()
		time.AfterFunc(time.Minute, func() { a.setDown(false) })
		further := s.client.Session(w)
		defer further.Close()
		began := time.Now()
		if err := further.Send(t.Context(), deployCommand()); err != nil || time.Since(began) < time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
