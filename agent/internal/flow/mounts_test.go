package flow_test

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/agent/internal/picture"

	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

func TestPathsTouch(t *testing.T) {
	changed := picture.Paths{"conf", "conf-d/b", "site/a/index.html", "site/b", "zone.txt"}
	for at, want := range map[string]bool{
		"zone.txt": true, "site": true, "site/a": true, "site/a/index.html": true, "site/a/index": false, "site/c": false,
		"conf/app.conf": true, "conf/deep/app.conf": true, "conf": true, "conf-d": true, "conf-d/b": true, "conf-d/c": false, "con": false,
		"zone": false, "other": false, ".": true, "site/b/below": true,
	} {
		if got := changed.Touch(at); got != want {
			t.Errorf("Touch(%q) is %v", at, got)
		}
	}
	for _, at := range []string{".", "a", "a/b"} {
		if (picture.Paths{}).Touch(at) {
			t.Errorf("nothing changed, and yet %q did", at)
		}
		if !(picture.Paths{picture.AnyPath}).Touch(at) {
			t.Errorf("anything may have changed, and yet %q did not", at)
		}
	}
}

// mounted is the sample fleet whose database shows a file, and is only ever brought up.
func mounted() map[string]string {
	files := hosttest.Files()
	files["compose.yml"] = "app\ndatabase mount:conf/database.conf\n"
	files["conf/database.conf"] = "one"
	files[hosttest.ConfigPath] = strings.Replace(files[hosttest.ConfigPath], "  docs:", "  conf: {paths: [\"conf/**\"], actions: [everything]}\n  docs:", 1)
	return files
}

// TestMountedFilesThatChanged: an up recreates the service that shows them, also where the change came by an
// operation that never ended well, and no other.
func TestMountedFilesThatChanged(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"the file itself":        {map[string]string{"conf/database.conf": "two"}, true},
		"another file beside it": {map[string]string{"conf/other.conf": "two"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.deployed(b.Push(mounted()))
				before := b.ContainerIDs()
				b.deployed(b.Push(c.files))
				after := b.ContainerIDs()
				for key, id := range after {
					if fresh := before[key] != id; fresh != (c.want && key == "core/database") {
						t.Errorf("%s has a new container: %v", key, fresh)
					}
				}
			})
		})
	}
	t.Run("what a failed rollback left running", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			b.deployed(b.Push(mounted()))
			bad := b.Push(map[string]string{"conf/database.conf": "two"})
			b.FailAt("Runtime.Run apply/everything/2", fault.New(fault.Failed, "UP_FAILED", "exit code 1"))
			b.FailAt("Restorer.Carry", fault.New(fault.Failed, "ENGINE", "it broke"))
			if op := b.judged(b.deploy(bad).ID); op.State != operation.RollbackFailed {
				t.Fatalf("ended in %s", op.State)
			}
			b.On("Runtime.Run apply/everything/2", nil)
			b.On("Restorer.Carry", nil)
			before := b.ContainerIDs()["core/database"]
			if op := b.deployAll(b.Push(map[string]string{"conf/database.conf": "one"})); op.State != operation.Succeeded {
				t.Fatalf("ended in %s, %+v", op.State, op.Failure)
			}
			if w := b.World(); b.ContainerIDs()["core/database"] == before || w.Loaded["core/database"] != w.Head {
				t.Error("the database goes on with what the failed rollback left")
			}
		})
	})
	t.Run("a base that is lost", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			b.deployed(b.Push(mounted()))
			before := b.ContainerIDs()["core/database"]
			target := b.Push(map[string]string{"compose.yml": "app\ndatabase mount:conf/database.conf\nlate\n"})
			op := b.until(b.deploy(target).ID, operation.AwaitingVerify)
			if got := b.ContainerIDs()["core/database"]; got != before {
				t.Errorf("the database was replaced, and nothing of it changed: %+v", op.Warnings)
			}
			b.judged(op.ID)
			b.FailAt("Commits.Changes", fault.New(fault.NotFound, "UNKNOWN_COMMIT", "it is gone"))
			if op := b.deployAll(b.Push(map[string]string{"docs/a.md": "a"})); op.State != operation.Succeeded || b.ContainerIDs()["core/database"] == before {
				t.Errorf("ended in %s, and the database kept its container", op.State)
			}
		})
	})
}
