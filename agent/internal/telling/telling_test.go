package telling

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/notify"
)

const (
	deploy = operation.KindDeploy
	repair = operation.KindRepair
)

func TestOneMessageAnIncidentAndARecoveryThatLinksBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.ends(op("op-1", deploy, operation.FailedUntouched, failure))
		w.expect("shop: deploy failed, nothing was touched & feat\\: x & PROBE_FAILED & NOT Over & boom")
		w.ends(op("op-2", deploy, operation.FailedUntouched, failure)) // the next tick tries again
		w.ends(op("op-3", deploy, operation.RolledBack, failure))
		w.expect("shop: deploy failed and was rolled back") // the same message
		w.reboot()
		w.ends(op("op-4", deploy, operation.Succeeded, to(shaB)))
		first := w.discord.Messages()[0]
		w.expect("shop: deploy failed and was rolled back & Over: & deploy works again, after the same once more",
			"shop: deploy works again & https://discord.com/channels/"+discordtest.Guild+"/"+discordtest.Channel+"/"+first.ID)
		if first.Edits != 2 {
			t.Errorf("the incident's message was edited %d times", first.Edits)
		}
		w.ends(op("op-5", deploy, operation.Succeeded))
		w.pass(2 * time.Second) // Discord takes five in two seconds
		w.expect("", "", "shop: deployed & NOT channels/")
	})
}

func TestNeverTwiceOverRestarts(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.set(func() {
			w.pause = &ports.Pause{Reason: "holidays", Owner: "operator/chris", Created: time.Now(), Expires: time.Now().Add(4 * time.Hour)}
		})
		w.blocks = []ports.Blocked{
			{SHA: shaA, Operation: "op-1", Reason: "bad", Created: time.Now().Add(-21 * time.Hour)},
			{SHA: "sha256:" + strings.Repeat("ab", 32), Operation: "op-0", Reason: "postgres:16: bad", Created: time.Now().Add(-48 * time.Hour)}, // told as the update that went back
		}
		w.ends(op("op-1", repair, operation.Succeeded))
		for range 30 {
			w.teller.Observe(verdict(Red, time.Now().Add(-30*time.Hour)))
			w.teller.Ended(operation.Operation{})
			w.pass(11 * time.Minute)
			w.reboot()
		}
		w.expect("Repair done & core/web", "CI is red on the head for a day", "Over", "blocked for a day & bad & op-1")
		if m := w.said()[2]; !strings.Contains(m, "pause of convergence is about to run out") || !strings.Contains(m, "holidays") {
			t.Error(m)
		}
		if n := w.outbox(); n > 0 {
			t.Errorf("%d letters are left", n)
		}
	})
}

// What ended before somebody was named to be told is not news.
func TestTheFirstStartTellsNothingOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 120 {
			o := op(times(i, "op-%d"), deploy, operation.Succeeded)
			o.Number = uint64(i + 1)
			w.ops = append(w.ops, o)
		}
		w.ops[119].State = operation.Applying
		w.boot()
		defer func() { w.teller.Close() }()
		w.pass(time.Hour)
		w.expect()
		w.set(func() { w.ops[119].State = operation.Succeeded }) // it was taken up
		w.teller.Ended(operation.Operation{})
		synctest.Wait()
		w.expect("deployed")
		senders := w.config.Senders
		w.config.Senders = nil // nobody is told for a while
		w.reboot()
		w.ends(op("op-n", deploy, operation.Succeeded))
		w.config.Senders = senders
		w.reboot()
		w.pass(time.Hour)
		w.expect("deployed")
	})
}

func TestDiscordIsDownForAnHour(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func() *discordtest.Answer{
		"refused": func() *discordtest.Answer { return nil },
		"503":     func() *discordtest.Answer { return &discordtest.Answer{Status: 503, Body: "<html>"} },
		"502":     func() *discordtest.Answer { return &discordtest.Answer{Status: 502} },
		"429": func() *discordtest.Answer {
			return &discordtest.Answer{Status: 429, Body: `{"retry_after": 3600, "global": true}`, Header: map[string]string{"Retry-After": "3600"}}
		},
		"banned": func() *discordtest.Answer { return &discordtest.Answer{Status: 403, Body: "<html><title>Error 1015"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.set(func() { w.down = down })
				w.ends(op("op-1", deploy, operation.RolledBack, failure))
				w.pass(20 * time.Minute)
				w.ends(op("op-2", repair, operation.Succeeded))
				w.pass(20 * time.Minute)
				w.reboot() // what waits is on disk
				w.pass(20 * time.Minute)
				w.expect()
				w.set(func() { w.down = nil })
				w.pass(3 * time.Hour)
				w.expect("rolled back & NOT Over", "Repair done")
				if asked := len(w.discord.Requests()); asked > 100 {
					t.Errorf("%d requests in an hour", asked)
				}
				if n := w.outbox(); n > 0 {
					t.Errorf("%d letters are left", n)
				}
			})
		})
	}
}

// A limit that Discord tells is waited for, without a request.
func TestLimitsAreObeyed(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.discord.Next(discordtest.Answer{Status: 429, Body: `{"retry_after": 1200}`, Header: map[string]string{"Retry-After": "1200"}})
		w.ends(op("op-1", repair, operation.Succeeded))
		w.pass(19 * time.Minute)
		if n := len(w.discord.Requests()); n != 1 {
			t.Errorf("%d requests while Discord wants none", n)
		}
		w.pass(3 * time.Minute)
		w.expect("Repair done")
	})
	bubble(t, func(w *world) { // 45 at once: 5 in 2 s, 30 in a minute
		for i := range 45 {
			w.ends(op(times(i, "op-%d"), repair, operation.Succeeded, func(o *operation.Operation) { o.Signature = times(i, "%d") }))
		}
		w.pass(10 * time.Minute)
		if n := len(w.discord.Messages()); n != 45 {
			t.Errorf("%d messages", n)
		}
	})
}

// Over when Discord is back: the message says so from the start, and the recovery links to it.
func TestOverBeforeItCouldBeTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.set(func() { w.down = func() *discordtest.Answer { return nil } })
		w.ends(op("op-1", deploy, operation.RolledBack, failure))
		w.pass(45 * time.Second) // not one of the client's own attempts is under way
		w.ends(op("op-2", deploy, operation.Succeeded))
		w.set(func() { w.down = nil })
		w.pass(time.Hour)
		w.expect("rolled back & Over:", "works again & discord.com/channels")
		if m := w.discord.Messages()[0]; m.Edits != 0 {
			t.Errorf("%d edits", m.Edits)
		}
	})
}

// A request that went out and was not answered is not made again: the next message says what may be missing.
func TestALostAnswerIsNotASecondMessage(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]discordtest.Answer{"hung": {Hang: true}, "dropped": {Drop: true}, "gateway": {Status: 504}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.discord.Next(answer)
				w.ends(op("op-1", deploy, operation.RolledBack, failure))
				w.pass(time.Hour)
				w.expect()
				if n := len(w.discord.Requests()); n != 1 {
					t.Errorf("%d requests", n)
				}
				w.ends(op("op-2", repair, operation.Succeeded))
				w.pass(time.Hour)
				w.expect("Repair done & May not have arrived before: • shop\\: deploy failed and was rolled back")
				w.ends(op("op-3", operation.KindUpdate, operation.Succeeded))
				w.expect("", "Update done & NOT May not")
			})
		})
	}
}

func TestSuppressedStaysSuppressed(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.config.Senders = append(w.config.Senders, w.hookSender())
		w.reboot()
		docs := func(o *operation.Operation) { o.Flags = []string{"docs"} }
		w.ends(op("op-1", deploy, operation.Succeeded, docs))
		w.ends(op("op-2", deploy, operation.Superseded))
		w.ends(op("op-3", deploy, operation.Cancelled))
		w.ends(op("op-4", deploy, operation.RolledBack, by("deployer/atlas")))
		w.reboot()
		w.pass(25 * time.Hour)
		w.expect()
		if len(w.hooked) > 0 {
			t.Errorf("%q", w.hooked)
		}
	})
}

// The agent and Actions edit one message, whoever posted first.
func TestAMessageThatActionsPosted(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.set(func() { w.down = func() *discordtest.Answer { return nil } })
		w.ends(op("op-1", deploy, operation.RolledBack, failure))
		w.pass(time.Minute)
		// Meanwhile somebody runs notify for it, elsewhere.
		sender := w.discordSender()
		w.set(func() { w.down = nil })
		if err := sender.Ready(); err != nil {
			t.Fatal(err)
		}
		o := sender.Send(w.t.Context(), Parcel{Letter: Letter{About: "op-1", Said: Said{State: "FAILURE"}}, Filed: func(string, string) string { return "" }})
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if err := w.teller.RecordNotification("op-1", ports.Notification{Channel: o.Channel, Message: o.Message}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		w.expect("rolled back")
		if m := w.discord.Messages()[0]; m.Edits != 1 || m.ID != o.Message {
			t.Errorf("%+v", m)
		}
		w.ends(op("op-2", repair, operation.Succeeded))
		got := w.teller.Notifications("op-2")
		if len(got) != 1 || got[0].Message != w.discord.Messages()[1].ID || got[0].Channel != o.Channel {
			t.Errorf("the agent's own message is not in its record: %+v", got)
		}
		w.reboot()
		if again := w.teller.Notifications("op-2"); len(again) != 1 || again[0].Message != got[0].Message {
			t.Errorf("after a restart: %+v", again)
		}
		for _, n := range []ports.Notification{{}, {Channel: "x"}, {Message: "x"}, {Channel: strings.Repeat("x", 65), Message: "x"}, {Channel: "x", Message: strings.Repeat("x", 129)}} {
			if err := w.teller.RecordNotification("op-2", n); err == nil {
				t.Errorf("%+v is kept", n)
			}
		}
	})
}

// Whoever does something on the host himself, and tells of it, is not told of it again.
func TestAPersonOfTheHost(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.ends(op("op-1", operation.KindRestart, operation.Succeeded, by("local/root")))
		w.pass(59 * time.Second)
		w.expect()
		w.reboot()
		w.pass(2 * time.Second)
		w.expect("Restart done")
		w.ends(op("op-2", operation.KindRestart, operation.Succeeded, by("local/root")))
		hook, err := notify.ParseWebhook(w.discord.WebhookURL())
		if err == nil {
			err = w.teller.RecordNotification("op-2", ports.Notification{Channel: hook.Channel(), Message: w.discord.Messages()[0].ID})
		}
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
		w.expect("Restart done")
		if w.discord.Messages()[0].Edits > 0 || w.outbox() > 0 {
			t.Error("the agent tells what was told")
		}
	})
}

// A message that somebody deleted is posted anew where there is news, and not for the sake of "over".
func TestADeletedMessage(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.ends(op("op-1", deploy, operation.FailedUntouched, failure))
		w.discord.Delete(w.discord.Messages()[0].ID)
		w.ends(op("op-2", deploy, operation.RolledBack, failure))
		w.expect("", "rolled back & NOT Over")
		w.discord.Delete(w.discord.Messages()[1].ID)
		w.ends(op("op-3", deploy, operation.Succeeded, by("deployer/atlas")))
		w.expect("", "rolled back & NOT Over")
		if n := w.outbox(); n > 0 {
			t.Errorf("%d letters are left", n)
		}
	})
}

func TestADeadWebhookIsLeftAlone(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		var address atomic.Pointer[string]
		old := w.discord.WebhookURL()
		address.Store(&old)
		w.config.Senders = []Sender{NewDiscord(func() (string, error) { return *address.Load(), nil }, w.config.Senders[0].(*Discord).options)}
		w.reboot()
		w.discord.DeleteWebhook()
		w.ends(op("op-1", repair, operation.Succeeded))
		w.pass(24 * time.Hour)
		if n := len(w.discord.Requests()); n != 1 {
			t.Errorf("%d requests to a webhook that is gone", n)
		}
		w.discord.RestoreWebhook()
		renewed := old + "?thread_id=1098765432109876544" // somebody wrote another address into the file
		address.Store(&renewed)
		w.pass(time.Hour)
		w.expect("Repair done")
	})
}

// What Discord does not take, not even in our own words, does not hold up the rest.
func TestWhatIsRefusedHoldsNothingUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		for range 2 * mostRefusals {
			w.discord.Next(discordtest.Recorded("400_too_many_embeds"))
		}
		w.ends(op("op-1", deploy, operation.RolledBack, failure))
		w.ends(op("op-2", repair, operation.Succeeded))
		w.pass(3 * time.Hour)
		w.expect("Repair done & May not have arrived")
	})
}

// The outbox is bounded in number and bytes; what was dropped is told, the newest is kept.
func TestTheOutboxIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.config.Senders = append(w.config.Senders, w.hookSender())
		w.reboot()
		w.set(func() { w.down = func() *discordtest.Answer { return nil } })
		for i := range 140 {
			w.ends(op(times(i, "op-%d"), repair, operation.RolledBack, failure, func(o *operation.Operation) {
				o.Signature = times(i, "%d") + strings.Repeat("s", 50_000)
				o.Requester = "agent/" + strings.Repeat("r", 50_000)
				o.Flags = slices.Repeat([]string{strings.Repeat("f", 5000)}, 900)
				o.Failure.Message = strings.Repeat("\x00<\u2028", 5000)
				o.Failure.OutputTail = slices.Repeat([]string{strings.Repeat("é", 9000)}, 40)
				o.Migrations = slices.Repeat([]string{strings.Repeat("m", 5000)}, 200)
			}))
		}
		if raw, err := w.Told(); err != nil || len(raw) > 1<<20 {
			t.Errorf("%d bytes on disk, %v", len(raw), err)
		}
		w.pass(45 * time.Second) // the one that was under way knew of none that were dropped
		waiting := w.outbox()
		if waiting == 0 || waiting > mostLetters {
			t.Errorf("%d letters wait", waiting)
		}
		w.set(func() { w.down = nil })
		w.pass(6 * time.Hour)
		said := w.said()
		if len(said) != waiting || !strings.Contains(said[0], fmt.Sprintf("Not told: %d older messages", 140-waiting)) || strings.Contains(said[1], "Not told") {
			t.Errorf("%d messages, %d waited: %s", len(said), waiting, said[0])
		}
		if !strings.Contains(said[len(said)-1], "op-139") {
			t.Errorf("the newest is not there: %s", said[len(said)-1])
		}
	})
}

// A full disk: nothing is sent that is not recorded, and everything is told when there is room.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.set(func() { w.full = true })
		w.ends(op("op-1", repair, operation.Succeeded))
		w.teller.Observe(verdict(Red, time.Now().Add(-48*time.Hour)))
		w.pass(10 * time.Minute)
		w.expect()
		w.set(func() { w.full = false })
		w.pass(10 * time.Minute)
		w.expect("Repair done", "CI is red")
	})
}

// A record that cannot be read holds nobody up, and tells nothing old.
func TestABrokenRecord(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{"no JSON": "{", "empty": "", "of later": `{"version": 2}`, "of another shape": `[1]`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.ends(op("op-1", repair, operation.Succeeded))
				w.set(func() { w.disk = []byte(raw) })
				w.reboot()
				w.expect("Repair done")
				w.ends(op("op-2", deploy, operation.Succeeded))
				w.expect("Repair done", "deployed")
			})
		})
	}
}

// A journal that was moved aside counts from 1 again: what ends then is told.
func TestANewJournal(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]int{"shorter": 1, "as long": 3, "longer": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				for i := range 3 {
					w.ends(op(times(i, "op-%d-old"), deploy, operation.Succeeded))
				}
				w.set(func() { w.ops = nil })
				w.reboot()
				w.pass(time.Minute)
				for i := range again {
					w.set(func() {
						o := op(times(i, "op-%d-new"), deploy, operation.Succeeded)
						o.Number = uint64(i + 1)
						w.ops = append(w.ops, o)
					})
				}
				w.reboot()
				w.pass(time.Minute)
				w.reboot()
				w.pass(time.Minute)
				if n := len(w.discord.Messages()); n != 3+again {
					t.Errorf("%d messages, want %d", n, 3+again)
				}
			})
		})
	}
}

// Ended and Observe return at once, whatever the channels do.
func TestNothingIsHeldUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.set(func() { w.down = func() *discordtest.Answer { return &discordtest.Answer{Hang: true} } })
		began := time.Now()
		for i := range 50 {
			w.teller.Ended(op(times(i, "op-%d"), repair, operation.Succeeded))
			w.teller.Observe(verdict(Red, time.Time{}))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("held up for %s", took)
		}
		w.ends(op("op-x", repair, operation.Succeeded)) // its request hangs
		began = time.Now()
		w.teller.Close()
		if took := time.Since(began); took > closeGrace {
			t.Errorf("Close took %s", took)
		}
	})
}

// TestHostileTexts: what others named is text, within every limit, and no secret leaves.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	evil := "@everyone <@1> [x](https://evil.example) ``` \x1b[31m\x00 \u202e ::error::x \"}{ \xff\xfe " + strings.Repeat("€", 9000)
	bubble(t, func(w *world) {
		w.config.Redact = func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
		w.config.Senders = append(w.config.Senders, w.hookSender())
		w.reboot()
		w.ends(op("op-1", repair, operation.RolledBack, failure, func(o *operation.Operation) {
			o.Subject, o.Summary, o.Failure.Message, o.Failure.Hint = evil, evil, "hunter2 "+evil, evil
			o.Failure.OutputTail, o.Warnings, o.Migrations = []string{evil, "hunter2"}, []string{evil, "hunter2"}, []string{evil}
		}))
		w.set(func() {
			w.blocks = []ports.Blocked{{SHA: shaA, Operation: evil, Reason: "hunter2 " + evil, Created: time.Now().Add(-48 * time.Hour)}}
		})
		w.pause = &ports.Pause{Reason: "hunter2" + evil, Owner: evil, Created: time.Now().Add(-9 * time.Hour), Expires: time.Now().Add(time.Minute)}
		w.teller.Observe(Facts{CI: &CI{Head: evil, Verdict: Red, Since: time.Now().Add(-48 * time.Hour), Why: "hunter2" + evil}})
		w.pass(11 * time.Minute)
		if n := len(w.discord.Messages()); n != 4 {
			t.Fatalf("%d messages: %s\n%s", n, w.said(), w.log)
		}
		for _, m := range w.discord.Messages() { // that they are within the limits and mention nobody is discordtest's business
			if strings.Contains(m.Raw, "@everyone") || strings.Contains(m.Raw, "hunter2") || strings.Contains(m.Raw, `\u001b`) || strings.Contains(m.Raw, "\u202e") {
				t.Errorf("%.300s", m.Raw)
			}
		}
		if len(w.hooked) < 4 {
			t.Errorf("%d documents", len(w.hooked))
		}
		for _, body := range w.hooked {
			var d Document
			if err := json.Unmarshal([]byte(body), &d); err != nil || len(body) > 64<<10 || strings.Contains(body, "hunter2") || strings.ContainsAny(d.Title+d.Text, "\x1b\x00\u202e") {
				t.Errorf("%v: %.300s", err, body)
			}
		}
		for _, leak := range []string{w.discord.Token(), "secret-path-of-the-hook", "hunter2"} {
			if strings.Contains(w.log.String(), leak) || strings.Contains(string(w.disk), leak) {
				t.Errorf("%q is in the log or on disk", leak)
			}
		}
	})
}
