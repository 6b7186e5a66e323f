package process_test

import (
	"context"
	"slices"
	"testing"

	"ataraxis.dev/landfall/shared/process"
)

// TestWithEnv: the variables reach the children of the context, nested ones add up, the
// caller's own stay, siblings do not see one another's.
func TestWithEnv(t *testing.T) {
	t.Parallel()
	outer := process.WithEnv(t.Context(), "MARK=op-1", "EXTRA=a=b")
	inner := process.WithEnv(outer, "INNER=1")
	sibling := process.WithEnv(outer, "SIBLING=1")
	own := make([]string, 0, 8) // with room, into which an append could write
	own = append(own, "OWN=1", roleEnv+"=env")
	for name, c := range map[string]struct {
		ctx     context.Context
		has, no []string
	}{
		"none":    {t.Context(), []string{"OWN=1"}, []string{"MARK=op-1", "EXTRA=a=b", "INNER=1", "SIBLING=1"}},
		"outer":   {outer, []string{"OWN=1", "MARK=op-1", "EXTRA=a=b"}, []string{"INNER=1", "SIBLING=1"}},
		"inner":   {inner, []string{"OWN=1", "MARK=op-1", "EXTRA=a=b", "INNER=1"}, []string{"SIBLING=1"}},
		"sibling": {sibling, []string{"OWN=1", "MARK=op-1", "EXTRA=a=b", "SIBLING=1"}, []string{"INNER=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var env []string
			cmd := self(t, "env")
			cmd.Env = own
			cmd.OnLine = func(l process.Line) { env = append(env, l.Text) }
			if _, err := process.Run(c.ctx, cmd); err != nil {
				t.Fatal(err)
			}
			for _, v := range c.has {
				if !slices.Contains(env, v) {
					t.Errorf("%s is missing in %q", v, env)
				}
			}
			for _, v := range c.no {
				if slices.Contains(env, v) {
					t.Errorf("%s is in %q", v, env)
				}
			}
		})
	}
}
