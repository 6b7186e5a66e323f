package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// look asks every look command, as text and as JSON.
func (f *fleet) look() {
	f.t.Helper()
	f.coordinate("observer", "status").expect(f.t, 0, f.tree.Head()[:12], "11 of 11 services ready", "postgres", "core", "metrics")
	f.coordinate("observer", "history").expect(f.t, 0, "SUCCEEDED", "SUPERSEDED", "deployer/deployer")
	f.coordinate("observer", "show", "2").expect(f.t, 0, "op-2-", "build/api/1", "apply/api/2", "SUCCEEDED")
	f.coordinate("observer", "plan", "--base", "HEAD~1").expect(f.t, 0, "metrics/collector/message.txt", "collector", "caddy")
	f.coordinate("observer", "plan", "--base", "HEAD~1", "--format", "markdown").expect(f.t, 0, "metrics/collector/message.txt")
	f.coordinate("observer", "probe").expect(f.t, 0, "containers", "postgres")
	f.coordinate("observer", "probe", "containres").expect(f.t, 2, "containres")
	f.coordinate("observer", "show", "no-such").expect(f.t, 2, "no-such")
	f.coordinate("deployer", "attach", "2", "--progress", "json").expect(f.t, 0, `"sequence":"1"`, "SUCCEEDED")

	for _, args := range [][]string{{"status"}, {"history"}, {"show"}, {"plan", "--base", "HEAD~1"}, {"probe"}} {
		a := f.coordinate("observer", append(args, "--format", "json")...)
		a.expect(f.t, 0)
		for _, line := range strings.Split(strings.TrimSpace(a.stdout), "\n") {
			if !json.Valid([]byte(line)) {
				f.t.Errorf("%v --format json printed a line that is no JSON: %s", args, line)
			}
		}
	}
	a := f.coordinate("observer", "show", "no-such", "--format", "json")
	if a.code != 2 || !json.Valid([]byte(a.stderr)) || !strings.Contains(a.stderr, "UNKNOWN_OPERATION") {
		f.t.Errorf("an error in JSON: exit code %d, %s", a.code, a.stderr)
	}
}

// grpcurl is a first-class client: reflection, health and diagnostics with an observer's certificate.
func (f *fleet) grpcurl() {
	f.t.Helper()
	tool, err := exec.Command("../tools/tool.sh", "grpcurl").Output()
	if err != nil {
		f.t.Fatalf("scripts/tools/tool.sh grpcurl: %v", err)
	}
	call := func(args ...string) (string, error) {
		dir := filepath.Join(f.ids, "observer")
		args = append([]string{"-cacert", filepath.Join(dir, "ca.pem"), "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem")}, args...)
		out, err := exec.Command(strings.TrimSpace(string(tool)), args...).CombinedOutput()
		return string(out), err
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{f.address, "list"}, "landfall.v1.DiagnosticsService"},
		{[]string{f.address, "describe", "landfall.v1.DiagnosticsService.GetHost"}, "rpc GetHost"},
		{[]string{f.address, "landfall.v1.DiagnosticsService/GetHost"}, f.tree.Head()},
		{[]string{f.address, "landfall.v1.DiagnosticsService/ListServices"}, `"name": "postgres"`},
		{[]string{"-d", `{"names":["postgres"]}`, f.address, "landfall.v1.DiagnosticsService/Probe"}, "PROBE_OUTCOME_PASSED"},
		{[]string{f.address, "landfall.v1.GitOpsService/GetGitOps"}, "status"},
		{[]string{"-d", `{"service":"landfall.v1.DeployService"}`, f.address, "grpc.health.v1.Health/Check"}, "SERVING"},
	} {
		out, err := call(c.args...)
		if err != nil || !strings.Contains(out, c.want) {
			f.t.Errorf("grpcurl %v: %v\n%s", c.args, err, out)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-d", `{"reason":"x"}`, f.address, "landfall.v1.GitOpsService/Pause"}, "PermissionDenied"},
		{[]string{"-d", `{"command_id":"x","rollback":{}}`, f.address, "landfall.v1.DeployService/Execute"}, "PermissionDenied"},
		{[]string{"-d", `{"services":["nothing-like-it"]}`, f.address, "landfall.v1.DiagnosticsService/TailLogs"}, "UNKNOWN_SERVICE"},
	} {
		if out, err := call(c.args...); err == nil || !strings.Contains(out, c.want) {
			f.t.Errorf("grpcurl %v: want %s, got %v\n%s", c.args, c.want, err, out)
		}
	}
}

// rotate renews both certificates while the agent runs; nothing is restarted.
func (f *fleet) rotate() {
	f.t.Helper()
	pid := f.agent.cmd.Process.Pid
	before, err := os.ReadFile(filepath.Join(f.ids, "agent", "cert.pem"))
	if err != nil {
		f.t.Fatal(err)
	}
	end := func() string {
		var host struct {
			Expire string `json:"certificate_expire_time"`
		}
		a := f.coordinate("observer", "status", "--format", "json")
		line, _, _ := strings.Cut(a.stdout, "\n")
		if err := json.Unmarshal([]byte(line), &host); err != nil {
			f.t.Fatalf("%v: %s", err, a.stdout)
		}
		return host.Expire
	}
	was := end()
	f.must("identity", "renew", "agent", "--dir", f.ids, "--valid-for", "2000h")
	f.must("identity", "renew", "observer", "--dir", f.ids)
	after, err := os.ReadFile(filepath.Join(f.ids, "agent", "cert.pem"))
	if err != nil {
		f.t.Fatal(err)
	}
	if string(before) == string(after) || end() == was || end() == "" {
		f.t.Errorf("the agent still shows the old certificate, which ends %s", was)
	}
	if f.agent.cmd.Process.Pid != pid {
		f.t.Error("the agent was restarted")
	}
}
