package rpcerr

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ataraxis.dev/landfall/shared/fault"
)

func TestEveryKindSurvivesTheWire(t *testing.T) {
	for _, k := range fault.Kinds() {
		sent := fmt.Errorf("outer: %w", fault.New(k, "SOME_REASON", "it broke").WithHint("mend it"))
		got := FromError(ToStatus(sent))
		if fault.KindOf(got) != k || fault.ReasonOf(got) != "SOME_REASON" {
			t.Errorf("%v: came back as %v %q", k, fault.KindOf(got), fault.ReasonOf(got))
		}
		if got.Error() != "outer: it broke (mend it)" {
			t.Errorf("%v: message %q", k, got.Error())
		}
		if fault.ExitCode(got) != fault.ExitCode(sent) {
			t.Errorf("%v: exit code %d became %d", k, fault.ExitCode(sent), fault.ExitCode(got))
		}
	}
}

func TestOnlyUnreachableIsRetriedWithoutThought(t *testing.T) {
	for _, k := range fault.Kinds() {
		if (codeOf[k] == codes.Unavailable) != (k == fault.Unreachable) {
			t.Errorf("%v has code %v", k, codeOf[k])
		}
	}
}

func TestForeignStatusAndPlainErrors(t *testing.T) {
	if got := FromError(status.Error(codes.Unavailable, "connection refused")); fault.ExitCode(got) != 6 {
		t.Errorf("foreign UNAVAILABLE: exit %d", fault.ExitCode(got))
	}
	if got := status.Code(ToStatus(errors.New("boom"))); got != codes.Internal {
		t.Errorf("plain error has code %v", got)
	}
	if ToStatus(nil) != nil || FromError(nil) != nil {
		t.Error("nil is not nil")
	}
	pass := status.Error(codes.ResourceExhausted, "too much")
	if !errors.Is(ToStatus(pass), pass) {
		t.Error("a status did not pass through")
	}
}
