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

// What an engine writes for "none" is no setting: one that was started again answers [] where it answered null.
func TestNothingIsNoSetting(t *testing.T) {
	t.Parallel()
	of := func(change func(*container.Config, *container.HostConfig)) string {
		config, host := &container.Config{}, &container.HostConfig{}
		change(config, host)
		return settingsOf(container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{HostConfig: host}, Config: config},
			func(string) bool { return false })
	}
	none := of(func(*container.Config, *container.HostConfig) {})
	for name, change := range map[string]func(*container.Config, *container.HostConfig){
		"dns": func(_ *container.Config, h *container.HostConfig) {
			h.DNS, h.DNSOptions, h.DNSSearch = []string{}, []string{}, []string{}
		},
		"volumes": func(c *container.Config, _ *container.HostConfig) { c.Volumes = map[string]struct{}{} },
		"command": func(c *container.Config, _ *container.HostConfig) { c.Cmd = []string{} },
	} {
		if of(change) != none {
			t.Errorf("%s: an empty list is another setting than none", name)
		}
	}
	for name, change := range map[string]func(*container.Config, *container.HostConfig){
		"dns":      func(_ *container.Config, h *container.HostConfig) { h.DNS = []string{"192.0.2.1"} },
		"volume":   func(c *container.Config, _ *container.HostConfig) { c.Volumes = map[string]struct{}{"/data": {}} },
		"two args": func(c *container.Config, _ *container.HostConfig) { c.Cmd = []string{"", ""} },
		"limit":    func(_ *container.Config, h *container.HostConfig) { h.Memory = 1 << 20 },
		"init":     func(_ *container.Config, h *container.HostConfig) { h.Init = new(bool) },
	} {
		if of(change) == none {
			t.Errorf("%s: a setting counts for nothing", name)
		}
	}
}
