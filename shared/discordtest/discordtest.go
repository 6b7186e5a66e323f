// Package discordtest is a Discord for tests: webhooks with messages, held to the documented limits.
//
// It answers in the shapes recorded in testdata, refuses what Discord refuses (and a little more, see [Body]),
// limits the rate as it was observed, and can be told to fail in any way. It knows nothing of who calls
// it: whatever posts to [Server.WebhookURL] is tested. Start reading at [Start].
package discordtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Message is one message of the channel.
type Message struct {
	ID      string
	Body    Body   // as last edited
	Raw     string // the JSON of Body as it came
	Thread  string // thread_id it was posted with
	Edits   int
	Deleted bool
}

// Request is one request as it came, with the status it got (0: none).
type Request struct {
	Method, Path, Query, Body string
	Status                    int
}

// Server is one webhook of one channel.
type Server struct {
	now      func() time.Time
	http     *http.Server
	listener net.Listener

	mu       sync.Mutex
	id       string
	token    string
	gone     bool
	next     []Answer
	messages []Message
	requests []Request
	window   time.Time   // when the visible limit's window began
	used     int         // requests in it
	recent   []time.Time // posts of the last minute, for the hidden limit
}

// Identifiers as Discord makes them: 17 to 20 digits, and 68 characters.
const (
	webhookID    = "1098765432109876543"
	webhookToken = "TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TEST-token_TE"
	firstMessage = 1200000000000000001
)

// New makes a webhook that is not listening: a handler. now is its clock; nil is the real one.
func New(now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	return &Server{now: now, id: webhookID, token: webhookToken}
}

// Start listens on a free port of 127.0.0.1. Close it.
func Start(now func() time.Time) (*Server, error) {
	s := New(now)
	var err error
	if s.listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(s.listener) }()
	return s, nil
}

// Close ends what Start began.
func (s *Server) Close() error { return s.http.Close() }

// WebhookURL is the address as Discord's client copies it: without a version. Of a server that does not listen it leads nowhere.
func (s *Server) WebhookURL() string {
	at := "127.0.0.1:1"
	if s.listener != nil {
		at = s.listener.Addr().String()
	}
	return "http://" + at + "/api/webhooks/" + s.id + "/" + s.token
}

// Token is the secret part of the address.
func (s *Server) Token() string { return s.token }

// Next scripts the answers of the next requests, before anything else is looked at.
func (s *Server) Next(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, answers...)
}

// Messages are the messages in order, deleted ones too.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Requests are all requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Delete deletes a message, as a person does in the channel.
func (s *Server) Delete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.messages {
		if s.messages[i].ID == id {
			s.messages[i].Deleted = true
		}
	}
}

// DeleteWebhook deletes the webhook.
func (s *Server) DeleteWebhook() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

// RestoreWebhook makes the webhook anew, with the same address.
func (s *Server) RestoreWebhook() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = false
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return
	}
	s.mu.Lock()
	var a Answer
	if len(s.next) > 0 {
		a, s.next = s.next[0], s.next[1:]
	} else {
		a = s.answer(r, raw)
	}
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.RawQuery, string(raw), a.Status})
	s.mu.Unlock()
	a.write(w, r)
}

var route = regexp.MustCompile(`^/api(/v\d+)?/webhooks/(\d+)/([\w-]+)(?:/messages/(\d+))?$`)

// answer is what Discord would say. The caller holds mu.
func (s *Server) answer(r *http.Request, raw []byte) Answer {
	parts := route.FindStringSubmatch(r.URL.Path)
	switch {
	case parts == nil:
		return Answer{Status: http.StatusNotFound, Body: `{"message":"404: Not Found","code":0}`}
	case !strings.HasPrefix(r.UserAgent(), "DiscordBot ("):
		return Answer{Status: http.StatusForbidden, Body: `{"message":"internal network error","code":40333}`}
	case parts[2] != s.id || s.gone:
		return Recorded("404_unknown_webhook")
	case parts[3] != s.token:
		return Recorded("401_invalid_webhook_token")
	case r.Header.Get("Content-Type") != "application/json":
		return Answer{Status: http.StatusBadRequest, Body: `{"message":"Expected \"Content-Type\" header to be one of {'application/json'}.","code":50035}`}
	}
	limit, limited := s.limit(r.Method)
	a := limited
	if a.Status == 0 {
		a = s.change(r, raw, parts[1], parts[4])
	}
	if a.Header == nil {
		a.Header = map[string]string{}
	}
	for name, value := range limit {
		if _, ok := a.Header[name]; !ok {
			a.Header[name] = value
		}
	}
	return a
}

// Where messages appear: the guild and the channel of the webhook.
const (
	Guild   = "1000000000000000002"
	Channel = "1000000000000000001"
)

// change posts or edits, or tells of the webhook itself.
func (s *Server) change(r *http.Request, raw []byte, version, messageID string) Answer {
	if r.Method == http.MethodGet && messageID == "" {
		return Answer{Status: http.StatusOK, Body: fmt.Sprintf(`{"id":%q,"type":1,"name":"landfall","guild_id":%q,"channel_id":%q,"token":%q,"application_id":null}`,
			s.id, Guild, Channel, s.token)}
	}
	body, found, refusal := check(raw)
	switch {
	case refusal != nil:
		return *refusal
	case len(found) > 0 && version != "/v10":
		return found.legacyAnswer()
	case len(found) > 0:
		return found.answer()
	}
	switch {
	case r.Method == http.MethodPost && messageID == "":
		m := Message{ID: strconv.Itoa(firstMessage + len(s.messages)), Body: body, Raw: string(raw), Thread: r.URL.Query().Get("thread_id")}
		s.messages = append(s.messages, m)
		if r.URL.Query().Get("wait") != "true" {
			return Answer{Status: http.StatusNoContent}
		}
		return s.show(m)
	case r.Method == http.MethodPatch && messageID != "":
		i := slices.IndexFunc(s.messages, func(m Message) bool { return m.ID == messageID && !m.Deleted })
		if i < 0 || s.messages[i].Thread != r.URL.Query().Get("thread_id") {
			return Recorded("404_unknown_message")
		}
		s.messages[i].Body, s.messages[i].Raw = body, string(raw)
		s.messages[i].Edits++
		return s.show(s.messages[i])
	}
	return Answer{Status: http.StatusMethodNotAllowed, Body: `{"message":"405: Method Not Allowed","code":0}`}
}

// show is the message object, as far as anybody reads it.
func (s *Server) show(m Message) Answer {
	raw, err := json.Marshal(map[string]any{
		"id": m.ID, "type": 0, "webhook_id": s.id, "channel_id": Channel, "content": m.Body.Content,
		"embeds": m.Body.Embeds, "mentions": []string{}, "mention_roles": []string{}, "mention_everyone": false,
		"timestamp": s.now().UTC().Format(time.RFC3339), "tts": false, "pinned": false,
	})
	if err != nil {
		panic(err) // it was JSON before
	}
	return Answer{Status: http.StatusOK, Body: string(raw)}
}

// The limits as observed (discord/discord-api-docs#367 and #1454): 5 requests in 2 seconds for
// the webhook, which the headers tell; 30 posts in a minute for the channel, which they do not.
const (
	visibleLimit  = 5
	visibleWindow = 2 * time.Second
	hiddenLimit   = 30
	hiddenWindow  = time.Minute
)

// limit counts a request. It returns the headers of every answer, and the answer itself when it is one too many.
func (s *Server) limit(method string) (map[string]string, Answer) {
	now := s.now()
	if now.Sub(s.window) >= visibleWindow {
		s.window, s.used = now, 0
	}
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return now.Sub(t) >= hiddenWindow })
	reset := visibleWindow - now.Sub(s.window)
	header := map[string]string{
		"X-RateLimit-Limit": strconv.Itoa(visibleLimit), "X-RateLimit-Bucket": "abcd1234",
		"X-RateLimit-Reset":       fmt.Sprintf("%.3f", float64(now.Add(reset).UnixMilli())/1000),
		"X-RateLimit-Reset-After": fmt.Sprintf("%.3f", reset.Seconds()),
	}
	var refused Answer
	switch {
	case s.used >= visibleLimit:
		refused = tooMany("user", "You are being rate limited.", reset)
	case method == http.MethodPost && len(s.recent) >= hiddenLimit:
		refused = tooMany("shared", "The resource is being rate limited.", hiddenWindow-now.Sub(s.recent[0]))
	default:
		s.used++
		if method == http.MethodPost {
			s.recent = append(s.recent, now)
		}
	}
	header["X-RateLimit-Remaining"] = strconv.Itoa(visibleLimit - s.used)
	return header, refused
}

// tooMany is a 429 in the recorded shape.
func tooMany(scope, message string, wait time.Duration) Answer {
	return Answer{
		Status: http.StatusTooManyRequests,
		Header: map[string]string{
			"Retry-After": strconv.Itoa(int(wait.Seconds()) + 1), "X-RateLimit-Scope": scope,
		},
		Body: fmt.Sprintf(`{"message":%q,"retry_after":%.3f,"global":false}`, message, wait.Seconds()),
	}
}
