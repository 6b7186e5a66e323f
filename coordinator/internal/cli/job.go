package cli

import (
	"bytes"
	"io"
	"os"
	"strconv"

	"ataraxis.dev/landfall/coordinator/internal/actions"
	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/notify"
	"ataraxis.dev/landfall/shared/workflowcommand"
)

// secrets are the variables whose values must not be seen, besides the address of the webhook.
var secrets = []string{"GITHUB_TOKEN"}

// enterJob reads what the runner tells, hides the secrets, and refuses to go on where a fork's
// event runs on a machine of the user's own.
func (g *globals) enterJob() error {
	g.job = actions.Read(os.Getenv)
	if g.job.InActions {
		var values []string
		for _, name := range secrets {
			values = append(values, os.Getenv(name))
		}
		values = append(values, notify.Secrets(os.Getenv("DISCORD_WEBHOOK_URL"))...)
		g.job.Mask(g.streams.Err, values...)
	}
	return g.job.RefuseFork()
}

// annotateError makes the message of an error an annotation of the job's run. The end of an operation was
// annotated where it was shown.
func annotateError(w io.Writer, err error) bool {
	if !actions.Read(os.Getenv).InActions {
		return false
	}
	switch fault.KindOf(err) {
	case fault.RolledBack, fault.Degraded:
		return false
	default:
		return workflowcommand.Print(w, workflowcommand.Annotation{Level: "error", Title: fault.ReasonOf(err), Message: err.Error()}.String()) == nil
	}
}

// summarise adds what write writes to the summary of the job's step; outside of Actions it does nothing.
func (g *globals) summarise(write func(w io.Writer, style console.Style) error) error {
	if g.job.SummaryFile == "" {
		return nil
	}
	var page bytes.Buffer
	style := g.style()
	style.Colour, style.Width = false, 0
	if err := write(&page, style); err != nil {
		return err
	}
	return g.job.AppendSummary(page.String())
}

// reportToJob tells the job how an operation ended: its outputs, its summary.
func (g *globals) reportToJob(op *landfallv1.Operation) error {
	state := op.GetState()
	err := g.job.WriteOutputs(
		actions.Output{Name: "operation", Value: op.GetId()},
		actions.Output{Name: "state", Value: agentclient.StateName(state)},
		actions.Output{Name: "summary", Value: op.GetSummary()},
		actions.Output{Name: "pre_deploy_sha", Value: op.GetPreDeploySha()},
		actions.Output{Name: "superseded", Value: strconv.FormatBool(state == landfallv1.OperationState_OPERATION_STATE_SUPERSEDED)},
		actions.Output{Name: "superseded_by", Value: op.GetSupersededBy()},
	)
	if err != nil {
		return err
	}
	return g.summarise(func(w io.Writer, style console.Style) error { return console.WriteOperationMarkdown(w, op, style) })
}
