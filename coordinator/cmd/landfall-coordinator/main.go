// Command landfall-coordinator tells agents what to deploy.
package main

import (
	"os"

	"ataraxis.dev/landfall/coordinator/internal/cli"
	"ataraxis.dev/landfall/shared/command"
)

func main() { os.Exit(cli.Run(os.Args[1:], command.System())) }
