package operationtest

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/operation"
)

// Policy is that of an ordinary host, changed as told: two steps side by side, a quarter
// of an hour to verify, pauses of four hours.
func Policy(change ...func(*operation.Policy)) operation.Policy {
	p := operation.Policy{RequireAncestry: true, VerifyWithin: 15 * time.Minute, PauseTTL: 4 * time.Hour, Parallelism: 2}
	for _, c := range change {
		c(&p)
	}
	return p
}

func discard() hclog.Logger { return hclog.NewNullLogger() }
