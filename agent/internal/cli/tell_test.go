package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// buffer may be written by several at once.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to %s", what)
		}
	}
}

// TestTheAgentTells: the assembled agent tells by every channel that agent.yaml names, once over restarts, and its addresses are nowhere.
func TestTheAgentTells(t *testing.T) {
	noEngine(t)
	channel, err := discordtest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	var mu sync.Mutex
	var hooked []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		hooked = append(hooked, r.Header.Get("Webhook-Id"))
	}))
	t.Cleanup(receiver.Close)
	credentials := t.TempDir()
	const hookPath, hookKey = "/hooks/0123456789abcdefHOOK", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for name, content := range map[string]string{"discord": channel.WebhookURL() + "\n", "url": receiver.URL + hookPath, "key": hookKey} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	out := filepath.Join(t.TempDir(), "told")
	h := newMachine(t, "notify:\n  discord: {webhook_file: $CREDENTIALS_DIRECTORY/discord}\n  webhook: {url_file: "+credentials+"/url, secret_file: key}\n"+
		"  command: [/bin/sh, -c, 'cat >> "+out+"']\n")
	if o := agentProgram("check", "--config", h.config); !strings.Contains(o.out, "ok    notify: what the agent does by itself is told by Discord, a webhook, /bin/sh") || strings.Contains(o.out+o.err, channel.Token()) {
		t.Errorf("check: %s %s", o.out, o.err)
	}
	c, err := hostconfig.Load(h.config)
	if err != nil {
		t.Fatal(err)
	}
	source, err := identity.OpenRole(c.Identity, identity.Options{}, identity.RoleAgent)
	if err != nil {
		t.Fatal(err)
	}
	secrets, log := redact.New(), &buffer{}
	start := func() *agent {
		a, err := assemble(t.Context(), c, source, secrets, hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Trace}))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.engine.Start(); err != nil {
			t.Fatal(err)
		}
		a.teller.Start()
		return a
	}
	told := func() int {
		raw, _ := os.ReadFile(out)
		return strings.Count(string(raw), `"event":"operation.ended"`)
	}
	a := start()
	until(t, "its first look", func() bool { raw, err := a.journal.Told(); return err == nil && len(raw) > 0 })
	op, _, err := a.journal.Create(operation.Event{Sequence: 1, Time: time.Now(), Accepted: &operation.Accepted{Kind: operation.KindRepair, CommandID: "c", Requester: "agent/converge", Subject: "core/web", Signature: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	err = a.journal.Append(op.ID, []operation.Event{{Sequence: 2, Time: time.Now(), State: &operation.StateChange{State: operation.RolledBack, Failure: &operation.Failure{
		Kind: fault.Failed, Reason: "UP_FAILED", Message: "it printed " + channel.WebhookURL(), OutputTail: []string{"and " + receiver.URL + hookPath + " with " + hookKey},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	a.teller.Ended(op)
	hooks := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(hooked)
	}
	until(t, "telling all", func() bool { return len(channel.Messages()) == 1 && told() == 1 && hooks() == 1 })
	until(t, "knowing the message", func() bool { return len(a.teller.Notifications(op.ID)) == 1 })
	for range 2 {
		if err := a.close(); err != nil {
			t.Fatal(err)
		}
		a = start()
		a.teller.Ended(op)
	}
	// The address is replaced by rubbish: that is in the log, and what the rubbish is is not.
	if err := os.WriteFile(filepath.Join(credentials, "discord"), []byte("https://evil.example/RUBBISH-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	op2, _, err := a.journal.Create(operation.Event{Sequence: 1, Time: time.Now(), Accepted: &operation.Accepted{Kind: operation.KindRepair, CommandID: "d", Requester: "agent/converge", Subject: "core/db", Signature: "u"}})
	if err == nil {
		err = a.journal.Append(op2.ID, []operation.Event{{Sequence: 2, Time: time.Now(), State: &operation.StateChange{State: operation.Succeeded}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	a.teller.Ended(op2)
	until(t, "a warning", func() bool { return strings.Contains(log.String(), "nobody can be told") })
	until(t, "telling the others", func() bool { return told() == 2 && hooks() == 2 })
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if n := len(channel.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
	everything := log.String() + fmt.Sprint(channel.Messages()) + content(t, out) + content(t, filepath.Join(c.StateDir, "notifications.json"))
	for _, secret := range []string{channel.Token(), channel.Token()[:20], hookPath, "0123456789abcdefHOOK", hookKey, "RUBBISH"} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q is told, logged or kept", secret)
		}
	}
	if got := secrets.Text("see " + channel.WebhookURL() + " and https://discord.com/channels/1/2"); strings.Contains(got, channel.Token()) || !strings.Contains(got, "https://discord.com/channels/1/2") {
		t.Errorf("the redactor makes of it: %s", got)
	}
	if !strings.Contains(strings.Join(never(c), " "), credentials+"/key") {
		t.Error("a container may mount the file of the key")
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
