package server

import (
	"context"
	"regexp"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/ports"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// The forms of what a notification is named by.
var (
	channelForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	messageForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
)

// RecordNotification keeps which message tells of an operation.
func (d deployService) RecordNotification(_ context.Context, req *landfallv1.RecordNotificationRequest) (*landfallv1.RecordNotificationResponse, error) {
	switch {
	case d.notified == nil:
		return nil, fault.New(fault.Unimplemented, "NO_NOTIFICATIONS", "this agent keeps no notifications")
	case req.GetOperationId() == "":
		return nil, fault.New(fault.Invalid, "BAD_OPERATION", "which operation does the message tell of?")
	case !channelForm.MatchString(req.GetChannel()), !messageForm.MatchString(req.GetMessageId()):
		return nil, fault.New(fault.Invalid, "BAD_NOTIFICATION", "channel and message_id are 1 to 64, and 128, characters of A-Z a-z 0-9 . _ : -")
	}
	op, err := d.engine.Operation(req.GetOperationId())
	if err != nil {
		return nil, err
	}
	if err := d.notified.RecordNotification(op.ID, ports.Notification{Channel: req.GetChannel(), Message: req.GetMessageId()}); err != nil {
		return nil, err
	}
	return &landfallv1.RecordNotificationResponse{Notifications: d.told(op).GetNotifications()}, nil
}

// told is an operation on the wire, with the messages that tell of it.
func (s *Server) told(op operation.Operation) *landfallv1.Operation {
	if s.notified == nil {
		return operationOf(op)
	}
	return operationOf(op, s.notified.Notifications(op.ID)...)
}
