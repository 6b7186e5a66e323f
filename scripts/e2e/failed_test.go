package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt" //nolint:depguard // to write what an older agent may have left
)

// An operation that nothing can take up, because its record does not tell what ran before it, ends in FAILED: that is
// told with what runs and what does not, with exit code 5, and the next deploy does everything.
func TestFailed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.startAgent()
	before := s.look()
	gate := filepath.Join(s.ids, "gate")
	sha := s.push("cut off", map[string]string{"app/run.sh": serves("cut off"), "app/prepare.sh": gated(gate)})
	s.detached(sha)
	s.logged("app/prepare.sh", 20*time.Second)
	s.kill()
	s.docker("stop", "--time", "1", s.project+"-store-1") // a power cut is not alone
	s.forget()
	s.startAgent()

	op := s.ended(20 * time.Second)
	if op.State != "FAILED" || op.Failure.Reason != "AGENT_RESTARTED" || op.Target != sha || op.Ended.IsZero() {
		t.Errorf("%s of %s: %s", op.State, op.Target, op.Failure.Reason)
	}
	for _, text := range []string{"the agent ended in BUILDING", "does not tell what ran before", "running: shop/app, shop/job, shop/side", "not running: shop/store"} {
		if !strings.Contains(op.Failure.Message, text) {
			t.Errorf("%q is not said: %s", text, op.Failure.Message)
		}
	}
	for _, step := range op.Steps {
		if step.Outcome == "" || step.Outcome == "STEP_OUTCOME_UNSPECIFIED" {
			t.Errorf("step %s of an operation that has ended is open", step.ID)
		}
	}
	s.gapless(op.ID)
	s.tidy()
	s.kept(before.containers)
	s.coordinate("deployer", "attach", op.ID).expect(t, 5, "FAILED", "not running: shop/store", "a person is needed")
	s.coordinate("observer", "show", op.ID).expect(t, 0, "FAILED", "AGENT_RESTARTED", "shop/store", "timeline")
	s.coordinate("observer", "history").expect(t, 0, op.ID, "FAILED", "AGENT_RESTARTED")
	if s.readStamp() != before.stamp || s.sentinel("gitops-paused")["operation"] != op.ID {
		t.Errorf("stamp %s, paused by %v; want %s, %s", s.readStamp(), s.sentinel("gitops-paused")["operation"], before.stamp, op.ID)
	}
	s.docker("start", s.project+"-store-1")
	s.deploys(s.push("mended", map[string]string{"app/prepare.sh": "#!/bin/sh\n"}), 0, "SUCCEEDED", "ended in FAILED")
	s.coordinate("observer", "probe").expect(t, 0)
}

// forget takes from the newest operation's record what ran before it, as if an agent had written it that did not
// remember that. No agent runs.
func (s *shop) forget() {
	s.t.Helper()
	db, err := bbolt.Open(filepath.Join(s.state, "journal.db"), 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	forgotten := 0
	err = db.Update(func(tx *bbolt.Tx) error {
		all := tx.Bucket([]byte("events"))
		newest, _ := all.Cursor().Last()
		events := all.Bucket(newest)
		return events.ForEach(func(key, raw []byte) error {
			var event, past map[string]json.RawMessage
			if err := json.Unmarshal(raw, &event); err != nil || event["pre_deploy"] == nil {
				return err
			}
			if err := json.Unmarshal(event["pre_deploy"], &past); err != nil || past["before"] == nil {
				return err
			}
			delete(past, "before")
			forgotten++
			if event["pre_deploy"], err = json.Marshal(past); err != nil {
				return err
			}
			changed, err := json.Marshal(event)
			if err != nil {
				return err
			}
			return events.Put(key, changed)
		})
	})
	if closed := db.Close(); err != nil || closed != nil || forgotten == 0 {
		s.t.Fatalf("%d events changed, %v, %v", forgotten, err, closed)
	}
}
