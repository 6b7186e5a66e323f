package hosttest

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/flow"
)

// Policy is that of an ordinary host, changed as told: two steps side by side, a quarter
// of an hour to verify, pauses of four hours.
func Policy(change ...func(*flow.Policy)) flow.Policy {
	p := flow.Policy{RequireAncestry: true, VerifyWithin: 15 * time.Minute, PauseTTL: 4 * time.Hour, Config: ConfigPath, Parallelism: 2}
	for _, c := range change {
		c(&p)
	}
	return p
}

func discard() hclog.Logger { return hclog.NewNullLogger() }
