package server

import (
	"time"

	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/agent/internal/tick"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline/planpb"
)

// The domain's words on the wire. TestEveryWordHasAForm keeps the tables complete.
var (
	kinds = map[operation.Kind]landfallv1.OperationKind{
		operation.KindDeploy:   landfallv1.OperationKind_OPERATION_KIND_DEPLOY,
		operation.KindRollback: landfallv1.OperationKind_OPERATION_KIND_ROLLBACK,
		operation.KindRepair:   landfallv1.OperationKind_OPERATION_KIND_REPAIR,
		operation.KindUpdate:   landfallv1.OperationKind_OPERATION_KIND_UPDATE,
		operation.KindRestart:  landfallv1.OperationKind_OPERATION_KIND_RESTART,
		operation.KindMigrate:  landfallv1.OperationKind_OPERATION_KIND_MIGRATE,
	}
	faults = map[fault.Kind]landfallv1.FaultKind{
		fault.Internal:        landfallv1.FaultKind_FAULT_KIND_INTERNAL,
		fault.Invalid:         landfallv1.FaultKind_FAULT_KIND_INVALID,
		fault.NotFound:        landfallv1.FaultKind_FAULT_KIND_NOT_FOUND,
		fault.Gate:            landfallv1.FaultKind_FAULT_KIND_GATE,
		fault.Failed:          landfallv1.FaultKind_FAULT_KIND_FAILED,
		fault.RolledBack:      landfallv1.FaultKind_FAULT_KIND_ROLLED_BACK,
		fault.Degraded:        landfallv1.FaultKind_FAULT_KIND_DEGRADED,
		fault.Unreachable:     landfallv1.FaultKind_FAULT_KIND_UNREACHABLE,
		fault.Unauthenticated: landfallv1.FaultKind_FAULT_KIND_UNAUTHENTICATED,
		fault.Denied:          landfallv1.FaultKind_FAULT_KIND_DENIED,
		fault.Refused:         landfallv1.FaultKind_FAULT_KIND_REFUSED,
		fault.Deadline:        landfallv1.FaultKind_FAULT_KIND_DEADLINE,
		fault.Interrupted:     landfallv1.FaultKind_FAULT_KIND_INTERRUPTED,
		fault.Unimplemented:   landfallv1.FaultKind_FAULT_KIND_UNIMPLEMENTED,
	}
	stepOutcomes = map[operation.StepOutcome]landfallv1.StepOutcome{
		operation.StepDone:        landfallv1.StepOutcome_STEP_OUTCOME_DONE,
		operation.StepFailed:      landfallv1.StepOutcome_STEP_OUTCOME_FAILED,
		operation.StepInterrupted: landfallv1.StepOutcome_STEP_OUTCOME_INTERRUPTED,
	}
	probeOutcomes = map[operation.ProbeOutcome]landfallv1.ProbeOutcome{
		operation.ProbePassed:  landfallv1.ProbeOutcome_PROBE_OUTCOME_PASSED,
		operation.ProbeWaiting: landfallv1.ProbeOutcome_PROBE_OUTCOME_WAITING,
		operation.ProbeFailed:  landfallv1.ProbeOutcome_PROBE_OUTCOME_FAILED,
	}
	streams = map[operation.Stream]landfallv1.OutputStream{
		operation.Stdout: landfallv1.OutputStream_OUTPUT_STREAM_STDOUT,
		operation.Stderr: landfallv1.OutputStream_OUTPUT_STREAM_STDERR,
	}
)

// stateOf relies on the names being the same on both sides.
func stateOf(s operation.State) landfallv1.OperationState {
	return landfallv1.OperationState(landfallv1.OperationState_value["OPERATION_STATE_"+string(s)])
}

// at converts a time; the zero time is not set.
func at(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func operationOf(o operation.Operation, told ...ports.Notification) *landfallv1.Operation {
	out := &landfallv1.Operation{
		Id: o.ID, Kind: kinds[o.Kind], State: stateOf(o.State), CommandId: o.CommandID, Requester: o.Requester,
		TargetSha: o.Target, BaseSha: o.Base, PreDeploySha: o.PreDeploy, PlanDigest: o.PlanDigest, Flags: o.Flags,
		Migrations: o.Migrations, Failure: failureOf(o.Failure), CreateTime: at(o.Created), EndTime: at(o.Ended),
		Summary: o.Summary, CancelledBy: o.CancelledBy, Judge: o.Judge, RestartCount: uint32(o.Restarts),
		LastSequence: o.LastSequence, SupersededBy: o.SupersededBy, Subject: o.Subject, Signature: o.Signature, Warnings: o.Warnings, VerifyByTime: at(o.VerifyBy),
	}
	for _, n := range told {
		out.Notifications = append(out.Notifications, &landfallv1.Notification{Channel: n.Channel, MessageId: n.Message, RecordTime: at(n.Time)})
	}
	for _, s := range o.Steps {
		out.Steps = append(out.Steps, &landfallv1.StepRecord{
			Id: s.ID, Title: s.Title, Outcome: stepOutcomes[s.Outcome], StartTime: at(s.Started), EndTime: at(s.Ended),
			Failure: failureOf(s.Failure), OutputLines: s.OutputLines, State: stateOf(s.State), Summary: s.Summary,
		})
	}
	for _, p := range o.Probes {
		out.Probes = append(out.Probes, probeResultOf(p))
	}
	for _, s := range o.States {
		out.States = append(out.States, &landfallv1.StateRecord{State: stateOf(s.State), EnterTime: at(s.Entered)})
	}
	return out
}

func failureOf(f *operation.Failure) *landfallv1.Failure {
	if f == nil {
		return nil
	}
	return &landfallv1.Failure{
		Kind: faults[f.Kind], Reason: f.Reason, Message: f.Message, Hint: f.Hint, StepId: f.StepID, OutputTail: f.OutputTail,
	}
}

func probeResultOf(p operation.ProbeResult) *landfallv1.ProbeResult {
	return &landfallv1.ProbeResult{
		Name: p.Name, Outcome: probeOutcomes[p.Outcome], Message: p.Message, Attempts: uint32(p.Attempts),
		Elapsed: durationpb.New(p.Elapsed), OutputTail: p.OutputTail,
	}
}

func batchOf(id string, events []operation.Event) (*landfallv1.EventBatch, error) {
	batch := &landfallv1.EventBatch{OperationId: id, Events: make([]*landfallv1.Event, len(events))}
	for i, e := range events {
		converted, err := eventOf(e)
		if err != nil {
			return nil, err
		}
		batch.Events[i] = converted
	}
	return batch, nil
}

func eventOf(e operation.Event) (*landfallv1.Event, error) {
	out := &landfallv1.Event{Sequence: e.Sequence, EventTime: at(e.Time)}
	switch {
	case e.Output != nil:
		out.Fact = &landfallv1.Event_Output{Output: &landfallv1.OutputLine{
			StepId: e.Output.StepID, Stream: streams[e.Output.Stream], Text: e.Output.Text, Truncated: e.Output.Truncated,
		}}
	case e.Accepted != nil:
		out.Fact = &landfallv1.Event_Accepted{Accepted: &landfallv1.Accepted{
			Kind: kinds[e.Accepted.Kind], CommandId: e.Accepted.CommandID, Requester: e.Accepted.Requester,
			TargetSha: e.Accepted.Target, BaseSha: e.Accepted.Base, Subject: e.Accepted.Subject,
		}}
	case e.State != nil:
		out.Fact = &landfallv1.Event_StateChanged{StateChanged: &landfallv1.StateChanged{
			State: stateOf(e.State.State), Failure: failureOf(e.State.Failure), SupersededBy: e.State.SupersededBy, VerifyByTime: at(e.State.VerifyBy),
			Summary: e.State.Summary,
		}}
	case e.Plan != nil:
		plan, err := planpb.FromPlan(e.Plan)
		if err != nil {
			return nil, err
		}
		out.Fact = &landfallv1.Event_PlanCompiled{PlanCompiled: &landfallv1.PlanCompiled{Plan: plan}}
	case e.PreDeploy != nil:
		out.Fact = &landfallv1.Event_PreDeploy{PreDeploy: &landfallv1.PreDeployRecorded{Sha: e.PreDeploy.SHA}}
	case e.StepStarted != nil:
		out.Fact = &landfallv1.Event_StepStarted{StepStarted: &landfallv1.StepStarted{StepId: e.StepStarted.ID, Title: e.StepStarted.Title}}
	case e.StepFinished != nil:
		out.Fact = &landfallv1.Event_StepFinished{StepFinished: &landfallv1.StepFinished{
			StepId: e.StepFinished.ID, Outcome: stepOutcomes[e.StepFinished.Outcome], Duration: durationpb.New(e.StepFinished.Duration),
			Failure: failureOf(e.StepFinished.Failure), Summary: e.StepFinished.Summary,
		}}
	case e.Probe != nil:
		out.Fact = &landfallv1.Event_Probe{Probe: probeResultOf(*e.Probe)}
	case e.Warning != nil:
		out.Fact = &landfallv1.Event_Warning{Warning: &landfallv1.Warning{Reason: e.Warning.Reason, Message: e.Warning.Message}}
	case e.Cancel != nil:
		out.Fact = &landfallv1.Event_CancelRequested{CancelRequested: &landfallv1.CancelRequested{Requester: e.Cancel.By}}
	case e.TakenUp != nil:
		out.Fact = &landfallv1.Event_TakenUp{TakenUp: &landfallv1.TakenUp{State: stateOf(e.TakenUp.State), EndedProcesses: uint32(e.TakenUp.Ended)}}
	case e.Alone != nil:
		out.Fact = &landfallv1.Event_JudgedAlone{JudgedAlone: &landfallv1.JudgedAlone{Waited: durationpb.New(e.Alone.Waited)}}
	case e.Migration != nil:
		out.Fact = &landfallv1.Event_Migration{Migration: &landfallv1.MigrationApplied{Name: e.Migration.Name}}
	}
	return out, nil
}

func servicesOf(services []picture.Service) []*landfallv1.Service {
	out := make([]*landfallv1.Service, len(services))
	for i, s := range services {
		verdict, problem, _ := s.Verdict()
		out[i] = &landfallv1.Service{
			Stack: s.Stack, Project: s.Project, Name: s.Name, Image: s.Image, Ready: verdict == picture.Passed, Unnamed: s.Unnamed, Problem: problem,
		}
		for _, c := range s.Containers {
			out[i].Containers = append(out[i].Containers, &landfallv1.Container{
				Id: c.ID, Name: c.Name, State: c.State, Health: c.Health, ImageId: c.ImageID, StartTime: at(c.Started),
				RestartCount: uint32(c.Restarts), ExitCode: int32(c.ExitCode), OomKilled: c.OOMKilled,
			})
		}
	}
	return out
}

func gitopsOf(pause *ports.Pause, blocks []ports.Blocked, ticks tick.Status) (*landfallv1.GitOpsStatus, error) {
	out := &landfallv1.GitOpsStatus{NextTickTime: at(ticks.Next), Overdue: ticks.Overdue, NotFollowedReason: ticks.NotFollowed}
	if ticks.Last != nil {
		last, err := tickOf(*ticks.Last)
		if err != nil {
			return nil, err
		}
		last.Plan = nil // of what is over
		out.LastTick = last
	}
	if pause != nil {
		out.Pause = &landfallv1.GitOpsPause{
			Reason: pause.Reason, Owner: pause.Owner, OperationId: pause.Operation, CreateTime: at(pause.Created), ExpireTime: at(pause.Expires),
		}
	}
	for _, b := range blocks {
		block := &landfallv1.BlockedCommit{Sha: b.SHA, OperationId: b.Operation, Reason: b.Reason, CreateTime: at(b.Created)}
		out.AllBlocked = append(out.AllBlocked, block)
		if !b.IsImage() { // coordinators of old take it for a commit
			out.Blocked = block
		}
	}
	return out, nil
}

func commitOf(c picture.Commit) *landfallv1.CommitInfo {
	return &landfallv1.CommitInfo{Sha: c.SHA, Subject: c.Subject, Author: c.Author, CommitTime: at(c.Time)}
}

// restoreActions are the verbs of a restoration on the wire.
var restoreActions = map[picture.Verb]landfallv1.RestoreAction{
	picture.Start: landfallv1.RestoreAction_RESTORE_ACTION_START, picture.Stop: landfallv1.RestoreAction_RESTORE_ACTION_STOP,
	picture.Restart: landfallv1.RestoreAction_RESTORE_ACTION_RESTART, picture.Remove: landfallv1.RestoreAction_RESTORE_ACTION_REMOVE,
	picture.Recreate: landfallv1.RestoreAction_RESTORE_ACTION_RECREATE, picture.Create: landfallv1.RestoreAction_RESTORE_ACTION_RECREATE,
	picture.Pause: landfallv1.RestoreAction_RESTORE_ACTION_PAUSE, picture.Reconnect: landfallv1.RestoreAction_RESTORE_ACTION_RECONNECT,
}
