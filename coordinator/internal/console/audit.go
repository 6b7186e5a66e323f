package console

import (
	"io"
	"path"
	"strconv"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
)

// WriteAudit writes a table of entries of the audit trail in the order given; more is how many older ones are not shown.
func WriteAudit(w io.Writer, entries []*landfallv1.AuditEntry, more int, o Style) error {
	p := newPage(o)
	if len(entries) == 0 {
		p.printf("nothing was done yet\n")
		return p.writeTo(w)
	}
	t := table{header: []string{"NO", "WHEN", "WHO", "FROM", "ACTION", "SUBJECT", "RESULT", "TIMES"}, right: []int{0, 7}, elastic: 5}
	for _, e := range entries {
		result, times := e.GetResult(), ""
		if reason := e.GetReason(); reason != "" {
			result += " (" + reason + ")"
		}
		if n := e.GetCount(); n > 1 {
			times = strconv.FormatUint(n, 10)
		}
		row := plainCells(strconv.FormatUint(e.GetSequence(), 10), p.when(e.GetEntryTime()), clean(e.GetWho()), clean(e.GetFrom()),
			clean(path.Base(e.GetAction())), clean(e.GetSubject()), clean(result), times)
		if r := e.GetResult(); r != audit.Done && r != audit.Begun {
			row[6].colour = yellow
		}
		t.rows = append(t.rows, row)
	}
	p.table(t, 0)
	if more > 0 {
		p.printf("%s before these: --limit 0 shows all\n", Count(more, "record"))
	}
	return p.writeTo(w)
}
