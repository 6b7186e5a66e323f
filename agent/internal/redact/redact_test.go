package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// learn teaches a redactor that has room.
func learn(t testing.TB, r *Redactor, source string, values []string) {
	t.Helper()
	if err := r.Learn(source, values); err != nil {
		t.Fatal(err)
	}
}

// leaks reports whether so much of a secret is left that somebody could use it.
func leaks(text, secret string) bool {
	most := partSize(len(secret)) + 2
	for i := 0; i+most <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+most]) {
			return true
		}
	}
	return strings.Contains(text, secret)
}

func TestEveryFormIsTakenOut(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		"hunter2hunter2", "s3cr3t", `p"a\s$s'w o&rd=#1`, "https://user:p%40ss@host/db?x=1", "päßwörd-Ünicode-1",
		"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END KEY-----", strings.Repeat("aB3$", 200),
	} {
		r := New()
		learn(t, r, "env", []string{secret})
		asJSON, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"raw":          "error: unterminated quoted value " + secret + " in line 3",
			"go quoted":    fmt.Sprintf("bad value %q", secret),
			"ascii quoted": strconv.QuoteToASCII(secret),
			"json":         `{"x":` + string(asJSON) + `}`,
			"dollars":      strings.ReplaceAll(secret, "$", "$$"),
			"shell":        "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
			"query":        "?password=" + url.QueryEscape(secret),
			"path":         "/" + url.PathEscape(secret) + "/",
			"base64":       base64.StdEncoding.EncodeToString([]byte(secret)),
			"base64 url":   base64.URLEncoding.EncodeToString([]byte(secret)),
			"basic auth":   base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
			"in base64":    base64.StdEncoding.EncodeToString([]byte("x" + secret + "yz")),
			"hex":          hex.EncodeToString([]byte(secret)),
			"glued":        "abc" + secret + "def",
			"twice":        secret + secret,
		} {
			got := r.Text(text)
			for _, form := range []string{secret, text} {
				if leaks(got, form) && len(form) > 30 == (len(secret) > 30) && strings.Contains(got, secret) {
					t.Errorf("%s of %.20q: %q", name, secret, got)
				}
			}
			if got == text || !strings.Contains(got, Mark) {
				t.Errorf("%s of %.20q is left as it is: %q", name, secret, got)
			}
		}
	}
}

// TestCutSecrets: what is left of a secret that was cut off, at any place and at both ends, is too short to be of use.
func TestCutSecrets(t *testing.T) {
	t.Parallel()
	secret := "correct-horse-battery-staple-42"
	r := New()
	learn(t, r, "env", []string{secret})
	for from := range secret {
		for to := from + window; to <= len(secret); to++ {
			if got := r.Text("x " + secret[from:to] + " y"); got != "x "+Mark+" y" {
				t.Fatalf("%q: %q", secret[from:to], got)
			}
		}
	}
}

// TestSecretsOverTwoLines: a program breaks its output where it likes.
func TestSecretsOverTwoLines(t *testing.T) {
	t.Parallel()
	secret := "correct-horse-battery-staple-42"
	r := New()
	learn(t, r, "env", []string{secret})
	for at := 1; at < len(secret); at++ {
		for _, indent := range []string{"", "    "} {
			before, line := r.Lines("it is "+secret[:at], indent+secret[at:]+" indeed")
			if joined := before + strings.TrimSpace(line); leaks(joined, secret) || strings.Contains(before, secret[:min(at, 8)]) && at >= 8 {
				t.Fatalf("broken at %d: %q, %q", at, before, line)
			}
		}
	}
	if before, line := r.Lines("nothing here", "nor here"); before != "nothing here" || line != "nor here" {
		t.Errorf("%q, %q", before, line)
	}
}

// TestWhatPeopleNeedStays: an error must be readable.
func TestWhatPeopleNeedStays(t *testing.T) {
	t.Parallel()
	r := New("/srv/shop")
	r.Publish([]string{"postgres", "shop-api", "ghcr.io/acme/shop-api:1.2"})
	learn(t, r, "env", EnvFile("POSTGRES_PASSWORD=postgres\nTZ=Europe/Berlin\nPORT=8080\nLOG_LEVEL=debugging\nDATA=/srv/shop/data/volumes\nIMAGE=ghcr.io/acme/shop-api:1.2\nDEBUG=false\nLANG=de_DE.UTF-8\n"))
	for _, text := range []string{
		"Container shop-postgres-1  Started", "/srv/shop/data", "port 8080 is in use", "Europe/Berlin", "debugging", "pull ghcr.io/acme/shop-api:1.2",
		"false", "de_DE.UTF-8",
	} {
		if got := r.Text(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// TestBrokenEnvFiles: the error of a file that is broken quotes it.
func TestBrokenEnvFiles(t *testing.T) {
	t.Parallel()
	canary := "Hunter2-Hunter2-x9"
	for _, text := range []string{
		`A="` + canary, `A='` + canary, "A=" + canary + " # comment", canary, canary + " " + canary + "=1", "A: " + canary, "export A=" + canary,
		"A = " + canary, "A=\"first\n" + canary + "\"", "\ufeffA=" + canary, "A=" + canary + "\r\nB=1\r", "1A=" + canary, "A B=" + canary, "A='x' " + canary,
	} {
		r := New()
		learn(t, r, "env", EnvFile(text))
		if got := r.Text("failed to read .env: line 3: unexpected " + canary + " in it"); strings.Contains(got, canary) || !strings.Contains(got, "line 3") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// TestValuesAfterAnUnclosedQuote: whoever forgets a quote has the next secrets in it, and they are printed one by one.
func TestValuesAfterAnUnclosedQuote(t *testing.T) {
	t.Parallel()
	r := New()
	learn(t, r, "env", EnvFile("A=\"first-value\nB=s3cr3t\nC='d3eper\r\nmore\nD=l4st-1\n"))
	for _, secret := range []string{"s3cr3t", "d3eper", "l4st-1"} {
		if got := r.Text("it is " + secret); got != "it is "+Mark {
			t.Errorf("%q: %q", secret, got)
		}
	}
}

// TestWordsOfAValueAreWords: a sentence is a secret as a whole and in its parts, its words are not; those that look like secrets are.
func TestWordsOfAValueAreWords(t *testing.T) {
	t.Parallel()
	r := New()
	learn(t, r, "env", EnvFile("GREETING=the container restarted without a Postgres backup\nDSN=host=database password=Hunter2x user=postgres\n"))
	for _, text := range []string{"container failed", "restarted", "without", "Postgres", "database", "user postgres"} {
		if got := r.Text(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	for _, text := range []string{"the container restarted without a Postgres backup", "er restarted without", "password=Hunter2x"} {
		if got := r.Text(text); got != Mark {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// TestDigestsOfImagesStay: people find an image by them, and they open nothing.
func TestDigestsOfImagesStay(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	r := New()
	learn(t, r, "env", EnvFile("IMAGE=ghcr.io/acme/shop@"+digest+"\nDIGEST="+digest+"\n"))
	for _, text := range []string{"pull ghcr.io/acme/shop@" + digest, digest} {
		if got := r.Text(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := Commits(EnvFile("GIT_SHA=0123456789abcdef0123456789abcdef01234567\nSHORT='89abcde'\nWORD=seven-7\n")); len(got) != 2 {
		t.Errorf("may be commits: %q", got)
	}
}

// TestWhatIsPublicStaysPublic: it does not matter what is told first.
func TestWhatIsPublicStaysPublic(t *testing.T) {
	t.Parallel()
	commit := "0123456789abcdef0123456789abcdef01234567"
	before, after := New(commit), New()
	learn(t, before, "env", []string{commit, `"` + commit + `"`})
	learn(t, after, "env", []string{commit, `"` + commit + `"`})
	after.Publish([]string{commit})
	for name, r := range map[string]*Redactor{"before": before, "after": after} {
		for _, text := range []string{commit, "at " + commit[:12], commit[3:20]} {
			if got := r.Text(text); got != text {
				t.Errorf("published %s it was learned, %q becomes %q", name, text, got)
			}
		}
	}
}

// TestMoreThanCanBeHeldIsRefused: what is not known cannot be taken out, so whoever would print it must not run. What no file holds any
// more makes room.
func TestMoreThanCanBeHeldIsRefused(t *testing.T) {
	t.Parallel()
	r := New()
	value := func(b byte) string { return strings.Repeat(string(b), maxSecrets*2/3) }
	learn(t, r, "one", []string{value('a'), "hunter2hunter2"})
	if err := r.Learn("file two.env", []string{value('b')}); fault.ReasonOf(err) != "TOO_MANY_SECRETS" || !strings.Contains(err.Error(), "two.env") {
		t.Errorf("two are held: %v", err)
	}
	if got := r.Text("hunter2hunter2"); got != Mark {
		t.Errorf("the first is forgotten: %q", got)
	}
	learn(t, r, "one", []string{value('c')}) // in its place
	if got := r.Text(value('c')); got != Mark {
		t.Errorf("%.40q", got)
	}
}

func TestOldSecretsStaySecret(t *testing.T) {
	t.Parallel()
	r := New()
	learn(t, r, "env", []string{"old-password-1"})
	learn(t, r, "env", []string{"new-password-2"})
	if got := r.Text("old-password-1 new-password-2"); got != Mark+" "+Mark {
		t.Errorf("%q", got)
	}
	if got := New().Text("anything at all"); got != "anything at all" {
		t.Errorf("knowing nothing: %q", got)
	}
}

// FuzzText: nothing panics, nothing of the secret stays, and text without it is as it was.
func FuzzText(f *testing.F) {
	f.Add("hunter2hunter2", "before ", " after")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		r := New()
		learn(t, r, "fuzz", []string{secret})
		got := r.Text(before + secret + after)
		if len(secret) >= leastSecret && strings.Contains(got, secret) && !strings.Contains(Mark, secret) && !strings.Contains(before+after, secret) {
			t.Errorf("%q stays in %q", secret, got)
		}
		r.Lines(before, secret+after)
	})
}

// BenchmarkText is a line of a build log against three hundred secrets.
func BenchmarkText(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 2))
	var secrets []string
	for range 300 {
		secrets = append(secrets, fmt.Sprintf("%x-%x", dice.Uint64(), dice.Uint64()))
	}
	r := New()
	learn(b, r, "env", secrets)
	line := "#12 4.213 added 412 packages from 213 contributors and audited 1,204 packages in 3.1s ok"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Text(line)
	}
}

// BenchmarkLines is a line of an output as the recorder has it looked at, three hundred secrets being known, or none.
func BenchmarkLines(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 2))
	var secrets []string
	for range 300 {
		secrets = append(secrets, fmt.Sprintf("%x-%x", dice.Uint64(), dice.Uint64()))
	}
	for name, values := range map[string][]string{"learned": secrets, "empty": nil} {
		b.Run(name, func(b *testing.B) {
			r := New()
			learn(b, r, "env", values)
			last := "#11 CACHED"
			for i := 0; b.Loop(); i++ {
				line := fmt.Sprintf("#12 4.213 added %d packages from 213 contributors and audited 1,204 packages in 3.1s ok", i)
				r.Lines(last, line)
				r.Text(last)
				r.Text(line)
				last = line
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// BenchmarkTeaching is a host of a thousand secrets whose plan of ten thousand lines is published with each deploy.
func BenchmarkTeaching(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 2))
	var secrets, plan []string
	for range 1000 {
		secrets = append(secrets, fmt.Sprintf("%x-%x", dice.Uint64(), dice.Uint64()))
	}
	for i := range 10_000 {
		plan = append(plan, fmt.Sprintf("service-%d: probe http://service-%d.internal/health every %ds", i, i, i%60))
	}
	for b.Loop() {
		r := New()
		learn(b, r, "env", secrets)
		for deploy := range 10 {
			r.Publish(append(plan, fmt.Sprintf("%040x", deploy)))
			learn(b, r, "stack", []string{fmt.Sprintf("one-more-secret-%d", deploy)})
		}
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	r := New()
	learn(t, r, "env", []string{"hunter2hunter2"})
	var out strings.Builder
	line := "2026-01-01 [WARN] child said hunter2hunter2\n"
	if n, err := r.Writer(&out).Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if out.String() != "2026-01-01 [WARN] child said "+Mark+"\n" {
		t.Errorf("%q", out.String())
	}
}
