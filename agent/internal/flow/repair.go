package flow

import (
	"context"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// RepairRequest asks for services to be brought back to what the checkout says.
type RepairRequest struct {
	CommandID string
	Requester string
	Subject   string // the services, for people
	Signature string // what it sets out to do; see [operation.Operation]
	Deeds     []picture.Deed
	Image     *operation.Image // the newer image to take; nil to repair
}

// Repair records a repair, or the update of an image, and starts it. Repeating the command returns its operation.
func (f *Flows) Repair(ctx context.Context, req RepairRequest) (op operation.Operation, repeated bool, err error) {
	kind := operation.KindRepair
	if req.Image != nil {
		kind = operation.KindUpdate
	}
	return f.beginUpkeep(ctx, operation.Accepted{
		Kind: kind, CommandID: req.CommandID, Requester: req.Requester, Subject: req.Subject, Signature: req.Signature, Deeds: req.Deeds, Image: req.Image, Judge: true,
	})
}
