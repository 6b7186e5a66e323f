package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// keeper is a service that keeps what it is given at /data.
func keeper(name, volumes string, more ...string) string {
	return sleeper(name, append([]string{"volumes: [" + volumes + "]"}, more...)...)
}

// What is in volumes without names is lost by no operation, and by none without a word: the test reads it from the containers, before and after.
func TestVolumesWithoutNames(t *testing.T) {
	t.Parallel()
	declared := "  declared: {build: ./declared, image: PROJECT-declared, init: true, stop_grace_period: 1s, command: [sleep, \"1000000\"]}\n"
	files := func(services string, more ...string) map[string]string {
		f := everyday(services, more...)
		f["declared/Dockerfile"] = "FROM BASE\nVOLUME /data\n"
		return f
	}
	var volumes []string
	t.Cleanup(func() { _ = exec.Command("docker", append([]string{"volume", "rm", "--force"}, volumes...)...).Run() }) // handed on, they have a name to the engine
	db, twins := keeper("db", `"/data"`), func(n int) string { return keeper("twins", `"/data"`, fmt.Sprintf("scale: %d", n)) }
	y := newYard(t, files(sleeper("app")+db+twins(2)+declared), "compose.yml")
	y.startAgent()
	all := []string{"db-1", "twins-1", "twins-2", "declared-1"}
	for _, c := range all {
		y.docker("exec", y.project+"-"+c, "sh", "-c", "echo "+c+" > /data/rows")
	}
	for _, c := range y.inspectAll() {
		for _, m := range c.Mounts {
			volumes = append(volumes, m.Name)
		}
	}
	kept := func(t *testing.T) {
		t.Helper()
		for _, c := range all {
			if out, err := y.try("exec", y.project+"-"+c, "cat", "/data/rows"); err != nil || strings.TrimSpace(out) != c {
				t.Errorf("%s finds the data %q, %v", c, out, err)
			}
		}
		if left := y.docker("ps", "-aq", "--filter", "name=landfall-carrier", "--filter", "label=com.docker.compose.project="+y.project); len(left) > 0 {
			t.Errorf("carriers are left: %v", left)
		}
	}
	for what, services := range map[string]string{
		"services leave":       "",
		"replicas are fewer":   db + twins(1) + declared,
		"volumes get names":    keeper("db", `"rows:/data"`) + keeper("twins", `"rows:/data"`, "scale: 2") + strings.Replace(declared, "{", `{volumes: ["rows:/data"], `, 1),
		"a folder of the host": keeper("db", `"./declared:/data"`) + twins(2) + declared,
		"memory":               keeper("db", `{type: tmpfs, target: /data}`) + twins(2) + declared,
	} {
		t.Run(what+" with a commit that fails", func(t *testing.T) {
			defer y.in(t)()
			y.comesBack(y.commit(what, files(broken("app")+services, "volumes: {rows: {}}\n")))
			kept(t)
			y.clean()
		})
	}
	t.Run("services leave for good, and a person goes back", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		y.deploys(y.commit("they leave", files(sleeper("app"))), 0, "SUCCEEDED", "db leaves: what it has at /data stays behind in volume")
		op := y.newest()
		for _, c := range before.containers[y.project+"/db"] {
			volume, _, _ := strings.Cut(c.volumes[0], " ")
			if !slices.ContainsFunc(op.Warnings, func(w string) bool { return strings.Contains(w, volume) }) {
				t.Errorf("nothing tells of volume %s: %q", volume, op.Warnings)
			}
		}
		y.coordinate("deployer", "rollback", "--operation", op.ID).expect(t, 0, "SUCCEEDED", "4 of 4 services run what ran before")
		y.like(before, y.newest())
		kept(t)
		y.clean()
	})
	t.Run("what is pruned is told", func(t *testing.T) {
		defer y.in(t)()
		before := y.truth()
		y.deploys(y.commit("db leaves again", files(sleeper("app")+twins(2)+declared)), 0, "SUCCEEDED")
		volume, _, _ := strings.Cut(before.containers[y.project+"/db"][0].volumes[0], " ")
		y.docker("volume", "rm", volume)
		y.coordinate("deployer", "rollback", "--operation", y.newest().ID).expect(t, 0, "SUCCEEDED", "db starts empty at /data")
		if out, err := y.try("exec", y.project+"-db-1", "ls", "-A", "/data"); err != nil || out != "" {
			t.Errorf("db finds %q, %v", out, err)
		}
	})
}
