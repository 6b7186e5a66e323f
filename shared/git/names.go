package git

import (
	"path"
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// IsSHA reports whether s is a full object name: 40 (SHA-1) or 64 (SHA-256) lower-case
// hexadecimal digits.
func IsSHA(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

func checkSHA(s string) error {
	if IsSHA(s) {
		return nil
	}
	return fault.New(fault.Invalid, "INVALID_SHA", "%q is not a full commit SHA", s).
		WithHint("give all 40 lower-case hexadecimal digits; git rev-parse REV prints them")
}

// CheckBranch applies the rules of git check-ref-format --branch (git-check-ref-format(1),
// the part about names, not the @{-1} shorthand). The error is Invalid, INVALID_REF.
func CheckBranch(name string) error {
	if why := badRef(name); why != "" {
		return fault.New(fault.Invalid, "INVALID_REF", "%q is not a branch name: %s", name, why)
	}
	return nil
}

// badRef says what is wrong with a ref name or a part of one; "" is nothing.
func badRef(name string) string {
	switch {
	case name == "" || name == "@" || name == "HEAD":
		return "it is empty or reserved"
	case strings.HasPrefix(name, "-"):
		return "it begins with a dash"
	case strings.HasSuffix(name, "."):
		return "it ends with a dot"
	case strings.Contains(name, "..") || strings.Contains(name, "@{"):
		return `it holds ".." or "@{"`
	case strings.ContainsAny(name, " ~^:?*[\\"):
		return `it holds a space or one of ~ ^ : ? * [ \`
	}
	for _, b := range []byte(name) {
		if b < 0x20 || b == 0x7f {
			return "it holds a control character"
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return "it begins or ends with a slash or has two in a row"
		case strings.HasPrefix(part, "."):
			return "a part begins with a dot"
		case strings.HasSuffix(part, ".lock"):
			return "a part ends with .lock"
		}
	}
	return ""
}

// checkRemote accepts the name of a configured remote; a URL is not one.
func checkRemote(name string) error {
	if why := badRef(name); why != "" {
		return fault.New(fault.Invalid, "INVALID_REMOTE", "%q is not the name of a remote: %s", redact(name), why)
	}
	return nil
}

func checkRevision(rev string) error {
	if rev == "" || strings.HasPrefix(rev, "-") || strings.ContainsAny(rev, "\x00\n") {
		return fault.New(fault.Invalid, "INVALID_REVISION", "%q is not a revision", rev)
	}
	return nil
}

// checkPath accepts slash-separated paths inside the tree in their shortest form.
func checkPath(p string) error {
	if p == "" || p == "." || p != path.Clean(p) || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsRune(p, 0) {
		return fault.New(fault.Invalid, "INVALID_PATH", "%q is not a path inside a repository", p)
	}
	return nil
}

// userInfo finds what stands before the @ of a URL: group 1 scheme, 2 user, 3 password with its colon.
var userInfo = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^\s/@:]*)(:[^\s/@]*)?@`)

// redact hides credentials inside URLs. A user name without a password stays, except
// over http, where tokens are given as user names.
func redact(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return userInfo.ReplaceAllStringFunc(s, func(m string) string {
		parts := userInfo.FindStringSubmatch(m)
		if parts[3] == "" && !strings.HasPrefix(strings.ToLower(parts[1]), "http") {
			return m
		}
		return parts[1] + "***@"
	})
}
