package agentclient

import (
	"errors"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestDeniedCallsAreToldInPlainWords(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"deployer/atlas may not call /landfall.v1.GitOpsService/Unblock (it needs the role operator)": "the identity deployer/atlas may not unblock (use an operator's identity: --identity DIR",
		"observer/grpcurl may not call Execute with attach (it needs the role deployer)":              "the identity observer/grpcurl may not attach to an operation",
		"observer/grpcurl may not call Execute with deploy (it needs the role deployer)":              "the identity observer/grpcurl may not deploy (use a deployer's identity",
		"agent/caroline may not call Execute with unknown":                                            "the identity agent/caroline may not unknown",
		"local/1000-ada may not call /landfall.v1.GitOpsService/Pause (it needs the role operator)":   "the user 1000-ada may only look over the agent's socket, and not pause (do it as root",
		"something else": "something else",
	} {
		err := inPlainWords(&fault.Error{Kind: fault.Denied, Reason: "ROLE_NOT_ALLOWED", Message: said})
		if !strings.HasPrefix(err.Error(), want) || fault.ExitCode(err) != 6 || fault.ReasonOf(err) != "ROLE_NOT_ALLOWED" || strings.Contains(err.Error(), "landfall.v1") {
			t.Errorf("%q is told as %q, want %q", said, err, want)
		}
	}
	other := fault.New(fault.Refused, "HOST_LOCKED", "op-1 may not call")
	if got := inPlainWords(other); !errors.Is(got, other) {
		t.Errorf("another error became %v", got)
	}
}
