package ci

import (
	"net"
	"net/url"
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// repositoryName is what GitHub allows for owners and repositories. It keeps slashes, dots alone
// and escapes out of URL paths, where go-github writes the name as it is.
var repositoryName = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_-]{0,99})/([A-Za-z0-9._-]{1,100})$`)

func splitRepository(s string) (owner, name string, err error) {
	m := repositoryName.FindStringSubmatch(s)
	if m == nil || m[2] == "." || m[2] == ".." {
		return "", "", fault.New(fault.Invalid, "NO_SUCH_REPOSITORY", "%q is not a repository", s).
			WithHint("give owner/name; under Actions GITHUB_REPOSITORY has it")
	}
	return m[1], m[2], nil
}

// parseBase reads the API's address: with a slash at its end, as go-github wants it.
func parseBase(s string) (*url.URL, error) {
	s = orDefault(s, DefaultBaseURL)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The address is not repeated: it may hold a password.
		return nil, fault.New(fault.Invalid, "GITHUB_API_URL", "the address of the GitHub API is not a plain URL").
			WithHint("like %s or https://HOST/api/v3", DefaultBaseURL)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fault.New(fault.Invalid, "GITHUB_API_URL", "the address of the GitHub API, %s, does not protect the token", u).
			WithHint("use https; http is for loopback addresses only")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkFile refuses what is no base name of a workflow file: go-github would ask another path.
func checkFile(file string) error {
	known := strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml")
	if known && len(file) <= 255 && !strings.ContainsAny(file, `/\`) && !strings.HasPrefix(file, ".") && clean(file) == file {
		return nil
	}
	return fault.New(fault.Invalid, reasonNoWorkflow, "%q is not the name of a workflow file", file).
		WithHint("give the base name, without .github/workflows/: lint.yml")
}
