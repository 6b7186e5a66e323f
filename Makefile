# Every target says what it does: make help. Logic lives in scripts/, this file only names it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BINARIES := coordinator agent
PLATFORMS := linux/arm64 linux/amd64 darwin/arm64
BENCH_COUNT ?= 5
BENCH ?= .

# -buildvcs=false because scripts/tools/stamp.sh stamps the commit, also where Go would not.
GO_BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w $$(scripts/tools/stamp.sh)"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/landfall-coordinator and bin/landfall-agent for this machine
	@set -e; for name in $(BINARIES); do \
		$(GO_BUILD) -o bin/landfall-$$name ./$$name/cmd/landfall-$$name; \
		echo "built bin/landfall-$$name"; \
	done

.PHONY: cross
cross: ## build both binaries for linux/arm64, linux/amd64 and darwin/arm64 into bin/OS-ARCH/
	@set -e; for platform in $(PLATFORMS); do \
		for name in $(BINARIES); do \
			output=bin/$${platform/\//-}/landfall-$$name; \
			GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO_BUILD) -o $$output ./$$name/cmd/landfall-$$name; \
			echo "built $$output"; \
		done; \
	done

.PHONY: setup
setup: ## make a Docker Engine, docker compose and what tests need answer (says what it installs or starts)
	@scripts/setup/test-deps.sh test
	@scripts/setup/engine.sh
	@scripts/setup/compose.sh

.PHONY: test
test: setup ## set up, then run every test, end-to-end included, with -race; print the total coverage
	@scripts/lint/test.sh

.PHONY: test-unit
test-unit: ## run the tests that need no Docker Engine
	@scripts/setup/test-deps.sh unit
	@scripts/lint/test.sh --unit

.PHONY: demo
demo: ## deploy a real Compose fleet on this machine, watch it, clean up
	@scripts/setup/test-deps.sh demo
	@scripts/setup/engine.sh
	@scripts/setup/compose.sh
	@scripts/demo/demo.sh

.PHONY: soak
soak: setup ## deploy 200 good and bad commits in turn, print what the agent keeps (10 minutes)
	@LANDFALL_SOAK=200 go test -count=1 -run TestSoak -timeout 30m -v ./scripts/e2e

.PHONY: verdicts
verdicts: setup ## disturb 120 deploys in every phase, compare the host with what their ends say (half an hour)
	@LANDFALL_VERDICT=120 go test -count=1 -run TestVerdicts -timeout 90m -v ./scripts/e2e

.PHONY: containerd
containerd: setup ## show on an engine with the containerd image store (Debian 13's, fetched; LANDFALL_ENGINE_SUITE=sid for a newer one) that builds of the same replace nothing
	@go mod download
	@scripts/setup/containerd-engine.sh go test -count=1 -run 'TestContainerd|TestNewerImages' -v ./agent/internal/compose ./scripts/e2e

.PHONY: bench
bench: ## run the benchmarks (BENCH=regexp BENCH_COUNT=n)
	@packages=$$({ grep -rlE '^func Benchmark' --include '*_test.go' . || true; } | sed 's,/[^/]*$$,,' | sort -u); \
		if [ -z "$$packages" ]; then echo "no package has benchmarks yet"; exit 0; fi; \
		go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) $$packages
	@if [ '$(BENCH)' = . ] || [ '$(BENCH)' = TestFigures ]; then LANDFALL_FIGURES=1 go test -count 1 -timeout 30m -v -run '^TestFigures' ./scripts/e2e; fi

.PHONY: lint
lint: ## check Go, protocol, shell, YAML and workflow files
	@scripts/lint/lint.sh

.PHONY: vuln
vuln: ## look the dependencies up in the Go vulnerability database (needs the network)
	@"$$(scripts/tools/tool.sh govulncheck)" ./...

.PHONY: fmt
fmt: ## format Go and protocol files in place
	@scripts/lint/lint.sh --fix

.PHONY: proto
proto: ## regenerate the Go code of proto/
	@scripts/lint/proto.sh generate

.PHONY: proto-check
proto-check: ## fail unless the protocol is clean, compatible and its generated code up to date
	@scripts/lint/proto.sh check

.PHONY: tools
tools: ## build every pinned developer tool into the cache folder
	@scripts/tools/tool.sh --all

.PHONY: clean
clean: ## remove what the build leaves in this folder (the tool cache stays)
	rm -rf bin coverage.out
