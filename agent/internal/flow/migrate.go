package flow

import (
	"context"
	"errors"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// MigrateRequest asks for the migrations of the commit that is checked out.
type MigrateRequest struct {
	CommandID string
	Requester string
	Within    time.Duration // after which it fails; 0 is the agent's own limit
}

// Migrate records it and starts it. Repeating the command returns its operation.
func (f *Flows) Migrate(ctx context.Context, req MigrateRequest) (op operation.Operation, repeated bool, err error) {
	return f.beginUpkeep(ctx, operation.Accepted{
		Kind: operation.KindMigrate, CommandID: req.CommandID, Requester: req.Requester, Within: req.Within, Judge: true,
	})
}

// migrations are the steps of a plan that move the database, with what they need to be up.
func migrations(plan *pipeline.Plan) ([]pipeline.Step, error) {
	steps := plan.StepsIn(pipeline.PhaseMigrate)
	if len(steps) == 0 {
		return nil, fault.New(fault.Refused, "NO_MIGRATIONS", "landfall.yaml of %s has no migrate", short(plan.Target)).
			WithHint("name the script under migrate")
	}
	return steps, nil
}

// errWithin is the cause of the end of migrations that take longer than whoever asked for them allows.
var errWithin = errors.New("the time that was allowed is over")

func (u *upkeep) migrateWithin(ctx context.Context) error {
	if u.req.Within <= 0 {
		return u.steps(ctx, u.plan, pipeline.PhaseMigrate, ports.Ground{})
	}
	limited, cancel := context.WithTimeoutCause(ctx, u.req.Within, errWithin)
	defer cancel()
	err := u.steps(limited, u.plan, pipeline.PhaseMigrate, ports.Ground{})
	if err != nil && errors.Is(context.Cause(limited), errWithin) {
		return fault.Wrap(err, fault.Deadline, "MIGRATE_DEADLINE", "migrations did not end within %s", u.req.Within)
	}
	return err
}
