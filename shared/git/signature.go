package git

import (
	"context"
	"errors"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// VerifySignature checks that a commit carries an SSH signature of somebody in a file of allowed signers (ssh-keygen(1), "ALLOWED SIGNERS"),
// and returns the signer's name there. It asks nobody: no key server, no agent, no other program than ssh-keygen. The error is Refused
// with NOT_SIGNED, or BAD_SIGNATURE with what git said.
func (r Repo) VerifySignature(ctx context.Context, sha, allowedSigners string) (signer string, err error) {
	if err := checkSHA(sha); err != nil {
		return "", err
	}
	var said []string
	_, err = r.do(ctx, run{
		args: []string{
			"-c", "gpg.ssh.allowedSignersFile=" + allowedSigners, "-c", "gpg.ssh.program=ssh-keygen", "-c", "gpg.ssh.revocationFile=",
			// Signatures of other kinds are judged by programs and key rings that a configuration names.
			"-c", "gpg.program=false", "-c", "gpg.openpgp.program=false", "-c", "gpg.x509.program=false",
			"verify-commit", "--verbose", sha,
		},
		onLine: func(l process.Line) { said = append(said, l.Text) },
	})
	for _, line := range said {
		// Good "git" signature for ada@example.org with ED25519 key SHA256:...
		if rest, good := strings.CutPrefix(line, `Good "git" signature for `); good && err == nil {
			signer, _, _ = strings.Cut(rest, " with ")
			return signer, nil
		}
	}
	var child *process.Error
	if err != nil && !errors.As(err, &child) {
		return "", err
	}
	if err != nil && child.Cause != process.CauseExit {
		return "", err
	}
	why := "no signature"
	for _, line := range said {
		if strings.Contains(line, "signature") || strings.Contains(line, "ssh-keygen") || strings.Contains(line, "principal") {
			why = line
		}
	}
	if why == "no signature" {
		return "", fault.New(fault.Refused, "NOT_SIGNED", "%.12s is not signed", sha).WithHint("sign commits: git config commit.gpgsign true; git config gpg.format ssh; git config user.signingkey KEY.pub")
	}
	return "", fault.New(fault.Refused, "BAD_SIGNATURE", "%.12s: %s", sha, why).WithHint("the signer must be in %s", allowedSigners)
}

// Between lists the commits that b has and a has not, oldest first, at most limit; "" for a lists only b.
func (r Repo) Between(ctx context.Context, a, b string, limit int) ([]string, error) {
	if err := checkSHA(b); err != nil {
		return nil, err
	}
	if a == "" {
		return []string{b}, nil
	}
	if err := checkSHA(a); err != nil {
		return nil, err
	}
	out, err := r.do(ctx, run{args: []string{"rev-list", "--reverse", "^" + a, b, "--"}, limit: 1 << 24})
	if err != nil {
		return nil, err
	}
	shas := strings.Fields(out)
	if len(shas) > limit {
		return nil, fault.New(fault.Refused, "TOO_MANY_COMMITS", "%d commits lie between %.12s and %.12s, more than the %d that are verified at once", len(shas), a, b, limit)
	}
	return shas, nil
}
