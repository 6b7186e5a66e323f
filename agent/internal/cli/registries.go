package cli

import (
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/compose"
	"ataraxis.dev/landfall/agent/internal/hostconfig"
	"ataraxis.dev/landfall/agent/internal/redact"
	"ataraxis.dev/landfall/agent/internal/registry"
	"ataraxis.dev/landfall/agent/internal/tick"
	"ataraxis.dev/landfall/shared/process"
)

// fileRegistries keeps in state_dir what registries said.
const fileRegistries = "registries.json"

// images tells which newer images registries have; they are asked where landfall.yaml wants it (gitops.images), as the checkout's owner, whom
// Compose pulls as.
func images(c hostconfig.Config, owner *process.Owner, engine *compose.Compose, secrets *redact.Redactor, log hclog.Logger) tick.Images {
	return registry.New(registry.Settings{
		Path: filepath.Join(c.StateDir, fileRegistries), Engine: engine, Credentials: registry.DockerConfig{Owner: owner, Learn: secrets.Learn},
	}, log)
}
