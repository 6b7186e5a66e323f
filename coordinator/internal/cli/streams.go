package cli

import "ataraxis.dev/landfall/shared/command"

// Streams are the program's three streams.
type Streams = command.Streams
