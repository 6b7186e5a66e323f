package server

import (
	"time"

	"google.golang.org/grpc"

	"ataraxis.dev/landfall/shared/identity"
)

// limits bound what others may hold of this agent, whoever they are. They are no
// configuration: the agent serves a handful of people and jobs, and each number is several
// times what those need while all of them together stay far below a small machine.
type limits struct {
	handshake time.Duration // from a connection's beginning to its first request, TLS included

	underway        int // handshakes; one more puts the oldest out
	underwayAddress int // of one address (of one /64 with IPv6)

	connections          int // with a proven principal; one more puts an idle one out, or is closed
	connectionsPrincipal int

	owed, owedAll, owedLittle int64 // bytes of answers not taken: of one connection, of all, and what is no reason to refuse

	calls          int // being served, watchers included
	callsPrincipal int
	watches        int // streams that stay open while nothing happens
	watchesOne     int // of one principal

	questions        int           // diagnostics that start processes, side by side
	waiting          int           // such questions that wait for a turn
	waitingPrincipal int           // of one principal
	answer           time.Duration // how long one such question may take

	look  time.Duration // between two looks at who is connected
	grace time.Duration // between the end of a connection's right and its close, in which calls are told why
	slow  time.Duration // how long a caller may leave a message untaken
	quiet time.Duration // between two log lines about the same refusal
}

// defaults: files are bounded by 64 handshakes + 128 connections, of a soft limit of 1024 (systemd's default).
func defaults() limits {
	return limits{
		handshake: 10 * time.Second,
		underway:  64, underwayAddress: 48,
		connections: 128, connectionsPrincipal: 48,
		owed: 2 << 20, owedAll: 32 << 20, owedLittle: 64 << 10,
		calls: 512, callsPrincipal: 128,
		watches: 64, watchesOne: 32,
		questions: 2, waiting: 32, waitingPrincipal: 8, answer: 60 * time.Second,
		look: time.Second, grace: 5 * time.Second, slow: 30 * time.Second, quiet: time.Minute,
	}
}

const (
	// maxReceive: a command has some hundred bytes, a revocation list at most some kilobytes.
	maxReceive = 1 << 20
	// maxSend: an answer with every operation that the journal keeps has some megabytes.
	maxSend = 32 << 20
	// maxStreams of one connection (SETTINGS_MAX_CONCURRENT_STREAMS, RFC 9113, 6.5.2): more wait at the caller's end.
	maxStreams = 100
	// maxHeaders: HPACK lets one byte stand for a header, so that 9 MiB on the wire became 1.6 GiB
	// with gRPC's default of 16 MiB for each request. Ours have about 300 bytes.
	maxHeaders = 16 << 10
	// headerTable is HPACK's dynamic table, RFC 7541's own default.
	headerTable = 4 << 10
	// streamWindow and connectionWindow are what a peer may send ahead of us (RFC 9113, 6.9). gRPC's own adapt to the
	// connection, up to 16 MiB; commands are small, so they are fixed here at HTTP/2's default.
	streamWindow     = 64 << 10
	connectionWindow = 1 << 20
	// ioBuffer is read from and written to a connection at once; gRPC's default, and it is kept by each connection.
	ioBuffer = 32 << 10
)

// options are all options that gRPC's server has for what a peer may do; those that are not here say why.
func (l limits) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		// gRPC's default of 120 s lets a stranger keep a file for two minutes with 11 bytes.
		grpc.ConnectionTimeout(l.handshake),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.HeaderTableSize(headerTable),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxSendMsgSize(maxSend),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.ReadBufferSize(ioBuffer),
		grpc.WriteBufferSize(ioBuffer),
		// A goroutine for each request: workers would be shared by a flood and by those who wait behind it.
		// Their number is bounded by gRPC with maxStreams for each connection, since a reset frees no slot
		// before its handler has returned (CVE-2023-44487).
		grpc.NumStreamWorkers(0),
		// Stop waits for handlers: they use the engine, which is closed next.
		grpc.WaitForHandlers(true),
		// Idle connections are closed; those with a call never are for their age (see there).
		grpc.KeepaliveParams(identity.KeepaliveServer()),
		// Pings more often than this end a connection with "too many pings".
		grpc.KeepaliveEnforcementPolicy(identity.KeepaliveEnforcement()),
		// Not set: SharedWriteBuffer (on by default by now, and the option is going: a connection with nothing to write keeps
		// no buffer), UnknownServiceHandler (unknown methods are UNIMPLEMENTED by gRPC itself), InTapHandle and StatsHandler
		// (we look at connections and calls ourselves), codecs and compressors (no compressor is registered, so that a
		// compressed message is refused instead of unpacked).
	}
}
