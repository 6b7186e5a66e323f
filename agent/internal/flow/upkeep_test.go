package flow_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/hosttest"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
)

// keeping is a small fleet with an image of each origin, and a migration.
func keeping() map[string]string {
	files := small("app mount:config\ndatabase pulled:postgres:16\nweb shares:app\n", "mailer replicas:2\n")
	files[hosttest.ConfigPath] = strings.Replace(files[hosttest.ConfigPath], "flags:", "migrate: {script: migrate.sh}\nflags:", 1)
	files["migrations/001_first.sql"] = "create table t ();"
	return files
}

// upkeepStory tells an upkeep of a host that runs the fleet.
func upkeepStory(begin func(e *flow.Flows) (operation.Operation, bool, error), since, trouble func(h *hosttest.Host), ends ...operation.State) hosttest.Story {
	return hosttest.Story{
		Before: func(h *hosttest.Host) error {
			empty := hosttest.Files()
			for path := range empty {
				empty[path] = ""
			}
			for path, content := range keeping() {
				empty[path] = content
			}
			if _, err := h.Deployed(h.Push(empty)); err != nil {
				return err
			}
			if since != nil {
				since(h)
			}
			return nil
		},
		Trouble: func(h *hosttest.Host) {
			if trouble != nil {
				trouble(h)
			}
		},
		Command: func(_ *hosttest.Host, e *flow.Flows) (operation.Operation, error) {
			op, _, err := begin(e)
			return op, err
		},
		Ends: ends,
	}
}

func restartOf(services ...string) func(e *flow.Flows) (operation.Operation, bool, error) {
	return func(e *flow.Flows) (operation.Operation, bool, error) {
		return e.Restart(context.Background(), flow.RestartRequest{CommandID: "the-restart", Requester: "operator/test", Services: services})
	}
}

func migrating(e *flow.Flows) (operation.Operation, bool, error) {
	return e.Migrate(context.Background(), flow.MigrateRequest{CommandID: "the-migration", Requester: "operator/test"})
}

// drifted are deeds of each verb: a service that is missing, one that stopped, one that is outdated, one that is not well.
func drifted(h *hosttest.Host) {
	h.ChangeContainer("extra", "mailer", nil)
	h.ChangeContainer("core", "database", func(c *picture.Container) { c.State, c.ExitCode = "exited", 1 })
	h.Tag("core/app", hosttest.ImageAt("newer", "core", "app"))
}

var deeds = []picture.Deed{
	{Key: picture.Key{Project: "extra", Service: "mailer"}, Verb: picture.Start},
	{Key: picture.Key{Project: "core", Service: "database"}, Verb: picture.Start},
	{Key: picture.Key{Project: "core", Service: "app"}, Verb: picture.Recreate},
}

func repairing(e *flow.Flows) (operation.Operation, bool, error) {
	return e.Repair(context.Background(), flow.RepairRequest{CommandID: "the-repair", Requester: "agent/converge", Subject: "core/app, core/database, extra/mailer", Deeds: deeds})
}

const newImage = "sha256:feedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeed"

func updating(e *flow.Flows) (operation.Operation, bool, error) {
	return e.Repair(context.Background(), flow.RepairRequest{
		CommandID: "the-update", Requester: "agent/converge", Subject: "postgres:16", Deeds: []picture.Deed{{Key: picture.Key{Project: "core", Service: "database"}, Verb: picture.Recreate}},
		Image: &operation.Image{Ref: "postgres:16", Digest: newImage},
	})
}

func published(h *hosttest.Host) { h.Publish("postgres:16", newImage) }

// badWhile makes the probe web fail while a service runs an image.
func badWhile(project, service, image string) func(h *hosttest.Host) {
	return func(h *hosttest.Host) {
		h.Answer("web", func(int) operation.ProbeResult {
			if c, ok := h.Container(project, service); ok && c.ImageID == image {
				return bad("crash loop")
			}
			return good("good")
		})
	}
}

func fails(label string) func(h *hosttest.Host) {
	return func(h *hosttest.Host) { h.FailAt(label, fault.New(fault.Failed, "BROKEN", "it broke")) }
}

func upkeepStories() map[string]hosttest.Story {
	badUpdate := upkeepStory(updating, published, badWhile("core", "database", newImage), operation.RolledBack)
	badUpdate.Blocks, badUpdate.BlocksImage = true, newImage
	newApp := hosttest.ImageAt("newer", "core", "app")
	return map[string]hosttest.Story{
		"restart":                      upkeepStory(restartOf(), nil, nil, operation.Succeeded),
		"restart of an owner":          upkeepStory(restartOf("app"), nil, nil, operation.Succeeded),
		"restart fails":                upkeepStory(restartOf(), nil, fails("Engine.Restart extra/mailer"), operation.RolledBack),
		"restart of nobody":            upkeepStory(restartOf("ap"), nil, nil, operation.FailedUntouched),
		"migration alone":              upkeepStory(migrating, nil, nil, operation.Succeeded),
		"migration alone fails":        upkeepStory(migrating, nil, fails("Scripts.Migrate"), operation.RolledBack),
		"repair":                       upkeepStory(repairing, drifted, nil, operation.Succeeded),
		"repair that cannot make":      upkeepStory(repairing, drifted, fails("Engine.Create extra/mailer"), operation.RolledBack),
		"repair that comes to no good": upkeepStory(repairing, drifted, badWhile("core", "app", newApp), operation.RolledBack),
		"repair of an edited tree": upkeepStory(repairing, func(h *hosttest.Host) {
			drifted(h)
			h.Edit("compose.yml", "app\n")
		}, nil, operation.FailedUntouched),
		"update":                       upkeepStory(updating, published, nil, operation.Succeeded),
		"update that cannot be had":    upkeepStory(updating, published, fails("Restorer.Rebuild"), operation.FailedUntouched),
		"update that comes to no good": badUpdate,
	}
}

// An upkeep does what its words say, to what it names and to nothing else.
func TestUpkeep(t *testing.T) {
	play := func(t *testing.T, story hosttest.Story, check func(b *bench, before map[string]string, op operation.Operation)) {
		t.Helper()
		inBubble(t, func(b *bench) {
			if err := story.Before(b.Host); err != nil {
				b.t.Fatal(err)
			}
			time.Sleep(time.Second)
			story.Trouble(b.Host)
			before := b.ContainerIDs()
			op, err := story.Command(b.Host, b.engine)
			if err != nil {
				b.t.Fatal(err)
			}
			check(b, before, b.ended(op.ID))
		})
	}
	replaced := func(b *bench, before map[string]string) []string {
		var names []string
		for name, id := range b.ContainerIDs() {
			if before[name] != id {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	all := upkeepStories()
	t.Run("a restart keeps every container and starts each anew", func(t *testing.T) {
		play(t, all["restart"], func(b *bench, before map[string]string, op operation.Operation) {
			if op.State != operation.Succeeded || len(replaced(b, before)) > 0 || op.Kind != operation.KindRestart {
				b.t.Errorf("%s: %+v, replaced %v", op.State, op.Failure, replaced(b, before))
			}
			for _, s := range [][2]string{{"core", "app"}, {"core", "database"}, {"core", "web"}, {"extra", "mailer"}} {
				if c, _ := b.Container(s[0], s[1]); c.Started.Before(op.Created) {
					b.t.Errorf("%v was not started anew", s)
				}
			}
		})
	})
	t.Run("a service that nothing has", func(t *testing.T) {
		play(t, all["restart of nobody"], func(b *bench, _ map[string]string, op operation.Operation) {
			if op.Failure == nil || op.Failure.Reason != "UNKNOWN_SERVICE" || op.Failure.Hint != `did you mean "app"?` {
				b.t.Errorf("%+v", op.Failure)
			}
		})
	})
	t.Run("a repair touches what drifted, and who lives in its namespaces", func(t *testing.T) {
		play(t, all["repair"], func(b *bench, before map[string]string, op operation.Operation) {
			want := []string{"core/app", "core/web", "extra/mailer"}
			if got := replaced(b, before); op.State != operation.Succeeded || !slices.Equal(got, want) {
				b.t.Errorf("%s: %+v, replaced %v, want %v", op.State, op.Failure, got, want)
			}
			if c, _ := b.Container("core", "database"); c.State != "running" {
				b.t.Errorf("the database is %s", c.State)
			}
		})
	})
	t.Run("an update that comes to no good goes back, and its digest is blocked", func(t *testing.T) {
		play(t, all["update that comes to no good"], func(b *bench, _ map[string]string, op operation.Operation) {
			c, _ := b.Container("core", "database")
			if w := b.World(); op.State != operation.RolledBack || c.ImageID == newImage || !slices.Equal(w.Blocked, []string{newImage}) || w.Pause != "" {
				b.t.Errorf("%s, %s, blocked %v, paused %q", op.State, c.ImageID, w.Blocked, w.Pause)
			}
		})
	})
	t.Run("an upkeep is no version that one goes back to", func(t *testing.T) {
		play(t, all["restart"], func(b *bench, _ map[string]string, op operation.Operation) {
			remembered, err := b.engine.Remembered()
			if err != nil || len(remembered) != 2 {
				b.t.Errorf("%v, %v", remembered, err)
			}
		})
	})
}
