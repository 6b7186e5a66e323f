package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/discordtest"
	"ataraxis.dev/landfall/shared/fault"
)

// world is a fake Discord and a client of it, with one clock that passes only by sleeping.
type world struct {
	*discordtest.Server
	t      *testing.T
	client *Client

	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.slept = append(w.slept, d)
	return ctx.Err()
}

func (w *world) total() (sum time.Duration) {
	for _, d := range w.slept {
		sum += d
	}
	return sum
}

func newWorld(t *testing.T, query string, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: start}
	var err error
	if w.Server, err = discordtest.Start(w.time); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	hook, err := ParseWebhook(w.WebhookURL() + query)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := Options{Transport: transport, Now: w.time, Sleep: w.sleep, Jitter: func(d time.Duration) time.Duration { return d }}
	for _, c := range change {
		c(&o)
	}
	w.client = NewClient(hook, o)
	return w
}

func (w *world) secret(err error) {
	w.t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, printed := range []string{e.Error(), fmt.Sprintf("%+v %#v", e, e)} {
			if strings.Contains(printed, w.Token()) || strings.Contains(printed, w.Token()[:12]) || strings.Contains(printed, "1098765432109876543") {
				w.t.Errorf("the webhook is in %q", printed)
			}
		}
	}
}

// send fails the test when it fails.
func (w *world) send(edit string) Sent {
	w.t.Helper()
	sent, err := w.client.Send(w.t.Context(), Embed(deploy(Succeeded), Full), edit)
	if err != nil {
		w.t.Fatal(err)
	}
	return sent
}

func TestSendAndEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "?thread_id=1098765432109876544")
	first := w.send("")
	again := w.send(first.MessageID)
	if first.MessageID == "" || first.Edited || again != (Sent{MessageID: first.MessageID, Edited: true}) {
		t.Errorf("%+v, then %+v", first, again)
	}
	messages := w.Messages()
	if len(messages) != 1 || messages[0].Edits != 1 || messages[0].Thread != "1098765432109876544" {
		t.Fatalf("%+v", messages)
	}
	for _, r := range w.Requests() {
		if !strings.HasPrefix(r.Path, "/api/v10/webhooks/") || !strings.Contains(r.Body, `"allowed_mentions":{"parse":[]}`) {
			t.Errorf("%s %s %s", r.Method, r.Path, r.Body)
		}
	}
	w.Delete(first.MessageID)
	if third := w.send(first.MessageID); third.Edited || third.MessageID == first.MessageID || len(w.Messages()) != 2 {
		t.Errorf("a deleted message was edited: %+v", third)
	}
	for _, edit := range []string{"../../x", "1", "latest"} {
		if sent := w.send(edit); sent.Edited {
			t.Errorf("edited %q", edit)
		}
	}
}

// What can only be edited no more is posted anew.
func TestEditFallsBack(t *testing.T) {
	t.Parallel()
	for _, a := range []discordtest.Answer{
		discordtest.Recorded("404_unknown_message"),
		{Status: 400, Body: `{"code":30046,"message":"Maximum number of edits to messages older than 1 hour reached."}`},
		{Status: 403, Body: `{"code":50005,"message":"Cannot edit a message authored by another user"}`},
	} {
		w := newWorld(t, "")
		w.Next(a)
		if sent := w.send("1200000000000000001"); sent.Edited || sent.MessageID == "" || len(w.Requests()) != 2 {
			t.Errorf("%s: %+v", a.Body, sent)
		}
	}
}

func page(status int, title string, header ...string) discordtest.Answer {
	a := discordtest.Answer{Status: status, Body: "<!DOCTYPE html><html><head><title>" + title + "</title></head></html>", Header: map[string]string{}}
	for i := 0; i+1 < len(header); i += 2 {
		a.Header[header[i]] = header[i+1]
	}
	return a
}

func repeat(a discordtest.Answer, n int) (all []discordtest.Answer) {
	for range n {
		all = append(all, a)
	}
	return all
}

func TestSendFails(t *testing.T) {
	t.Parallel()
	leak := discordtest.Answer{Status: 404, Body: "Cannot POST /api/v10/webhooks/1098765432109876543/" + discordtest.New(nil).Token()}
	for name, c := range map[string]struct {
		answers  []discordtest.Answer
		kind     fault.Kind
		reason   string
		message  string
		requests int
	}{
		"user limit":   {repeat(discordtest.Recorded("429_user"), 9), fault.Refused, reasonLimited, "Discord asks to wait 1m5s: ", 1},
		"global limit": {repeat(discordtest.Recorded("429_global"), 9), fault.Refused, reasonLimited, "wait 1m5s (the global limit)", 1},
		"shared limit": {repeat(discordtest.Recorded("429_shared"), 9), fault.Refused, reasonLimited, "wait 22m17s (a limit shared with others in the channel)", 1},
		"ban by Cloudflare": {
			[]discordtest.Answer{page(429, "Error 1015", "Retry-After", "2285")}, fault.Refused, reasonLimited, "wait 38m5s (a ban by Cloudflare)", 1,
		},
		"a limit without end": {
			repeat(discordtest.Answer{Status: 429, Body: `{"message":"slow","retry_after":4,"global":false}`}, 9), fault.Refused, reasonLimited, "wait 4s", attempts,
		},
		"a limit without a number": {repeat(discordtest.Answer{Status: 429, Body: `{}`}, 9), fault.Refused, reasonLimited, "asks to wait", attempts},
		"a limit that lies":        {[]discordtest.Answer{{Status: 429, Body: `{"retry_after":1e300}`}}, fault.Refused, reasonLimited, "wait 24h", 1},
		"forbidden page":           {[]discordtest.Answer{page(403, "Attention Required! | Cloudflare")}, fault.Refused, reasonBanned, "a page: Attention Required! | Cloudflare", 1},
		"forbidden code":           {[]discordtest.Answer{{Status: 403, Body: `{"message":"internal network error","code":40333}`}}, fault.Refused, reasonBanned, "internal network error (40333)", 1},
		"unknown webhook":          {[]discordtest.Answer{discordtest.Recorded("404_unknown_webhook")}, fault.Invalid, reasonGone, "Unknown Webhook (10015)", 1},
		"invalid token":            {[]discordtest.Answer{discordtest.Recorded("401_invalid_webhook_token")}, fault.Invalid, reasonGone, "Invalid Webhook Token (50027)", 1},
		"no such page":             {[]discordtest.Answer{leak}, fault.Invalid, reasonGone, "Cannot POST /api/v10/webhooks/(removed)", 1},
		"an answer that quotes the token": {
			[]discordtest.Answer{{Status: 401, Body: "no such token: " + discordtest.New(nil).Token()}}, fault.Invalid, reasonGone, "no such token: (removed)", 1,
		},
		"forum":       {[]discordtest.Answer{{Status: 400, Body: `{"code":220001,"message":"Webhooks posted to forum channels must have a thread_name or thread_id"}`}}, fault.Invalid, "WEBHOOK_URL", "forum", 1},
		"redirect":    {[]discordtest.Answer{{Status: 302, Header: map[string]string{"Location": "https://evil.example/"}}}, fault.Refused, reasonUnexpected, "redirect (302)", 1},
		"login page":  {[]discordtest.Answer{page(200, "Hotel WiFi")}, fault.Unreachable, reasonUnexpected, "Hotel WiFi", 1},
		"down":        {repeat(page(502, "Bad Gateway"), 9), fault.Unreachable, reasonUnreachable, "Discord failed with 502: a page: Bad Gateway", attempts},
		"down, empty": {repeat(discordtest.Answer{Status: 500}, 9), fault.Unreachable, reasonUnreachable, "500: without a word", attempts},
		"cut off":     {repeat(discordtest.Answer{Drop: true}, 20), fault.Unreachable, reasonUnreachable, "out of reach: EOF", 0},
		"refused twice": {
			repeat(discordtest.Recorded("400_field_value_too_long.reconstructed"), 2), fault.Invalid, reasonMessage,
			"Invalid Form Body (50035): embeds.0.fields.1.value: Must be 1024 or fewer in length.", 2,
		},
		"many embeds":   {repeat(discordtest.Recorded("400_too_many_embeds"), 2), fault.Invalid, reasonMessage, "(50035): embeds: Must be 10 or fewer in length.", 2},
		"request error": {repeat(discordtest.Recorded("400_request_error"), 2), fault.Invalid, reasonMessage, "(50035): Command exceeds maximum size (8000)", 2},
		"legacy size":   {repeat(discordtest.Recorded("400_legacy_v6_embed_size"), 2), fault.Invalid, reasonMessage, "400: embeds: Embed size exceeds maximum size of 6000", 2},
		"legacy index":  {repeat(discordtest.Recorded("400_legacy_v6_index"), 2), fault.Invalid, reasonMessage, "400: embeds: 0", 2},
		"no JSON":       {repeat(discordtest.Answer{Status: 400, Body: "bad\x1b[31m\nthing"}, 2), fault.Invalid, reasonMessage, "400: bad thing", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.Next(c.answers...)
			sent, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "")
			if fault.KindOf(err) != c.kind || fault.ReasonOf(err) != c.reason || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%v of kind %s and reason %s, want %s, %s, %q", err, fault.KindOf(err), fault.ReasonOf(err), c.kind, c.reason, c.message)
			}
			if n := len(w.Requests()); c.requests > 0 && n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			if sent != (Sent{}) || len(w.Messages()) > 0 {
				t.Errorf("sent %+v", sent)
			}
			if w.total() > 30*time.Second {
				t.Errorf("waited %s", w.total())
			}
			w.secret(err)
		})
	}
}

func TestSendTriesAgain(t *testing.T) {
	t.Parallel()
	short := func(body string, header map[string]string) discordtest.Answer {
		return discordtest.Answer{Status: 429, Body: body, Header: header}
	}
	for name, c := range map[string]struct {
		answers []discordtest.Answer
		wait    time.Duration
	}{
		"limit by body":         {[]discordtest.Answer{short(`{"retry_after":1.5}`, nil)}, 1500 * time.Millisecond},
		"limit by header":       {[]discordtest.Answer{short(`{}`, map[string]string{"Retry-After": "3"})}, 3 * time.Second},
		"the longer counts":     {[]discordtest.Answer{short(`{"retry_after":1.5}`, map[string]string{"Retry-After": "2"})}, 2 * time.Second},
		"limit by window":       {[]discordtest.Answer{short(`{}`, map[string]string{"X-RateLimit-Reset-After": "1.25"})}, 1250 * time.Millisecond},
		"limit by date":         {[]discordtest.Answer{short(`{}`, map[string]string{"Date": "Mon, 23 Nov 2026 14:00:00 GMT", "Retry-After": "Mon, 23 Nov 2026 14:00:07 GMT"})}, 7 * time.Second},
		"limit without numbers": {[]discordtest.Answer{short(`nonsense`, nil)}, 500 * time.Millisecond},
		"server errors":         {[]discordtest.Answer{page(502, "x"), {Status: 503}, {Status: 500}}, 3500 * time.Millisecond},
		"server asks for time":  {[]discordtest.Answer{page(503, "x", "Retry-After", "9")}, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.Next(c.answers...)
			if sent := w.send(""); sent.MessageID == "" || w.total() != c.wait || len(w.Messages()) != 1 {
				t.Errorf("%+v after %s, want %s", sent, w.total(), c.wait)
			}
		})
	}
}

// The fake limits as Discord does. A client that honours the headers is never refused by the limit they tell of.
func TestSendKeepsToTheLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range hiddenPosts {
		w.send("")
	}
	for _, r := range w.Requests() {
		if r.Status != http.StatusOK {
			t.Errorf("%d for a message that came in time", r.Status)
		}
	}
	if w.total() < 8*time.Second {
		t.Errorf("%d messages in %s", hiddenPosts, w.total())
	}
	_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "")
	if fault.ReasonOf(err) != reasonLimited || len(w.Messages()) != hiddenPosts {
		t.Errorf("the hidden limit: %v", err)
	}
}

const hiddenPosts = 30

// A text that Discord refuses does not keep a failure from being told.
func TestRefusedTextIsToldInOurWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.Next(discordtest.Answer{Status: 400, Body: `{"code":240000,"message":"Message blocked by harmful links filter"}`})
	in := deploy(RolledBack)
	in.Commit.Subject = "HOSTILE"
	sent, err := w.client.Send(t.Context(), Embed(in, Failure), "")
	if err != nil || sent.MessageID == "" || sent.Reduced == nil || !strings.Contains(sent.Reduced.Error(), "harmful links") {
		t.Fatalf("%+v, %v", sent, err)
	}
	if raw := w.Messages()[0].Raw; strings.Contains(raw, "HOSTILE") || !strings.Contains(raw, "Deploy failed and was rolled back") {
		t.Error(raw)
	}
}

func TestSendEnds(t *testing.T) {
	t.Parallel()
	hang := repeat(discordtest.Answer{Hang: true}, 9)

	t.Run("request", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "", func(o *Options) { o.PerRequest = 20 * time.Millisecond })
		w.Next(hang[:2]...)
		if sent := w.send(""); sent.MessageID == "" {
			t.Error("a request that hung was not tried again")
		}
	})
	t.Run("everything", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "", func(o *Options) { o.Within, o.PerRequest = 50*time.Millisecond, 20*time.Second })
		w.Next(hang...)
		_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "")
		if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "in time") {
			t.Error(err)
		}
		w.secret(err)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "")
		w.Next(hang...)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := w.client.Send(ctx, Embed(deploy(Succeeded), Full), "")
		if fault.KindOf(err) != fault.Interrupted {
			t.Error(err)
		}
		w.secret(err)
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "")
		if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
		w.secret(err)
	})
	t.Run("webhook deleted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "")
		sent := w.send("")
		w.DeleteWebhook()
		_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), sent.MessageID)
		if fault.ReasonOf(err) != reasonGone || len(w.Requests()) != 2 {
			t.Errorf("%v after %d requests: an unknown webhook must not be tried again", err, len(w.Requests()))
		}
	})
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// Whatever the transport says, the address is not in it; a transport may quote the request.
func TestTransportErrorsAreRedacted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(o *Options) { o.Transport = failingTransport{errors.New("placeholder")} })
	for _, text := range []string{
		"proxy: cannot CONNECT to " + w.WebhookURL(), strings.Repeat("x", 290) + w.Token(), "token " + w.Token() + " id 1098765432109876543",
	} {
		w.client.http.Transport = failingTransport{errors.New(text)}
		_, err := w.client.Send(t.Context(), Embed(deploy(Succeeded), Full), "1200000000000000001")
		if fault.KindOf(err) != fault.Unreachable {
			t.Error(err)
		}
		w.secret(err)
	}
}

func FuzzJudge(f *testing.F) {
	for _, name := range discordtest.RecordedNames() {
		a := discordtest.Recorded(name)
		f.Add(a.Status, a.Body, a.Header["Retry-After"])
	}
	f.Add(200, "<title>", "x")
	f.Add(400, `{"errors":{"_errors":[1,null,{"message":2},{"message":"m"}]},"code":"x"}`, "-1")
	f.Fuzz(func(t *testing.T, status int, body, retry string) {
		v := judge(answer{status: status, body: []byte(body), header: http.Header{"Retry-After": {retry}}})
		switch {
		case v.err == nil && (status < 200 || status > 299):
			t.Errorf("%d is taken for success", status)
		case v.err != nil && (strings.ContainsAny(v.err.Message, "\n\r\x1b") || units(v.err.Message) > 500):
			t.Errorf("unfit for a log: %q", v.err.Message)
		case v.wait < 0 || v.wait > 24*time.Hour && status != http.StatusTooManyRequests:
			t.Errorf("wait %s", v.wait)
		}
	})
}
