package agentclient

import (
	"context"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/audit"
)

// auditPage is how many entries one answer holds.
const auditPage = 1000

// Audit reads the audit trail, oldest entry first, from behind the entry with the number after; checkpoint is nil when nothing was ever
// cut off.
func (c *Client) Audit(ctx context.Context, after uint64) (checkpoint *landfallv1.AuditCheckpoint, entries []*landfallv1.AuditEntry, err error) {
	for {
		resp, err := look(ctx, c, c.audit.ListAudit, &landfallv1.ListAuditRequest{AfterSequence: after, PageSize: auditPage})
		if err != nil {
			return nil, nil, err
		}
		if entries == nil {
			checkpoint = resp.GetCheckpoint()
		}
		entries = append(entries, resp.GetEntries()...)
		if len(resp.GetEntries()) < auditPage {
			return checkpoint, entries, nil
		}
		after = entries[len(entries)-1].GetSequence()
	}
}

// AuditEntry is an entry as its hash is made of.
func AuditEntry(e *landfallv1.AuditEntry) audit.Entry {
	return audit.Entry{
		Sequence: e.GetSequence(), Time: e.GetEntryTime().AsTime(), Who: e.GetWho(), From: e.GetFrom(), Action: e.GetAction(), Subject: e.GetSubject(),
		Result: e.GetResult(), Reason: e.GetReason(), Count: e.GetCount(), Previous: e.GetPreviousHash(), Hash: e.GetHash(),
	}
}

// AuditCheckpoint is a checkpoint as its signature is made of.
func AuditCheckpoint(c *landfallv1.AuditCheckpoint) audit.Checkpoint {
	return audit.Checkpoint{
		Sequence: c.GetSequence(), Hash: c.GetHash(), Time: c.GetCutTime().AsTime(), Signature: c.GetSignature(), Certificate: c.GetCertificate(),
	}
}
