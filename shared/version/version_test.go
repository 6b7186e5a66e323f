package version

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStamp(t *testing.T) {
	t.Parallel()
	recorded := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.0.0+dirty"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-01T00:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	tests := []struct {
		name                  string
		version, commit, date string
		recorded              *debug.BuildInfo
		want                  Stamp
	}{
		{"the linker wins", "v2", "def", "2026-02-02T00:00:00Z", recorded, Stamp{"v2", "def", "2026-02-02T00:00:00Z", "go1.26.0", platform}},
		{"recorded", "", "", "", recorded, Stamp{"v1.0.0+dirty", "abc-dirty", "2026-01-01T00:00:00Z", "go1.26.0", platform}},
		{"nothing known", "", "", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, Stamp{"development", "unknown", "unknown", runtime.Version(), platform}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, stamp(tt.version, tt.commit, tt.date, tt.recorded)); diff != "" {
				t.Errorf("stamp (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStringNamesEveryFact(t *testing.T) {
	t.Parallel()
	got := Stamp{"v1", "abc", "today", "go1", "linux/arm64"}.String()
	want := "version:  v1\ncommit:   abc\ndate:     today\ngo:       go1\nplatform: linux/arm64"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if String() != Get().String() {
		t.Error("String is not the running program's stamp")
	}
}
