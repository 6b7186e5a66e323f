package flow

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/agent/internal/engine"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// failed is the error of a rollback that failed: why, why it began, what runs and what does not.
func (b *restoration) failed(ctx context.Context, fallback *pipeline.Plan, op operation.Operation, err error) error {
	if engine.ShuttingDown(ctx) {
		return engine.ErrShutdown
	}
	f := *engine.FailureOf(err)
	f.Kind = fault.Degraded
	began := ""
	if op.Failure != nil {
		began = "; it began because " + op.Failure.Message
	}
	plan := b.plan
	if plan == nil {
		plan = fallback // the checkout has not moved
	}
	b.settleDown(ctx)
	b.summary = b.whatRuns(ctx, plan)
	f.Message = fmt.Sprintf("the rollback failed: %s%s; %s", f.Message, began, b.summary)
	f.Hint = fmt.Sprintf("a person is needed: landfall-coordinator show %s, landfall-coordinator status", op.ID)
	return engine.Fail(f, err)
}

// settleDown waits for what a rollback that failed had asked of the engine, so that what is told of it is still so when it is read.
func (b *restoration) settleDown(ctx context.Context) {
	if b.before == nil || b.ports.Runtime.Ready(ctx) != nil {
		return
	}
	err := b.Step(ctx, "rollback/settle", "wait until the engine is at rest", func(ctx context.Context, out ports.Output) (string, error) {
		return "", b.ports.Restorer.Rest(ctx, ports.Cut{Projects: b.projects(), Began: b.Now(), Reaches: everything(b.projects())}, out)
	})
	if err != nil {
		b.log.Warn("what is told of the services may change", "operation", b.ID(), "error", err)
	}
}
