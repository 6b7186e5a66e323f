package server

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// identityService implements IdentityService.
type identityService struct {
	landfallv1.UnimplementedIdentityServiceServer
	*Server
}

// Revoke takes a revocation list up. Connections of those it names end before the answer is given.
func (i identityService) Revoke(ctx context.Context, req *landfallv1.RevokeRequest) (*landfallv1.RevokeResponse, error) {
	changed, revoked, err := i.authority.Install([]byte(req.GetList()))
	i.log.Info("revocation list", "who", principalFrom(ctx).String(), "changed", changed, "revoked", revoked, "error", err)
	if err != nil {
		return nil, err
	}
	i.connections.look()
	return &landfallv1.RevokeResponse{Changed: changed, RevokedCount: uint32(revoked)}, nil
}

// Renew signs a certificate for the caller's new key.
func (i identityService) Renew(ctx context.Context, req *landfallv1.RenewRequest) (*landfallv1.RenewResponse, error) {
	c, err := connectionOf(ctx)
	if err != nil {
		return nil, err
	}
	if c.local != nil {
		return nil, fault.New(fault.Invalid, "NO_CERTIFICATE", "%s calls over the local socket, without a certificate that could be renewed", c.who).
			WithHint("call the agent at its HOST:PORT, with the identity that is to be renewed")
	}
	r, err := i.authority.Renew(c.State, req.GetCertificateRequest())
	i.log.Info("renewal", "who", c.who.String(), "serial", c.who.Serial, "until", r.NotAfter, "error", err)
	if err != nil {
		return nil, err
	}
	return &landfallv1.RenewResponse{Certificate: string(r.Cert), Authority: string(r.Authority), ExpireTime: timestamppb.New(r.NotAfter)}, nil
}
