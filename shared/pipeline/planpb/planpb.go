// Package planpb converts plans to their form on the wire.
//
// It promises that everything the agent executes is in the message. The digest travels
// beside it and is that of the original. Start reading at [FromPlan].
package planpb

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/pipeline"
)

// FromPlan converts a plan; nil stays nil. The error is of a JSON expectation that is no JSON.
func FromPlan(p *pipeline.Plan) (*landfallv1.Plan, error) {
	if p == nil {
		return nil, nil
	}
	out := &landfallv1.Plan{
		Digest:           p.Digest(),
		Project:          p.Project,
		Branch:           p.Branch,
		BaseSha:          p.Base,
		TargetSha:        p.Target,
		EverythingReason: p.Everything,
		AnyDeploy:        p.AnyDeploy,
		UnclaimedPaths:   p.Unclaimed,
		UnclaimedCount:   uint32(p.UnclaimedCount),
		Environment:      p.Environment,
		ResetPatterns:    p.Prepare.Reset,
		RestoreOwnership: p.Prepare.Own,
		RollbackProbes:   p.Rollback.Probes,
	}
	for _, f := range p.Flags {
		out.Flags = append(out.Flags, &landfallv1.Flag{Name: f.Name, Set: f.Set, PathCount: uint32(f.Count), Paths: f.Paths})
	}
	for _, s := range p.Stacks {
		out.Stacks = append(out.Stacks, &landfallv1.Stack{Name: s.Name, Files: s.Files, Project: s.Project, EnvFiles: s.EnvFiles, Profiles: s.Profiles})
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, stepOf(s))
	}
	verification, err := verificationOf(p.Verify)
	out.Verification = verification
	return out, err
}

var phases = map[pipeline.Phase]landfallv1.Phase{
	pipeline.PhaseBuild:   landfallv1.Phase_PHASE_BUILD,
	pipeline.PhaseMigrate: landfallv1.Phase_PHASE_MIGRATE,
	pipeline.PhaseApply:   landfallv1.Phase_PHASE_APPLY,
}

func stepOf(s pipeline.Step) *landfallv1.Step {
	out := &landfallv1.Step{Id: s.ID, Phase: phases[s.Phase], Action: s.Action, After: s.After, Flags: s.Flags, Title: s.Title()}
	switch {
	case s.Script != nil:
		out.Work = &landfallv1.Step_Script{Script: &landfallv1.ScriptStep{Path: s.Script.Path, Args: s.Script.Args}}
	case s.Build != nil:
		out.Work = &landfallv1.Step_Build{Build: &landfallv1.BuildStep{
			Stack: s.Build.Stack, Services: s.Build.Services, NoCache: s.Build.NoCache, Pull: s.Build.Pull, Args: s.Build.Args,
		}}
	case s.Up != nil:
		out.Work = &landfallv1.Step_Up{Up: &landfallv1.UpStep{
			Stack: s.Up.Stack, Services: s.Up.Services, NoDeps: s.Up.NoDeps, ForceRecreate: s.Up.ForceRecreate, NoRecreate: s.Up.NoRecreate,
		}}
	case s.Recreate != nil:
		out.Work = &landfallv1.Step_Recreate{Recreate: &landfallv1.RecreateStep{Stack: s.Recreate.Stack, Services: s.Recreate.Services, NoDeps: s.Recreate.NoDeps}}
	case s.Restart != nil:
		out.Work = &landfallv1.Step_Restart{Restart: &landfallv1.RestartStep{Stack: s.Restart.Stack, Services: s.Restart.Services}}
	case s.Exec != nil:
		out.Work = &landfallv1.Step_Exec{Exec: &landfallv1.ExecStep{Stack: s.Exec.Stack, Service: s.Exec.Service, Command: s.Exec.Command, User: s.Exec.User}}
	case s.Wait != nil:
		out.Work = &landfallv1.Step_Wait{Wait: &landfallv1.WaitStep{Probe: s.Wait.Probe, Timeout: durationpb.New(s.Wait.Timeout)}}
	case s.Migrate != nil:
		out.Work = &landfallv1.Step_Migrate{Migrate: &landfallv1.MigrateStep{Script: s.Migrate.Script, Args: s.Migrate.Args}}
	}
	return out
}

func verificationOf(v pipeline.Verify) (*landfallv1.Verification, error) {
	out := &landfallv1.Verification{Deadline: durationpb.New(v.Deadline), Soak: durationpb.New(v.Soak)}
	for _, p := range v.Probes {
		spec, err := probeOf(p)
		if err != nil {
			return nil, err
		}
		out.Probes = append(out.Probes, spec)
	}
	return out, nil
}

func probeOf(p pipeline.Probe) (*landfallv1.ProbeSpec, error) {
	out := &landfallv1.ProbeSpec{Name: p.Name, When: p.When}
	switch {
	case p.Containers != nil:
		out.Check = &landfallv1.ProbeSpec_Containers{Containers: &landfallv1.ContainersProbe{Stacks: p.Containers.Stacks}}
	case p.Postgres != nil:
		out.Check = &landfallv1.ProbeSpec_Postgres{Postgres: &landfallv1.PostgresProbe{
			Stack: p.Postgres.Stack, Service: p.Postgres.Service, User: p.Postgres.User, Database: p.Postgres.Database, Port: uint32(p.Postgres.Port),
		}}
	case p.HTTP != nil:
		http := &landfallv1.HTTPProbe{Url: p.HTTP.URL, Status: uint32(p.HTTP.Status), Headers: p.HTTP.Headers, Timeout: durationpb.New(p.HTTP.Timeout)}
		if len(p.HTTP.JSON) > 0 {
			var value any
			if err := json.Unmarshal(p.HTTP.JSON, &value); err != nil {
				return nil, fmt.Errorf("probe %s: %w", p.Name, err)
			}
			expected, err := structpb.NewValue(value)
			if err != nil {
				return nil, fmt.Errorf("probe %s: %w", p.Name, err)
			}
			http.Json = expected
		}
		out.Check = &landfallv1.ProbeSpec_Http{Http: http}
	case p.TCP != nil:
		out.Check = &landfallv1.ProbeSpec_Tcp{Tcp: &landfallv1.TCPProbe{Address: p.TCP.Address, Timeout: durationpb.New(p.TCP.Timeout)}}
	}
	return out, nil
}
