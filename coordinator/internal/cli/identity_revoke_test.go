package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// Every certificate of a name is revoked, also those whose files were replaced since, and
// the list lies where the next copy of a folder takes it along.
func TestIdentityRevoke(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustIdentity(t, "init", "--dir", dir, "--host", "caroline.local")
	mustIdentity(t, "issue", "atlas", "--role", "deployer", "--dir", dir)
	stolen := filepath.Join(t.TempDir(), "stolen")
	if err := os.CopyFS(stolen, os.DirFS(filepath.Join(dir, "atlas"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(stolen, 0o700); err != nil {
		t.Fatal(err)
	}
	mustIdentity(t, "renew", "atlas", "--dir", dir)

	var out, errs bytes.Buffer
	cmd := newIdentityCommand(Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	cmd.SetArgs([]string{"revoke", "atlas", "--dir", dir})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ca", "revoked.crl")
	if out.String() != path+"\n" {
		t.Errorf("revoke prints %q", out.String())
	}
	for _, part := range []string{"revoked 2,", "--push --agent caroline.local:7443", "scp " + path + " root@caroline.local:/etc/landfall/identity/revoked.crl.new"} {
		if !strings.Contains(errs.String(), part) {
			t.Errorf("%q is not said:\n%s", part, errs.String())
		}
	}
	for _, folder := range []string{"agent", "atlas"} {
		if _, err := os.Stat(filepath.Join(dir, folder, "revoked.crl")); err != nil {
			t.Error(err)
		}
	}
	if text := mustIdentity(t, "show", filepath.Join(dir, "atlas")); !strings.Contains(text, "was revoked") {
		t.Errorf("show does not tell:\n%s", text)
	}
	list, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := identity.InstallList(stolen, list); err != nil {
		t.Fatal(err)
	}
	d, err := identity.Describe(stolen, time.Now())
	if err != nil || d.ChainOK {
		t.Errorf("the stolen copy of before the renewal: %+v, %v", d, err)
	}
	// Whoever is issued afterwards is not revoked, and carries the list.
	mustIdentity(t, "issue", "second", "--role", "operator", "--dir", dir)
	d, err = identity.Describe(filepath.Join(dir, "second"), time.Now())
	if err != nil || !d.ChainOK {
		t.Errorf("a new identity: %+v, %v", d, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "second", "revoked.crl")); err != nil {
		t.Error(err)
	}
	if again, err := runIdentity(t, "revoke", "--serial", d.Serial, "--dir", dir); err != nil || again != path+"\n" {
		t.Errorf("by serial: %q, %v", again, err)
	}
	_, err = runIdentity(t, "revoke", "--push", "--dir", dir)
	if fault.ExitCode(err) != 2 && os.Getenv("LANDFALL_AGENT") == "" {
		t.Errorf("push to nobody: %v", err)
	}
}

// What others can write is refused by every command, with the command that mends it.
func TestIdentityCommandsAskWhoCanWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustIdentity(t, "init", "--dir", dir, "--host", "caroline.local")
	mustIdentity(t, "issue", "atlas", "--role", "deployer", "--dir", dir)
	for _, c := range []struct {
		path string
		mode os.FileMode
		args []string
	}{
		{"ca/ca.pem", 0o666, []string{"issue", "x", "--role", "observer", "--dir", dir}},
		{"atlas", 0o777, []string{"renew", "atlas", "--dir", dir}},
		{"ca/issued", 0o666, []string{"revoke", "atlas", "--dir", dir}},
	} {
		path := filepath.Join(dir, c.path)
		was, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err = runIdentity(t, c.args...)
		if fault.ExitCode(err) != 2 || !strings.Contains(err.Error(), "chmod go-w "+path) {
			t.Errorf("%s %04o: %v", c.path, c.mode, err)
		}
		if err := os.Chmod(path, was.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdentityShowWarns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustIdentity(t, "init", "--dir", dir)
	mustIdentity(t, "issue", "brief", "--role", "observer", "--dir", dir, "--valid-for", "696h")
	mustIdentity(t, "issue", "long", "--role", "observer", "--dir", dir)
	for name, warned := range map[string]bool{"brief": true, "long": false} {
		var out, errs bytes.Buffer
		cmd := newIdentityCommand(Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		cmd.SetArgs([]string{"show", filepath.Join(dir, name)})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(errs.String(), "identity renew "+name); got != warned {
			t.Errorf("%s: stderr %q", name, errs.String())
		}
	}
}
