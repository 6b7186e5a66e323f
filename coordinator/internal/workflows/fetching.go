package workflows

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// transfers are commands that bring code from elsewhere, or another commit into the working tree, as they stand in a text. They
// are for texts that are not parsed: other languages, and what another shell reads.
var transfers = regexp.MustCompile(`\bgit\b[^\n;|&]*?\b(?:fetch|clone|checkout|switch|pull|worktree|merge|cherry-pick|reset|am|apply|remote|submodule|rebase|restore|archive|read-tree|checkout-index|bundle)\b|` +
	`\bgh\s+(?:pr\s+checkout|repo\s+clone|repo\s+sync)|\bgh\s+api\b[^\n]*(?:tarball|zipball|contents|git/)|\bhub\s+(?:checkout|clone|merge|am|apply)|` +
	`\b(?:svn|hg|jj|degit|git-clone)\b|` +
	`(?i)(?:\bcurl|\bwget|\baria2c|\burlopen|\burlretrieve|\bfetch|requests\.get|Invoke-WebRequest|Invoke-RestMethod|\biwr|\birm)\b[^\n]*` + archive + `|` +
	`\b(?:npm|pnpm|yarn|npx|bunx?|pip3?|pipx|uvx?|go|cargo|gem|nix|docker)\b[^\n]*(?:git\+|github:|\.git\b)`)

// archive is what an address of code looks like.
const archive = `(?:tarball|zipball|archive|codeload|\braw\b|raw\.githubusercontent|\.tar|\.tgz|\.zip|\.patch|\.diff|\.sh\b|\.py\b|\.js\b|/contents/)`

var anArchive = regexp.MustCompile(archive)

// fetches reports whether a script brings an outsider's code into the job.
func (c *checker) fetches(p place) bool {
	s := c.flow.script(p)
	if s.program.file == nil {
		return s.taint&foreigner != 0 && transfers.MatchString(strings.ReplaceAll(s.program.text, "\\\n", " "))
	}
	return s.fetches
}

// fetchesCode looks for a command that is given what outsiders set as the code that it shall bring.
func (r *reading) fetchesCode(values spelledOut) {
	syntax.Walk(r.program.file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CallExpr:
			r.fetches = r.fetches || r.fetchedBy(n, values)
		case *syntax.BinaryCmd:
			if (n.Op == syntax.Pipe || n.Op == syntax.PipeAll) && r.fromElsewhere(n.X) && r.unpacks(n.Y) {
				r.fetches = true
			}
		case *syntax.Stmt:
			for _, redirect := range n.Redirs {
				if redirect.Word != nil && n.Cmd != nil && r.unpacks(n) && r.of(redirect)&foreigner != 0 {
					r.fetches = true
				}
			}
		}
		return !r.fetches
	})
}

// Commands of git that bring other code, and those that make a branch without doing so.
var (
	gitVerbs   = []string{"fetch", "clone", "checkout", "switch", "pull", "worktree", "merge", "cherry-pick", "reset", "am", "apply", "remote", "submodule", "rebase", "restore", "archive", "read-tree", "checkout-index", "bundle"}
	newBranch  = regexp.MustCompile(`^(?:-[bBcC]|--orphan|--create|--force-create)$`)
	gitOptions = regexp.MustCompile(`^-[cC]$`)
	loaders    = []string{"curl", "wget", "aria2c", "http", "https", "xh", "fetch"}
	idleOption = regexp.MustCompile(`^(?:-[dHFXuAbemTt]|--(?:data|header|form|json|request|user|url-query|cookie|user-agent|referer|retry|max-time|write-out|proxy).*|-w)$`)
	anAddress  = regexp.MustCompile(`git\+|github:|://|\.git\b|@|#`)
)

func (r *reading) fetchedBy(call *syntax.CallExpr, values spelledOut) bool {
	if len(call.Args) == 0 {
		return false
	}
	for _, word := range call.Args { // for another shell
		if text := asWritten(r.program, word); strings.ContainsAny(text, " \n") && transfers.MatchString(text) && r.word(word)&foreigner != 0 {
			return true
		}
	}
	words := call.Args
	for len(words) > 1 && slices.Contains([]string{"sudo", "exec", "command", "time", "env"}, spelled(words[0])) {
		words = words[1:]
	}
	name := path.Base(resolved(r.program, words[0], values))
	switch {
	case name == "git":
		return r.byGit(words[1:])
	case name == "gh", name == "hub":
		return r.byHub(words[1:])
	case slices.Contains(loaders, name):
		return r.byLoader(name, words[1:])
	case slices.Contains([]string{"svn", "hg", "jj", "degit", "rsync", "scp"}, name):
		return slices.ContainsFunc(words[1:], func(w *syntax.Word) bool { return r.word(w)&(headCode|freeText) != 0 })
	}
	return r.takesAddress(name, words)
}

// word is the taint of a word, and of what it spells out as a whole.
func (r *reading) word(word *syntax.Word) taint {
	return r.of(word) | said(asWritten(r.program, word))
}

func (r *reading) byGit(words []*syntax.Word) bool {
	for len(words) > 0 && strings.HasPrefix(spelled(words[0]), "-") {
		if gitOptions.MatchString(spelled(words[0])) && len(words) > 1 {
			words = words[1:]
		}
		words = words[1:]
	}
	if len(words) == 0 || !slices.Contains(gitVerbs, spelled(words[0])) {
		return false
	}
	verb := spelled(words[0])
	for i := 1; i < len(words); i++ {
		if newBranch.MatchString(spelled(words[i])) && (verb == "checkout" || verb == "switch") {
			i++ // its name
			continue
		}
		if option := spelled(words[i]); verb == "merge" && (option == "-m" || option == "--message") {
			i++
			continue
		}
		if r.word(words[i])&foreigner != 0 || (verb == "am" || verb == "apply") && r.file(spelled(words[i]))&foreigner != 0 {
			return true
		}
	}
	return false
}

func (r *reading) byHub(words []*syntax.Word) bool {
	var texts []string
	var t taint
	for _, word := range words {
		texts = append(texts, spelled(word))
		t |= r.word(word)
	}
	text := strings.Join(texts, " ")
	switch {
	case strings.HasPrefix(text, "pr checkout"), strings.HasPrefix(text, "checkout "):
		return true
	case strings.HasPrefix(text, "repo clone"), strings.HasPrefix(text, "repo sync"), strings.HasPrefix(text, "clone "), strings.HasPrefix(text, "am "), strings.HasPrefix(text, "merge "):
		return t&foreigner != 0
	}
	return strings.HasPrefix(text, "api ") && t&(headCode|freeText) != 0 && regexp.MustCompile(`tarball|zipball|contents|git/`).MatchString(text)
}

// byLoader looks for an address that names an outsider's code. What is sent, and what is asked without being kept, does not count.
func (r *reading) byLoader(name string, words []*syntax.Word) bool {
	var t taint
	address, keeps := "", name != "curl" && name != "http" && name != "https" && name != "xh"
	for i := 0; i < len(words); i++ {
		option := spelled(words[i])
		switch {
		case idleOption.MatchString(option):
			if !strings.Contains(option, "=") {
				i++
			}
		case option == "-o" || option == "--output" || option == "-O" && name == "wget":
			if i++; i < len(words) && spelled(words[i]) != "/dev/null" {
				keeps = true
			}
		case strings.HasPrefix(option, "-"):
			keeps = keeps || option == "--remote-name" || !strings.HasPrefix(option, "--") && strings.ContainsAny(option, "oO")
		default:
			address += " " + asWritten(r.program, words[i])
			t |= r.word(words[i])
		}
	}
	return t&foreigner != 0 && anArchive.MatchString(address) || keeps && t&(headCode|freeText) != 0
}

// fromElsewhere reports whether a statement prints code that outsiders chose.
func (r *reading) fromElsewhere(stmt *syntax.Stmt) bool { return r.of(stmt)&foreigner != 0 }

// unpacks reports whether a statement puts what it reads into the working tree, or runs it.
func (r *reading) unpacks(stmt *syntax.Stmt) bool {
	found := false
	calls(stmt, func(call *syntax.CallExpr) {
		switch name := nameOf(call); name {
		case "git":
			found = found || slices.ContainsFunc(call.Args, func(w *syntax.Word) bool { return spelled(w) == "am" || spelled(w) == "apply" })
		case "tar", "unzip", "patch", "cpio", "bsdtar":
			found = true
		}
	})
	return found
}

var (
	packageTool = regexp.MustCompile(`^(?:npm|pnpm|yarn|npx|bun|bunx|pip3?|pipx|uv|uvx|go|cargo|gem|nix|deno|docker|podman|buildah|helm|kubectl|terraform|composer)$`)
	takingVerb  = regexp.MustCompile(`^(?:install|i|add|build|exec|create|dlx|x|get|apply|init|tool)$`)
)

// takesAddress reports whether a package tool is given what outsiders wrote as what it takes, not as the value of an option.
func (r *reading) takesAddress(name string, words []*syntax.Word) bool {
	if !packageTool.MatchString(name) || len(words) < 2 {
		return false
	}
	verb := name == "npx" || name == "bunx" || name == "uvx"
	for i, word := range words[1:] {
		text := spelled(word)
		option := strings.HasPrefix(spelled(words[i]), "-")
		whole := text == "" || anAddress.MatchString(text)
		if verb && whole && !option && !strings.HasPrefix(text, "-") && r.word(word)&(headCode|freeText) != 0 {
			return true
		}
		verb = verb || takingVerb.MatchString(text)
	}
	return false
}
