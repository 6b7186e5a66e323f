package e2e

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// asUser runs a program that must end by itself as another user.
func asUser(t *testing.T, uid uint32, program string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "HOME=/", "GOCOVERDIR=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v hangs\n%s", program, args, out)
	}
	return string(out), exitCode(t, err)
}
