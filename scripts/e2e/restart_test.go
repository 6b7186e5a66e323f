package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// happens waits until the operation that runs has recorded an event.
func (s *shop) happens(what string, is func(*landfallv1.Event) bool) {
	s.t.Helper()
	happens(s.t, s.dial(identity.RoleObserver), what, is)
}

func happens(t *testing.T, conn *grpc.ClientConn, what string, is func(*landfallv1.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		var found bool
		if found, err = watched(ctx, conn, is); found {
			return
		}
		// gRPC's keepalive goes by the wall clock: where that is set back, it closes a connection that is alive. Who watches watches again.
		if status.Code(err) != codes.Unavailable {
			break
		}
		pause(100 * time.Millisecond)
	}
	t.Fatalf("it does not happen: %s: %v", what, err)
}

// watched watches the newest operation from its first event.
func watched(ctx context.Context, conn *grpc.ClientConn, is func(*landfallv1.Event) bool) (found bool, err error) {
	watch, err := landfallv1.NewDiagnosticsServiceClient(conn).WatchOperation(ctx, &landfallv1.WatchOperationRequest{})
	if err != nil {
		return false, err
	}
	for {
		batch, err := watch.Recv()
		if err != nil {
			return false, err
		}
		for _, e := range batch.GetBatch().GetEvents() {
			if is(e) {
				return true, nil
			}
		}
	}
}

// begins tells the start of a step.
func begins(step string) func(*landfallv1.Event) bool {
	return func(e *landfallv1.Event) bool { return e.GetStepStarted().GetStepId() == step }
}

// prints tells a line of a step's child.
func prints(step, text string) func(*landfallv1.Event) bool {
	return func(e *landfallv1.Event) bool {
		return e.GetOutput().GetStepId() == step && strings.HasSuffix(strings.TrimSpace(e.GetOutput().GetText()), text)
	}
}

// stubborn is an app that does not heed SIGTERM: to replace it takes the second after which it is killed.
func stubborn(edition string) string { return "trap '' TERM\n" + serves(edition) }

// A Docker Engine that restarts in the middle of an up, asked to or killed: the new version runs, or the old one, wholly.
func TestEngineRestartsDuringUp(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := newShopOn(t, e)
	s.startAgent(noLimits)
	s.deploys(s.push("stubborn", map[string]string{"app/run.sh": stubborn("stubborn")}), 0, "SUCCEEDED")
	const up = "apply/app/3"
	for i, c := range []struct {
		name   string
		when   func(*landfallv1.Event) bool
		signal syscall.Signal
		late   bool // it comes back when the rollback waits for it
	}{
		{"stopped as the up begins", begins(up), syscall.SIGTERM, true},
		{"stopped while the container is replaced", prints(up, "-app-1  Recreate"), syscall.SIGTERM, false},
		{"killed while the container is replaced", prints(up, "-app-1  Recreate"), syscall.SIGKILL, false},
		{"killed as the new container starts", prints(up, "-app-1  Starting"), syscall.SIGKILL, false},
		{"killed, and away for long", prints(up, "-app-1  Recreate"), syscall.SIGKILL, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer s.in(t)()
			e.t = t
			before := s.look()
			sha := s.push(c.name, map[string]string{"app/run.sh": stubborn(fmt.Sprint("edition ", i)), "side/message.txt": fmt.Sprint(i, "\n")})
			job := s.background("deployer", "run", "--no-gate", "--sha", sha)
			s.await("the operation is recorded", func() bool { return s.newest().Target == sha })
			s.happens(c.name, c.when)
			e.end(c.signal)
			if c.late {
				s.reaches("ROLLING_BACK", 60*time.Second)
			}
			e.start()
			op := s.ended(2 * time.Minute)
			_ = job.Wait() // its exit code is judged
			t.Logf("%s: %s: %s", op.State, op.Failure.Reason, op.Failure.Message)
			s.whole(before, sha, op, job.ProcessState.ExitCode())
		})
	}
	e.t = t
	sha := s.push("last", map[string]string{"app/run.sh": serves("last"), "side/message.txt": "last\n"})
	s.deploys(sha, 0, "SUCCEEDED")
	if s.revision() != sha {
		t.Errorf("app runs %s, want %s", s.revision(), sha)
	}
}

// whole holds the host to the end of a deploy whose engine restarted: the new version or the old one, its exit code, and every service up.
func (s *shop) whole(before sight, sha string, op record, code int) {
	s.t.Helper()
	s.gapless(op.ID)
	s.tidy()
	s.kept(before.containers, "app", "side")
	now, want := s.look(), before.stamp
	switch op.State {
	case "SUCCEEDED":
		want = sha
		if code != 0 || now.stamp != sha || s.tree.Head() != sha || s.sentinel("gitops-paused") != nil {
			s.t.Errorf("SUCCEEDED with exit code %d: stamp %s, checkout %s, pause %v; want %s", code, now.stamp, s.tree.Head(), s.sentinel("gitops-paused"), sha)
		}
	case "ROLLED_BACK":
		s.restored(before.stamp, sha)
		if code != 4 || !maps.Equal(now.images, before.images) {
			s.t.Errorf("ROLLED_BACK with exit code %d\nimages before: %v\nafter:         %v", code, before.images, now.images)
		}
	default:
		s.t.Errorf("%s: %s", op.State, op.Failure.Message)
	}
	if s.revision() != want {
		s.t.Errorf("%s, but app runs %s, want %s", op.State, s.revision(), want)
	}
	if got, want := s.docker("exec", now.containers["side"], "cat", "/side/message.txt")[0], strings.TrimSpace(s.tree.Read("side/message.txt")); got != want {
		s.t.Errorf("%s, but side reads %q, the checkout has %q", op.State, got, want)
	}
	s.coordinate("observer", "probe").expect(s.t, 0)
}
