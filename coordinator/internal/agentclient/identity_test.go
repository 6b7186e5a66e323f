package agentclient

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/identity"
)

// Both ends' certificates are warned of from 30 days on, once, when the client closes.
func TestEndingsAreToldAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		agent, client time.Duration
		told          []string
	}{
		"both long":    {90 * 24 * time.Hour, 90 * 24 * time.Hour, nil},
		"client ends":  {90 * 24 * time.Hour, 29 * 24 * time.Hour, []string{"observer/test ends in 28 days"}},
		"agent ends":   {29 * 24 * time.Hour, 90 * 24 * time.Hour, []string{"agent/test ends in 28 days"}},
		"both end":     {5 * time.Hour, 29 * 24 * time.Hour, []string{"agent/test ends in 4 hours", "observer/test ends in 28 days"}},
		"a minute yet": {90 * 24 * time.Hour, time.Minute, []string{"observer/test ends in "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, dir := newCA(t), t.TempDir()
			for role, valid := range map[identity.Role]time.Duration{identity.RoleAgent: c.agent, identity.RoleObserver: c.client} {
				req := identity.Request{Role: role, Name: "test", ValidFor: valid}
				if role == identity.RoleAgent {
					req.Hosts = []string{"127.0.0.1"}
				}
				bundle, err := ca.Issue(req, time.Now())
				if err == nil {
					err = bundle.Replace(filepath.Join(dir, string(role)))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			client, err := Dial(serve(t, &host{agent: &agent{}}, dir), filepath.Join(dir, "observer"))
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			client.WarnOfEndings(func(text string) { told = append(told, text) })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err = client.Operations(ctx, 1) // whatever it answers, the handshake was made
			if fault.KindOf(err) != fault.Failed || len(told) > 0 {
				t.Fatalf("%v; told %q before the end", err, told)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if len(told) != len(c.told) {
				t.Errorf("told %q, want %q", told, c.told)
			}
			for _, want := range c.told {
				if !strings.Contains(strings.Join(told, "\n"), want) {
					t.Errorf("%q is not told: %q", want, told)
				}
			}
		})
	}
}
