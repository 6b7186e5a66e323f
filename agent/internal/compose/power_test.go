package compose

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// ways are all keys of services and their builds by which something is done to the host, as a line of YAML, and the rule that decides. What
// stands under no rule is no power.
var ways = []struct{ key, service, rule string }{
	{"privileged", "privileged: true", "privileged"},
	{"post_start", "post_start: [{command: [x], privileged: true}]", "privileged"},
	{"post_start", "post_start: [{command: [x]}]", ""},
	{"pre_stop", "pre_stop: [{command: [x], privileged: true}]", "privileged"},
	{"network_mode", "network_mode: host", "host_namespaces"},
	{"network_mode", "network_mode: 'container:other'", "host_namespaces"},
	{"network_mode", "network_mode: somewhere", "host_namespaces"},
	{"network_mode", "network_mode: none", ""},
	{"network_mode", "network_mode: 'service:hosted'", "host_namespaces"},
	{"networks", "networks: [hosts]", "host_namespaces"},
	{"networks", "networks: [default]", ""},
	{"pid", "pid: host", "host_namespaces"},
	{"pid", "pid: 'container:other'", "host_namespaces"},
	{"pid", "pid: 'service:strong'", "cap_add docker_socket"},
	{"ipc", "ipc: host", "host_namespaces"},
	{"ipc", "ipc: shareable", ""},
	{"uts", "uts: host", "host_namespaces"},
	{"userns_mode", "userns_mode: host", "host_namespaces"},
	{"userns_mode", "userns_mode: HOST", "host_namespaces"},
	{"cgroup", "cgroup: host", "host_namespaces"},
	{"cap_add", "cap_add: [NET_ADMIN]", "cap_add"},
	{"devices", "devices: [/dev/null]", "devices"},
	{"devices", "devices: ['vendor.com/class=name']", "devices"},
	{"device_cgroup_rules", "device_cgroup_rules: ['c 1:3 rwm']", "devices"},
	{"gpus", "gpus: all", "devices"},
	{"deploy", "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}", "devices"},
	{"deploy", "deploy: {replicas: 2}", ""},
	{"security_opt", "security_opt: ['apparmor:unconfined']", "confinement"},
	{"security_opt", "security_opt: [seccomp=unconfined]", "confinement"},
	{"security_opt", "security_opt: ['seccomp:./own.json']", "confinement"},
	{"security_opt", "security_opt: [label=disable]", "confinement"},
	{"security_opt", "security_opt: ['label:type:spc_t']", "confinement"},
	{"security_opt", "security_opt: [systempaths=unconfined]", "confinement"},
	{"security_opt", "security_opt: ['no-new-privileges:false']", "confinement"},
	{"security_opt", "security_opt: ['no-new-privileges:true']", ""},
	{"cgroup_parent", "cgroup_parent: /x", "confinement"},
	{"credential_spec", "credential_spec: {file: x.json}", "confinement"},
	{"sysctls", "sysctls: {kernel.panic: 1}", "confinement"},
	{"sysctls", "sysctls: {net.core.somaxconn: 1024}", ""},
	{"sysctls", "{network_mode: 'container:x', sysctls: {net.core.somaxconn: 1024}}", "confinement host_namespaces"},
	{"runtime", "runtime: runsc", "confinement"},
	{"isolation", "isolation: process", "confinement"},
	{"annotations", "annotations: {run.oci.hooks: x}", "confinement"},
	{"group_add", "group_add: [docker]", "docker_socket"},
	{"group_add", "group_add: ['1']", ""},
	{"use_api_socket", "use_api_socket: true", "docker_socket"},
	{"provider", "provider: {type: x}", "providers"},
	{"models", "models: [m]", "providers"},
	{"volumes", "volumes: ['/etc:/x']", "mounts"},
	{"volumes", "volumes: ['./conf:/x']", ""},
	{"volumes", "volumes: ['./out:/x']", "mounts"},
	{"volumes", "volumes: ['/var/run/docker.sock:/x']", "docker_socket"},
	{"volumes", "volumes: ['plain:/x']", ""},
	{"volumes", "volumes: ['bound:/x']", "mounts"},
	{"volumes", "volumes: ['relative:/x']", "mounts"},
	{"volumes", "volumes: ['disk:/x']", "devices mounts"},
	{"volumes", "volumes: ['remote:/x']", "mounts"},
	{"volumes", "volumes: ['plugged:/x']", "mounts"},
	{"volumes", "volumes: [{type: npipe, source: x, target: /x}]", "mounts"},
	{"volumes", "volumes: [{type: cluster, source: plain, target: /x}]", "mounts"},
	{"volumes", "volumes: [{type: image, source: evil.example/x, target: /x}]", "images_without_digest other_registries"},
	{"volumes", "volumes: [{type: tmpfs, target: /x}]", ""},
	{"tmpfs", "tmpfs: ['/x:exec,dev,suid']", ""},
	{"volumes_from", "volumes_from: ['container:other']", "docker_socket mounts"},
	{"volumes_from", "volumes_from: ['strong:ro']", "docker_socket"},
	{"configs", "configs: [outer]", "mounts"},
	{"secrets", "secrets: [outer]", "mounts"},
	{"image", "image: postgres", "images_without_digest"},
	{"image", "image: evil.example/x@sha256:0123456789012345678901234567890123456789012345678901234567890123", "other_registries"},
	{"pull_policy", "{image: evil.example/x, pull_policy: always, build: .}", "images_without_digest other_registries"},
	{"pull_policy", "{image: evil.example/x, pull_policy: daily, build: .}", "images_without_digest other_registries"},
	{"pull_policy", "{image: evil.example/x, pull_policy: build, build: .}", ""},
	{"build", "build: .", ""},
	{"build", "build: /etc", "mounts"},
	{"build.context", "build: {context: 'https://evil.example/x.git#main'}", "images_without_digest other_registries"},
	{"build.context", "build: {context: ./out}", "mounts"},
	{"build.dockerfile", "build: {context: ., dockerfile: /etc/passwd}", "mounts"},
	{"build.additional_contexts", "build: {context: ., additional_contexts: {x: /etc}}", "mounts"},
	{"build.additional_contexts", "build: {context: ., additional_contexts: {x: 'docker-image://evil.example/x'}}", "images_without_digest other_registries"},
	{"build.privileged", "build: {context: ., privileged: true}", "privileged"},
	{"build.entitlements", "build: {context: ., entitlements: [security.insecure]}", "privileged"},
	{"build.entitlements", "build: {context: ., entitlements: [network.host]}", "host_namespaces"},
	{"build.network", "build: {context: ., network: host}", "host_namespaces"},
	{"build.isolation", "build: {context: ., isolation: process}", "confinement"},
	{"build.ssh", "build: {context: ., ssh: [default]}", "mounts"},
	{"build.secrets", "build: {context: ., secrets: [outer]}", "mounts"},
	{"build.cache_from", "build: {context: ., cache_from: [evil.example/x]}", "other_registries"},
	{"build.cache_from", "build: {context: ., cache_from: ['type=local,src=/etc']}", "mounts"},
	{"build.cache_to", "build: {context: ., cache_to: ['type=local,dest=/etc']}", "mounts"},
}

// elsewhere is what the services of ways speak of.
const elsewhere = `
  hosted: {build: ., network_mode: host}
  strong: {build: ., cap_add: [SYS_PTRACE], volumes: ['/var/run/docker.sock:/x']}
networks: {hosts: {external: true, name: host}}
volumes:
  plain: {}
  bound: {driver_opts: {type: none, o: bind, device: /etc}}
  relative: {driver_opts: {o: bind, device: ./x}}
  disk: {driver_opts: {type: ext4, device: /dev/sda1}}
  remote: {driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/x'}}
  plugged: {driver: rclone}
configs: {outer: {file: /etc/hostname}}
secrets: {outer: {file: /etc/hostname}}
models: {m: {model: ai/x}}
`

// TestEveryWayToPower has the real Compose render every way, and holds it against a policy that refuses all.
func TestEveryWayToPower(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("needs docker compose")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := "services:\n"
	for i, w := range ways {
		line := w.service
		if !strings.HasPrefix(line, "{") {
			line = "{" + line + "}"
		}
		if !strings.Contains(line, "image: ") || strings.Contains(line, "type: image") {
			line = strings.TrimSuffix(line, "}") + ", image: 'built'}"
		}
		file += fmt.Sprintf("  s%d: %s\n", i, line)
	}
	file += "  builder: {image: built, build: .}" + elsewhere
	lay(t, dir, map[string]string{"compose.yml": file, "conf/x": ""})
	if err := os.Symlink("/usr", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker", "compose", "--file", "compose.yml", "config", "--format", "json", "--no-env-resolution")
	cmd.Dir = dir
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker compose config: %v\n%s\n%s", err, raw, file)
	}
	var r rendered
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	p := picture.Policy{Answers: map[string]picture.Answer{}, Registries: []string{"docker.io"}}
	for _, rule := range serviceKeys {
		p.Answers[rule] = picture.Refuse
	}
	for _, rule := range []string{picture.RuleRegistries, picture.RuleUnknown} {
		p.Answers[rule] = picture.Refuse
	}
	refusals, _ := p.Check([]picture.Model{r.model("core", tree{dir, dir})}, []string{dir}, picture.Picture{})
	for i, w := range ways {
		var rules []string
		for _, f := range refusals {
			if strings.HasPrefix(f.Message, fmt.Sprintf("core/s%d ", i)) {
				rule, _, _ := strings.Cut(strings.TrimPrefix(f.Hint, "policy."), " ")
				rules = append(rules, rule)
			}
		}
		slices.Sort(rules)
		if got := strings.Join(rules, " "); got != w.rule {
			t.Errorf("%s breaks %q, want %q", w.service, got, w.rule)
		}
	}
}

// TestEveryKeyIsClassified: each key of the Compose specification has a rule with a way that shows it, or is harmless.
func TestEveryKeyIsClassified(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{"env_file": true, "label_file": true} // by TestWhatComposeFilesRead: Compose renders them away
	for _, w := range ways {
		shown[w.key] = shown[w.key] || w.rule != ""
	}
	for file, known := range map[string]map[string]string{"": serviceKeys, "build.": buildKeys} {
		raw, err := os.ReadFile("testdata/" + file + "keys") // of compose-go 2.9.1, schema/compose-spec.json
		if err != nil {
			t.Fatal(err)
		}
		names := strings.Fields(string(raw))
		for _, key := range names {
			rule, ok := known[key]
			switch {
			case !ok:
				t.Errorf("key %s%s is in no list", file, key)
			case rule != harmless && !shown[file+key]:
				t.Errorf("key %s%s has rule %s, and no way shows it", file, key, rule)
			}
		}
		if len(names) != len(known) {
			t.Errorf("%d keys are known, the specification has %d", len(known), len(names))
		}
	}
}

// TestUnknownKeysAreTold: what a newer Compose knows and we do not is a finding, not silence.
func TestUnknownKeysAreTold(t *testing.T) {
	t.Parallel()
	for name, service := range map[string]string{
		"a service's": `{"image": "x", "root_of_host": true}`, "a build's": `{"build": {"context": "/c", "root_of_host": 1}}`,
		"a hook's": `{"post_start": [{"command": [], "root_of_host": 1}]}`, "a mount's": `{"volumes": [{"type": "tmpfs", "root_of_host": 1}]}`,
		"a build that is none": `{"build": 1}`,
	} {
		var r rendered
		if err := json.Unmarshal([]byte(`{"services": {"a": `+service+`}}`), &r); err != nil {
			t.Fatal(err)
		}
		claims := r.model("core", tree{"/c", "/c"}).Services["a"].Power.Claims
		if !slices.ContainsFunc(claims, func(c picture.Claim) bool { return c.Rule == picture.RuleUnknown }) {
			t.Errorf("%s: %v", name, claims)
		}
	}
	if got := unknownKeys([]byte(`{"x-mine": 1, "image": "x"}`), serviceKeys); len(got) > 0 {
		t.Errorf("an extension is unknown: %v", got)
	}
}

// TestWhatComposeFilesRead: Compose tells of none of these files, and what they hold becomes part of the model.
func TestWhatComposeFilesRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"services: {a: {env_file: /etc/hostname}}":           "/etc/hostname",
		"services: {a: {label_file: [/etc/hostname]}}":       "/etc/hostname",
		"include: [{path: c.yaml, env_file: /etc/hostname}]": "/etc/hostname",
		"services: {a: {env_file: out.env}}":                 "/etc/hostname",
		"services: {a: {env_file: '${DIR}/hostname'}}":       "/etc/hostname",
		"services: {a: {env_file: '${NOBODY}/x'}}":           "${NOBODY}/x",
		"services: {a: {env_file: '${DIR:?no}/x'}}":          "${DIR:?no}/x",
	} {
		dir := t.TempDir()
		lay(t, dir, map[string]string{"compose.yaml": text, "c.yaml": "services: {}", ".env": "DIR=/etc\n"})
		if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out.env")); err != nil {
			t.Fatal(err)
		}
		if got := (tree{dir, dir}).reads(pipeline.Stack{Files: []string{"compose.yaml"}}, nil); !slices.Contains(got, want) {
			t.Errorf("%s reads %q, want %s", text, got, want)
		}
	}
}

// TestLinksAreFollowedAsTheCheckoutWillHaveThem: a side tree lies elsewhere than the checkout, and so do the ends of its relative links.
func TestLinksAreFollowedAsTheCheckoutWillHaveThem(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	checkout, side := filepath.Join(top, "srv", "shop"), filepath.Join(top, "state", "deep", "side", "shop")
	lay(t, top, map[string]string{"srv/shop/x": "", "srv/other/x": "", "state/deep/side/shop/sub/x": "", "far/away/x": ""})
	for link, target := range map[string]string{
		filepath.Join(side, "relative"): "../other", filepath.Join(side, "down"): filepath.Join(top, "far", "away"), filepath.Join(side, "trick"): "down/../x",
		filepath.Join(side, "in"): "sub", filepath.Join(checkout, "untracked"): "../../far", filepath.Join(checkout, "sub"): "../../far",
		filepath.Join(side, "hidden"): "untracked/away", filepath.Join(side, "ring"): "ring",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	at := tree{checkout, side}
	for source, want := range map[string]string{
		"relative": "srv/other", "trick": "far/x", "in/x": "srv/shop/sub/x", "untracked/x": "far/x", "hidden/x": "far/away/x", "../other/x": "srv/other/x", "none": "srv/shop/none",
	} {
		got := at.onHost(filepath.Join(side, source))
		if last := got[len(got)-1]; last != filepath.Join(top, want) {
			t.Errorf("%s leads to %s, want %s", source, last, want)
		}
	}
	if got := at.onHost(filepath.Join(side, "ring")); filepath.IsAbs(got[len(got)-1]) {
		t.Errorf("a ring of links leads to %s", got)
	}
}
