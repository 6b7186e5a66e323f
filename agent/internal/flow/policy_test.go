package flow_test

import (
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// mountsAre answers for mounts outside the checkout.
func mountsAre(answer picture.Answer) func(*flow.Policy) {
	return func(p *flow.Policy) {
		p.Services = picture.Policy{Answers: map[string]picture.Answer{picture.RuleMounts: answer}}
	}
}

// TestThePolicyIsAskedAgainOfTheCheckout: what only the checkout shows is refused before a container is touched, and the checkout goes back.
func TestThePolicyIsAskedAgainOfTheCheckout(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.Head()
		b.deployed(first)
		ids, builds := b.ContainerIDs(), len(b.Calls("Runtime.Run build"))
		b.Link("core", "app", "/etc")
		target := next(b)
		op := b.ended(b.deploy(target).ID)
		if op.State != operation.FailedUntouched || op.Failure.Reason != picture.PolicyReason || op.Failure.StepID != "policy" || !strings.Contains(op.Failure.Message, "core/app mounts /etc") {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
		diff(t, "containers", b.ContainerIDs(), ids)
		if b.Head() != first || len(b.World().Blocked) > 0 || len(b.Calls("Runtime.Run build")) > builds {
			t.Errorf("the checkout is at %s, blocked %v, built %q", b.Head(), b.World().Blocked, b.Calls("Runtime.Run build"))
		}
	}, mountsAre(picture.Refuse))
}

// TestThePolicyRefusesInTheProof: nothing is moved.
func TestThePolicyRefusesInTheProof(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		op := b.ended(b.deploy(b.Push(map[string]string{"compose.yml": "app source:/etc\ndatabase\n"})).ID)
		if op.State != operation.FailedUntouched || op.Failure.StepID != "prove/compose" || op.Failure.Reason != picture.PolicyReason {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
	}, mountsAre(picture.Refuse))
}

// TestThePolicyWarnsOnce, although it is asked three times.
func TestThePolicyWarnsOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		op := b.judged(b.deploy(b.Push(map[string]string{"compose.yml": "app source:/etc\ndatabase\n"})).ID)
		told := slices.DeleteFunc(slices.Clone(op.Warnings), func(w string) bool { return !strings.Contains(w, "core/app mounts /etc") })
		if op.State != operation.Succeeded || len(told) != 1 || !strings.Contains(told[0], "policy.mounts") {
			t.Fatalf("ended in %s, %q", op.State, op.Warnings)
		}
	}, mountsAre(picture.Warn))
}

// TestAPersonsRollbackIsHeldToThePolicy: it is a way by which an earlier commit's compose files run. The rollback of a deploy that failed is
// none: it brings back what ran.
func TestAPersonsRollbackIsHeldToThePolicy(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.deployed(b.Head())
		b.deployed(b.Push(map[string]string{"compose.yml": "app source:/etc\ndatabase\n"}))
		before := b.Head()
		b.deployed(b.Push(map[string]string{"compose.yml": "app\ndatabase\n"}))
		b.engine.Close()
		b.start(mountsAre(picture.Refuse))
		op, _, err := b.engine.Rollback(flow.RollbackRequest{CommandID: "back", Requester: "operator/test", Target: before})
		if err != nil {
			t.Fatal(err)
		}
		if op = b.ended(op.ID); op.State != operation.FailedUntouched || op.Failure.Reason != picture.PolicyReason {
			t.Fatalf("ended in %s, %+v", op.State, op.Failure)
		}
	})
}
