package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// whatRuns tells in one line which services are as they should be and which are not.
func (f *Flows) whatRuns(ctx context.Context, plan *pipeline.Plan) string {
	if plan == nil {
		return "what runs is not known"
	}
	services, err := f.ports.Inspector.Services(ctx, plan, nil)
	if err != nil {
		return "what runs is not known: " + err.Error()
	}
	var good, bad []string
	for _, s := range services {
		if s.Unnamed {
			continue
		}
		if verdict, message, _ := s.Verdict(); verdict == picture.Passed {
			good = append(good, s.Stack+"/"+s.Name)
		} else {
			bad = append(bad, s.Stack+"/"+message)
		}
	}
	return fmt.Sprintf("running: %s; not running: %s", listOr(good, "nothing"), listOr(bad, "nothing"))
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

// runs counts what runs after an operation that succeeded: "12 of 12 services are as they should be, 3 of them new". It is
// "" where nobody could look: the verdict stands without it.
func (f flow) runs(ctx context.Context, plan *pipeline.Plan, before *picture.Picture, excused []picture.Excuse) string {
	services, err := f.ports.Inspector.Services(ctx, plan, nil)
	if err != nil {
		return ""
	}
	all, good, made := 0, 0, 0
	for _, s := range services {
		if s.Unnamed {
			continue
		}
		all++
		if verdict, _, _ := s.Verdict(); verdict == picture.Passed {
			good++
		}
		if before != nil && slices.ContainsFunc(s.Containers, func(c picture.Container) bool { return !before.Has(c.ID) }) {
			made++
		}
	}
	summary := fmt.Sprintf("%d of %d services are as they should be", good, all)
	if made > 0 {
		summary += fmt.Sprintf(", %d of them new", made)
	}
	if len(excused) > 0 {
		summary += "; not so before either: " + strings.Join(reasons(excused), ", ")
	}
	return summary
}

// tellMigrations warns of what does not go back.
func (f flow) tellMigrations(op operation.Operation) error {
	names := migrationsOf(op)
	if names == "" {
		return nil
	}
	return f.Warn("MIGRATIONS_STAY", "rolling back the code only: the database keeps the migrations of this deploy: "+names)
}

// migrationsOf names the migrations of an operation, "" when there were none. One that was being
// applied when the agent ended may not have been told.
func migrationsOf(op operation.Operation) string {
	names := strings.Join(op.Migrations, ", ")
	cut := slices.ContainsFunc(op.Steps, func(s operation.StepRecord) bool {
		return s.State == operation.Migrating && s.Outcome == operation.StepInterrupted
	})
	switch {
	case cut && names == "":
		return "perhaps some, a migration step was cut off"
	case cut:
		return names + ", and perhaps more, because a migration step was cut off"
	}
	return names
}
