package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/fault"
)

// With Options.Once a new message whose answer was lost is not sent again; what was certainly not taken is.
func TestOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers  []discordtest.Answer
		reason   string
		requests int
		messages int
	}{
		"dropped": {[]discordtest.Answer{{Drop: true}}, ReasonUnsure, 1, 0},
		"hung":    {[]discordtest.Answer{{Hang: true}}, ReasonUnsure, 1, 0},
		"504":     {[]discordtest.Answer{{Status: 504}}, ReasonUnsure, 1, 0},
		"524":     {[]discordtest.Answer{{Status: 524}}, ReasonUnsure, 1, 0},
		"503":     {[]discordtest.Answer{{Status: 503}}, "", 2, 1},
		"429":     {[]discordtest.Answer{discordtest.Recorded("429_user")}, reasonLimited, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", func(o *Options) { o.Once, o.PerRequest = true, 300*time.Millisecond })
			w.Next(c.answers...)
			_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "")
			w.secret(err)
			if fault.ReasonOf(err) != c.reason && (c.reason != "" || err != nil) {
				t.Errorf("%v", err)
			}
			if len(w.Requests()) != c.requests || len(w.Messages()) != c.messages {
				t.Errorf("%d requests, %d messages", len(w.Requests()), len(w.Messages()))
			}
			if c.reason == reasonLimited && !w.client.NotBefore().After(w.time()) {
				t.Error("nobody is told until when Discord wants nothing")
			}
		})
	}
	w := newWorld(t, "", func(o *Options) { o.Once = true })
	first := w.send("")
	w.Next(discordtest.Answer{Drop: true})
	if again := w.send(first.MessageID); !again.Edited || w.Messages()[0].Edits != 1 {
		t.Errorf("an edit that was lost: %+v", again)
	}
}

// An edit of what is gone posts nothing.
func TestEditAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	first := w.send("")
	if sent, err := w.client.Edit(t.Context(), EmbedNotice(Notice{Headline: "x", State: Full}), first.MessageID); err != nil || !sent.Edited {
		t.Errorf("%+v, %v", sent, err)
	}
	w.Delete(first.MessageID)
	for _, id := range []string{first.MessageID, "", "x"} {
		if _, err := w.client.Edit(t.Context(), EmbedNotice(Notice{Headline: "x"}), id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
	if n := len(w.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range 3 {
		p, err := w.client.Place(t.Context())
		if err != nil || p.Link("1200000000000000001") != "https://discord.com/channels/"+discordtest.Guild+"/"+discordtest.Channel+"/1200000000000000001" {
			t.Fatalf("%+v, %v", p, err)
		}
		if p.Link("x/../y") != "" || (Place{}).Link("1200000000000000001") != "" {
			t.Error("a link to nothing")
		}
	}
	if n := len(w.Requests()); n != 1 {
		t.Errorf("%d requests for what does not change", n)
	}
	thread := newWorld(t, "?thread_id=1098765432109876544")
	if p, err := thread.client.Place(t.Context()); err != nil || p.Channel != "1098765432109876544" {
		t.Errorf("%+v, %v", p, err)
	}
	gone := newWorld(t, "")
	gone.DeleteWebhook()
	_, err := gone.client.Place(t.Context())
	gone.secret(err)
	if fault.ReasonOf(err) != ReasonGone {
		t.Errorf("%v", err)
	}
}

// A channel is the same for the same address, however it is written, and another for any other.
func TestChannel(t *testing.T) {
	t.Parallel()
	const address = "https://discord.com/api/webhooks/1098765432109876543/TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TE"
	channel := func(raw string) string {
		hook, err := ParseWebhook(raw)
		if err != nil {
			t.Fatal(err)
		}
		return hook.Channel()
	}
	one := channel(address)
	if !strings.HasPrefix(one, "discord-") || len(one) != len("discord-")+24 || strings.Contains(one, "TEST") || strings.Contains(one, "10987654") {
		t.Errorf("%s", one)
	}
	if same := channel(strings.Replace(address, "discord.com/api", "canary.discordapp.com/api/v9", 1)); same != one {
		t.Errorf("%s and %s", one, same)
	}
	for _, other := range []string{address + "?thread_id=1098765432109876544", address + "x", strings.Replace(address, "1098", "1099", 1)} {
		if channel(other) == one {
			t.Errorf("%s is the same channel", other)
		}
	}
	if (Webhook{}).Channel() != "" {
		t.Error("no webhook has a channel")
	}
}

// Whatever is in a notice and its story, the message is within the limits, and its texts are texts.
func TestHostileNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for i, evil := range []string{"", "@everyone <@1> [x](https://evil.example) ``` \x1b[31m \u202e", strings.Repeat("€\\", 9000), strings.Repeat("`", 5000), "\x00\xff\u200b"} {
		n := Notice{Project: evil, Host: evil, Headline: evil, State: Failure, Time: start, Story: Story{
			Over: evil, OverAt: start, Earlier: evil, Dropped: 3, Missed: []string{evil, evil, evil, evil, evil, evil, evil},
		}}
		for range 30 {
			n.Lines = append(n.Lines, Line{Name: "Why", Text: evil}, Line{Text: evil, Code: true}, Line{Text: evil})
		}
		if n.Headline == "" || i == 4 {
			n.Headline = "a headline"
		}
		in := deploy(RolledBack)
		in.Story, in.Operation.Subject = n.Story, evil
		for name, m := range map[string]Message{"notice": EmbedNotice(n), "failure": Embed(in, Failure), "condensed": Embed(in, Condensed), "full": Embed(in, Full)} {
			w.now = w.now.Add(time.Minute)
			if sent, err := w.client.Send(t.Context(), m, ""); err != nil || sent.Reduced != nil {
				t.Errorf("%d, %s: %v %v", i, name, err, sent.Reduced)
			}
			raw, err := json.Marshal(m)
			if err != nil || strings.Contains(string(raw), "@everyone") || strings.Contains(string(raw), `\u001b`) {
				t.Errorf("%d, %s: %s %v", i, name, raw, err)
			}
		}
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	const secret = "a secret of more than 24 bytes"
	for address, good := range map[string]bool{
		"https://hooks.example.org/x?y=z": true, "https://hooks.example.org:8443/": true, "http://127.0.0.1:9000/x": true, "http://localhost/x": true, "http://[::1]/x": true,
		"http://hooks.example.org/x": false, "http://127.0.0.1.example.org/": false, "https://user:pass@hooks.example.org/": false, "https://": false, "https://:443/": false,
		"ftp://127.0.0.1/": false, "hooks.example.org/x": false, "": false, "https://x/#y": false, "https://x/%zz": false, "http://localhost.evil.example/": false,
	} {
		if _, err := ParseHook(address, secret); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		} else if err != nil && (fault.KindOf(err) != fault.Invalid || (address != "" && strings.Contains(err.Error(), address))) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for key, good := range map[string]bool{secret: true, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true, "": false, "short": false, "whsec_c2hvcnQ=": false, "whsec_???": false} {
		_, err := ParseHook("https://x.example/", key)
		if (err == nil) != good || (err != nil && fault.ReasonOf(err) != ReasonHookSecret) {
			t.Errorf("%q: %v", key, err)
		}
	}
	hook, err := ParseHook("https://hooks.example.org/secret-path", secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %q", hook, hook, hook, hook, hook), fmt.Sprintf("%+v", struct{ H Hook }{hook})} {
		if strings.Contains(printed, "secret") || strings.Contains(printed, "hooks") || strings.Contains(printed, "115") {
			t.Errorf("%s", printed)
		}
	}
	if _, err := (Hook{}).Request(t.Context(), "x", start, nil); err == nil {
		t.Error("a request to nowhere")
	}
}
