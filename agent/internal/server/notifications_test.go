package server

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// notes keeps notifications in memory.
type notes struct {
	mu   sync.Mutex
	kept map[string][]ports.Notification
}

func (n *notes) Notifications(operation string) []ports.Notification {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept[operation]
}

func (n *notes) RecordNotification(operation string, told ports.Notification) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	told.Time = time.Now()
	n.kept[operation] = append(n.kept[operation], told)
	return nil
}

func TestNotificationsAreKept(t *testing.T) {
	t.Parallel()
	trail := &memoryTrail{}
	b := newBench(t, func(c *Config) {
		c.Notifications, c.Trail = &notes{kept: map[string][]ports.Notification{}}, trail
	})
	op, _, err := b.Ports().Journal.Create(operation.Event{Sequence: 1, Time: time.Now(), Accepted: &operation.Accepted{Kind: operation.KindDeploy, CommandID: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	deployer := landfallv1.NewDeployServiceClient(b.dial(identity.RoleDeployer))
	channel := "discord-0123456789abcdef01234567"
	resp, err := deployer.RecordNotification(b.context(), &landfallv1.RecordNotificationRequest{OperationId: op.ID, Channel: channel, MessageId: "1200000000000000001"})
	if err != nil || len(resp.GetNotifications()) != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	look := landfallv1.NewDiagnosticsServiceClient(b.dial(identity.RoleObserver))
	one, err := look.GetOperation(b.context(), &landfallv1.GetOperationRequest{OperationId: op.ID})
	if n := one.GetOperation().GetNotifications(); err != nil || len(n) != 1 || n[0].GetChannel() != channel || n[0].GetMessageId() != "1200000000000000001" || n[0].GetRecordTime() == nil {
		t.Errorf("%v, %v", one, err)
	}
	all, err := look.ListOperations(b.context(), &landfallv1.ListOperationsRequest{})
	if err != nil || len(all.GetOperations()) != 1 || len(all.GetOperations()[0].GetNotifications()) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	recorded := false
	for _, e := range trail.entries {
		recorded = recorded || (strings.HasSuffix(e.Action, "RecordNotification") && e.Subject == op.ID && e.Who == "deployer/test")
	}
	if !recorded {
		t.Errorf("who recorded it is not in the trail: %+v", trail.entries)
	}
	for name, bad := range map[string]*landfallv1.RecordNotificationRequest{
		"no operation": {Channel: channel, MessageId: "1"},
		"no channel":   {OperationId: op.ID, MessageId: "1"},
		"no message":   {OperationId: op.ID, Channel: channel},
		"an address":   {OperationId: op.ID, Channel: "https://discord.com/api/webhooks/1/x", MessageId: "1"},
		"control":      {OperationId: op.ID, Channel: channel, MessageId: "1\n2"},
		"long":         {OperationId: op.ID, Channel: channel, MessageId: strings.Repeat("1", 129)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := deployer.RecordNotification(b.context(), bad); err == nil {
				t.Error("accepted")
			}
		})
	}
	_, err = deployer.RecordNotification(b.context(), &landfallv1.RecordNotificationRequest{OperationId: "op-99-none", Channel: channel, MessageId: "1"})
	requireStatus(t, err, codes.NotFound, "UNKNOWN_OPERATION")
}
