package identity

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// Keep-alive: a connection whose other end vanished (power, Wi-Fi) is noticed within
// Time + Timeout. The client's Time must not be below the server's MinTime, or the
// server hangs up with "too many pings" (gRPC, A8); and not below 10 s, which grpc-go enforces.
const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	keepaliveMinTime = 10 * time.Second

	// maxIdle is how long a connection without a call stays open: longer than a person's pause
	// between two commands of one program, and a client that comes back dials again by itself.
	maxIdle = 5 * time.Minute
)

// KeepaliveClient is for grpc.WithKeepaliveParams.
func KeepaliveClient() keepalive.ClientParameters {
	return keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}
}

// KeepaliveServer is for grpc.KeepaliveParams. Connections are never closed for their age:
// a deploy may last longer than any limit, and whether the other end may still call is asked
// at every call ([Source.Admit]), not by age.
func KeepaliveServer() keepalive.ServerParameters {
	return keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, MaxConnectionIdle: maxIdle}
}

// KeepaliveEnforcement is for grpc.KeepaliveEnforcementPolicy.
func KeepaliveEnforcement() keepalive.EnforcementPolicy {
	return keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: true}
}
