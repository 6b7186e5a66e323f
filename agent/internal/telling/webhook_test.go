package telling

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
)

// receiver is a receiver of webhooks that answers as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
	got    []received
}

type received struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got = append(r.got, received{req.Header.Clone(), string(body)})
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// requests are what came so far.
func (r *receiver) requests() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the one of the specification's example

func hookTo(t *testing.T, address string) *Webhook {
	t.Helper()
	w := NewWebhook(func() (notify.Hook, error) { return notify.ParseHook(address, hookSecret) }, nil, nil)
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	return w
}

// The signature is what the example of the specification has, and what a program of another language computes.
func TestTheSignatureIsStandard(t *testing.T) {
	t.Parallel()
	hook, err := notify.ParseHook("http://127.0.0.1:1/", hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, the vector of its libraries
	req, err := hook.Request(t.Context(), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := req.Header.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %s", got)
	}
	r := newReceiver(t, nil)
	if o := hookTo(t, r.URL+"/x?y=1").Send(t.Context(), Parcel{Letter: Letter{ID: "msg_1", Body: []byte(`{"a":"ä\u2028"}`)}}); o.Err != nil || o.Fate != Delivered {
		t.Fatal(o)
	}
	got := r.requests()[0]
	if at := got.header.Get("Webhook-Timestamp"); at < fmt.Sprint(time.Now().Add(-time.Minute).Unix()) {
		t.Errorf("timestamp %s", at)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to verify with")
	}
	const verify = `
import base64, hashlib, hmac, os, sys
key = base64.b64decode(os.environ["SECRET"].removeprefix("whsec_"))
signed = f'{os.environ["ID"]}.{os.environ["AT"]}.'.encode() + sys.stdin.buffer.read()
print("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
`
	cmd := exec.CommandContext(t.Context(), python, "-c", verify)
	cmd.Stdin = strings.NewReader(got.body)
	cmd.Env = append(os.Environ(), "SECRET="+hookSecret, "ID="+got.header.Get("Webhook-Id"), "AT="+got.header.Get("Webhook-Timestamp"))
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != got.header.Get("Webhook-Signature") {
		t.Errorf("python computes %s, %v; the header is %s", out, err, got.header.Get("Webhook-Signature"))
	}
}

// What a receiver answers decides what becomes of the letter; nothing of the address is in any error.
func TestWhatAWebhookAnswers(t *testing.T) {
	t.Parallel()
	other := newReceiver(t, nil)
	status := func(code int, header ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, "/secret-path-of-hook said again")
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		fate   Fate
		wait   time.Duration
	}{
		"200":           {status(200), Delivered, 0},
		"204":           {status(204), Delivered, 0},
		"400":           {status(400), Refused, 0},
		"422":           {status(422), Refused, 0},
		"401":           {status(401), Later, 0},
		"404":           {status(404), Later, 0},
		"410":           {status(410), Later, 0},
		"500":           {status(500), Later, 0},
		"503":           {status(503, "Retry-After", "120"), Later, 2 * time.Minute},
		"429":           {status(429, "Retry-After", "30"), Later, 30 * time.Second},
		"429 nonsense":  {status(429, "Retry-After", "-1e9"), Later, 0},
		"429 of a year": {status(429, "Retry-After", "31536000"), Later, 365 * 24 * time.Hour},
		"elsewhere":     {status(307, "Location", other.URL+"/taken"), Later, 0},
		"here":          {status(308, "Location", "/taken"), Later, 0},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) {
			panic(http.ErrAbortHandler)
		}, Later, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, c.answer)
			o := hookTo(t, r.URL+"/secret-path-of-hook").Send(t.Context(), Parcel{Letter: Letter{ID: "msg_1", Body: []byte(`{}`)}})
			if o.Fate != c.fate || o.Wait != c.wait || (o.Err == nil) != (c.fate == Delivered) {
				t.Errorf("%v, wait %s", o, o.Wait)
			}
			if o.Err != nil && (strings.Contains(o.Err.Error(), "secret-path") || strings.Contains(o.Err.Error(), "127.0.0.1")) {
				t.Errorf("the address is in %q", o.Err)
			}
			if n := len(r.requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Cleanup(func() {
		if len(other.requests()) > 0 {
			t.Error("a redirect to another host was followed")
		}
	})
}

// An address that cannot be reached, and certificates that nobody vouches for, are tried again, and in no error.
func TestAWebhookOutOfReach(t *testing.T) {
	t.Parallel()
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	selfSigned.Config.ErrorLog = nil
	selfSigned.StartTLS()
	t.Cleanup(selfSigned.Close)
	gone := newReceiver(t, nil)
	gone.Close()
	for _, address := range []string{gone.URL, selfSigned.URL, "https://nobody.invalid"} {
		o := hookTo(t, address+"/secret-path-of-hook").Send(t.Context(), Parcel{Letter: Letter{ID: "msg_1", Body: []byte(`{}`)}})
		if o.Fate != Later || fault.KindOf(o.Err) != fault.Unreachable {
			t.Errorf("%s: %v", address, o)
		}
		for _, part := range []string{"secret-path", "nobody.invalid", "127.0.0.1"} {
			if strings.Contains(o.Err.Error(), part) {
				t.Errorf("%q is in %q", part, o.Err)
			}
		}
	}
	hang := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if o := hookTo(t, hang.URL).Send(ctx, Parcel{Letter: Letter{ID: "msg_1", Body: []byte(`{}`)}}); o.Fate != Later || !strings.Contains(o.Err.Error(), "in time") {
		t.Errorf("%v", o)
	}
}
