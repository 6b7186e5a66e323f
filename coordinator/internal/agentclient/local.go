package agentclient

import "ataraxis.dev/landfall/shared/socketdial"

// DefaultSocket is the agent's local socket where agent.yaml says nothing.
const DefaultSocket = socketdial.Default

// IsLocal reports whether an address is that of a socket on this host, where no identity is needed.
func IsLocal(address string) bool { return socketdial.IsLocal(address) }
