// Package flow is what operations do: one file a kind of operation, which reads like its sentence in ARCHITECTURE.md.
//
// It promises that every operation ends in a terminal state that tells the truth: nothing running is touched before everything is proven,
// what was touched and does not come good is taken back to what ran, and the last word counts what runs. What is decided about the host is
// decided by package picture, over what the adapters see. Start reading at deploy.go, then restore.go.
package flow

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// Policy is what this host insists on.
type Policy struct {
	RequireAncestry bool          // the target must be on the branch
	VerifyWithin    time.Duration // an applied deploy that nobody judges is judged after this
	PauseTTL        time.Duration // how long a deploy's pause lasts when nobody resumes
	Parallelism     int           // steps side by side, at least 1
	AskWithin       time.Duration // how long a deploy that asks waits for its answer; 0 is [DefaultAskWithin]
	KeepVersions    int           // successful operations whose images are kept to go back to; 0 is [DefaultKeepVersions]
	Config          string        // path of landfall.yaml in the checkout, for messages

	Services picture.Policy // what compose files may do to the host
}

// Flows are the operations of one host. Safe for concurrent use.
type Flows struct {
	*engine.Engine
	ports  ports.Ports
	policy Policy
	log    hclog.Logger

	planning sync.Mutex // the side tree of plans is one
}

// New makes the operations of a host, and the engine that runs them. It starts nothing; see [engine.Engine.Start].
func New(p ports.Ports, policy Policy, log hclog.Logger) *Flows {
	if policy.KeepVersions <= 0 {
		policy.KeepVersions = DefaultKeepVersions
	}
	f := &Flows{ports: p, policy: policy, log: log.Named("flow")}
	f.Engine = engine.New(p, log, map[operation.Kind]engine.Kind{
		operation.KindDeploy:   deploys{f},
		operation.KindRollback: rollbacks{f},
		operation.KindRepair:   upkeeps{f},
		operation.KindUpdate:   upkeeps{f},
		operation.KindRestart:  upkeeps{f},
		operation.KindMigrate:  upkeeps{f},
	})
	return f
}

// flow is what every operation has: its record, and the host.
type flow struct {
	*engine.Run
	*Flows
}

// summarised keeps the last word of an operation until its state is recorded.
type summarised struct{ summary string }

func short(sha string) string { return operation.Short(sha) }
