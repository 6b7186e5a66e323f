package pipeline

import (
	"strings"
	"testing"
)

func TestGitOpsProblems(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nproject: p\nstacks: {core: {}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"another answer":        {"gitops:\n  drift: {files: repare}\n", `landfall.yaml:5:18: gitops.drift.files: unknown answer "repare": did you mean "repair"?`},
		"another key":           {"gitops:\n  drift: {unhealth: repair}\n", `did you mean "unhealthy"?`},
		"an unknown stack":      {"gitops:\n  leave_out: [cor/web]\n", `landfall.yaml:5:15: gitops.leave_out[0]: unknown stack "cor": did you mean "core"?`},
		"no service":            {"gitops:\n  leave_out: [core]\n", `"core" is no STACK/SERVICE`},
		"twice":                 {"gitops:\n  leave_out: [core/a, core/a]\n", `"core/a" is named twice`},
		"too often":             {"gitops:\n  images: {every: 10m, services: [core/a]}\n", "gitops.images.every: must be at least 1h0m0s, not 10m0s"},
		"of nothing":            {"gitops:\n  images: {every: 24h, services: []}\n", "no service is named"},
		"neither word nor bool": {"gitops:\n  drift: {files: [repair]}\n", "gitops.drift.files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("landfall.yaml", []byte(head+c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	refs := []string{"core/mcp-*", "home/db"}
	for service, want := range map[string]bool{"core/mcp-a": true, "core/db": false, "home/db": true, "home/mcp-a": false} {
		stack, name, _ := strings.Cut(service, "/")
		if Names(refs, stack, name) != want {
			t.Errorf("%s: not %t", service, want)
		}
	}
}

// A service that no compose file has is found where the compose files are known.
func TestGitOpsServicesAreChecked(t *testing.T) {
	t.Parallel()
	config, err := Parse("landfall.yaml", []byte("version: 1\nproject: p\nstacks: {core: {}}\ngitops:\n  leave_out: [core/potgres]\n  images: {every: 24h, services: [\"core/x*\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []func(*Config, func(string) ([]string, bool)) error{CheckServices, CheckGitOpsServices} {
		err = check(config, func(string) ([]string, bool) { return []string{"postgres", "web"}, true })
		for _, want := range []string{`landfall.yaml:5:15`, `did you mean "postgres"?`, "core have no service x*"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %s", err, want)
			}
		}
	}
}
