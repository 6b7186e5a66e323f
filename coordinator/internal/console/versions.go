package console

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Version is a commit that ran on the host and was found good.
type Version struct {
	Operation string // that brought it
	SHA       string
	Subject   string // "" when nobody knows
	Author    string // "" when nobody knows
	Time      *timestamppb.Timestamp
	State     string // of the operation, or "runs now", or "blocked"
	Means     string // what going back to it would mean; "" when nobody told
}

// WriteVersions writes the versions one can go back to. keep is how many successful deploys keep their images, 0 when unknown.
func WriteVersions(w io.Writer, versions []Version, keep int, o Style) error {
	p := newPage(o)
	if len(versions) == 0 {
		p.printf("there is no version to go back to: nothing was deployed successfully yet\n")
		return p.writeTo(w)
	}
	t := table{header: []string{"OPERATION", "COMMIT", "SUBJECT", "AUTHOR", "AGE", "STATE", "GOING BACK"}, elastic: 2}
	for _, v := range versions {
		age := ""
		if v.Time != nil {
			age = Relative(v.Time.AsTime(), p.Now)
		}
		state := cell{text: clean(v.State)}
		switch v.State {
		case "runs now":
			state.colour = green
		case "blocked":
			state.colour = red
		}
		t.rows = append(t.rows, []cell{
			{text: clean(v.Operation)}, {text: short(v.SHA), colour: bold}, {text: clean(v.Subject)}, {text: clean(v.Author)}, {text: age}, state, {text: clean(v.Means)},
		})
	}
	p.table(t, 0)
	if keep > 0 {
		p.printf("%s\n", p.paint(dim, fmt.Sprintf("images of the last %s are kept; those of older ones may have to be built again", count(keep, "successful deploy"))))
	}
	return p.writeTo(w)
}
