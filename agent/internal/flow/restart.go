package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// RestartRequest asks for services to be stopped and started, their containers kept.
type RestartRequest struct {
	CommandID string
	Requester string
	Stack     string   // "" for every stack
	Services  []string // names or patterns; none for all that run
}

// Restart records a restart and starts it. Repeating the command returns its operation.
func (f *Flows) Restart(ctx context.Context, req RestartRequest) (op operation.Operation, repeated bool, err error) {
	subject := "every service"
	if len(req.Services) > 0 {
		subject = strings.Join(req.Services, ", ")
	}
	if req.Stack != "" {
		subject = req.Stack + ": " + subject
	}
	return f.beginUpkeep(ctx, operation.Accepted{
		Kind: operation.KindRestart, CommandID: req.CommandID, Requester: req.Requester, Subject: subject, Stack: req.Stack, Services: req.Services, Judge: true,
	})
}

// restarts are the steps of a restart: stack by stack, within one in the order in which services depend on one another, which Compose keeps.
// Without names those are restarted that run: a job that has ended is not begun again.
func (u *upkeep) restarts(ctx context.Context, plan *pipeline.Plan) ([]pipeline.Step, error) {
	if _, known := plan.Stack(u.req.Stack); u.req.Stack != "" && !known {
		var names []string
		for _, s := range plan.Stacks {
			names = append(names, s.Name)
		}
		return nil, unknown("stack", u.req.Stack, names)
	}
	now, err := u.ports.Restorer.Look(ctx, picture.Projects(u.models), nil, false)
	if err != nil {
		return nil, err
	}
	if err := u.known(u.req.Services); err != nil {
		return nil, err
	}
	var steps []pipeline.Step
	for _, m := range u.models {
		if u.req.Stack != "" && m.Stack != u.req.Stack {
			continue
		}
		names := slices.DeleteFunc(m.Matching(u.req.Services), func(name string) bool {
			of := now.Of(m.Key(name))
			runs := slices.ContainsFunc(of, picture.Container.Running)
			return len(of) == 0 || (!runs && !slices.Contains(u.req.Services, name))
		})
		if len(names) == 0 {
			continue
		}
		s := pipeline.Step{ID: fmt.Sprintf("apply/restart/%d", len(steps)+1), Phase: pipeline.PhaseApply, Action: "restart", Restart: &pipeline.Restart{Stack: m.Stack, Services: names}}
		if len(steps) > 0 {
			s.After = []string{steps[len(steps)-1].ID}
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		return nil, fault.New(fault.Refused, "NOTHING_RUNS", "there is no container to restart of %s", u.Snapshot().Subject).
			WithHint("landfall-coordinator status lists what runs; a deploy or converge brings back what is missing")
	}
	return steps, nil
}

// known makes sure that each pattern names a service of the stacks that are meant.
func (u *upkeep) known(patterns []string) error {
	var all []string
	for _, m := range u.models {
		if u.req.Stack == "" || m.Stack == u.req.Stack {
			all = append(all, m.Names()...)
		}
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(all, func(name string) bool { return pipeline.MatchService(p, name) }) {
			return unknown("service", p, all)
		}
	}
	return nil
}

// unknown is the error for a name that nothing has.
func unknown(what, name string, known []string) error {
	err := fault.New(fault.Invalid, "UNKNOWN_"+strings.ToUpper(what), "there is no %s %q", what, name)
	if near := pipeline.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	slices.Sort(known)
	return err.WithHint("there are: %s", strings.Join(slices.Compact(known), ", "))
}
