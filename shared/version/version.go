// Package version says which build this is.
//
// The stamp is set by the linker (-ldflags "-X ataraxis.dev/landfall/shared/version.Version=..."),
// and falls back to what the Go tool recorded. Start reading at [Get].
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker's stamp; empty in builds without one. Nothing else may write them.
var (
	Version string // "v1.2.3" or what git describe says
	Commit  string // full SHA, with "-dirty" behind it when the tree was not clean
	Date    string // time of the commit or the build, RFC 3339 UTC
)

// Stamp describes a build. Fields are never empty.
type Stamp struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Date     string `json:"date"`
	Go       string `json:"go"`       // Go release, "go1.26.0"
	Platform string `json:"platform"` // GOOS/GOARCH
}

// Get is the stamp of the running program.
func Get() Stamp {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	return stamp(Version, Commit, Date, recorded)
}

// stamp prefers the linker's values to the recorded ones.
func stamp(version, commit, date string, recorded *debug.BuildInfo) Stamp {
	settings := map[string]string{}
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision != "" && settings["vcs.modified"] == "true" {
		revision += "-dirty"
	}
	module := recorded.Main.Version
	if module == "(devel)" {
		module = ""
	}
	return Stamp{
		Version:  cmp.Or(version, module, "development"),
		Commit:   cmp.Or(commit, revision, "unknown"),
		Date:     cmp.Or(date, settings["vcs.time"], "unknown"),
		Go:       cmp.Or(recorded.GoVersion, runtime.Version()),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// String is one fact a line, without a line end behind the last.
func (s Stamp) String() string {
	return fmt.Sprintf("version:  %s\ncommit:   %s\ndate:     %s\ngo:       %s\nplatform: %s",
		s.Version, s.Commit, s.Date, s.Go, s.Platform)
}

// String is the running program's stamp as text; see [Stamp.String].
func String() string { return Get().String() }
