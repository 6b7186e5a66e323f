package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// tinyConfig is a fleet shaped otherwise than the demo's: one stack whose files only
// COMPOSE_FILE of the untracked .env names, landfall.yaml in a folder, other names, no database.
const tinyConfig = `version: 1
project: tiny
stacks: {all: {}}
environment: {REVISION: "${target_sha}"}
flags:
  front: {paths: ["front/**"], actions: [rebuild]}
  noise: {paths: ["noise/**"], actions: [noise]}
  settings: {paths: ["settings/**"], actions: [settings]}
actions:
  rebuild:
    - build: {stack: all, services: ["fr*"], args: {REVISION: "${target_sha}"}}
    - up: {stack: all, services: ["fr*"]}
  noise:
    - script: noise/print.sh
    - build: {stack: all, services: [front]}
  settings:
    - recreate: {stack: all, services: [side], no_deps: true}
skip: [Makefile]
verify:
  deadline: 20s
  soak: 1s
  probes:
    up: {containers: {}}
`

const tinyCompose = `services:
  front:
    build: {context: front, args: {BASE_IMAGE: "${BASE_IMAGE}", REVISION: "${REVISION:-none}"}}
    init: true
  side:
    image: ${BASE_IMAGE}
    command: [serve, --name, side, --message, /settings/message.txt]
    volumes: ["./settings:/settings:ro"]
`

// tinyOverlay is the overlay that COMPOSE_FILE adds.
const tinyOverlay = `services:
  side:
    labels: {overlay: honoured}
`

// baseImage builds the image of the demo's service once.
func baseImage(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("../images/service.sh").Output()
	if err != nil {
		t.Fatalf("scripts/images/service.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// tinyHost is a host of the tiny fleet that was started by hand and taken over.
func tinyHost(t *testing.T) *host {
	t.Helper()
	h := newHost(t, "ops/landfall.yaml", map[string]string{
		"ops/landfall.yaml":    tinyConfig,
		"docker-compose.yml":   tinyCompose,
		"overlay.yml":          tinyOverlay,
		"front/Dockerfile":     "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nENV GIT_SHA=${REVISION}\nCOPY message.txt /message.txt\nCMD [\"serve\", \"--message\", \"/message.txt\"]\n",
		"front/message.txt":    "one\n",
		"settings/message.txt": "one\n",
		"noise/print.sh":       "#!/bin/sh\necho nothing\n",
		"Makefile":             "all:\n",
		".gitignore":           ".env\n",
	})
	h.tree.Write(".env", "COMPOSE_PROJECT_NAME="+h.project+"\nCOMPOSE_FILE=docker-compose.yml:overlay.yml\nBASE_IMAGE="+baseImage(t)+"\n")
	h.compose("", nil, "up", "--detach", "--build")
	h.stamp(h.tree.Head())
	return h
}
