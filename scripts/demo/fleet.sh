#!/usr/bin/env bash
# What runs of a demo fleet, and how it goes away: sourced, never run. Everything is found by the
# labels that Compose writes, so that it works whatever state the fleet's files are in.

fleet_projects() { printf '%s\n' "$1" "$1-metrics"; }

# Prints "SERVICE CONTAINER-ID STATE" of each container of the fleet, sorted.
fleet_containers() { # PROJECT
  local name
  for name in $(fleet_projects "$1"); do
    docker ps -a --no-trunc --filter "label=com.docker.compose.project=$name" \
      --format '{{.Label "com.docker.compose.service"}} {{.ID}} {{.State}}'
  done | sort
}

# Prints the services whose container is another one, or is new or gone, on one line.
changed_services() { # BEFORE AFTER: files by fleet_containers
  { cut -d' ' -f1,2 "$1"; cut -d' ' -f1,2 "$2"; } | sort | uniq -u | cut -d' ' -f1 | sort -u | paste -sd' ' -
}

# Prints the tags by which the agent keeps the images of a checkout for a rollback.
fleet_pins() { # CHECKOUT
  local sum
  sum=$(printf %s "$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12)
  docker image ls --filter "reference=landfall-pin/$sum" --format '{{.Repository}}:{{.Tag}}'
}

fleet_things() { # PROJECT [CHECKOUT] -> "KIND ID" lines
  local name filter
  for name in $(fleet_projects "$1"); do
    filter=label=com.docker.compose.project=$name
    docker ps -aq --filter "$filter" | sed 's/^/container /'
    docker network ls -q --filter "$filter" | sed 's/^/network /'
    docker volume ls -q --filter "$filter" | sed 's/^/volume /'
    docker image ls -q --filter "$filter" | sort -u | sed 's/^/image /'
  done
  [ -z "${2:-}" ] || fleet_pins "$2" | sed 's/^/pin /'
}

remove_fleet() { # PROJECT [CHECKOUT]
  local things kind
  command -v docker >/dev/null || return 0
  things=$(fleet_things "$@" 2>/dev/null) || return 0
  # in this order: a container holds its network, volumes and image
  for kind in container network volume pin image; do
    printf '%s\n' "$things" | sed -n "s/^$kind //p" | while read -r id; do
      case $kind in
        container) docker rm -fv "$id" ;;
        network) docker network rm "$id" ;;
        volume) docker volume rm -f "$id" ;;
        pin) docker image rm --no-prune "$id" ;;
        image) docker image rm -f "$id" ;;
      esac >/dev/null || true
    done
  done
}

# Prints what is left of a fleet on one line; nothing when all is gone, or no engine answers.
fleet_leftovers() { # PROJECT [CHECKOUT]
  fleet_things "$@" 2>/dev/null | paste -sd' ' -
}

base_images() { docker image ls --filter 'reference=landfall-demo-*:*' --format '{{.Repository}}:{{.Tag}}' | grep -E '^landfall-demo-(base|postgres|caddy|busybox):' || true; }

remove_base_images() { base_images | while read -r image; do docker image rm "$image" >/dev/null || true; done; }
