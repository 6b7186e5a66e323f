package console

import (
	"fmt"
	"io"
	"strings"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WriteStatus writes the host, its services by stack, then how many of them are ready.
func WriteStatus(w io.Writer, host *landfallv1.Host, services []*landfallv1.Service, o Style) error {
	p := newPage(o)
	p.host(host)
	if problems := host.GetProblems(); len(problems) > 0 {
		p.bullets("problems", problems, red)
	}
	if t := host.GetCurrentTime(); t != nil {
		p.Now = t.AsTime().In(p.Now.Location()) // containers were started by the host's clock
	}
	p.services(services)
	return p.writeTo(w)
}

func (p *page) host(h *landfallv1.Host) {
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
	p.field("stamp", p.stamp(h.GetStamp()))
	p.field("checkout", p.checkout(h))
	for _, line := range p.gitops(h.GetGitops()) {
		p.field("gitops", line)
	}
	running := "none"
	if id := clean(h.GetCurrentOperationId()); id != "" {
		running = p.paint(cyan, id+" runs")
	}
	p.field("operation", running)
	p.field("engine", p.engine(h.GetEngine()))
	p.field("disk", Bytes(h.GetDiskFreeBytes())+" free")
	if n := h.GetMemoryAvailableBytes(); n > 0 {
		p.field("memory", Bytes(n)+" available")
	}
	p.field("certificate", p.expiry(h))
}

func (p *page) stamp(s *landfallv1.Stamp) string {
	if s == nil {
		return "none: nothing was deployed yet"
	}
	text := short(s.GetSha())
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
	text := fmt.Sprintf("%s of %s in %s", head, clean(c.GetBranch()), clean(c.GetPath()))
	if sha := h.GetStamp().GetSha(); sha != "" && c.GetHeadSha() != "" && sha != c.GetHeadSha() {
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

func (p *page) gitops(g *landfallv1.GitOpsStatus) []string {
	var out []string
	if s := g.GetPause(); s != nil {
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
		out = append(out, withReason(text, s.GetReason()))
	}
	if b := g.GetBlocked(); b != nil {
		text := p.paint(red, "blocked SHA "+short(b.GetSha()))
		if id := clean(b.GetOperationId()); id != "" {
			text += " by " + id
		}
		out = append(out, withReason(text, b.GetReason()))
	}
	if len(out) == 0 {
		return []string{"converging"}
	}
	return out
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
