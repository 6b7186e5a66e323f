// Command landfall-agent executes deploys on the host it runs on.
package main

import (
	"os"

	"ataraxis.dev/landfall/agent/internal/cli"
	"ataraxis.dev/landfall/shared/command"
)

func main() { os.Exit(cli.Run(os.Args[1:], command.System())) }
