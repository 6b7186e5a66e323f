package e2e

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/discordtest"
)

// canary is a value that is a secret of the host. Every part of twelve characters of it counts as it, and so do its encodings.
func canary(place string) string { return fmt.Sprintf("cnry-%s-Zq7$x\"w'Kp9/R2t=", place) }

// songs are the forms in which a canary may be heard.
func songs(place string) []string {
	value := canary(place)
	found := []string{value[5:5+len(place)] + "-Zq7", "Kp9/R2t=", strings.ReplaceAll(value, "$", "$$"), url.QueryEscape(value)}
	for before := range 3 { // as the middle of a longer text in base64
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + value))
		found = append(found, encoded[8:28])
	}
	return found
}

// canaryCompose is a fleet whose secrets come every way that Compose knows.
const canaryCompose = `services:
  app:
    image: ${BASE_IMAGE}
    init: true
    stop_grace_period: 1s
    env_file: [app.env]
    environment: {DIRECT_TOKEN: "${ROOT_SECRET}"}
    secrets: [deep]
    labels: {edition: "${EDITION:-one}"}
    command: [sh, /code/run.sh]
    volumes: ["./code:/code:ro"]
  built:
    build: {context: built, args: {BASE_IMAGE: "${BASE_IMAGE}", PASSWORD: "${ROOT_SECRET}"}}
    init: true
    command: [sleep, "1000000"]
    stop_grace_period: 1s
secrets: {deep: {file: ./deep.secret}}
`

const canaryConfig = `version: 1
project: canary
stacks: {all: {files: [compose.yml]}}
environment: {REVISION: "${target_sha}"}
flags:
  code: {paths: ["code/**", "compose.yml"], actions: [code]}
  built: {paths: ["built/**"], actions: [built]}
actions:
  code:
    - script: code/prepare.sh
    - recreate: {stack: all, services: [app], no_deps: true}
  built:
    - build: {stack: all, services: [built]}
    - up: {stack: all, services: [built], no_deps: true}
verify:
  deadline: 6s
  soak: 300ms
  probes:
    up: {containers: {}}
`

const (
	canaryRoot  = "root"
	canaryApp   = "app"
	canaryDeep  = "deep"
	canaryLines = "line"
)

// canaryShell prints everything that it can get at, in several forms, as scripts in a hurry do.
const canaryShell = "env\nenv | base64\nset\nfor f in .env app.env deep.secret /run/secrets/deep; do cat $f 2>/dev/null; base64 $f 2>/dev/null; done\nprintf '%s' \"$ROOT_SECRET\"\n"

// listenToCommands collects the command line of every process of this machine, which everybody on it can read, until it is asked for them.
func listenToCommands() (heard func() string) {
	stop, done := make(chan struct{}), make(chan struct{})
	lines := map[string]bool{}
	go func() {
		defer close(done)
		often := time.NewTicker(20 * time.Millisecond)
		defer often.Stop()
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, file := range files {
				if raw, err := os.ReadFile(file); err == nil { // else it has ended
					lines[strings.ReplaceAll(string(raw), "\x00", " ")] = true
				}
			}
			select {
			case <-stop:
				return
			case <-often.C:
			}
		}
	}()
	return func() string {
		close(stop)
		<-done
		return strings.Join(slices.Sorted(maps.Keys(lines)), "\n")
	}
}

// TestCanary: however an operation ends, nothing that leaves the agent holds a secret of the host.
func TestCanary(t *testing.T) {
	out, err := exec.Command("../images/busybox.sh").Output()
	if err != nil {
		t.Fatalf("scripts/images/busybox.sh: %v", err)
	}
	image := strings.TrimSpace(string(out))
	deployed := "" // a commit that .env names, as builds do: it is no secret
	env := func(h *host, extra string) {
		deployed = h.tree.Head()
		h.tree.Write(".env", "GIT_SHA="+deployed+"\nCOMPOSE_PROJECT_NAME="+h.project+"\nBASE_IMAGE="+image+"\nROOT_SECRET='"+strings.ReplaceAll(canary(canaryRoot), "'", `\'`)+"'\n"+extra)
		h.tree.Write("app.env", "APP_SECRET='"+strings.ReplaceAll(canary(canaryApp), "'", `\'`)+"'\n")
		h.tree.Write("deep.secret", canary(canaryDeep)+"\n")
	}
	h := newHost(t, "landfall.yaml", map[string]string{
		"landfall.yaml": canaryConfig, "compose.yml": canaryCompose, ".gitignore": ".env\napp.env\ndeep.secret\n",
		"code/run.sh": canaryShell + "exec sleep 1000000\n", "code/prepare.sh": "#!/bin/sh\n" + canaryShell,
		"built/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG PASSWORD\nCOPY one /one\n", "built/one": "one\n",
	})
	env(h, "")
	h.compose("", nil, "up", "--detach", "--build")
	t.Cleanup((&shop{h}).removePins)
	h.stamp(h.tree.Head())
	h.startAgent()
	channel, err := discordtest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	commands := listenToCommands()

	var said strings.Builder
	for _, c := range []struct {
		name   string
		files  map[string]string
		before func()
		code   int
	}{
		{"succeeds", map[string]string{"code/new.txt": "x"}, nil, 0},
		{"nothing to do", map[string]string{"other.txt": "x"}, nil, 0},
		{"script fails", map[string]string{"code/prepare.sh": "#!/bin/sh\n" + canaryShell + "exit 3\n"}, nil, 1},
		{"container ends", map[string]string{"code/prepare.sh": "#!/bin/sh\n", "code/run.sh": canaryShell + "exit 4\n"}, nil, 4},
		{"image is named by a secret", map[string]string{"code/run.sh": "exec sleep 1000000\n", "compose.yml": strings.Replace(canaryCompose, "image: ${BASE_IMAGE}", "image: ${ROOT_SECRET}", 1)}, nil, 1},
		{"port is a secret", map[string]string{"compose.yml": strings.Replace(canaryCompose, "    init: true", "    ports: [\"${ROOT_SECRET}:80\"]\n    init: true", 1)}, nil, 1},
		{"memory is a secret", map[string]string{"compose.yml": strings.Replace(canaryCompose, "    init: true", "    mem_limit: ${ROOT_SECRET}\n    init: true", 1)}, nil, 1},
		{"a variable is missing", map[string]string{"compose.yml": strings.Replace(canaryCompose, "    init: true", "    hostname: ${NOT_THERE:?${ROOT_SECRET}}\n    init: true", 1)}, nil, 1},
		{"build fails", map[string]string{"compose.yml": canaryCompose, "built/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG PASSWORD\nCOPY ${PASSWORD} /one\n"}, nil, 1},
		{"env file is broken", map[string]string{"code/more.txt": "x"}, func() {
			h.tree.Write("app.env", canary(canaryApp)+"\nexport\n"+canary(canaryLines)+" = {{{\n")
		}, 1},
		{".env is broken", map[string]string{"code/more.txt": "y"}, func() {
			env(h, canary(canaryLines)+"\n\"unterminated "+canary(canaryLines)+"\n")
		}, 1},
		{"mended", map[string]string{"built/Dockerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY one /one\n"}, func() { env(h, "") }, 0},
	} {
		if c.before != nil {
			c.before()
		}
		sha := h.push(c.name, c.files)
		summary := filepath.Join(h.ids, "summary")
		for _, progress := range []string{"actions"} {
			a := h.command([]string{"GITHUB_STEP_SUMMARY=" + summary, "GITHUB_OUTPUT=" + summary, "DISCORD_WEBHOOK_URL=" + channel.WebhookURL()}, "run", "--no-gate", "--sha", sha, "--progress", progress, "--config", filepath.Join(h.dev.Dir, h.config),
				"--agent", h.address, "--identity", filepath.Join(h.ids, "deployer"))
			said.WriteString(c.name + "\n" + a.stdout + a.stderr)
			if c.code == 0 && a.code != 0 || c.code != 0 && a.code == 0 {
				t.Errorf("%s: exit code %d\n%s", c.name, a.code, a.stdout+a.stderr)
			}
		}
		for _, args := range [][]string{{"show"}, {"show", "--format", "json"}, {"status"}, {"status", "--format", "json"}, {"history"}, {"history", "--format", "json"}, {"probe"}, {"plan", "--sha", sha}, {"logs", "--tail", "all"}} {
			a := h.coordinate("observer", args...)
			said.WriteString(a.stdout + a.stderr)
		}
		raw, _ := os.ReadFile(summary) // not every end writes one
		said.Write(raw)
	}
	for _, command := range []string{"history", "status"} {
		if a := h.coordinate("observer", command, "--format", "json"); !strings.Contains(a.stdout, map[string]string{"history": deployed, "status": h.tree.Head()}[command]) {
			t.Errorf("%s names no commit, because .env names it, too:\n%s", command, a.stdout)
		}
	}
	trail := h.coordinate("operator", "audit", "--format", "json")
	log := &h.agent.log
	h.stopAgent()
	check, _ := exec.Command(h.agentProgram(), "check", "--config", h.agentYAML()).CombinedOutput() // the side of those that are not good is searched, too

	texts := map[string]string{
		"what people and jobs were told": said.String(), "the agent's log": log.String(), "the audit trail": trail.stdout + trail.stderr,
		"check": string(check), "command lines": commands(),
	}
	for _, m := range channel.Messages() {
		texts["Discord"] += m.Raw + "\n"
	}
	for _, where := range []string{"the audit trail", "check", "command lines", "Discord"} {
		if len(texts[where]) < 100 {
			t.Errorf("%s: the test heard nothing: %q", where, texts[where])
		}
	}
	if err := filepath.WalkDir(h.state, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(h.state, path)
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(rel, "side") { // the side tree is the repository's
			return err
		}
		raw, err := os.ReadFile(path)
		texts["state_dir/"+rel] = string(raw)
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 && strings.HasSuffix(rel, ".db") {
			t.Errorf("%s may be read by others: %v", rel, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(texts["what people and jobs were told"], "[redacted]") {
		t.Error("nothing was redacted: the test heard nothing")
	}
	for where, text := range texts {
		for _, place := range []string{canaryRoot, canaryApp, canaryDeep, canaryLines} {
			for _, song := range songs(place) {
				if at := strings.Index(text, song); at >= 0 {
					lines := strings.Split(text, "\n")
					i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, song) })
					t.Errorf("%s sings of %s (%q): %.300s", where, place, song, lines[max(0, i)])
				}
			}
		}
	}
}
