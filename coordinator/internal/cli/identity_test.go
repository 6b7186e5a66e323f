package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// runIdentity runs the command as a user would and returns its standard output.
func runIdentity(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newIdentityCommand(Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&errs)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func mustIdentity(t *testing.T, args ...string) string {
	t.Helper()
	out, err := runIdentity(t, args...)
	if err != nil {
		t.Fatalf("identity %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func requireExit(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || fault.ExitCode(err) != code || f.Reason != reason {
		t.Errorf("got exit code %d, %v; want %d and %s", fault.ExitCode(err), err, code, reason)
	}
}

// The whole life of the identities of one fleet; what is made must open a connection's
// both ends.
func TestIdentityLife(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "landfall")
	at := func(name string) string { return filepath.Join(dir, name) }

	if got, want := mustIdentity(t, "init", "--dir", dir, "--host", "caroline.local", "--host", "192.0.2.7"), at("ca")+"\n"+at("agent")+"\n"; got != want {
		t.Errorf("init prints %q, want %q", got, want)
	}
	if got := mustIdentity(t, "issue", "atlas", "--role", "deployer", "--dir", dir, "--valid-for", "48h"); got != at("atlas")+"\n" {
		t.Errorf("issue prints %q", got)
	}
	elsewhere := filepath.Join(t.TempDir(), "out")
	mustIdentity(t, "issue", "grpcurl", "--role", "observer", "--dir", dir, "--out", elsewhere)

	if _, err := identity.ServerTLS(at("agent"), identity.Options{}); err != nil {
		t.Error(err)
	}
	for _, client := range []string{at("atlas"), elsewhere} {
		if _, err := identity.ClientTLS(client, identity.Options{}); err != nil {
			t.Error(err)
		}
	}

	before, err := identity.LoadFiles(at("agent"))
	if err != nil {
		t.Fatal(err)
	}
	mustIdentity(t, "renew", "agent", "--dir", dir, "--valid-for", "72h")
	after, err := identity.LoadFiles(at("agent"))
	if err != nil {
		t.Fatal(err)
	}
	if after.Principal.Serial == before.Principal.Serial || after.Principal.String() != before.Principal.String() {
		t.Errorf("renewed %s %s to %s %s", before.Principal, before.Principal.Serial, after.Principal, after.Principal.Serial)
	}
	if !slices.Equal(identity.HostsOf(after.Leaf), []string{"caroline.local", "192.0.2.7"}) {
		t.Errorf("hosts after renewal: %v", identity.HostsOf(after.Leaf))
	}
	if left := time.Until(after.Principal.NotAfter); left < 71*time.Hour || left > 72*time.Hour {
		t.Errorf("renewed for %s", left)
	}

	// A folder whose key was lost is renewed too.
	if err := os.Remove(filepath.Join(elsewhere, "key.pem")); err != nil {
		t.Fatal(err)
	}
	mustIdentity(t, "renew", elsewhere, "--dir", dir)
	if _, err := identity.ClientTLS(elsewhere, identity.Options{}); err != nil {
		t.Error(err)
	}
}

func TestIdentityShow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustIdentity(t, "init", "--dir", dir, "--host", "caroline.local")
	mustIdentity(t, "issue", "atlas", "--role", "deployer", "--dir", dir, "--valid-for", "49h")

	var got []identity.Description
	for line := range strings.Lines(mustIdentity(t, "show", "--dir", dir, "--format", "json")) {
		var d identity.Description
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, d)
	}
	if len(got) != 3 || got[0].Role != "ca" || got[1].Role != "agent" || got[2].Role != "deployer" {
		t.Fatalf("shown: %+v", got)
	}
	for _, d := range got {
		if !d.ChainOK || !d.KeyOK || d.ChainError+d.KeyError != "" || len(d.Fingerprint) != 64 || d.Serial == "" {
			t.Errorf("%+v is not in order", d)
		}
	}
	if got[2].DaysLeft != 2 || got[2].Name != "atlas" || got[2].Issuer != got[0].Name || !slices.Equal(got[1].Hosts, []string{"caroline.local"}) {
		t.Errorf("shown: %+v", got)
	}

	text := mustIdentity(t, "show", filepath.Join(dir, "atlas"))
	for _, want := range []string{"deployer/atlas\n", "2 days left", got[2].Fingerprint, "chain:       ok", "key:         ok"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}

	// What is wrong is told, and told to whom asks for the certificate alone as well.
	key := filepath.Join(dir, "atlas", "key.pem")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	text = mustIdentity(t, "show", filepath.Join(dir, "atlas", "cert.pem"))
	if !strings.Contains(text, "chmod 600 "+key) {
		t.Errorf("the open key is not told:\n%s", text)
	}
}

func TestDescribeTextOfExpired(t *testing.T) {
	t.Parallel()
	text := describeText(identity.Description{Role: "observer", Name: "me", DaysLeft: -3, ChainError: "it expired", KeyOK: true})
	for _, want := range []string{"observer/me", "expired 3 days ago", "chain:       it expired", "key:         ok"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestIdentityRefusals(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	mustIdentity(t, "init", "--dir", dir, "--host", "caroline.local")
	mustIdentity(t, "issue", "atlas", "--role", "deployer", "--dir", dir)
	tests := []struct {
		name   string
		args   []string
		reason string
	}{
		{"init twice", []string{"init", "--dir", dir}, identity.ReasonExists},
		{"init twice with agent", []string{"init", "--dir", dir, "--host", "h"}, identity.ReasonExists},
		{"init with a bad host", []string{"init", "--dir", empty, "--host", "h:1"}, identity.ReasonRequest},
		{"init with an argument", []string{"init", "--dir", empty, "x"}, "USAGE"},
		{"issue without CA", []string{"issue", "x", "--role", "observer", "--dir", empty}, identity.ReasonMissing},
		{"issue without name", []string{"issue", "--role", "observer", "--dir", dir}, "USAGE"},
		{"issue without role", []string{"issue", "x", "--dir", dir}, "USAGE"},
		{"issue over the CA", []string{"issue", "ca", "--role", "observer", "--dir", dir}, "USAGE"},
		{"issue for no time", []string{"issue", "x", "--role", "observer", "--dir", dir, "--valid-for", "0s"}, "USAGE"},
		{"issue an unknown role", []string{"issue", "x", "--role", "root", "--dir", dir}, identity.ReasonRequest},
		{"issue an agent of nowhere", []string{"issue", "x", "--role", "agent", "--dir", dir}, identity.ReasonRequest},
		{"issue twice", []string{"issue", "atlas", "--role", "deployer", "--dir", dir}, identity.ReasonExists},
		{"issue outside by name", []string{"issue", "../x", "--role", "observer", "--dir", dir}, identity.ReasonRequest},
		{"show nothing", []string{"show", "--dir", empty}, identity.ReasonMissing},
		{"show what is not there", []string{"show", filepath.Join(dir, "gone")}, identity.ReasonMissing},
		{"show in another format", []string{"show", "--dir", dir, "--format", "xml"}, "USAGE"},
		{"renew what is not there", []string{"renew", "gone", "--dir", dir}, identity.ReasonMissing},
		{"renew nothing", []string{"renew", "--dir", dir}, "USAGE"},
		{"renew for no time", []string{"renew", "atlas", "--dir", dir, "--valid-for", "-1h"}, "USAGE"},
		{"unknown command", []string{"repeal"}, "USAGE"},
		{"revoke nothing", []string{"revoke", "--dir", dir}, "USAGE"},
		{"revoke nobody", []string{"revoke", "nobody", "--dir", dir}, identity.ReasonMissing},
		{"revoke no serial number", []string{"revoke", "--serial", "xyz", "--dir", dir}, identity.ReasonRequest},
		{"push without a list", []string{"revoke", "--push", "--dir", dir}, identity.ReasonMissing},
		{"renew by an agent with a name", []string{"renew", "--by-agent", "atlas", "--dir", dir}, "USAGE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := runIdentity(t, tt.args...)
			requireExit(t, err, 2, tt.reason)
			if out != "" {
				t.Errorf("a failure prints an answer: %q", out)
			}
		})
	}
	t.Cleanup(func() {
		if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
			t.Errorf("a refused command left %v, %v", entries, err)
		}
	})
}

func TestIdentityDefaultFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	if got, want := mustIdentity(t, "init"), filepath.Join(home, ".config/landfall/ca")+"\n"; got != want {
		t.Errorf("init prints %q, want %q", got, want)
	}
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "xdg"))
	if got, want := mustIdentity(t, "init"), filepath.Join(home, "xdg/landfall/ca")+"\n"; got != want {
		t.Errorf("init prints %q, want %q", got, want)
	}
}

func TestIdentityHelpIsComplete(t *testing.T) {
	t.Parallel()
	cmd := newIdentityCommand(Streams{})
	for _, c := range append(cmd.Commands(), cmd) {
		if !strings.Contains(c.Long, "Exit codes:") || c.Example == "" || c.Short == "" {
			t.Errorf("the help of %s lacks exit codes, example or summary", c.CommandPath())
		}
	}
}
