package socketdial

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// What the kernel refuses is told as what a person does about it. A test that runs as root is refused nothing, so the refusal is made.
func TestADeniedSocketSaysWhoMay(t *testing.T) {
	t.Parallel()
	denied := &End{Path: "/run/landfall/agent.sock"}
	refusal := error(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
	denied.last.Store(&refusal)
	if err := denied.Explain(); fault.KindOf(err) != fault.Unauthenticated || fault.ReasonOf(err) != "SOCKET_DENIED" || !strings.Contains(err.Error(), "group landfall") {
		t.Errorf("%v", err)
	}
	if err := (&End{Path: "/x"}).Explain(); err != nil {
		t.Errorf("nothing was tried: %v", err)
	}
}
