package cli

import (
	"context"
	"crypto"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/checkout"
	"ataraxis.dev/landfall/agent/internal/cistatus"
	"ataraxis.dev/landfall/agent/internal/compose"
	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/host"
	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/journal"
	"ataraxis.dev/landfall/agent/internal/orphans"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/probe"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/agent/internal/script"
	"ataraxis.dev/landfall/agent/internal/server"
	"ataraxis.dev/landfall/agent/internal/telling"
	"ataraxis.dev/landfall/agent/internal/tick"
	"ataraxis.dev/landfall/shared/audit"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/pipeline"
	"ataraxis.dev/landfall/shared/process"
)

// configDeadline bounds `docker compose config`, which reads files and nothing else.
const configDeadline = time.Minute

// agent is one assembled agent: adapters, engine, teller, server.
type agent struct {
	tree    *checkout.Checkout
	journal *journal.Journal
	compose *compose.Compose
	engine  *flow.Flows
	ticker  *tick.Ticker
	teller  *telling.Teller
	server  *server.Server
}

// tree opens the checkout.
func tree(ctx context.Context, c hostconfig.Config, learn func(string, []string) error, log hclog.Logger) (*checkout.Checkout, error) {
	return checkout.Open(ctx, checkout.Settings{
		Dir: c.Checkout, Remote: c.Remote, Branch: c.Branch, Config: c.Config, SideDir: filepath.Join(c.StateDir, "side"),
		Git:   git.Options{FetchDeadline: c.Deadlines.Fetch, NoProgress: c.Deadlines.NoProgress},
		Learn: learn,
	}, log)
}

// runtime opens Compose for a checkout.
func runtime(c hostconfig.Config, owner *process.Owner, log hclog.Logger) (*compose.Compose, error) {
	return compose.New(c.Checkout, owner, compose.Deadlines{
		Config: configDeadline, Build: c.Deadlines.Build, Up: c.Deadlines.Up, NoProgress: c.Deadlines.NoProgress,
	}, log)
}

// assemble opens everything the agent needs. On an error nothing stays open.
func assemble(ctx context.Context, c hostconfig.Config, source *identity.Source, secrets *redact.Redactor, log hclog.Logger) (_ *agent, err error) {
	secrets.Publish([]string{c.Checkout, c.StateDir})
	tree, err := tree(ctx, c, secrets.Learn, log)
	if err != nil {
		return nil, err
	}
	a := &agent{tree: tree}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.journal, err = journal.Open(c.StateDir, c.Limits.JournalKeep, log); err != nil {
		return nil, err
	}
	a.journal.PauseByHand(c.PauseTTL)
	if a.compose, err = runtime(c, tree.Owner(), log); err != nil {
		return nil, err
	}
	a.compose.Teach(secrets, tree.Known)
	a.compose.Tracks(tree.Tracked)
	prober := probe.New(a.compose, c.Deadlines.Probe)
	gauge := host.Gauge{Dirs: []string{c.Checkout, c.StateDir}, MinFree: int64(c.Limits.MinFreeDisk), MinMemory: int64(c.Limits.MinAvailableMemory)}
	var signatures ports.Signatures
	if s := c.RequireSigned; s != nil {
		signatures = tree.Signatures(s.AllowedSigners, s.Every)
	}
	plan := func(id string) (*pipeline.Plan, error) { return a.engine.Plan(id) }
	if a.teller, err = openTeller(c, tree, a.journal, secrets, plan, log); err != nil {
		return nil, err
	}
	a.engine = flow.New(ports.Ports{
		Commits: tree, Trees: tree, Checkout: tree,
		Runtime: a.compose, Restorer: a.compose, Inspector: a.compose, Configs: a.compose,
		Orphans: orphans.New(log),
		Scripts: script.New(c.Checkout, tree.Owner(), script.Deadlines{
			Script: c.Deadlines.Build, Migrate: c.Deadlines.Migrate, NoProgress: c.Deadlines.NoProgress,
		}, log),
		Prober: prober, Gauge: gauge,
		Journal: a.journal, Records: a.journal, Stamp: a.journal, Sentinels: a.journal, Redactor: secrets, Teacher: a.compose, Signatures: signatures,
		Listener: a.teller,
	}, flow.Policy{
		RequireAncestry: c.RequireAncestry, VerifyWithin: c.VerifyWithin, PauseTTL: c.PauseTTL, Parallelism: c.Limits.BuildParallelism,
		KeepVersions: c.Limits.KeepVersions, Config: c.Config, Services: policy(c),
	}, log)
	a.ticker = tick.New(tick.Settings{
		Engine: a.engine, Sentinels: a.journal, Stamp: a.journal, Commits: tree, Trees: tree, Branch: c.Branch, Every: c.Converge.Every,
		CI: ciStatus(c, tree, secrets), Images: images(c, tree.Owner(), a.compose, secrets, log), Seen: func(t tick.Tick) { a.teller.Observe(seenBy(t)) },
	}, log)
	a.server = server.New(server.Config{
		Converger: a.ticker,
		Engine:    a.engine, Inspector: a.compose.Diagnostics(), Logs: a.compose, Teacher: a.compose, Prober: prober, Stamp: a.journal, Sentinels: a.journal, Tree: tree,
		Versions: a.compose.Version, Expires: func() time.Time { return source.Identity().Principal.NotAfter },
		Left:     gauge.Left,
		Checkout: c.Checkout, Branch: c.Branch, PauseTTL: c.PauseTTL, Creds: source.ServerCredentials(), Redact: secrets.Text, Lines: secrets.Lines,
		Trail: a.journal, Sign: func(c audit.Checkpoint) (audit.Checkpoint, error) { return sign(source.Identity(), c) },
		Authority: source, Locals: locals(tree.Owner()), Notifications: a.teller,
	}, log)
	return a, nil
}

// ciStatus tells whether commits passed; nil where agent.yaml names no repository on GitHub.
func ciStatus(c hostconfig.Config, tree *checkout.Checkout, secrets *redact.Redactor) tick.CI {
	if c.GitHub == nil {
		return nil
	}
	return cistatus.New(cistatus.Settings{
		Repository: c.GitHub.Repository, BaseURL: c.GitHub.APIURL, Branch: c.Branch, Remote: c.Remote, Repo: tree.Repo(),
		Token: func() (string, error) {
			token, err := c.GitHub.TokenFile.Read()
			if err != nil {
				return "", err
			}
			return token, secrets.Learn("the GitHub token", []string{token})
		},
	})
}

// seenBy is what people may have to be told of a tick: the CI's verdict on the head of the branch.
func seenBy(t tick.Tick) telling.Facts {
	verdicts := map[converge.CIVerdict]telling.Verdict{converge.CIGreen: telling.Green, converge.CIRed: telling.Red}
	if t.Head == "" {
		return telling.Facts{}
	}
	return telling.Facts{CI: &telling.CI{Head: t.Head, Verdict: verdicts[t.CI.Verdict], Why: t.CI.Reason}}
}

// sign signs what stands for entries of the audit trail that are cut off.
func sign(i *identity.Identity, c audit.Checkpoint) (audit.Checkpoint, error) {
	key, ok := i.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return c, fault.New(fault.Internal, "NO_SIGNER", "the agent's key cannot sign")
	}
	c.Certificate = i.Leaf.Raw
	return c.Sign(key)
}

// policy is what compose files may do to this host.
func policy(c hostconfig.Config) picture.Policy {
	p := picture.Policy{
		Answers: map[string]picture.Answer{}, MountRoots: withLeads(c.Policy.MountRoots), Registries: c.Policy.Registries, Never: never(c), Except: c.Policy.Except,
	}
	for rule, answer := range c.Policy.Rules() {
		p.Answers[rule] = picture.Answer(answer)
	}
	return p
}

// never lists what no container may have.
func never(c hostconfig.Config) []string {
	own := []string{c.Identity, c.StateDir}
	if c.Socket != "" {
		own = append(own, c.Socket)
	}
	if c.RequireSigned != nil {
		own = append(own, c.RequireSigned.AllowedSigners)
	}
	if c.GitHub != nil {
		if path, err := c.GitHub.TokenFile.Path(); err == nil {
			own = append(own, path)
		}
	}
	return withLeads(append(own, notifySecrets(c)...))
}

// withLeads are paths as they are written and as their links lead.
func withLeads(paths []string) []string {
	all := slices.Clone(paths)
	for _, path := range paths {
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			all = append(all, target)
		}
	}
	return all
}

// close closes what is open, the engine first: it still writes to the journal.
func (a *agent) close() error {
	if a.engine != nil {
		a.engine.Close()
	}
	if a.teller != nil {
		a.teller.Close() // it writes to the journal's folder
	}
	var errs []error
	if a.compose != nil {
		errs = append(errs, a.compose.Close())
	}
	if a.journal != nil {
		errs = append(errs, a.journal.Close())
	}
	return errors.Join(errs...)
}
