package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

// The reasons of errors of [Client.Send] on which a caller acts who tries again later.
const (
	ReasonUnsure  = "NOTIFY_UNSURE" // the request went out, no answer came; with Options.Once alone
	ReasonGone    = reasonGone      // the webhook will never take anything again
	ReasonRefused = reasonMessage   // this message will never be taken
	ReasonBanned  = reasonBanned    // nothing is taken from this machine for a while
)

// The reasons of errors of [Client.Send].
const (
	reasonGone        = "WEBHOOK_GONE"        // deleted, or its token was renewed
	reasonMessage     = "NOTIFY_MESSAGE"      // Discord refuses this message
	reasonEdit        = "NOTIFY_EDIT"         // the message to edit is not there any more; never leaves Send
	reasonLimited     = "NOTIFY_RATE_LIMITED" // the wait is longer than there is time
	reasonBanned      = "NOTIFY_BANNED"       // Cloudflare refuses our address
	reasonUnreachable = "NOTIFY_UNREACHABLE"  // no answer, or Discord's own failure
	reasonUnexpected  = "NOTIFY_UNEXPECTED"   // an answer that is none of Discord's
)

// verdict is what an answer means.
type verdict struct {
	err   *fault.Error  // nil: Discord has the message
	id    string        // of the message
	again bool          // try again
	wait  time.Duration // before; 0 when Discord did not say
	quiet time.Duration // after success: nothing more before this has passed
}

// problem is the body of an error, in the form of API v8 and later
// (https://discord.com/developers/docs/reference#error-messages).
type problem struct {
	Code       int             `json:"code"`
	Message    string          `json:"message"`
	Errors     json.RawMessage `json:"errors"`
	RetryAfter float64         `json:"retry_after"` // seconds
	Global     bool            `json:"global"`
}

// Discord's codes (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json).
const (
	codeUnknownMessage  = 10008
	codeUnknownWebhook  = 10015
	codeTooManyEdits    = 30046 // of a message that is older than an hour
	codeBlocked         = 40333 // "internal network error": Cloudflare, in the form of Discord
	codeNotAuthor       = 50005
	codeInvalidToken    = 50027
	codeForumWantsTopic = 220001
)

// judge says what an answer means.
func judge(a answer) verdict {
	fail := func(kind fault.Kind, reason, format string, args ...any) verdict {
		return verdict{err: fault.New(kind, reason, format, args...)}
	}
	var p problem
	isJSON := json.Unmarshal(a.body, &p) == nil
	says := saying(a.body, p, isJSON)
	switch {
	case a.status == 0:
		v := fail(fault.Unreachable, reasonUnreachable, "Discord is out of reach: %s", oneLine(a.failure))
		if a.timeout {
			v = fail(fault.Unreachable, reasonUnreachable, "Discord did not answer in time")
		}
		v.again = true
		return v
	case a.status >= 200 && a.status < 300:
		return accepted(a)
	case a.status == http.StatusTooManyRequests:
		wait := retryAfter(a.header, p)
		return verdict{again: true, wait: wait, err: limitedFor(wait, scope(a.header, p, isJSON))}
	case a.status >= 500:
		v := fail(fault.Unreachable, reasonUnreachable, "Discord failed with %d: %s", a.status, says)
		v.again, v.wait = true, retryAfter(a.header, problem{})
		return v
	case p.Code == codeUnknownMessage, p.Code == codeTooManyEdits, p.Code == codeNotAuthor:
		return fail(fault.NotFound, reasonEdit, "the message cannot be edited: %s", says)
	case p.Code == codeUnknownWebhook, p.Code == codeInvalidToken, a.status == http.StatusUnauthorized, a.status == http.StatusNotFound:
		v := fail(fault.Invalid, reasonGone, "Discord does not know the webhook: %d: %s", a.status, says)
		v.err.Hint = "it was deleted or renewed: make a new one and set DISCORD_WEBHOOK_URL"
		return v
	case a.status == http.StatusForbidden && (!isJSON || p.Code == codeBlocked):
		v := fail(fault.Refused, reasonBanned, "Discord refuses this machine's address: %d: %s", a.status, says)
		v.err.Hint = "too many refused requests came from it; it passes by itself"
		return v
	case p.Code == codeForumWantsTopic:
		v := fail(fault.Invalid, "WEBHOOK_URL", "the webhook belongs to a forum channel: %s", says)
		v.err.Hint = "add ?thread_id= with the thread to post to"
		return v
	case a.status >= 300 && a.status < 400:
		return fail(fault.Refused, reasonUnexpected, "Discord's address answers with a redirect (%d), which is not followed", a.status)
	}
	return fail(fault.Invalid, reasonMessage, "Discord refuses the message: %d: %s", a.status, says)
}

// accepted reads the message that Discord made, and whether it was the last of this window.
func accepted(a answer) verdict {
	var made struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(a.body, &made)
	if len(a.body) > 0 && err != nil && looksLikeHTML(a.body) {
		return verdict{err: fault.New(fault.Unreachable, reasonUnexpected, "something that is not Discord answered %d with a page: %s", a.status, pageTitle(a.body)).
			WithHint("a proxy, or a network that asks for a login")}
	}
	v := verdict{}
	if snowflake.MatchString(made.ID) {
		v.id = made.ID
	}
	if a.header.Get("X-RateLimit-Remaining") == "0" {
		v.quiet = seconds(a.header.Get("X-RateLimit-Reset-After"))
	}
	return v
}

func limitedFor(wait time.Duration, scope string) *fault.Error {
	return fault.New(fault.Refused, reasonLimited, "Discord asks to wait %s%s: the notification was dropped", wait.Round(100*time.Millisecond), scope)
}

// scope says whose limit it is.
func scope(h http.Header, p problem, isJSON bool) string {
	name := h.Get("X-RateLimit-Scope")
	switch {
	case !isJSON:
		return " (a ban by Cloudflare)"
	case p.Global || h.Get("X-RateLimit-Global") == "true":
		return " (the global limit)"
	case name == "shared":
		return " (a limit shared with others in the channel)"
	}
	return ""
}

// retryAfter is how long to wait: the longer of header and body, which differ by rounding, else until the
// window resets. 0 when nothing tells.
func retryAfter(h http.Header, p problem) time.Duration {
	wait := max(seconds(h.Get("Retry-After")), bounded(p.RetryAfter))
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		if sent, err := http.ParseTime(h.Get("Date")); err == nil {
			wait = max(wait, at.Sub(sent))
		}
	}
	if wait == 0 {
		wait = seconds(h.Get("X-RateLimit-Reset-After"))
	}
	return wait
}

// seconds reads "64.57"; what is no number of seconds is 0.
func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return bounded(n)
}

// bounded is n seconds, from 0 to a day.
func bounded(n float64) time.Duration {
	if math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(math.Min(n, 86400) * float64(time.Second))
}

// saying is what the body of an error says, on one line.
func saying(body []byte, p problem, isJSON bool) string {
	switch {
	case looksLikeHTML(body):
		return "a page: " + pageTitle(body)
	case len(bytes.TrimSpace(body)) == 0:
		return "without a word"
	case !isJSON:
		return oneLine(string(body))
	}
	details := body // API v6: {"embeds": ["0"]}, no code, no message
	message := ""
	if p.Message != "" || p.Code != 0 {
		details = p.Errors
		message = fmt.Sprintf("%s (%d)", p.Message, p.Code)
		if p.Code == 0 {
			message = p.Message
		}
	}
	if found := flatten(details); found != "" {
		message = strings.TrimPrefix(message+": "+found, ": ")
	}
	return oneLine(message)
}

// flatten lists the errors of every field: "embeds.0.title: Must be 256 or fewer in length.". Both forms are
// read: lists called _errors at any depth, and API v6's lists of words.
func flatten(raw []byte) string {
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return ""
	}
	var found []string
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch n := node.(type) {
		case map[string]any:
			if message, ok := n["message"].(string); ok {
				found = append(found, strings.TrimPrefix(path+": "+message, ": "))
				return
			}
			keys := make([]string, 0, len(n))
			for key := range n {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			for _, key := range keys {
				next := path
				if key != "_errors" {
					next = strings.TrimPrefix(path+"."+key, ".")
				}
				walk(next, n[key])
			}
		case []any:
			for _, item := range n {
				walk(path, item)
			}
		case string:
			found = append(found, strings.TrimPrefix(path+": "+n, ": "))
		}
	}
	walk("", tree)
	return strings.Join(found, "; ")
}

func looksLikeHTML(body []byte) bool {
	start := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	return bytes.HasPrefix(start, []byte("<"))
}

// pageTitle is the title of an HTML page, which is where proxies and Cloudflare say what is wrong.
func pageTitle(body []byte) string {
	page := string(body)
	lower := strings.ToLower(page)
	if len(lower) != len(page) { // letters that change their length: positions differ
		return "without a title"
	}
	start := strings.Index(lower, "<title>")
	if start < 0 {
		return "without a title"
	}
	start += len("<title>")
	end := strings.Index(lower[start:], "<")
	if end < 0 {
		return "without a title"
	}
	return oneLine(page[start : start+end])
}

// oneLine makes foreign text fit for an error.
func oneLine(s string) string {
	return cut(strings.Join(strings.Fields(clean(s)), " "), 300, func(r rune) string { return string(r) })
}
