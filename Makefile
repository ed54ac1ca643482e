# make help lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
OUT ?= proxbox-sync
# The tags leave out parts of sops' cloud libraries that nothing here can reach: 13 MB less.
TAGS := grpcnotrace,disable_grpc_modules
LDFLAGS := -s -w -X main.release=$(VERSION) -X main.commit=$(COMMIT)
BUILDFLAGS ?=
# Further flags for go test: make test TESTFLAGS=-v
TESTFLAGS ?=
FUZZTIME ?= 20s
FUZZ ?= .
NETBOX := testdata/netbox
# What ./... leaves out.
TOOLS := ./.ci/supply ./.ci/secretfmt

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: ## Build ./proxbox-sync as a release is built
	go build -trimpath $(BUILDFLAGS) -tags $(TAGS) -ldflags "$(LDFLAGS)" -o "$(OUT)" ./cmd/proxbox-sync

.PHONY: release
release: ## Build a release in dist: all platforms, checksums, bills of materials
	@.ci/release.sh dist "$(VERSION)" "$(COMMIT)"

.PHONY: reproducible
reproducible: ## Build the release a second time elsewhere, and compare
	@VERSION="$(VERSION)" .ci/reproducible.sh

.PHONY: licences
licences: ## Check the licences of what is linked, and write docs/licences.md
	go test ./.ci/supply -run Licences -update

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities; says so loudly where it can't
	@.ci/vulncheck.sh

.PHONY: test
test: ## Run all tests; they need nothing but Go
	go test -timeout 30m $(TESTFLAGS) ./... $(TOOLS)

.PHONY: test-race
test-race: ## Run all tests under the race detector (slow)
	go test -race -timeout 60m $(TESTFLAGS) ./... $(TOOLS)

.PHONY: test-long
test-long: ## Run the tests that take long; some stand up a NetBox of their own
	PROXBOX_SYNC_TEST_LONG=1 go test -timeout 120m -v $(TESTFLAGS) -run 'TestLong' ./... | { grep -v 'no test' || true; }

.PHONY: test-netbox
test-netbox: ## Run the conformance tests against the NetBox of netbox-up
	@TESTFLAGS='$(TESTFLAGS)' testdata/conformance.sh

.PHONY: netbox-up
netbox-up: ## Stand up a real NetBox on loopback (the first time takes some fifteen minutes)
	@$(NETBOX)/up.sh

.PHONY: netbox-down
netbox-down: ## Stop it
	@$(NETBOX)/down.sh

.PHONY: lint
lint: ## Check formatting, vet, what is formatted, and the shell scripts' syntax
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then printf 'not formatted (gofmt -w):\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./... $(TOOLS)
	go run ./.ci/secretfmt ./cmd/... ./reconcile/... ./schema/...
	@for script in .ci/run $$(git ls-files '*.sh'); do bash -n "$$script"; done

.PHONY: bench
bench: ## Measure: benchmarks, size, start time, and on a NetBox that is up the marker, the limit and rivals
	@for package in $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n 1 dirname | sort -u); do \
		go test -run '^$$' -bench . -benchmem "$$package"; \
	done
	@testdata/bench/figures.sh
	@testdata/bench/marker.sh
	@testdata/bench/performance.sh

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (20s); FUZZ=Marker only those of that name
	@.ci/fuzz.sh '$(FUZZTIME)' '$(FUZZ)'

.PHONY: demo
demo: ## Show plan, apply and drift on an in-memory NetBox
	@go run ./cmd/proxbox-sync demo
