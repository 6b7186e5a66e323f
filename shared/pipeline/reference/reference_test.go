package reference_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/pipeline/reference"
)

func parse(t *testing.T) *pipeline.Config {
	t.Helper()
	config, err := pipeline.Parse(reference.Name, reference.Config())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestSeventeenFlags(t *testing.T) {
	want := strings.Fields(`dashboard_api dashboard_web mcp caddy authelia cloudflared grafana postgres_init n8n_hooks
		discord_bot compose migrations n8n_workflows docs tests systemd scripts`)
	sort.Strings(want)
	var got []string
	for name := range parse(t).Flags {
		got = append(got, name)
	}
	sort.Strings(got)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 17 {
		t.Errorf("%d flags (-want +got):\n%s", len(got), diff)
	}
}

// TestOutcomes is the table of what a push of each kind does.
func TestOutcomes(t *testing.T) {
	dashboard := []string{
		"run scripts/build-commit-cache.sh", "dashboard: build dashboard-api, dashboard-nginx",
		"dashboard: up dashboard-api, dashboard-nginx",
	}
	core := []string{"core: up every service", "dashboard: up every service", "discord: up every service", "home: up every service"}
	grafana := "grafana: up every service"
	cases := []struct {
		path  string
		flags string
		steps []string
		quiet bool // does not deploy
	}{
		{path: "dashboard/api/main.go", flags: "dashboard_api", steps: dashboard},
		{path: "dashboard/web/src/app.tsx", flags: "dashboard_web", steps: dashboard},
		{path: "mcp/gmail/server.py", flags: "mcp", steps: []string{"core: build mcp-auth-*, mcp-proxy-*", "core: up mcp-auth-*, mcp-proxy-*"}},
		{path: "caddy/Caddyfile", flags: "caddy", steps: []string{"core: exec in caddy: caddy validate --config /etc/caddy/Caddyfile", "core: restart caddy"}},
		{path: "authelia/configuration.yml", flags: "authelia", steps: []string{"core: recreate authelia"}},
		{path: "cloudflared/config.yml", flags: "cloudflared", steps: []string{"core: recreate cloudflared"}},
		{path: "grafana/dashboards/host.json", flags: "grafana", steps: []string{grafana}},
		{path: "grafana/docker-compose.grafana.yml", flags: "compose grafana", steps: append(slices.Clone(core), grafana)},
		{path: "postgres/init/01.sql", flags: "postgres_init", steps: []string{"core: recreate postgres", "wait for probe postgres"}},
		{path: "n8n/hooks.js", flags: "n8n_hooks", steps: []string{"core: recreate n8n"}},
		{path: "discord-bot/bot.py", flags: "discord_bot", steps: []string{"discord: build discord-bot", "discord: up discord-bot"}},
		{path: "docker-compose.yml", flags: "compose", steps: core},
		{path: "docker-compose.pi.yml", flags: "compose", steps: core},
		{path: "pi/docker-compose.ha.yml", flags: "compose", steps: core},
		{path: "database/migrations/301_more.sql", flags: "migrations"},
		{path: "n8n/workflows/mail.json", flags: "n8n_workflows"},
		{path: "docs/guide/start.txt", flags: "docs"},
		{path: "README.md", flags: "docs"},
		{path: "tests/test_flow.py", flags: "tests"},
		{path: "scripts/tests/a.sh", flags: "scripts tests"},
		{path: "lib/sum.test.ts", flags: "tests"},
		{path: "lib/sum.test.tsx", flags: "tests"},
		{path: "systemd/gitops.timer", flags: "systemd"},
		{path: "scripts/migrate.sh", flags: "scripts"},
		{path: "new/unknown.txt"},
		{path: ".github/workflows/lint.yml", quiet: true},
		{path: ".github/workflows/test.yml", quiet: true},
		{path: "Makefile", quiet: true},
	}
	config := parse(t)
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			plan, err := pipeline.Compile(config, pipeline.Input{
				Base: strings.Repeat("a", 40), Target: strings.Repeat("b", 40),
				Changes: []pipeline.Change{{Status: 'M', Path: c.path}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if plan.AnyDeploy == c.quiet {
				t.Errorf("any deploy: got %v", plan.AnyDeploy)
			}
			if got := strings.Join(plan.SetFlags(), " "); got != c.flags {
				t.Errorf("flags: got %q, want %q", got, c.flags)
			}
			if unclaimed := c.flags == "" && !c.quiet; unclaimed != (plan.UnclaimedCount == 1) {
				t.Errorf("unclaimed: got %q", plan.Unclaimed)
			}
			var got, migration []string
			for _, s := range plan.Steps {
				if s.Phase == pipeline.PhaseMigrate {
					migration = append(migration, s.Title())
				} else {
					got = append(got, s.Title())
				}
			}
			if diff := cmp.Diff(c.steps, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			always := []string{"core: up postgres", "wait for probe postgres", "migrate: scripts/migrate.sh --mode deploy"}
			if diff := cmp.Diff(always, migration); diff != "" {
				t.Errorf("migration (-want +got):\n%s", diff)
			}
		})
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(reference.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("landfall.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("landfall.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

func TestReferenceMatchesSchema(t *testing.T) {
	if err := validate(t, compileSchema(t), reference.Config()); err != nil {
		t.Error(err)
	}
}

// TestSchemaAgreesWithParser takes small files to both: what one refuses for its form
// the other must refuse too.
func TestSchemaAgreesWithParser(t *testing.T) {
	const head = "version: 1\nproject: p\nstacks: {s: {}}\n"
	cases := []struct {
		name, text string
		ok         bool
	}{
		{"smallest", head, true},
		{"other version", "version: 2\nproject: p\nstacks: {s: {}}\n", false},
		{"no stacks", "version: 1\nproject: p\nstacks: {}\n", false},
		{"missing project", "version: 1\nstacks: {s: {}}\n", false},
		{"unknown key", head + "flag: {}\n", false},
		{"action as list", head + "actions: {a: [script: x]}\n", true},
		{"action as mapping", head + "actions: {a: {steps: [script: x]}, b: {after: [a], steps: [{script: {path: x, args: [y]}}]}}\n", true},
		{"two verbs", head + "actions: {a: [{script: x, up: {stack: s}}]}\n", false},
		{"no verb", head + "actions: {a: [{}]}\n", false},
		{"no steps", head + "actions: {a: []}\n", false},
		{"absolute path", head + "migrate: {script: /bin/x}\n", false},
		{"bad duration", head + "ci: {poll: 15}\n", false},
		{"flag without paths", head + "flags: {a: {paths: []}}\n", false},
		{"two kinds", head + "verify: {probes: {a: {tcp: {address: \"a:1\"}, containers: {}}}}\n", false},
		{"null json", head + "verify: {probes: {a: {http: {url: \"http://a/\", json: null}}}}\n", false},
		{"json list", head + "verify: {probes: {a: {http: {url: \"http://a/\", json: [1, {b: true}]}}}}\n", true},
		{"workflows", head + "workflows: {coordinator: {module: a.b/c, version: v1.2.3}}\n", true},
		{"workflows by url", head + "workflows: {coordinator: {url: \"https://a/b\", sha256: \"" + strings.Repeat("0", 64) + "\"}}\n", true},
		{"workflows without a coordinator", head + "workflows: {}\n", false},
		{"coordinator without a source", head + "workflows: {coordinator: {command: c}}\n", false},
		{"newest coordinator", head + "workflows: {coordinator: {module: a.b/c, version: latest}}\n", false},
		{"job name", head + "workflows: {coordinator: {module: a.b/c, version: v1.2.3}, lint: {1a: {paths: [a], command: [b]}}}\n", false},
		{"flag name", head + "flags: {1a: {paths: [a]}}\n", false},
		{"drift by words", head + "gitops: {drift: {missing: report, exited: ignore, pulled_images: true, files: false}}\n", true},
		{"drift by another word", head + "gitops: {drift: {missing: mend}}\n", false},
		{"drift by an empty word", head + "gitops: {drift: {missing: \"\"}}\n", false},
		{"images", head + "gitops: {leave_out: [s/a], images: {every: 24h, services: [\"s/*\"]}}\n", true},
		{"images of nothing", head + "gitops: {images: {every: 24h, services: []}}\n", false},
		{"images without a stack", head + "gitops: {images: {every: 24h, services: [web]}}\n", false},
		{"no soak", head + "verify: {soak: 0s}\n", true},
	}
	schema := compileSchema(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := validate(t, schema, []byte(c.text)); (err == nil) != c.ok {
				t.Errorf("schema: %v", err)
			}
			if _, err := pipeline.Parse("landfall.yaml", []byte(c.text)); (err == nil) != c.ok {
				t.Errorf("parser: %v", err)
			}
		})
	}
}

// TestSchemaHasTheKeysOfTheStructs walks both side by side.
func TestSchemaHasTheKeysOfTheStructs(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(reference.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	compareKeys(t, root, root, reflect.TypeFor[pipeline.Config](), "landfall.yaml")
}

func compareKeys(t *testing.T, root, schema map[string]any, typ reflect.Type, path string) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if ref, ok := schema["$ref"].(string); ok {
		def := root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")]
		schema = def.(map[string]any)
	}
	switch typ.Kind() {
	case reflect.Map:
		if more, ok := schema["additionalProperties"].(map[string]any); ok {
			compareKeys(t, root, more, typ.Elem(), path+".*")
		} else {
			t.Errorf("%s: the schema has no mapping", path)
		}
	case reflect.Slice:
		if items, ok := schema["items"].(map[string]any); ok {
			compareKeys(t, root, items, typ.Elem(), path+"[]")
		} else {
			t.Errorf("%s: the schema has no list", path)
		}
	case reflect.Struct:
		compareStruct(t, root, schema, typ, path)
	}
}

func compareStruct(t *testing.T, root, schema map[string]any, typ reflect.Type, path string) {
	t.Helper()
	if variants, ok := schema["oneOf"].([]any); ok && schema["properties"] == nil {
		for _, v := range variants { // the shorthand is no mapping
			if v.(map[string]any)["properties"] != nil {
				schema = v.(map[string]any)
			}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	if schema["additionalProperties"] != false {
		t.Errorf("%s: the schema allows unknown keys", path)
	}
	var want, got, required, wantRequired []string
	for i := range typ.NumField() {
		tag, ok := typ.Field(i).Tag.Lookup("yaml")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		want = append(want, name)
		if option == "required" {
			wantRequired = append(wantRequired, name)
		}
		property, ok := properties[name].(map[string]any)
		if !ok {
			continue
		}
		if property["description"] == nil && property["$ref"] == nil {
			t.Errorf("%s.%s has no description", path, name)
		}
		compareKeys(t, root, property, typ.Field(i).Type, path+"."+name)
	}
	for name := range properties {
		got = append(got, name)
	}
	list, _ := schema["required"].([]any)
	for _, name := range list {
		required = append(required, name.(string))
	}
	for _, names := range [][]string{want, got, required, wantRequired} {
		sort.Strings(names)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: keys (-struct +schema):\n%s", path, diff)
	}
	if diff := cmp.Diff(wantRequired, required); diff != "" {
		t.Errorf("%s: required keys (-struct +schema):\n%s", path, diff)
	}
}
