package process

import (
	"context"
	"os"
)

type environKey struct{}

// WithEnv returns a context whose children all get these KEY=VALUE variables besides
// their own. It marks the children of one piece of work, and theirs, so that they can be
// found again by whoever takes the work up.
func WithEnv(ctx context.Context, env ...string) context.Context {
	return context.WithValue(ctx, environKey{}, append(EnvOf(ctx), env...))
}

// EnvOf are the variables that a context gives its children.
func EnvOf(ctx context.Context) []string {
	env, _ := ctx.Value(environKey{}).([]string) // none is none
	return env[:len(env):len(env)]
}

// passedOn are the variables of our own that a child needs to reach the engine and the network.
var passedOn = [...]string{
	"DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "TMPDIR", "SSH_AUTH_SOCK",
	"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
}

// PassedOn is what of our environment every child gets: the way to the Docker Engine, proxies,
// the folder for temporary files, the ssh agent. What is not set here is not set there.
func PassedOn() []string {
	var env []string
	for _, name := range passedOn {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
