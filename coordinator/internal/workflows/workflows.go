// Package workflows renders the repository's GitHub Actions workflow files from landfall.yaml, judges any workflow file for what must not be.
//
// Rendering is pure and gives the same bytes for the same configuration. What a person
// wrote around the marked regions of a rendered file is kept byte for byte, and never
// weakens what stands inside: a file where it would is refused. [Check] is on the safe
// side: what it cannot prove to be guarded, gated, or this repository's own is a finding. It
// judges who may start a job (situation), what outsiders set (flow), what a script does with
// it by the shell's own grammar (program), and whether a step is a gate (gateStep); each
// answer is remembered, so that the work grows with the files and not with the paths in
// them. Start reading at [Render], then [Compare]; for the other half at [Check].
package workflows

import "path"

// Folder is where GitHub looks for workflow files.
const Folder = ".github/workflows"

// The names of the rendered files that every fleet has the same; those of sites stand
// in landfall.yaml.
const (
	DeployFile = "deploy.yml"
	LintFile   = "lint.yml"
	TestFile   = "test.yml"
	AuditFile  = "audit.yml"
	ScanFile   = "secret-scan.yml"
	// actionlintFile tells actionlint the labels of own runners. Source:
	// https://github.com/rhysd/actionlint/blob/v1.7.12/docs/config.md
	actionlintFile = ".github/actionlint.yaml"
)

// File is one file of the repository. Path is relative to its root, with slashes.
type File struct {
	Path    string
	Content []byte
}

func inFolder(name string) string { return path.Join(Folder, name) }
