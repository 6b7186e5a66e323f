package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/boundedfile"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// Login is what a registry knows us by; the zero value is nobody.
type Login struct {
	User, Password string
	Token          string // in their place
}

// Credentials has logins.
type Credentials interface {
	// For finds the login for a registry, as names of images give it; nobody is no error.
	For(ctx context.Context, host string) (Login, error)
}

// DockerConfig has the logins of `docker login`, of the user who owns the checkout: what Compose pulls with. It reads, and changes nothing.
type DockerConfig struct {
	Owner *process.Owner
	// Learn hears of every secret before it is used; an error keeps it from being used. May be nil.
	Learn func(source string, values []string) error
}

// hubKey is what Docker Hub's login goes by (docker/cli, cli/config/credentials).
const hubKey = "https://index.docker.io/v1/"

const (
	configFile   = ".docker/config.json"
	maxConfig    = 1 << 20 // bytes
	helperWithin = 15 * time.Second
	maxHelped    = 64 << 10 // bytes
)

// helperName is what may stand behind docker-credential-.
var helperName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

// For implements Credentials.
func (d DockerConfig) For(ctx context.Context, host string) (Login, error) {
	if d.Owner.Home == "" {
		return Login{}, nil
	}
	raw, err := d.read()
	if errors.Is(err, fs.ErrNotExist) {
		return Login{}, nil
	}
	if err != nil {
		return Login{}, fmt.Errorf("the logins of %s cannot be read: %w", d.Owner.Name, err)
	}
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken string
		}
		CredHelpers map[string]string
		CredsStore  string
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return Login{}, fmt.Errorf("the logins of %s are no JSON", d.Owner.Name) // the error would quote them
	}
	key := host
	if host == "docker.io" {
		key = hubKey
	}
	helper := file.CredsStore
	if own := file.CredHelpers[key]; own != "" {
		helper = own
	}
	var login Login
	if helper != "" {
		if login, err = d.ask(ctx, helper, key); err != nil {
			return Login{}, err
		}
	}
	if login == (Login{}) {
		for named, a := range file.Auths {
			if hostOf(named) != hostOf(key) {
				continue
			}
			login = Login{User: a.Username, Password: a.Password, Token: a.IdentityToken}
			if plain, err := base64.StdEncoding.DecodeString(a.Auth); err == nil && len(plain) > 0 {
				user, password, _ := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
				login.User, login.Password = user, password
			}
		}
	}
	return login, d.teach(host, login)
}

// hostOf is the registry that a key of the file speaks of: "https://ghcr.io/v1/" is "ghcr.io".
func hostOf(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	return host
}

// read reads the file as one that its owner may have put anywhere: no link leads out of the home.
func (d DockerConfig) read() ([]byte, error) {
	home, err := os.OpenRoot(d.Owner.Home)
	if err != nil {
		return nil, err
	}
	defer func() { _ = home.Close() }() // nothing was written
	return boundedfile.ReadIn(home, configFile, maxConfig)
}

// ask has a credential helper tell a login, as the owner: it is a program of theirs.
func (d DockerConfig) ask(ctx context.Context, helper, key string) (Login, error) {
	if !helperName.MatchString(helper) {
		return Login{}, fmt.Errorf("the logins of %s name the helper %.80q, which is no name", d.Owner.Name, helper)
	}
	program := "docker-credential-" + helper
	result, err := process.Run(ctx, process.Cmd{
		Path: program, Args: []string{"get"}, Env: d.Owner.Environ(), Credential: d.Owner.Credential(), Dir: "/",
		Stdin: strings.NewReader(key), Deadline: helperWithin, CaptureLimit: maxHelped, Redact: func(string) string { return "" },
	})
	if err != nil {
		if strings.Contains(string(result.Stdout), "credentials not found") { // docker-credential-helpers, credentials/error.go
			return Login{}, nil
		}
		return Login{}, fault.New(fault.Failed, "CREDENTIAL_HELPER", "%s does not tell the login for %s", program, hostOf(key))
	}
	var told struct{ Username, Secret string }
	if err := json.Unmarshal(result.Stdout, &told); err != nil {
		return Login{}, fault.New(fault.Failed, "CREDENTIAL_HELPER", "%s tells a login for %s that is no JSON", program, hostOf(key))
	}
	if told.Username == "<token>" { // docker-credential-helpers: the secret is an identity token
		return Login{Token: told.Secret}, nil
	}
	return Login{User: told.Username, Password: told.Secret}, nil
}

// teach tells the secrets of a login, and the form in which it goes over the wire.
func (d DockerConfig) teach(host string, l Login) error {
	if d.Learn == nil || l == (Login{}) {
		return nil
	}
	var secrets []string
	for _, s := range []string{l.Password, l.Token} {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	if l.Password != "" {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(l.User+":"+l.Password)))
	}
	return d.Learn("the login for "+host, secrets)
}
