package compose

import (
	"testing"

	"github.com/docker/docker/api/types/container"
)

// Containers of two deploys differ by their commits alone, however landfall.yaml writes them; any other value counts.
func TestSettingsAreThoseWithoutCommits(t *testing.T) {
	t.Parallel()
	of := func(env ...string) string {
		return settingsOf(container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{}}, Config: &container.Config{Env: env},
		}, func(word string) bool { return word == "0123456" || word == "fedcba9" })
	}
	base := of("SHA=0123456789abcdef0123456789abcdef01234567", "SHORT=0123456", "BASE=", "ACCOUNT=1234567", "COLOUR=blue")
	same := of("SHA=fedcba9876543210fedcba9876543210fedcba98", "SHORT=fedcba9", "BASE=0123456789abcdef0123456789abcdef01234567", "ACCOUNT=1234567", "COLOUR=blue")
	if base != same {
		t.Error("another commit is another setting")
	}
	for name, other := range map[string]string{
		"account": of("SHA=0123456789abcdef0123456789abcdef01234567", "SHORT=0123456", "BASE=", "ACCOUNT=7654321", "COLOUR=blue"),
		"colour":  of("SHA=0123456789abcdef0123456789abcdef01234567", "SHORT=0123456", "BASE=", "ACCOUNT=1234567", "COLOUR=green"),
	} {
		if other == base {
			t.Errorf("another %s is no other setting", name)
		}
	}
}
