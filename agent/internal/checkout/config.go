package checkout

import (
	"context"
	"net/url"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
)

// judgeConfig refuses programs that the repository's own configuration has git run on the content of files: whoever may write .git/config,
// a container that mounts the checkout say, would run them on the host, and what they make of a file is not what was committed. Those of
// the owner's and of the system's configuration are the owner's decision.
func (c *Checkout) judgeConfig(ctx context.Context) error {
	settings, err := c.repo.Settings(ctx, `^filter\..*\.(smudge|clean|process)$`)
	if err != nil {
		return err
	}
	elsewhere := map[git.Setting]bool{}
	for _, s := range settings {
		if !own(s) {
			elsewhere[git.Setting{Key: s.Key, Value: s.Value}] = true
		}
	}
	for _, s := range settings {
		if own(s) && s.Value != "" && !elsewhere[git.Setting{Key: s.Key, Value: s.Value}] {
			return fault.New(fault.Refused, "FILTER_IN_REPOSITORY", "the configuration of the checkout has git run a program on its files: %s", s.Key).
				WithHint("remove it: git config --unset %s; or, when you want it, give it to the owner of the checkout: git config --global %s ...", s.Key, s.Key)
		}
	}
	return nil
}

// own reports whether a setting is the repository's.
func own(s git.Setting) bool { return s.Scope == "local" || s.Scope == "worktree" }

// learn tells what of git's configuration is secret: what says who asks in addresses, and headers.
func (c *Checkout) learn(ctx context.Context) error {
	if c.Learn == nil {
		return nil
	}
	settings, err := c.repo.Settings(ctx, `^(remote\..*url|url\..*|http\..*extraheader|http.*\.proxy|credential\..*)$`)
	if err != nil {
		return nil //nolint:nilerr // the command that uses it says what is wrong
	}
	var secrets []string
	for _, s := range settings {
		if strings.HasSuffix(s.Key, "extraheader") {
			_, value, _ := strings.Cut(s.Value, ":")
			secrets = append(secrets, strings.Fields(value)...)
			continue
		}
		for _, address := range []string{s.Value, strings.TrimPrefix(s.Key, "url.")} {
			if u, err := url.Parse(address); err == nil && u.User != nil && strings.HasPrefix(u.Scheme, "http") {
				password, _ := u.User.Password()
				secrets = append(secrets, u.User.String(), u.User.Username(), password)
			}
		}
	}
	return c.Learn("git", secrets)
}

// mostHashes bounds the commits that are asked for at once: each is a child.
const mostHashes = 64

// Known lists those of some hashes, whole or their beginnings, that name a commit of the repository.
func (c *Checkout) Known(ctx context.Context, hashes []string) []string {
	var known []string
	for _, hash := range hashes[:min(len(hashes), mostHashes)] {
		if sha, err := c.repo.Resolve(ctx, hash); err == nil && strings.HasPrefix(sha, hash) { // a branch may have such a name
			known = append(known, hash, sha)
		}
	}
	return known
}
