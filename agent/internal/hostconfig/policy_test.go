package hostconfig

import (
	"strings"
	"testing"
)

func TestPolicyIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"policy: {privileged: refuse, docker_socket: warn, except: {core/proxy: [docker_socket]}}": "",
		"policy: {privileged: deny}":                                            `"deny" is none of allow, warn, refuse`,
		"policy: {privilegd: refuse}":                                           "privileged",
		"policy: {mount_roots: [srv]}":                                          "not a clean absolute path",
		"policy: {other_registries: refuse}":                                    "policy.registries",
		"policy: {except: {proxy: [docker_socket]}}":                            "not STACK/SERVICE",
		"policy: {except: {core/proxy: [docker_sokket]}}":                       "did you mean docker_socket?",
		"require_signed: {allowed_signers: signers}":                            "not an absolute path",
		"require_signed: {allowed_signers: /does/not/exist}":                    "no such file",
		"require_signed: {}":                                                    "allowed_signers",
		"require_signed: {allowed_signers: /etc/passwd, every_commit: perhaps}": "every_commit",
		"checkout: /etc\nrequire_signed: {allowed_signers: /etc/passwd}":        "inside the checkout",
		"require_signed: {allowed_signers: /etc/passwd, every_commit: true}":    "",
	} {
		if !strings.HasPrefix(text, "checkout") {
			text = "checkout: /srv/fleet\n" + text
		}
		_, err := Parse("agent.yaml", []byte(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
