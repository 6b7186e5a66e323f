package identity

import (
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// handshakeFailure tells what a text of a failed handshake means for a client.
type handshakeFailure struct {
	text    string
	also    string // must be there too; may be ""
	reason  string
	message string // about the agent at %s
	hint    string
}

// handshakeFailures are tried in order. The texts are those of Go's crypto/tls and
// crypto/x509; gRPC hands on no typed errors. "remote error" is an alert from the other end.
var handshakeFailures = [...]handshakeFailure{
	{
		text: "remote error: tls: certificate required", reason: ReasonMissing,
		message: "the agent at %s wants a certificate of its CA and got none",
		hint:    "name an identity by --identity or LANDFALL_IDENTITY",
	},
	{
		text: "remote error: tls: unknown certificate authority", reason: ReasonUnknownAuthority,
		message: "the agent at %s does not know the CA of our certificate",
		hint:    "use an identity that the agent's CA issued, or add our CA to the agent's ca.pem",
	},
	{
		text: "remote error: tls: expired certificate", reason: ReasonExpired,
		message: "the agent at %s takes our certificate for expired or not yet valid",
		hint:    "landfall-coordinator identity show tells the validity: renew it, or compare the clocks of both machines",
	},
	{
		text: "remote error: tls: bad certificate", reason: ReasonWrongRole,
		message: "the agent at %s does not accept our certificate: it was revoked, or is no client's",
		hint:    "use an identity with role observer, deployer or operator that was not revoked; the agent's log says which",
	},
	{
		text: "remote error: tls: protocol version not supported", reason: ReasonNotTLS,
		message: "the other end at %s does not speak TLS 1.3",
		hint:    "check the port: is a Landfall agent listening there?",
	},
	{
		text: "tls: protocol version not supported", reason: ReasonNotTLS,
		message: "the other end at %s does not speak TLS 1.3",
		hint:    "check the port: is a Landfall agent listening there?",
	},
	{
		text: "first record does not look like a TLS handshake", reason: ReasonNotTLS,
		message: "the other end at %s speaks no TLS",
		hint:    "check the port: is a Landfall agent listening there?",
	},
	{
		text: "certificate signed by unknown authority", reason: ReasonUnknownAuthority,
		message: "the agent at %s shows a certificate of a CA that we do not know",
		hint:    "use an identity of the agent's CA, or add the agent's CA to our ca.pem; if neither was expected, somebody else may be answering",
	},
	{
		text: "certificate has expired or is not yet valid", also: "is before", reason: ReasonNotYetValid,
		message: "the certificate of the agent at %s is not valid yet",
		hint:    "compare the clocks of both machines",
	},
	{
		text: "certificate has expired", reason: ReasonExpired,
		message: "the certificate of the agent at %s has expired",
		hint:    "renew it: landfall-coordinator identity renew agent, then copy it to the agent",
	},
	{
		text: "incompatible key usage", reason: ReasonWrongRole,
		message: "the other end at %s shows a certificate that is not an agent's",
		hint:    "give the agent an identity with role agent",
	},
	{
		text: "was revoked", reason: ReasonRevoked,
		message: "the certificate of the agent at %s was revoked",
		hint:    "do not go on: somebody else may be answering with a stolen key; the agent needs a new identity: landfall-coordinator identity issue",
	},
	{
		text: "because the revocation list", reason: ReasonListBroken,
		message: "whether the agent at %s was revoked is not known, because our revocation list cannot be believed",
		hint:    "mend or replace revoked.crl in the identity folder; landfall-coordinator identity show says what is wrong",
	},
	{
		text: wrongRoleText, reason: ReasonWrongRole,
		message: "the other end at %s shows a certificate that is not an agent's",
		hint:    "give the agent an identity with role agent",
	},
	{
		text: "certificate is valid for", reason: ReasonWrongHost,
		message: "the certificate of the agent at %s is for another host",
		hint:    "use a name it was issued for, or issue it again with --host for this one",
	},
	{
		text: "cannot validate certificate for", reason: ReasonWrongHost,
		message: "the certificate of the agent at %s is for another host",
		hint:    "use a name it was issued for, or issue it again with --host for this one",
	},
	{
		text: "is not valid for any names", reason: ReasonWrongHost,
		message: "the certificate of the agent at %s is for no host at all",
		hint:    "issue it again with role agent and --host",
	},
}

// ExplainHandshake turns the error of a TLS handshake or a gRPC call to addr into an
// Unauthenticated fault that says which side's certificate is wrong and what to do.
// Errors about anything else, such as a refused connection, come back unchanged.
func ExplainHandshake(err error, addr string) error {
	if err == nil {
		return nil
	}
	f := find(err)
	if f == nil {
		return err
	}
	return fault.Wrap(err, fault.Unauthenticated, f.reason, f.message, addr).WithHint("%s", f.hint)
}

func find(err error) *handshakeFailure {
	text := err.Error()
	for i := range handshakeFailures {
		if f := &handshakeFailures[i]; strings.Contains(text, f.text) && strings.Contains(text, f.also) {
			return f
		}
	}
	return nil
}

// reasonOf is the reason of a handshake that failed on the server's side.
func reasonOf(err error) string {
	if f := find(err); f != nil {
		return f.reason
	}
	if strings.Contains(err.Error(), "client didn't provide a certificate") {
		return ReasonMissing
	}
	return "HANDSHAKE_FAILED"
}
