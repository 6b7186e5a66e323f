package console

import (
	"io"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// PlanFormat is a way to write a plan.
type PlanFormat string

// The formats of [WritePlan].
const (
	Text     PlanFormat = "text"
	Markdown PlanFormat = "markdown"
)

// WriteHistory writes a table of operations in the order given.
func WriteHistory(w io.Writer, ops []*landfallv1.Operation, o Style) error {
	return WriteJSON(w, &landfallv1.ListOperationsResponse{Operations: ops})
}

// WriteOperation writes everything known about one operation; plan may be nil.
func WriteOperation(w io.Writer, op *landfallv1.Operation, plan *landfallv1.Plan, o Style) error {
	return WriteJSON(w, op)
}

// WriteStatus writes the host and its services.
func WriteStatus(w io.Writer, host *landfallv1.Host, services []*landfallv1.Service, o Style) error {
	return WriteJSON(w, host)
}

// WritePlan writes what a deploy would do and why.
func WritePlan(w io.Writer, plan *landfallv1.Plan, format PlanFormat, o Style) error {
	return WriteJSON(w, plan)
}

// WriteProbes writes what probes found.
func WriteProbes(w io.Writer, results []*landfallv1.ProbeResult, o Style) error {
	return WriteJSON(w, &landfallv1.ProbeResponse{Results: results})
}
