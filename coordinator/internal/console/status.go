package console

import (
	"fmt"
	"io"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteStatus writes the host, what is wrong with it first, its services by stack, then how many of them are ready. running
// is the operation that runs, nil when none does.
func WriteStatus(w io.Writer, host *landfallv1.Host, services []*landfallv1.Service, running *landfallv1.Operation, o Style) error {
	p := newPage(o)
	p.host(host, Problems(host, services), running)
	if t := host.GetCurrentTime(); t != nil {
		p.Now = t.AsTime().In(p.Now.Location()) // containers were started by the host's clock
	}
	p.services(services)
	return p.writeTo(w)
}

// Problems is what a person should look at, one line each: what the host tells, and every service that is not ready. A service
// that no compose file names is none.
func Problems(host *landfallv1.Host, services []*landfallv1.Service) []string {
	problems := cleanAll(host.GetProblems())
	for _, s := range services {
		if s.GetReady() || s.GetUnnamed() {
			continue
		}
		problems = append(problems, withReason(clean(s.GetStack())+"/"+clean(s.GetName())+" is not ready", serviceProblem(s)))
	}
	return problems
}

func (p *page) host(h *landfallv1.Host, problems []string, running *landfallv1.Operation) {
	var about []string
	if platform := clean(h.GetPlatform()); platform != "" {
		about = append(about, platform)
	}
	if version := clean(h.GetAgentVersion()); version != "" {
		about = append(about, fmt.Sprintf("agent %s (protocol %d)", version, h.GetProtocolVersion()))
	}
	if h.GetStartTime() != nil {
		about = append(about, "up "+Duration(between(h.GetStartTime(), h.GetCurrentTime(), p.Now)))
	}
	p.printf("%s  %s\n", p.paint(bold, clean(h.GetName())), strings.Join(about, ", "))
	if len(problems) > 0 {
		p.bullets("problems", problems, red)
		p.printf("\n")
	}
	p.field("stamp", p.stamp(h.GetStamp()))
	p.field("checkout", p.checkout(h))
	p.field("convergence", p.convergence(h.GetGitops().GetPause()))
	p.ticks(h.GetGitops())
	for _, b := range blocksOf(h.GetGitops()) {
		p.field("blocked", p.block(b))
	}
	p.field("operation", p.running(h.GetCurrentOperationId(), running))
	if n := h.GetKeepVersions(); n > 0 {
		p.field("rollbacks", "images of the last "+count(n, "successful deploy")+" are kept for them")
	}
	p.field("engine", p.engine(h.GetEngine()))
	p.field("disk", Bytes(h.GetDiskFreeBytes())+" free")
	if n := h.GetMemoryAvailableBytes(); n > 0 {
		p.field("memory", Bytes(n)+" available")
	}
	p.field("certificate", p.expiry(h))
}

// running says what the operation does that holds the host.
func (p *page) running(id string, op *landfallv1.Operation) string {
	id = clean(id)
	switch {
	case id == "":
		return "none"
	case op.GetState() == landfallv1.OperationState_OPERATION_STATE_AWAITING_VERIFY:
		text := p.paint(yellow, id+" "+awaitsVerdict)
		if t := op.GetVerifyByTime(); t != nil {
			text += "; without verify the agent judges it " + p.when(t)
		}
		return text
	case op.GetState() == landfallv1.OperationState_OPERATION_STATE_UNSPECIFIED:
		return p.paint(cyan, id+" runs")
	}
	text := p.paint(cyan, id+" runs") + ", " + stateWord(op.GetState())
	if op.GetCreateTime() != nil {
		text += ", begun " + p.when(op.GetCreateTime())
	}
	return text
}

func (p *page) stamp(s *landfallv1.Stamp) string {
	if s == nil {
		return "none: nothing was deployed yet"
	}
	text := short(s.GetSha()) + commitText(s.GetCommit())
	if s.GetWriteTime() != nil {
		text += ", written " + p.when(s.GetWriteTime())
	}
	return text
}

// checkout also tells when something else is checked out than was deployed last.
func (p *page) checkout(h *landfallv1.Host) string {
	c := h.GetCheckout()
	if c == nil {
		return "unknown"
	}
	head := short(c.GetHeadSha())
	if head == "" {
		head = "an unknown commit"
	}
	text := fmt.Sprintf("%s%s of %s in %s", head, commitText(c.GetHead()), clean(c.GetBranch()), clean(c.GetPath()))
	switch branch := clean(c.GetHeadBranch()); {
	case branch == "" && c.GetHead() != nil: // an older agent tells neither
		text += p.paint(yellow, ", but no branch is checked out")
	case branch != "" && branch != clean(c.GetBranch()):
		text += p.paint(yellow, ", but branch "+branch+" is checked out")
	}
	if sha := h.GetMovedSha(); sha != "" {
		text += p.paint(yellow, ", moved away from the stamp: the next deploy also changes what differs from "+short(sha))
	} else if sha := h.GetStamp().GetSha(); sha != "" && c.GetHeadSha() != "" && sha != c.GetHeadSha() {
		text += p.paint(yellow, ", not the stamp")
	}
	if !c.GetDirty() {
		return text
	}
	text += p.paint(yellow, ", edited")
	if paths := c.GetDirtyPaths(); len(paths) > 0 {
		text += ": " + strings.Join(cleanAll(paths), ", ")
	}
	return text
}

// commitText is what people know a commit by; "" when it is not known.
func commitText(c *landfallv1.CommitInfo) string {
	subject, author := clean(c.GetSubject()), clean(c.GetAuthor())
	switch {
	case subject == "":
		return ""
	case author == "":
		return fmt.Sprintf(" \"%s\"", subject)
	}
	return fmt.Sprintf(" \"%s\" (%s)", subject, author)
}

// convergence says what keeps it from running. That it does run is not claimed.
func (p *page) convergence(s *landfallv1.GitOpsPause) string {
	if s == nil {
		return "not paused"
	}
	text := "paused"
	if owner := clean(s.GetOwner()); owner != "" {
		text += " by " + owner
	}
	if id := clean(s.GetOperationId()); id != "" {
		text += " in " + id
	}
	text = p.paint(yellow, text)
	if s.GetExpireTime() != nil {
		text += ", over " + p.when(s.GetExpireTime())
	}
	return withReason(text, s.GetReason())
}

// block is a commit that must not be deployed, or an image that must not be pulled, and why.
func (p *page) block(b *landfallv1.BlockedCommit) string {
	text := p.paint(red, short(b.GetSha()))
	if strings.HasPrefix(b.GetSha(), "sha256:") {
		text = "image " + p.paint(red, shortDigest(b.GetSha()))
	}
	if id := clean(b.GetOperationId()); id != "" {
		text += " by " + id
	}
	if b.GetCreateTime() != nil {
		text += ", " + p.when(b.GetCreateTime())
	}
	return withReason(text, b.GetReason())
}

// blocksOf are all blocks; an older agent tells one in a field of its own.
func blocksOf(g *landfallv1.GitOpsStatus) []*landfallv1.BlockedCommit {
	if all := g.GetAllBlocked(); len(all) > 0 || g.GetBlocked() == nil {
		return all
	}
	return []*landfallv1.BlockedCommit{g.GetBlocked()}
}

func withReason(text, reason string) string {
	if reason = clean(reason); reason != "" {
		return text + ": " + reason
	}
	return text
}

func (p *page) engine(e *landfallv1.Engine) string {
	var parts []string
	if v := clean(e.GetVersion()); v != "" {
		parts = append(parts, "Docker "+v)
	}
	if v := clean(e.GetComposeVersion()); v != "" {
		parts = append(parts, "Compose "+v)
	}
	if why := clean(e.GetError()); why != "" {
		parts = append(parts, p.paint(red, why))
	}
	return strings.Join(parts, ", ")
}

func (p *page) expiry(h *landfallv1.Host) string {
	t := h.GetCertificateExpireTime()
	if t == nil {
		return ""
	}
	if t.AsTime().Before(p.Now) {
		return p.paint(red, "expired "+p.when(t))
	}
	return "expires " + p.when(t)
}
