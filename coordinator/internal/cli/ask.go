package cli

import (
	"context"
	"sync"
	"time"

	"ataraxis.dev/landfall/coordinator/internal/agentclient"
	"ataraxis.dev/landfall/coordinator/internal/console"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// askStep is the agent's last step before it changes anything, of a deploy that was sent with ask_newer.
const askStep = "prove/newer"

// lookWithin is less than the agent waits for the answer.
const lookWithin = 25 * time.Second

// asked answers a deploy that asks, as its events come by: it looks once more for a newer deploy and
// tells the agent to go on or not. It is the renderer that the session of a deploy shows to.
type asked struct {
	console.Renderer
	answer func(operationID string)

	once    sync.Once
	answers sync.WaitGroup
}

// Event implements console.Renderer.
func (a *asked) Event(operationID string, e *landfallv1.Event) {
	a.Renderer.Event(operationID, e)
	if a.answer != nil && e.GetStepStarted().GetStepId() == askStep {
		a.once.Do(func() {
			a.answers.Add(1)
			go func() { // the events must flow on: the end of the step is one of them
				defer a.answers.Done()
				a.answer(operationID)
			}()
		})
	}
}

// answerWith looks for a newer deploy when the agent asks.
func (f *following) answerWith(ctx context.Context, newer *supersession) {
	f.asked.answer = func(operationID string) {
		look, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		result, err := newer.look(look)
		if err != nil && ctx.Err() == nil {
			f.show.Warn("nobody could look for a newer deploy: " + err.Error())
		}
		by := ""
		if result.Superseded {
			f.show.Note("a newer deploy is under way: " + result.Reason)
			by = result.By.SHA
		}
		err = f.proceed(ctx, operationID, by)
		if err != nil && ctx.Err() == nil {
			f.show.Warn("the agent was not told, and goes on by itself: " + err.Error())
		}
	}
}

// proceed sends the answer on a stream of its own: the operation's is being read.
func (f *following) proceed(ctx context.Context, operationID, by string) error {
	s := f.client.Session(unseen())
	defer s.Close()
	return s.Send(ctx, &landfallv1.ExecuteRequest{
		CommandId: agentclient.NewCommandID("proceed"),
		Command:   &landfallv1.ExecuteRequest_Proceed{Proceed: &landfallv1.ProceedCommand{OperationId: operationID, SupersededBy: by}},
	})
}
