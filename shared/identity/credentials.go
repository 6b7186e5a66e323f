package identity

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"ataraxis.dev/landfall/shared/fault"
)

// ClientCredentials are gRPC's transport credentials of a client; each connection, so
// each reconnection too, uses the files as they are then.
func (s *Source) ClientCredentials() credentials.TransportCredentials {
	return &clientCredentials{source: s}
}

type clientCredentials struct {
	source     *Source
	serverName string
}

func (c *clientCredentials) now() credentials.TransportCredentials {
	config := c.source.ClientTLS()
	config.ServerName = c.serverName
	return credentials.NewTLS(config)
}

// ClientHandshake verifies the agent with the files as they are now.
func (c *clientCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.now().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake always fails: a client does not serve.
func (c *clientCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, fault.New(fault.Internal, ReasonWrongRole, "client credentials cannot serve")
}

// Info names the protocol.
func (c *clientCredentials) Info() credentials.ProtocolInfo { return c.now().Info() }

// Clone shares the source.
func (c *clientCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName is a deprecated part of gRPC's interface; grpc.WithAuthority replaces it.
func (c *clientCredentials) OverrideServerName(name string) error {
	c.serverName = name
	return nil
}

// ServerCredentials are gRPC's transport credentials of an agent. They report every peer
// that was turned away.
func (s *Source) ServerCredentials() credentials.TransportCredentials {
	return &serverCredentials{TransportCredentials: credentials.NewTLS(s.ServerTLS()), refused: s.options.Refused}
}

type serverCredentials struct {
	credentials.TransportCredentials
	refused func(error)
}

// Greeter is a connection that wants to know how its handshake goes: where there is no room for
// all, who was refused may go before who is silent, and he before who is being answered.
type Greeter interface {
	Greeted() // the other end has said what it wants
	Lingers() // it was refused, and stays open for it to read why
}

// linger is how long a refused connection stays open for the client to read why.
const linger = 500 * time.Millisecond

// ServerHandshake verifies a client and reports one that is turned away.
func (c *serverCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	polite := &lingeringConn{Conn: conn}
	secured, info, err := c.TransportCredentials.ServerHandshake(polite)
	if err != nil {
		c.refused(fault.Wrap(err, fault.Unauthenticated, reasonOf(err), "a connection from %s was refused", conn.RemoteAddr()))
		return nil, nil, err
	}
	polite.accepted.Store(true)
	return secured, info, nil
}

// lingeringConn waits for a refused client to hang up before it closes. Closed with
// unread bytes, the connection would be reset, and the reset could overtake the alert
// that tells the client why.
type lingeringConn struct {
	net.Conn
	accepted atomic.Bool
}

// Greeted tells the connection below.
func (c *lingeringConn) Greeted() {
	if g, ok := c.Conn.(Greeter); ok {
		g.Greeted()
	}
}

// Lingers is nothing that crypto/tls says.
func (c *lingeringConn) Lingers() {}

// Close waits at most linger, and not at all for an accepted client.
func (c *lingeringConn) Close() error {
	if !c.accepted.Load() && c.SetReadDeadline(time.Now().Add(linger)) == nil {
		if g, ok := c.Conn.(Greeter); ok {
			g.Lingers()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, maxFile))
	}
	return c.Conn.Close()
}

// Clone shares the source.
func (c *serverCredentials) Clone() credentials.TransportCredentials {
	return &serverCredentials{TransportCredentials: c.TransportCredentials.Clone(), refused: c.refused}
}
