package hostconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/strictyaml"
)

func TestContractExampleParses(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("agent.yaml", []byte(strings.ReplaceAll(`listen: 0.0.0.0:7443
socket: /run/landfall/agent.sock
identity: /etc/landfall/identity
state_dir: /var/lib/landfall
checkout: /srv/chris-os
remote: origin
branch: main
config: landfall.yaml
verify_within: 15m
pause_ttl: 4h
require_ancestry: true
github: {repository: owner/name, token_file: TOKEN}
limits: {build_parallelism: 2, min_free_disk: 2GiB, min_available_memory: 512MiB, journal_keep: 200}
deadlines: {fetch: 2m, build: 30m, migrate: 10m, up: 5m, probe: 2m, no_progress: 5m}
metrics: 127.0.0.1:9464
`, "TOKEN", token)))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if c.Deadlines != want.Deadlines || c.Limits != want.Limits || c.VerifyWithin != 15*time.Minute || c.PauseTTL != 4*time.Hour {
		t.Errorf("the contract's example differs from the defaults: %+v", c)
	}
	if c.Checkout != "/srv/chris-os" || c.GitHub.Repository != "owner/name" {
		t.Errorf("not read: %+v", c)
	}
}

func TestEveryProblemIsReportedAtOnceWithItsPlace(t *testing.T) {
	_, err := Parse("agent.yaml", []byte(`listen: nowhere
state_dir: /srv/fleet/state
checkout: /srv/fleet
remote: "-x"
branch: "a..b"
config: ../landfall.yaml
verify_within: 15 parsecs
verify_witin: 1m
github: {repository: name, token_file: /does/not/exist}
limits: {build_parallelism: 0, min_free_disk: 2, journal_keep: 0}
deadlines: {up: 0s}
metrics: 10.0.0.1:9464
`))
	var problems strictyaml.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("no list of problems: %v", err)
	}
	if fault.ExitCode(err) != 2 {
		t.Errorf("exit code %d", fault.ExitCode(err))
	}
	for _, want := range []string{
		"agent.yaml:1:9: ", "agent.yaml:2:12: ", "agent.yaml:4:9: ", "agent.yaml:5:9: ", "agent.yaml:6:9: ", "agent.yaml:7:16: ",
		"agent.yaml:8:1: ", "verify_within", "agent.yaml:9:22: ", "agent.yaml:9:40: ", "agent.yaml:10:29: ",
		"agent.yaml:10:47: ", "agent.yaml:10:64: ", "agent.yaml:11:17: ", "agent.yaml:12:10: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

func TestCheckoutIsRequiredAndMissingFileSaysWhatToDo(t *testing.T) {
	if _, err := Parse("agent.yaml", []byte("branch: main\n")); err == nil || !strings.Contains(err.Error(), "checkout") {
		t.Errorf("got %v", err)
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if fault.ReasonOf(err) != "CONFIG_MISSING" || fault.ExitCode(err) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestPlacesOfTheSocket(t *testing.T) {
	const rest = "state_dir: /var/lib/landfall\nidentity: /etc/landfall/identity\ncheckout: /srv/sample\n"
	for socket, says := range map[string]string{
		"run/agent.sock":                    "is not a clean absolute path",
		"/run/../agent.sock":                "is not a clean absolute path",
		"/run/landfall/":                    "is not a clean absolute path",
		"/run/" + strings.Repeat("s", 99):   "at most 103 bytes, and this one 104",
		"/srv/sample/agent.sock":            "inside the checkout",
		"/etc/landfall/identity/agent.sock": "inside identity",
		"/var/lib/landfall":                 "is a folder of the agent",
		"/var/lib":                          "is a folder of the agent",
		"/etc/landfall":                     "is a folder of the agent",
		"[/run/a.sock]":                     "agent.yaml:1:9: ",
	} {
		_, err := Parse("agent.yaml", []byte("socket: "+socket+"\n"+rest))
		if fault.ExitCode(err) != 2 || !strings.Contains(err.Error(), "agent.yaml:1:9: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q at 1:9", socket, err, says)
		}
	}
	for text, want := range map[string]string{
		"": "/run/landfall/agent.sock", "socket: \"\"\n": "", "socket: /var/lib/landfall/agent.sock\n": "/var/lib/landfall/agent.sock",
		"socket: /run/" + strings.Repeat("s", 98) + "\n": "/run/" + strings.Repeat("s", 98),
	} {
		if c, err := Parse("agent.yaml", []byte(text+rest)); err != nil || c.Socket != want {
			t.Errorf("%q is %q, %v", text, c.Socket, err)
		}
	}
}

// Who only asks the agent has none of its credentials, and needs none: everything else is checked all the same.
func TestWhoOnlyAsksNeedsNoSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "checkout: /srv/fleet\ngithub: {repository: owner/name, token_file: github-token}\nnotify: {discord: {webhook_file: discord}}\n"
	write(text)
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "LoadCredential=github-token:FILE") {
		t.Errorf("the agent itself: %v", err)
	}
	if c, err := LoadPublic(path); err != nil || c.Socket != Default().Socket {
		t.Errorf("who asks: %+v, %v", c, err)
	}
	write(text + "brnach: main\n")
	if _, err := LoadPublic(path); err == nil || !strings.Contains(err.Error(), "branch") {
		t.Errorf("a mistake: %v", err)
	}
}
