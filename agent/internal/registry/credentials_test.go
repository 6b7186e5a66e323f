package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ataraxis.dev/landfall/shared/process"
)

// owner is who runs the test, with a home of their own that has this Docker configuration.
func owner(t *testing.T, config string) *process.Owner {
	t.Helper()
	o := &process.Owner{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Name: "chris", Home: t.TempDir()}
	if config != "" {
		if err := os.Mkdir(filepath.Join(o.Home, ".docker"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.Home, configFile), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestDockerConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config, host string
		want         Login
		err          string
	}{
		"none":                         {"", "ghcr.io", Login{}, ""},
		"nothing about it":             {`{"auths": {"ghcr.io": {"auth": "` + encoded("a:b") + `"}}}`, "quay.io", Login{}, ""},
		"Docker Hub":                   {`{"auths": {"https://index.docker.io/v1/": {"auth": "` + encoded("chris:pa:ss") + `"}}}`, "docker.io", Login{User: "chris", Password: "pa:ss"}, ""},
		"a registry":                   {`{"auths": {"ghcr.io": {"auth": "` + encoded("chris:token") + `"}}}`, "ghcr.io", Login{User: "chris", Password: "token"}, ""},
		"a registry of old":            {`{"auths": {"https://ghcr.io/v1/": {"username": "chris", "password": "token"}}}`, "ghcr.io", Login{User: "chris", Password: "token"}, ""},
		"a port":                       {`{"auths": {"127.0.0.1:5000": {"auth": "` + encoded("a:b") + `"}}}`, "127.0.0.1:5000", Login{User: "a", Password: "b"}, ""},
		"an identity token":            {`{"auths": {"x.example": {"identitytoken": "tttttt"}}}`, "x.example", Login{Token: "tttttt"}, ""},
		"a name that only begins so":   {`{"auths": {"ghcr.io.evil.example": {"auth": "` + encoded("a:b") + `"}}}`, "ghcr.io", Login{}, ""},
		"no JSON":                      {`{"auths": {"ghcr.io": {"auth": "s3cr3t`, "ghcr.io", Login{}, "no JSON"},
		"a helper that is a path":      {`{"credsStore": "../../bin/sh"}`, "ghcr.io", Login{}, "no name"},
		"a helper that is not there":   {`{"credsStore": "landfall-nobody"}`, "ghcr.io", Login{}, "does not tell"},
		"a helper for another":         {`{"credHelpers": {"quay.io": "landfall-nobody"}}`, "ghcr.io", Login{}, ""},
		"an auth that is none":         {`{"auths": {"ghcr.io": {"auth": "%%%"}}}`, "ghcr.io", Login{}, ""},
		"a file that is a list inside": {`[]`, "ghcr.io", Login{}, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			var learned []string
			d := DockerConfig{Owner: owner(t, c.config), Learn: func(_ string, values []string) error { learned = append(learned, values...); return nil }}
			got, err := d.For(t.Context(), c.host)
			if got != c.want || (err == nil) != (c.err == "") || (err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "s3cr3t"))) {
				t.Errorf("%+v, %v", got, err)
			}
			for _, secret := range []string{got.Password, got.Token} {
				if secret != "" && !slices.Contains(learned, secret) {
					t.Errorf("%q was not taught, but %q", secret, learned)
				}
			}
		})
	}
}

// TestLoginsThatAreNoFile: what its owner put there is not followed out of the home, and nobody waits for it.
func TestLoginsThatAreNoFile(t *testing.T) {
	t.Parallel()
	elsewhere := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(elsewhere, []byte(`{"auths": {"ghcr.io": {"auth": "`+encoded("a:b")+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"a link out": func(path string) error { return os.Symlink(elsewhere, path) },
		"a FIFO":     func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":   func(path string) error { return os.Mkdir(path, 0o700) },
		"too much":   func(path string) error { return os.WriteFile(path, make([]byte, maxConfig+1), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			o := owner(t, "{}")
			path := filepath.Join(o.Home, configFile)
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			if got, err := (DockerConfig{Owner: o}).For(t.Context(), "ghcr.io"); err == nil || got != (Login{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestCredentialHelper: it is run as the owner, is told the registry, and its login is used.
func TestCredentialHelper(t *testing.T) {
	programs := t.TempDir()
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	if err := os.Chmod(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(programs), filepath.Dir(filepath.Dir(programs))} { // somebody else enters
		_ = os.Chmod(dir, 0o755) // not ours: then it is open already
	}
	helper := func(name, text string) {
		if err := os.WriteFile(filepath.Join(programs, "docker-credential-"+name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	helper("good", `read -r key; echo "{\"Username\": \"$(id -u) $1 $HOME\", \"Secret\": \"for $key\"}"`)
	helper("token", `echo '{"Username": "<token>", "Secret": "tttttt"}'`)
	helper("empty", `echo "credentials not found in native keychain"; exit 1`)
	helper("broken", `echo s3cr3t; echo s3cr3t >&2; exit 3`)
	helper("nonsense", `echo s3cr3t`)
	run := func(o *process.Owner) (Login, error) { return DockerConfig{Owner: o}.For(t.Context(), "docker.io") }
	o := owner(t, `{"credsStore": "good"}`)
	if other, err := user.Lookup("nobody"); err == nil && os.Geteuid() == 0 {
		fmt.Sscan(other.Uid, &o.UID)
		fmt.Sscan(other.Gid, &o.GID)
	}
	want := Login{User: fmt.Sprintf("%d get %s", o.UID, o.Home), Password: "for " + hubKey}
	if got, err := run(o); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := run(owner(t, `{"credsStore": "nonsense", "credHelpers": {"https://index.docker.io/v1/": "token"}}`)); err != nil || got.Token != "tttttt" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := run(owner(t, `{"credsStore": "empty", "auths": {"https://index.docker.io/v1/": {}}}`)); err != nil || got != (Login{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"broken", "nonsense"} {
		if got, err := run(owner(t, `{"credsStore": "`+name+`"}`)); err == nil || got != (Login{}) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// logins are fixed.
type logins struct {
	login Login
	err   error
}

func (l logins) For(context.Context, string) (Login, error) { return l.login, l.err }

// TestARegistryThatWantsALogin: it gets it; one that is refused, or cannot be had, is unknown.
func TestARegistryThatWantsALogin(t *testing.T) {
	b := newBench(t)
	index, _, config := b.multi("1", "one", "built on Monday")
	b.has(config, config, index)
	b.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "chris" || password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for _, c := range []struct {
		logins logins
		known  bool
	}{
		{logins{err: errors.New("the keychain is locked")}, false},
		{logins{login: Login{User: "chris", Password: "wrong"}}, false},
		{logins{}, false},
		{logins{login: Login{User: "chris", Password: "right"}}, true},
	} {
		b.later()
		b.registries.Credentials = c.logins
		newer, notes := b.look()
		if len(newer) > 0 || (len(notes) == 0) != c.known || strings.Contains(strings.Join(notes, ""), "wrong") {
			t.Errorf("%+v: %v, %q", c.logins, newer, notes)
		}
	}
}
