package server

import (
	"context"
	"regexp"
	"time"

	"ataraxis.dev/landfall/agent/internal/flow"
	"ataraxis.dev/landfall/agent/internal/operation"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

const (
	// maxNamed bounds the services that one command may name; maxName the length of each, in bytes.
	maxNamed, maxName = 500, 200
	// maxWithin bounds the time that migrations may be given.
	maxWithin = 24 * time.Hour
)

// servicePattern is a name of a service or stack, or a pattern of services.
var servicePattern = regexp.MustCompile(`^[A-Za-z0-9._*][A-Za-z0-9._*-]*$`)

func (d deployService) restart(ctx context.Context, who, id string, c *landfallv1.RestartCommand) (operation.Operation, bool, error) {
	if len(c.GetServices()) > maxNamed {
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SERVICE", "at most %d services can be named", maxNamed)
	}
	names := c.GetServices()
	if c.GetStack() != "" {
		names = append([]string{c.GetStack()}, names...)
	}
	for _, name := range names {
		if len(name) > maxName || !servicePattern.MatchString(name) {
			return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_SERVICE", "%.*q is neither a name nor a pattern of services", maxName, name)
		}
	}
	return d.engine.Restart(ctx, flow.RestartRequest{CommandID: id, Requester: who, Stack: c.GetStack(), Services: c.GetServices()})
}

func (d deployService) migrate(ctx context.Context, who, id string, c *landfallv1.MigrateCommand) (operation.Operation, bool, error) {
	within := c.GetTimeout().AsDuration()
	if within < 0 || within > maxWithin {
		return operation.Operation{}, false, fault.New(fault.Invalid, "BAD_TIMEOUT", "migrations may be given more than nothing and at most %s", maxWithin)
	}
	return d.engine.Migrate(ctx, flow.MigrateRequest{CommandID: id, Requester: who, Within: within})
}
