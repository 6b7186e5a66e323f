package process

import "context"

type environKey struct{}

// WithEnv returns a context whose children all get these KEY=VALUE variables besides
// their own. It marks the children of one piece of work, and theirs, so that they can be
// found again by whoever takes the work up.
func WithEnv(ctx context.Context, env ...string) context.Context {
	return context.WithValue(ctx, environKey{}, append(environOf(ctx), env...))
}

func environOf(ctx context.Context) []string {
	env, _ := ctx.Value(environKey{}).([]string) // none is none
	return env[:len(env):len(env)]
}
