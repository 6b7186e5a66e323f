package notify

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ataraxis.dev/landfall/shared/discordtest"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	start  = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	target = "3f2a9c1d4e5b6a7f8091a2b3c4d5e6f708192a3b"
	before = "9b8c7d6e5f40312233445566778899aabbccddee"
)

// deploy is a deploy of the reference fleet with everything known.
func deploy(state OperationState) Input {
	return Input{
		Project: "chris-os", Host: "caroline", Running: target, Policy: reference,
		Operation: Operation{
			ID: "op-20261123-140000-7f3a", Kind: "deploy", State: state, Target: target, PreDeploy: before,
			Start: start, End: start.Add(72 * time.Second),
		},
		Change: Change{
			Flags: []string{"caddy", "dashboard_api"}, Commits: 2, Files: 3, Insertions: 40, Deletions: 7,
		},
		Commit: Commit{
			Subject: "proxy: route /api to the new dashboard_api (#42)", Author: "Ada Lovelace",
			URL: "https://github.com/chris/chris-os/commit/" + target,
		},
		Run: Run{URL: "https://github.com/chris/chris-os/actions/runs/123456789", Name: "deploy", Number: 318, Attempt: 2},
	}
}

func cases() map[string]Input {
	failed := func(in *Input) {
		in.Operation.Problem = &Problem{
			Reason: "PROBE_FAILED", Step: "verify: dashboard",
			Message: "probe dashboard: HTTP 502 from http://127.0.0.1:3001/api/version",
			Hint:    "look at the container's log: landfall-coordinator logs dashboard-api",
			Output:  []string{"Error: connect ECONNREFUSED 127.0.0.1:5432", "    at TCPConnectWrap.afterConnect", "```@everyone"},
		}
		in.GitOps = GitOps{Paused: true, PausedUntil: start.Add(4 * time.Hour), BlockedSHA: target}
	}
	return map[string]Input{
		"condensed": with(deploy(Succeeded), func(in *Input) { in.Change.Unclaimed = []string{"LICENSE", "odd `name`"} }),
		"recovery":  with(deploy(Succeeded), func(in *Input) { in.Past = []Past{{"deploy", RolledBack}} }),
		"migrations": with(deploy(Succeeded), func(in *Input) {
			in.Operation.Migrations = []string{"012_add_index", "013_drop_view"}
			in.Operation.Warnings = []string{"disk is 91 % full", "a", "b", "c", "d", "e"}
		}),
		"compose": with(deploy(Succeeded), func(in *Input) { in.Change.Flags = []string{"compose"} }),
		"everything": with(deploy(Succeeded), func(in *Input) {
			in.Change.Flags = []string{"compose", "docs"}
			in.Change.Everything = "the first deploy"
		}),
		"rollback-hand": with(deploy(Succeeded), func(in *Input) { in.Operation.Kind, in.Operation.Target = "rollback", before; in.GitOps.Paused = true }),
		"rolled-back":   with(deploy(RolledBack), failed),
		"rolled-back-migrated": with(with(deploy(RolledBack), failed), func(in *Input) {
			in.Operation.Migrations = []string{"012_add_index", "013_drop_view"}
		}),
		"rolled-back-counted": with(with(deploy(RolledBack), failed), func(in *Input) {
			in.Operation.Migrations = []string{"004_drop_x"}
			in.Operation.Summary = "30 of 30 services run what ran before; the database is newer: 004_drop_x"
		}),
		"rolled-back-to-nothing": with(with(deploy(RolledBack), failed), func(in *Input) {
			in.Operation.PreDeploy, in.Operation.Summary = "", "nothing ran before, nothing runs now"
		}),
		"rollback-failed": with(with(deploy(RollbackFailed), failed), func(in *Input) { in.Operation.Migrations = []string{"012_add_index"} }),
		"failed":          with(deploy(Failed), failed),
		"failed-untouched": with(deploy(FailedUntouched), func(in *Input) {
			in.Operation.Problem = &Problem{Reason: "CONFIG_INVALID", Message: "landfall.yaml:12:3: unknown key"}
		}),
		"running": with(deploy("APPLYING"), func(in *Input) { in.FailedJob = "deploy"; in.Operation.End = time.Time{} }),
		"gate": with(deploy(""), func(in *Input) {
			in.Operation, in.FailedJob, in.Running = Operation{Target: target}, "ci-gate", before
			in.Problem = &Problem{Reason: "CI_BLOCKED", Message: "test.yml failed", Hint: "re-run it or push a fix"}
		}),
		"unreachable": {FailedJob: "deploy", Problem: &Problem{Reason: "AGENT_UNREACHABLE", Message: "caroline:7443 does not answer"}},
		"nothing":     {},
		"superseded":  with(deploy(Superseded), func(in *Input) { in.Operation.SupersededBy = before }),
		"cancelled":   deploy(Cancelled),
		"no-change":   {Operation: Operation{State: NothingToDeploy}},
		"restarted":   with(deploy(Succeeded), func(in *Input) { in.Operation.Kind = "restart" }),
	}
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, _ := Decide(in)
			m := Embed(in, state)
			fits(t, m)
			var b strings.Builder
			for _, m := range []*Message{&m, m.bare} {
				e := json.NewEncoder(&b)
				e.SetEscapeHTML(false)
				e.SetIndent("", "  ")
				if err := e.Encode(m); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join("testdata", "embed", name+".json")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s; run with -update when it is meant\n%s", path, diff)
			}
		})
	}
}

// Every end says in one sentence what runs, first after the commit, also when Discord refuses the rest.
func TestEveryEndSaysWhatRuns(t *testing.T) {
	t.Parallel()
	for name, in := range cases() {
		state, _ := Decide(in)
		m := Embed(in, state)
		for _, m := range []*Message{&m, m.bare} {
			text := m.Embeds[0].Description
			if !strings.Contains(text, "Now runs: `") && !strings.Contains(text, "hat runs ") && !strings.Contains(text, "Nothing was touched") &&
				!strings.Contains(text, "The commit that runs did not change") {
				t.Errorf("%s: nothing says what runs: %q", name, text)
			}
		}
	}
}

// The messages fit Discord's own schema.
func TestEmbedFitsTheSpecification(t *testing.T) {
	t.Parallel()
	schema := specification(t, "IncomingWebhookRequestPartial")
	for name, in := range cases() {
		state, _ := Decide(in)
		raw, err := json.Marshal(Embed(in, state))
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	over, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"embeds":[{"title":"` + strings.Repeat("x", 257) + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(over) == nil {
		t.Error("the schema takes a title of 257 characters: it checks nothing")
	}
}

// specification compiles one schema of Discord's OpenAPI document. What the subset refers to
// without having it takes anything.
func specification(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(discordtest.OpenAPI(), &document); err != nil {
		t.Fatal(err)
	}
	schemas := document["components"].(map[string]any)["schemas"].(map[string]any)
	raw := string(discordtest.OpenAPI())
	for part := range strings.SplitSeq(raw, `"#/components/schemas/`) {
		if missing, _, _ := strings.Cut(part, `"`); schemas[missing] == nil {
			schemas[missing] = map[string]any{}
		}
	}
	fixed, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(fixed)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("discord.json", value); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("discord.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
