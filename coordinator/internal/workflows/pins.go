package workflows

// pin is an action at the commit of a release. A commit is the only way to name an action
// that nobody can change afterwards. Source:
// https://docs.github.com/actions/reference/security/secure-use#using-third-party-actions
type pin struct {
	action  string // owner/name
	commit  string // 40 hexadecimal digits
	version string // the release that the commit is
}

// pins is every action that a rendered file uses. The commits are those that the workflow
// files of docker/compose, moby/buildkit, hashicorp/nomad, tailscale/tailscale, fluxcd/pkg
// and others agreed on in November 2026 for the releases named here.
var pins = []pin{
	{"actions/checkout", "3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"},
	{"actions/setup-go", "b7ad1dad31e06c5925ef5d2fc7ad053ef454303e", "v7.0.0"},
	{"actions/upload-pages-artifact", "fc324d3547104276b827a68afc52ff2a11cc49c9", "v5"},
	{"actions/deploy-pages", "cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5"},
}

// wrangler uploads to Cloudflare Pages; the newest release of November 2026. Source:
// https://www.npmjs.com/package/wrangler
const wrangler = "wrangler@4.164.0"

// uses writes the value of a step's uses: with the release as a comment.
func uses(action string) string {
	for _, p := range pins {
		if p.action == action {
			return p.action + "@" + p.commit + " # " + p.version
		}
	}
	panic("workflows: the action " + action + " is not pinned") // a template that asks for it never passed a test
}
