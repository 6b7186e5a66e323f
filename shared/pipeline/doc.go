// Package pipeline turns landfall.yaml with a change set into the one plan that coordinator and agent agree on.
//
// It promises purity: no I/O, no clock, no environment. The same file, commits and
// changes give the same plan with the same [Plan.Digest] on either side, whatever the
// order of keys or changes. Every mistake in the file is reported at once with line,
// column and the nearest valid name.
//
// Start reading at [Parse], then [Compile], then the [Plan] it returns.
package pipeline
