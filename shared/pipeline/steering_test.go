package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// TestNamesThatSteerTheTools: a repository that could set them would decide what is run while it is proven.
func TestNamesThatSteerTheTools(t *testing.T) {
	config := func(name string) error {
		_, err := Parse("landfall.yaml", []byte(fmt.Sprintf("version: 1\nproject: p\nstacks: {s: {files: [compose.yml]}}\nenvironment:\n  OTHER: x\n  %s: x\n", name)))
		return err
	}
	for _, name := range []string{
		"PATH", "HOME", "BASH_ENV", "ENV", "IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG",
		"DOCKER_TLS_VERIFY", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_EXPERIMENTAL_GIT_REMOTE", "COMPOSE_REMOVE_ORPHANS",
		"COMPOSE_DISABLE_ENV_FILE", "LANDFALL_OPERATION", "LANDFALL_ANYTHING", "GIT_DIR", "GIT_SSH_COMMAND", "GIT_SSH", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_EXEC_PATH",
		"GIT_ALLOW_PROTOCOL", "GIT_TRACE2", "BUILDX_BUILDER", "BUILDKIT_HOST", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GCONV_PATH",
	} {
		err := config(name)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), ":6:3") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{
		"GIT_SHA", "GIT_COMMIT", "GIT_BRANCH", "GIT_TAG", "GIT_REVISION", "APP_ENV", "TZ", "HTTP_PROXY", "NODE_OPTIONS", "LANDFALLX", "LDAP_HOST", "DOCKERIZED", "COMPOSER_HOME",
		"COMPOSE_PARALLEL_LIMIT", "DOCKER_BUILDKIT", "PATHS", "HOMEPAGE_VAR",
	} {
		if err := config(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
