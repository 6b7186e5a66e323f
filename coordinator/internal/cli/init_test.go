package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestInitMakesATreeThatChecks(t *testing.T) {
	bare(t)
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{
		"compose.yml":    "services:\n  web:\n    build: ./web\n    volumes: ['./caddy:/etc/caddy:ro']\n  db: {image: 'postgres:17'}\n",
		"web/Dockerfile": "FROM scratch\n", "caddy/Caddyfile": ":80\n", "README.md": "x\n",
	})
	t.Chdir(filepath.Join(repo.Dir, "web"))
	o := landfall(t, "init", "--project", "fleet", "--coordinator-version", "v1.2.3")
	o.expect(t, 0, "landfall-coordinator check")
	if !strings.HasPrefix(o.out, "wrote landfall.yaml\n") || !strings.Contains(o.out, "wrote .github/workflows/deploy.yml") {
		t.Errorf("stdout: %s", o.out)
	}
	landfall(t, "check").expect(t, 0)
	made := repo.Read("landfall.yaml")
	landfall(t, "init").expect(t, 2, "landfall.yaml")
	if repo.Read("landfall.yaml") != made {
		t.Error("landfall.yaml was overwritten")
	}
	repo.Commit("init", nil)
	landfall(t, "plan", "--base", "HEAD~1").expect(t, 0)
}

func TestInitWithoutComposeFiles(t *testing.T) {
	bare(t)
	dir := t.TempDir()
	t.Chdir(dir)
	landfall(t, "init").expect(t, 2, "compose")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("something was written: %v, %v", entries, err)
	}
}
