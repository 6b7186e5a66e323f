package pipeline

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline/reference"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	base   = strings.Repeat("ba5e", 10)
	target = strings.Repeat("c0de", 10)
)

func fleet(t testing.TB, name string) (*Config, []byte) {
	t.Helper()
	data := reference.Config()
	if name != "reference" {
		var err error
		if data, err = os.ReadFile(filepath.Join("testdata", name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	config, err := Parse(name+".yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	return config, data
}

func changes(paths ...string) []Change {
	var list []Change
	for _, path := range paths {
		list = append(list, Change{Status: 'M', Path: path})
	}
	return list
}

func mustCompile(t testing.TB, c *Config, in Input) *Plan {
	t.Helper()
	if in.Target == "" {
		in.Base, in.Target = base, target
	}
	plan, err := Compile(c, in)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", file, diff)
	}
}

// planCases are change sets over two fleets of different shapes.
var planCases = []struct {
	name, fleet string
	in          Input
}{
	{"dashboard", "reference", Input{Changes: changes("dashboard/api/a.go", "dashboard/web/b.ts", "docs/x.md")}},
	{"core-chain", "reference", Input{Changes: changes("mcp/a", "caddy/Caddyfile", "authelia/c.yml", "docker-compose.yml", "postgres/init/1.sql")}},
	{"everything", "reference", Input{Target: target, Everything: "no deployment is recorded"}},
	{"docs-only", "reference", Input{Changes: changes("README.md", "n8n/workflows/a.json")}},
	{"skipped", "reference", Input{Changes: changes("Makefile", ".github/workflows/lint.yml")}},
	{"unclaimed", "reference", Input{Changes: changes("new/a", "new/\xff\n\"b")}},
	{"small-all", "small", Input{Changes: changes("web/a", "jobs/b", "tools/c")}},
	{"small-through-cache", "small", Input{Changes: changes("jobs/b", "web/read.md", "assets/x")}},
}

func TestGoldenPlans(t *testing.T) {
	for _, c := range planCases {
		t.Run(c.name, func(t *testing.T) {
			config, _ := fleet(t, c.fleet)
			plan := mustCompile(t, config, c.in)
			text, err := json.MarshalIndent(struct {
				Digest string
				Why    []Reason
				Plan   *Plan
			}{plan.Digest(), plan.Why(), plan}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "plans", c.name+".json"), append(text, '\n'))
		})
	}
}

// TestPlanInvariants holds what every plan promises, over all the cases.
func TestPlanInvariants(t *testing.T) {
	for _, c := range planCases {
		t.Run(c.name, func(t *testing.T) {
			config, _ := fleet(t, c.fleet)
			checkInvariants(t, config, mustCompile(t, config, c.in))
		})
	}
}

func checkInvariants(t *testing.T, config *Config, p *Plan) {
	t.Helper()
	phases := map[Phase]int{PhaseBuild: 0, PhaseMigrate: 1, PhaseApply: 2}
	before := map[string]map[string]bool{} // step -> all steps it waits for
	phase := 0
	for _, s := range p.Steps {
		if phases[s.Phase] < phase {
			t.Errorf("%s: phase %s comes again", s.ID, s.Phase)
		}
		phase = phases[s.Phase]
		if s.Kind() == "" || s.Title() == s.ID {
			t.Errorf("%s has no verb", s.ID)
		}
		if _, twice := before[s.ID]; twice {
			t.Errorf("%s is there twice", s.ID)
		}
		all := map[string]bool{}
		for _, other := range s.After {
			ancestors, earlier := before[other]
			if !earlier || !strings.HasPrefix(other, string(s.Phase)+"/") {
				t.Errorf("%s is after %s, which is not earlier in its phase", s.ID, other)
			}
			all[other] = true
			for id := range ancestors {
				all[id] = true
			}
		}
		before[s.ID] = all
	}
	k := &compiler{config: config}
	apply := p.StepsIn(PhaseApply)
	for i, s := range apply {
		for _, other := range apply[:i] {
			if s.Stack() != "" && other.Stack() != "" && k.composeProject(s.Stack()) == k.composeProject(other.Stack()) && !before[s.ID][other.ID] {
				t.Errorf("%s and %s could run at once on one compose project", other.ID, s.ID)
			}
		}
	}
}

func TestDistinctStacksRunSideBySide(t *testing.T) {
	config, _ := fleet(t, "reference")
	plan := mustCompile(t, config, Input{Changes: changes("caddy/x", "grafana/y", "discord-bot/z")})
	for _, s := range plan.Steps {
		if s.Phase != PhaseMigrate && strings.HasSuffix(s.ID, "/1") && len(s.After) > 0 {
			t.Errorf("%s waits for %v", s.ID, s.After)
		}
	}
}

// TestDigestSurvivesJSON sends plans through JSON, compact and indented.
func TestDigestSurvivesJSON(t *testing.T) {
	for _, c := range planCases {
		config, _ := fleet(t, c.fleet)
		plan := mustCompile(t, config, c.in)
		text, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "\t", "   "); err != nil {
			t.Fatal(err)
		}
		for _, sent := range [][]byte{text, indented.Bytes()} {
			var back Plan
			if err := json.Unmarshal(sent, &back); err != nil {
				t.Fatal(err)
			}
			if back.Digest() != plan.Digest() {
				t.Errorf("%s: the digest changed", c.name)
			}
		}
	}
}

func TestDigestCoversTheDeedOnly(t *testing.T) {
	config, _ := fleet(t, "reference")
	in := Input{Changes: changes("caddy/a")}
	digest := mustCompile(t, config, in).Digest()
	if !strings.HasPrefix(digest, "sha256:") || len(digest) != len("sha256:")+64 {
		t.Fatalf("digest %q", digest)
	}
	same := map[string]func(*Plan){
		"paths":      func(p *Plan) { p.Flags[0].Paths = []string{"x"} },
		"counts":     func(p *Plan) { p.Flags[0].Count, p.UnclaimedCount = 7, 8 },
		"unclaimed":  func(p *Plan) { p.Unclaimed = []string{"x"} },
		"everything": func(p *Plan) { p.Everything = "told otherwise" },
		"causes":     func(p *Plan) { p.Steps[0].Flags = []string{"x"} },
	}
	for name, change := range same {
		plan := mustCompile(t, config, in)
		change(plan)
		if plan.Digest() != digest {
			t.Errorf("%s changed the digest", name)
		}
	}
	other := map[string]func(*Plan){
		"version":     func(p *Plan) { p.Version++ },
		"target":      func(p *Plan) { p.Target = base },
		"base":        func(p *Plan) { p.Base = target },
		"environment": func(p *Plan) { p.Environment["X"] = "y" },
		"stack file":  func(p *Plan) { p.Stacks[0].Files[0] = "other.yml" },
		"step":        func(p *Plan) { p.Steps = p.Steps[1:] },
		"after":       func(p *Plan) { p.Steps[1].After = nil },
		"probe json":  func(p *Plan) { p.Verify.Probes[0].HTTP.JSON = json.RawMessage(`{"status":"BAD"}`) },
		"soak":        func(p *Plan) { p.Verify.Soak++ },
		"rollback":    func(p *Plan) { p.Rollback.Probes = nil },
		"prepare":     func(p *Plan) { p.Prepare.Own = false },
	}
	for name, change := range other {
		plan := mustCompile(t, config, in)
		change(plan)
		if plan.Digest() == digest {
			t.Errorf("%s did not change the digest", name)
		}
	}
}

// shuffleKeys writes the same YAML with its mapping keys in another order.
func shuffleKeys(t testing.TB, data []byte, random *rand.Rand) []byte {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			random.Shuffle(len(n.Content)/2, func(i, j int) {
				n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
				n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
			})
		}
		for _, child := range n.Content {
			visit(child)
		}
	}
	visit(&root)
	out, err := yaml.Marshal(&root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKeyOrderChangesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range planCases {
		config, data := fleet(t, c.fleet)
		plan := mustCompile(t, config, c.in)
		for range 10 {
			shuffled, err := Parse("shuffled.yaml", shuffleKeys(t, data, random))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plan, mustCompile(t, shuffled, c.in)); diff != "" {
				t.Fatalf("%s: another key order gave another plan:\n%s", c.name, diff)
			}
		}
	}
}

func TestCountsAreCappedButComplete(t *testing.T) {
	config, _ := fleet(t, "reference")
	var list []Change
	for i := range 150 {
		list = append(list, changes(fmt.Sprintf("new/%03d", i), fmt.Sprintf("caddy/%03d", i))...)
	}
	list = append(list, Change{Status: 'D', Path: "caddy/000"}) // a rename onto itself counts once
	plan := mustCompile(t, config, Input{Changes: list})
	if plan.UnclaimedCount != 150 || len(plan.Unclaimed) != maxUnclaimed || plan.Unclaimed[99] != "new/099" {
		t.Errorf("unclaimed: %d, of which %d are named", plan.UnclaimedCount, len(plan.Unclaimed))
	}
	for _, f := range plan.Flags {
		if f.Name == "caddy" && (f.Count != 150 || len(f.Paths) != maxFlagPaths || f.Paths[19] != "caddy/019") {
			t.Errorf("caddy: %d, %q", f.Count, f.Paths)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	config, _ := fleet(t, "small")
	broken := func(change func(*Config)) *Config {
		c, _ := fleet(t, "small")
		change(c)
		return c
	}
	cases := []struct {
		name, reason string
		config       *Config
		in           Input
	}{
		{"short target", "TARGET_INVALID", config, Input{Target: "c0de"}},
		{"no target", "TARGET_INVALID", config, Input{}},
		{"branch as base", "BASE_INVALID", config, Input{Target: target, Base: "main"}},
		{"unknown action", "CONFIG_INVALID", broken(func(c *Config) { c.Flags["web"] = FlagConfig{Paths: []string{"**"}, Actions: []string{"gone"}} }), Input{Target: target, Everything: "test"}},
		{"bad pattern", "PATTERN_INVALID", broken(func(c *Config) { c.Flags["web"] = FlagConfig{Paths: []string{"["}} }), Input{Target: target}},
		{"bad skip", "PATTERN_INVALID", broken(func(c *Config) { c.Skip = []string{"+"} }), Input{Target: target}},
		{"cycle", "CONFIG_INVALID", broken(func(c *Config) { c.Actions["web"] = ActionConfig{After: []string{"jobs"}} }), Input{Target: target, Everything: "test"}},
		{"unknown variable", "CONFIG_INVALID", broken(func(c *Config) { c.Environment["X"] = "${nope}" }), Input{Target: target}},
	}
	for _, c := range cases {
		plan, err := Compile(c.config, c.in)
		if fault.ReasonOf(err) != c.reason || fault.KindOf(err) != fault.Invalid || plan != nil {
			t.Errorf("%s: got %v, %v", c.name, plan, err)
		}
	}
}

// TestNoChangeDeploysNothing deploys a commit a second time.
func TestNoChangeDeploysNothing(t *testing.T) {
	config, _ := fleet(t, "reference")
	plan := mustCompile(t, config, Input{Base: target, Target: target})
	if plan.AnyDeploy || len(plan.SetFlags()) > 0 || len(plan.StepsIn(PhaseBuild)) > 0 || len(plan.StepsIn(PhaseApply)) > 0 {
		t.Errorf("plan %+v", plan)
	}
}

func TestPlanLookups(t *testing.T) {
	config, _ := fleet(t, "small")
	plan := mustCompile(t, config, Input{Target: target, Everything: "test"})
	if s, ok := plan.Stack("jobs"); !ok || s.Project != "shop" || s.Files[0] != "jobs/compose.yml" {
		t.Errorf("stack: %+v", s)
	}
	if _, ok := plan.Stack("gone"); ok {
		t.Error("found a stack that is not there")
	}
	kinds := map[string]string{"up": "http", "all": "containers", "db": "tcp", "pg": "postgres"}
	for name, kind := range kinds {
		if p, ok := plan.Probe(name); !ok || p.Kind() != kind {
			t.Errorf("probe %s: %+v", name, p)
		}
	}
	if p, ok := plan.Probe("gone"); ok || p.Kind() != "" {
		t.Error("found a probe that is not there")
	}
	if len(Phases()) != 3 || (Step{ID: "x"}).Title() != "x" || (Step{}).Kind() != "" {
		t.Error("zero values")
	}
}

// FuzzCompile shuffles a change set: the plan must not notice, and must hold its promises.
func FuzzCompile(f *testing.F) {
	f.Add("dashboard/api/x\ncaddy/y\nnew\nMakefile", uint64(1), false)
	f.Add("\xff\nweb/a\nweb/a\n!", uint64(2), true)
	reference, _ := fleet(f, "reference")
	small, _ := fleet(f, "small")
	f.Fuzz(func(t *testing.T, paths string, seed uint64, everything bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		for _, config := range []*Config{reference, small} {
			in := Input{Base: base, Target: target, Changes: changes(strings.Split(paths, "\n")...)}
			if everything {
				in.Everything = "fuzz"
			}
			first := mustCompile(t, config, in)
			random.Shuffle(len(in.Changes), func(i, j int) { in.Changes[i], in.Changes[j] = in.Changes[j], in.Changes[i] })
			if diff := cmp.Diff(first, mustCompile(t, config, in)); diff != "" {
				t.Fatalf("the order of changes shows:\n%s", diff)
			}
			checkInvariants(t, config, first)
		}
	})
}

// TestWorkflowsDoNotChangeThePlan holds that files for GitHub are no part of the deed.
func TestWorkflowsDoNotChangeThePlan(t *testing.T) {
	config, err := Parse(reference.Name, reference.Config())
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Target: target, Everything: "first"}
	with, err := Compile(config, in)
	if err != nil {
		t.Fatal(err)
	}
	config.Workflows = nil
	without, err := Compile(config, in)
	if err != nil {
		t.Fatal(err)
	}
	if with.Digest() != without.Digest() || !cmp.Equal(with, without) {
		t.Error("the plan depends on workflows")
	}
}
