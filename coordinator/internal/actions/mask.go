package actions

import (
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/workflowcommand"
)

// leastMask is the length below which a secret is not masked: the runner would replace those
// letters everywhere.
const leastMask = 4

// Mask tells the runner to keep secrets out of the log, in the forms in which they may turn
// up: each line of it, encoded for URLs, in base64. Call it before anything else is printed; outside of
// Actions it prints nothing.
func (e Environment) Mask(w io.Writer, secrets ...string) {
	if !e.InActions {
		return
	}
	var forms []string
	for _, secret := range secrets {
		for line := range strings.Lines(secret) {
			line = strings.TrimSpace(line)
			if len(line) < leastMask {
				continue
			}
			forms = append(forms, line, url.QueryEscape(line), url.PathEscape(line), base64.StdEncoding.EncodeToString([]byte(line)))
		}
	}
	slices.Sort(forms)
	for _, form := range slices.Compact(forms) {
		_ = workflowcommand.Print(w, workflowcommand.Mask(form)) // a log that cannot be written shows no secret either
	}
}
