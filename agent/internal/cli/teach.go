package cli

import (
	"context"
	"errors"

	"ataraxis.dev/landfall/agent/internal/checkout"
	"ataraxis.dev/landfall/agent/internal/compose"
	"ataraxis.dev/landfall/shared/pipeline"
)

// teach has the redactor know the secrets of what is checked out before the agent starts a child, reads what a container said, or answers
// anybody: an operation may be taken up in the middle of a script. Where landfall.yaml cannot be read, the files that Compose takes by
// itself are learned.
func teach(ctx context.Context, tree *checkout.Checkout, runtime *compose.Compose) error {
	plan, err := checkedOut(ctx, tree)
	if err != nil {
		plan = &pipeline.Plan{Stacks: []pipeline.Stack{{}}}
	}
	return errors.Join(err, runtime.Learn(ctx, plan))
}

// checkedOut is a plan that does everything that the commit which is checked out declares.
func checkedOut(ctx context.Context, tree *checkout.Checkout) (*pipeline.Plan, error) {
	head, err := tree.Head(ctx)
	if err != nil {
		return nil, err
	}
	config, err := tree.Pipeline(ctx, head)
	if err != nil {
		return nil, err
	}
	return pipeline.Compile(config, pipeline.Input{Target: head, Everything: "a look"})
}
