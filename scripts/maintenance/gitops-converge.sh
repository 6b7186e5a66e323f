#!/usr/bin/env bash
# One tick of convergence, as the timer on the host makes it: the agent looks, decides, and begins what is due.
set -euo pipefail

usage() {
  cat <<USAGE
usage: scripts/maintenance/gitops-converge.sh [OPTION...]

Asks the running agent for a tick (landfall-agent converge), after a pause of up to 30 s at random, so that hosts do
not ask all at once. Options are handed on: --dry-run, --config FILE, --jitter 2m, --format json.
Call it every 15 minutes (converge.every of agent.yaml says how often), from cron say. Under systemd there is a timer:
scripts/systemd/landfall-gitops.timer, which calls landfall-agent itself.

Exit codes: 0 looked, also where it was skipped (the output says why), 2 configuration, 6 no agent, 7 refused.
USAGE
}

case ${1:-} in
-h | --help)
  usage
  exit 0
  ;;
esac

agent=${LANDFALL_AGENT_PROGRAM:-landfall-agent}
command -v "$agent" >/dev/null || {
  echo "gitops-converge: there is no $agent on the path" >&2
  exit 2
}
exec "$agent" converge --jitter 30s "$@"
