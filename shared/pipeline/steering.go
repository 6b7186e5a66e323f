package pipeline

import (
	"slices"
	"strings"
)

// steering are environment variables that change what the tools do that prove and carry out a deploy: which program runs, which engine is
// asked, which files are read. What is proven must be what runs, so a repository cannot set them.
var steering = map[string][]string{
	"steers which program or library runs": {
		"PATH", "HOME", "SHELL", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PROMPT_COMMAND", "PS4", "IFS", "CDPATH", "GLOBIGNORE",
		"GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RES_OPTIONS", "TMPDIR",
	},
	"steers where images are built":     {"BUILDKIT_HOST", "BUILDX_BUILDER", "BUILDX_CONFIG"},
	"steers how ssh reaches the remote": {"SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"},
	// git(1), "ENVIRONMENT VARIABLES". GIT_SHA, GIT_COMMIT and other names of people's own are not among them.
	"steers git": {
		"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INDEX_VERSION", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR",
		"GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS",
		"GIT_TERMINAL_PROMPT", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR",
		"GIT_PAGER", "GIT_ALLOW_PROTOCOL", "GIT_PROTOCOL", "GIT_PROTOCOL_FROM_USER", "GIT_ATTR_SOURCE", "GIT_ATTR_NOSYSTEM", "GIT_GRAFT_FILE",
		"GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS",
		"GIT_ICASE_PATHSPECS", "GIT_OPTIONAL_LOCKS", "GIT_FLUSH", "GIT_REDIRECT_STDIN", "GIT_REDIRECT_STDOUT", "GIT_REDIRECT_STDERR", "GIT_QUARANTINE_PATH",
		"GIT_DEFAULT_HASH", "GIT_DEFAULT_REF_FORMAT", "GIT_REF_PARANOIA", "GIT_MERGE_VERBOSITY", "GIT_INTERNAL_SUPER_PREFIX",
	},
}

// steeringPrefixes are families of them.
var steeringPrefixes = map[string]string{
	"LD_": "steers which program or library runs", "DYLD_": "steers which program or library runs",
	"DOCKER_": "steers which engine is asked, and how", "COMPOSE_": "changes what Compose renders", "LANDFALL_": "steers Landfall itself",
	"GIT_CONFIG": "steers git", "GIT_TRACE": "steers git", "GIT_TEST_": "steers git", "GIT_SSL_": "steers git", "GIT_HTTP_": "steers git", "GIT_CURL_": "steers git",
	"BUILDX_EXPERIMENTAL": "steers where images are built", "XDG_": "steers where tools keep their configuration",
}

// harmless are members of those families that change neither what is rendered nor where it runs.
var harmless = []string{"COMPOSE_PARALLEL_LIMIT", "COMPOSE_IGNORE_ORPHANS", "COMPOSE_HTTP_TIMEOUT", "DOCKER_BUILDKIT"}

// steers says what a variable would do to the tools, "" for one that is nobody's but the services'.
func steers(name string) string {
	if slices.Contains(harmless, name) {
		return ""
	}
	for why, names := range steering {
		if slices.Contains(names, name) {
			return why
		}
	}
	for prefix, why := range steeringPrefixes {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}
