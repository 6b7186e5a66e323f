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
)

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
		r.Learn("env", []string{secret})
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
	r.Learn("env", []string{secret})
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
	r.Learn("env", []string{secret})
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
	r.Learn("env", EnvFile("POSTGRES_PASSWORD=postgres\nTZ=Europe/Berlin\nPORT=8080\nLOG_LEVEL=debugging\nDATA=/srv/shop/data/volumes\nIMAGE=ghcr.io/acme/shop-api:1.2\nDEBUG=false\nLANG=de_DE.UTF-8\n"))
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
		r.Learn("env", EnvFile(text))
		if got := r.Text("failed to read .env: line 3: unexpected " + canary + " in it"); strings.Contains(got, canary) || !strings.Contains(got, "line 3") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestOldSecretsStaySecret(t *testing.T) {
	t.Parallel()
	r := New()
	r.Learn("env", []string{"old-password-1"})
	r.Learn("env", []string{"new-password-2"})
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
		r.Learn("fuzz", []string{secret})
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
	r.Learn("env", secrets)
	line := "#12 4.213 added 412 packages from 213 contributors and audited 1,204 packages in 3.1s ok"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Text(line)
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	r := New()
	r.Learn("env", []string{"hunter2hunter2"})
	var out strings.Builder
	line := "2026-01-01 [WARN] child said hunter2hunter2\n"
	if n, err := r.Writer(&out).Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if out.String() != "2026-01-01 [WARN] child said "+Mark+"\n" {
		t.Errorf("%q", out.String())
	}
}
