package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/notify"
)

// discord is a channel that DISCORD_WEBHOOK_URL leads to.
func discord(t *testing.T) *discordtest.Server {
	t.Helper()
	s, err := discordtest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	t.Setenv("DISCORD_WEBHOOK_URL", s.WebhookURL())
	return s
}

// ended is an agent whose newest deploy has ended.
func ended(state landfallv1.OperationState, sha string, flags ...string) *agent {
	return &agent{pause: &landfallv1.GitOpsPause{OperationId: theOperation}, op: &landfallv1.Operation{
		Id: theOperation, Kind: landfallv1.OperationKind_OPERATION_KIND_DEPLOY, State: state, TargetSha: sha, Flags: flags,
		CreateTime: timestamppb.Now(), EndTime: timestamppb.New(time.Now().Add(time.Minute)), LastSequence: 3,
	}}
}

func TestNotify(t *testing.T) {
	for name, tt := range map[string]struct {
		state    landfallv1.OperationState
		flags    []string
		want     string
		messages int
		finished bool
	}{
		"routine":     {succeeded, []string{"app"}, "CONDENSED", 1, true},
		"worth more":  {succeeded, []string{"app", "db"}, "FULL", 1, true},
		"only docs":   {succeeded, []string{"docs"}, "SUPPRESS", 0, true},
		"rolled back": {landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, []string{"docs"}, "FAILURE", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			repo, _, _ := clone(t)
			head := repo.Commit("feat: @everyone ::error::x", map[string]string{
				"landfall.yaml": strings.Replace(sampleConfig, "skip:", "  db:   {paths: [\"db/**\"]}\nskip:", 1) + "notify: {full_when: [db], suppress_when_only: [docs]}\n",
			})
			a := ended(tt.state, head, tt.flags...)
			a.serve(t)
			channel := discord(t)
			output, _ := runnerFiles(t)
			t.Chdir(repo.Dir)
			o := landfall(t, "notify", "--operation", theOperation)
			o.expect(t, 0)
			if o.out != tt.want+"\n" {
				t.Errorf("stdout %q\n%s", o.out, o.err)
			}
			messages := channel.Messages()
			if len(messages) != tt.messages {
				t.Fatalf("%d messages\n%s", len(messages), o.err)
			}
			got := outputs(t, output)
			if got["notification"] != tt.want || (tt.messages > 0) != (got["message_id"] != "") {
				t.Errorf("outputs %q", got)
			}
			if finished := slices.Contains(a.commands, "finish "+theOperation); finished != tt.finished {
				t.Errorf("commands %q", a.commands)
			}
			if strings.Contains(o.out+unmasked(o.err), channel.Token()) {
				t.Error("the webhook's token is shown")
			}
			for _, m := range messages {
				if !strings.Contains(m.Raw, "feat") || strings.Contains(m.Raw, "@everyone") {
					t.Errorf("message: %s", m.Raw)
				}
			}
		})
	}
}

// One message an operation: a second run, and a run after the agent has told, edit the one that is there; a recovery links back.
func TestNotifyEditsTheMessageThatTheAgentKnows(t *testing.T) {
	bare(t)
	repo, _, head := clone(t)
	a := ended(landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, head, "app")
	a.serve(t)
	channel := discord(t)
	t.Chdir(repo.Dir)
	landfall(t, "notify").expect(t, 0)
	landfall(t, "notify", "--operation", theOperation).expect(t, 0)
	failed := channel.Messages()
	if len(failed) != 1 || failed[0].Edits != 1 {
		t.Fatalf("messages %+v", failed)
	}
	hook, err := notify.ParseWebhook(channel.WebhookURL())
	if err != nil {
		t.Fatal(err)
	}
	if told := a.op.GetNotifications(); len(told) != 1 || told[0].GetMessageId() != failed[0].ID || told[0].GetChannel() != hook.Channel() ||
		strings.Contains(told[0].GetChannel(), channel.Token()[:8]) {
		t.Errorf("the agent knows %v", told)
	}
	a.set(func() { // the agent deployed by itself, and has told of it
		before := a.op
		a.op = ended(succeeded, head, "app").op
		a.past = []*landfallv1.Operation{a.op, before}
		a.op.Id = "op-43-000000"
		a.op.Notifications = []*landfallv1.Notification{{Channel: "discord-of-another", MessageId: "1200000000000000777"}}
	})
	landfall(t, "notify").expect(t, 0, "FULL: recovery")
	messages := channel.Messages()
	link := "https://discord.com/channels/" + discordtest.Guild + "/" + discordtest.Channel + "/" + failed[0].ID
	if len(messages) != 2 || messages[0].Edits != 1 || !strings.Contains(messages[1].Raw, link) {
		t.Errorf("messages %+v", messages)
	}
	a.set(func() { a.older = true }) // keeps none
	landfall(t, "notify", "--edit", messages[1].ID).expect(t, 0)
	if m := channel.Messages(); len(m) != 2 || m[1].Edits != 1 {
		t.Errorf("messages %+v", m)
	}
}

func TestNotifyOfAFailedJob(t *testing.T) {
	bare(t)
	repo, base, _ := clone(t)
	a := &agent{stamp: base}
	a.serve(t)
	channel := discord(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "notify", "--failed-job", "ci-gate")
	o.expect(t, 0)
	if m := channel.Messages(); o.out != "FAILURE\n" || len(m) != 1 || !strings.Contains(m[0].Raw, "ci-gate") {
		t.Errorf("stdout %q, messages %v", o.out, m)
	}
	landfall(t, "notify", "--failed-job", "x", "--operation", "y").expect(t, 2)
}

// Somebody must hear that the agent does not answer.
func TestNotifyWithoutAnAgent(t *testing.T) {
	bare(t)
	repo, _, _ := clone(t)
	a := &agent{}
	a.serve(t)
	t.Setenv("LANDFALL_AGENT", closedPort(t))
	channel := discord(t)
	t.Chdir(repo.Dir)
	o := landfall(t, "notify", "--operation", theOperation)
	o.expect(t, 6, "nobody knows how "+theOperation+" ended")
	if m := channel.Messages(); len(m) != 1 || o.out != "FAILURE\n" {
		t.Errorf("stdout %q, messages %v", o.out, m)
	}
}

// Convergence does not wait for somebody to mend the address of a channel.
func TestAWrongWebhookIsAWarning(t *testing.T) {
	bare(t)
	repo, _, head := clone(t)
	a := ended(succeeded, head, "app")
	a.serve(t)
	t.Setenv("DISCORD_WEBHOOK_URL", "https://example.org/api/webhooks/1/secret-token")
	t.Chdir(repo.Dir)
	o := landfall(t, "notify")
	o.expect(t, 0, "warning: the Discord webhook's address is not usable")
	if strings.Contains(o.err, "secret-token") || !slices.Contains(a.commands, "finish "+theOperation) {
		t.Errorf("commands %q, stderr %s", a.commands, o.err)
	}
}

// unmasked is a log without the commands that tell the runner what to mask.
func unmasked(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "::add-mask::") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestDiscordFailsNothing(t *testing.T) {
	bare(t)
	repo, _, head := clone(t)
	a := ended(succeeded, head, "app")
	a.serve(t)
	channel := discord(t)
	channel.DeleteWebhook()
	t.Chdir(repo.Dir)
	o := landfall(t, "notify")
	o.expect(t, 0, "warning: ")
	if !slices.Contains(a.commands, "finish "+theOperation) || strings.Contains(o.err, channel.Token()) {
		t.Errorf("commands %q, stderr %s", a.commands, o.err)
	}
}

func TestRunTellsHowItEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		ends landfallv1.OperationState
		code int
		want string
	}{
		"good": {succeeded, 0, "CONDENSED"},
		"bad":  {landfallv1.OperationState_OPERATION_STATE_ROLLED_BACK, 4, "FAILURE"},
	} {
		t.Run(name, func(t *testing.T) {
			bare(t)
			repo, base, _ := clone(t)
			a := &agent{stamp: base, ends: tt.ends}
			a.serve(t)
			channel := discord(t)
			t.Chdir(repo.Dir)
			landfall(t, "run", "--no-gate").expect(t, tt.code, tt.want+": ")
			if m := channel.Messages(); len(m) != 1 {
				t.Errorf("%d messages", len(m))
			}
		})
	}
}

func TestRunTellsOfABlockedGate(t *testing.T) {
	h := atGitHub(t, &agent{})
	channel := discord(t)
	h.runs[0].Complete("failure")
	landfall(t, "run").expect(t, 3, "FAILURE: ")
	if m := channel.Messages(); len(m) != 1 || !strings.Contains(m[0].Raw, "ci-gate") {
		t.Errorf("messages %v", m)
	}
}
