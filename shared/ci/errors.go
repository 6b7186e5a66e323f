package ci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/go-github/v60/github"

	"ataraxis.dev/landfall/shared/fault"
)

// The reasons of [Source]'s faults.
const (
	reasonNoWorkflow   = "NO_SUCH_WORKFLOW"
	reasonNoRun        = "NO_SUCH_RUN"
	reasonNoRepository = "NO_SUCH_REPOSITORY"
	reasonToken        = "GITHUB_TOKEN" //nolint:gosec // a reason, no credential
	reasonPermission   = "GITHUB_PERMISSION"
	reasonLimited      = "GITHUB_RATE_LIMITED"
	reasonUnavailable  = "GITHUB_UNAVAILABLE"
	reasonAnswer       = "GITHUB_ANSWER"
)

// refusal is an answer that is no success.
type refusal struct {
	status  int
	header  http.Header
	message string
	slow    bool // its documentation_url is that of secondary limits
}

// absent is a 404 or 410. What it means depends on the question: see [Client.missing].
type absent struct {
	what string
	refusal
}

func (e *absent) Error() string { return fmt.Sprintf("%s: GitHub answered %d", e.what, e.status) }

// classify makes a fault of what go-github returned. Library errors end here: they hold the
// request, and with it the token.
func (c *Client) classify(what string, err error) error {
	if err == nil {
		c.limit.answered()
		return nil
	}
	r, ok := refusalOf(err)
	if !ok {
		return c.noAnswer(what, err)
	}
	r.message = c.redact(r.message)
	if isLimit(r) {
		return c.limit.hold(r, c.now()).fault(what)
	}
	c.limit.answered()
	return c.refused(what, r)
}

// refusalOf finds the answer in go-github's error types. Which of them it is matters only for the
// secondary limit that is told by its documentation_url: version 60 knows no 429, and takes a permission
// that is missing for a limit when it was the last request of the window.
func refusalOf(err error) (refusal, bool) {
	var (
		plain     *github.ErrorResponse
		primary   *github.RateLimitError
		secondary *github.AbuseRateLimitError
		otp       *github.TwoFactorAuthError
	)
	switch {
	case errors.As(err, &primary):
		return refusal{status: primary.Response.StatusCode, header: primary.Response.Header, message: primary.Message}, true
	case errors.As(err, &secondary):
		return refusal{status: secondary.Response.StatusCode, header: secondary.Response.Header, message: secondary.Message, slow: true}, true
	case errors.As(err, &otp):
		return refusal{status: otp.Response.StatusCode, header: otp.Response.Header, message: otp.Message}, true
	case errors.As(err, &plain) && plain.Response != nil:
		return refusal{status: plain.Response.StatusCode, header: plain.Response.Header, message: plain.Message}, true
	}
	return refusal{}, false
}

// refused says what a refusal means and what to do about it.
func (c *Client) refused(what string, r refusal) error {
	said := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.message != "" {
		said += ": " + r.message
	}
	said += requestID(r.header)
	switch {
	case r.status == http.StatusUnauthorized:
		return fault.New(fault.Invalid, reasonToken, "%s: GitHub does not accept the token: %s", what, said).
			WithHint("in a workflow pass `GITHUB_TOKEN: ${{ github.token }}`; a token of your own may have expired")
	case r.status == http.StatusForbidden:
		return fault.New(fault.Invalid, reasonPermission, "%s: the token may not: %s", what, said).WithHint("%s", c.permit(r))
	case r.status == http.StatusNotFound || r.status == http.StatusGone:
		return &absent{what, r}
	case r.status >= 500 || r.status == http.StatusRequestTimeout:
		return unavailable(what, "GitHub answered %s", said)
	}
	return fault.New(fault.Failed, reasonAnswer, "%s: GitHub answered %s", what, said)
}

// permit says which permission would help.
func (c *Client) permit(r refusal) string {
	if strings.Contains(r.header.Get("X-Github-Sso"), "required") {
		return "authorise the token for the organisation's single sign-on"
	}
	need := "give the job `permissions: actions: read`; a fine-grained token needs Actions: read for " + c.Name()
	if c.token == "" {
		return "set GITHUB_TOKEN, and " + need
	}
	return need
}

// noAnswer is for everything but an answer with a status: the network, or a body that is none.
func (c *Client) noAnswer(what string, err error) error {
	var (
		gone     *strayed
		unusable *unusable
		garbled  *garbled
		network  *url.Error
	)
	switch {
	case errors.As(err, &gone):
		return fault.New(fault.Failed, reasonAnswer, "%s: %v", what, gone).
			WithHint("the token goes to %s only; is GITHUB_API_URL right, is there a proxy in between?", c.base.Host)
	case errors.As(err, &unusable):
		return fault.New(fault.Failed, reasonAnswer, "%s: %v", what, unusable)
	case errors.As(err, &garbled):
		return unavailable(what, "%v", garbled)
	case errors.As(err, &network):
		return unavailable(what, "no answer from %s: %s", c.base.Host, c.redact(network.Err.Error())) // without the URL
	}
	// The body was JSON, so this is about types: no run as GitHub documents it.
	return fault.New(fault.Failed, reasonAnswer, "%s: the answer is not what GitHub documents: %s", what, c.redact(err.Error()))
}

func unavailable(what, format string, args ...any) error {
	return fault.New(fault.Failed, reasonUnavailable, "%s: %s", what, fmt.Sprintf(format, args...)).
		WithHint("it may pass; githubstatus.com tells about outages")
}

// ended is the caller's context, or sleep, that came to its end.
func ended(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }

// missing says what a 404 means. GitHub answers so for what does not exist as well as for what
// the token may not see; whether the repository itself is there tells them apart.
func (c *Client) missing(ctx context.Context, err error, reason, format string, args ...any) error {
	var a *absent
	if !errors.As(err, &a) {
		return err
	}
	if _, err := c.Repository(ctx); err != nil {
		return err
	}
	if reason == "" { // a part of every repository: it exists, so it is hidden
		return fault.New(fault.Invalid, reasonPermission, "%s: the token sees %s, but not its Actions%s", a.what, c.Name(), requestID(a.header)).
			WithHint("%s", c.permit(a.refusal))
	}
	return fault.New(fault.Invalid, reason, format, args...)
}

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9:._-]{1,80}$`)

// requestID is what GitHub's support asks for, with the words before it.
func requestID(h http.Header) string {
	if id := h.Get("X-Github-Request-Id"); requestIDs.MatchString(id) {
		return ", request id " + id
	}
	return ""
}

// redact makes foreign text safe to print, and takes the token out should it be there.
func (c *Client) redact(s string) string {
	if c.token != "" {
		s = strings.ReplaceAll(s, c.token, "***")
	}
	return clean(s)
}

const mostText = 300 // runes of a foreign text

// clean makes foreign text printable on one line: what steers a terminal or turns the direction
// of writing becomes a question mark, what is too long is cut.
func clean(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > mostText {
			return -1
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
