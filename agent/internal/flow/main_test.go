package flow_test

import (
	"testing"

	"ataraxis.dev/landfall/agent/internal/ports"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// becomes is a change that puts a pause in place of any.
func becomes(p *ports.Pause) func(*ports.Pause) *ports.Pause {
	return func(*ports.Pause) *ports.Pause {
		own := *p
		return &own
	}
}
