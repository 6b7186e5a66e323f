package compose

import (
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

func TestMinimumVersion(t *testing.T) {
	for version, tooOld := range map[string]bool{
		"2.34.0": true, "2.26.1": true, "v2.20.2-desktop.1": true, "1.29.2": true,
		"2.35.0": false, "2.40.3": false, "v2.40.3-desktop.1": false, "5.0.1": false, "": false, "dev": false,
	} {
		if got := fault.ReasonOf(checkVersion(version)) == "COMPOSE_TOO_OLD"; got != tooOld {
			t.Errorf("%q: too old is %v", version, got)
		}
	}
}
