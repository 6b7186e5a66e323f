package compose

import (
	"strconv"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// minimumVersion is the oldest Compose that can prove a target without its secrets:
// `config --no-env-resolution` came with 2.35 (docker/compose#12665). scripts/setup/compose.sh names it too.
const minimumVersion = "2.35.0"

// checkVersion refuses a Compose that is too old. One whose version nobody can read passes.
func checkVersion(version string) error {
	have, ok := numbers(version)
	want, _ := numbers(minimumVersion)
	if !ok || have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]) {
		return nil
	}
	return fault.New(fault.Failed, "COMPOSE_TOO_OLD", "docker compose is %s, at least %s is needed", version, minimumVersion).
		WithHint("install a newer Compose plugin; scripts/setup/compose.sh builds one")
}

// numbers reads major and minor of "2.40.3" or "v2.40.3-desktop.1".
func numbers(version string) (n [2]int, ok bool) {
	fields := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(fields) < 2 {
		return n, false
	}
	for i := range n {
		v, err := strconv.Atoi(fields[i])
		if err != nil {
			return n, false
		}
		n[i] = v
	}
	return n, true
}
