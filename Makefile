# Run make, or make help, for the list of targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Tools are pinned, built from source with the toolchain in use, and kept in an
# ignored directory. golangci-lint v2.15.0 builds with Go 1.26.
GOLANGCI_LINT_VERSION := v2.15.0

# Independent programs that the contract tests run against where they are built:
# MinIO and versitygw for STS and S3, the Sigstore servers and the cosign command line,
# pebble for ACME, h2spec for HTTP/2, gitleaks for what must not be in any output, gVisor's runsc
# for the sandbox. None is linked into anything of ours.
MINIO_VERSION     := v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION := v1.8.0
COSIGN_VERSION    := v2.6.5
REKOR_VERSION     := v2.3.0
TSA_VERSION       := v2.1.3
FULCIO_VERSION    := v1.8.8
GITLEAKS_VERSION  := v8.30.1
PEBBLE_VERSION    := v2.8.0
H2SPEC_VERSION    := v2.2.1+incompatible
GVISOR_VERSION    := v0.0.0-20260905035102-160fafc42237

TOOLS         := .cache/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
export GOLANGCI_LINT_CACHE := $(CURDIR)/.cache/golangci-lint

TESTFLAGS ?=
FUZZTIME  ?= 10s
VULNDB    ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run all tests (TESTFLAGS=-v for more)
	go test ./... $(TESTFLAGS)

.PHONY: race
race: ## Run all tests with the race detector; needs a C compiler
	go test -race -timeout 30m ./... $(TESTFLAGS)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check formatting, go vet and golangci-lint
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt needed:"; echo "$$files"; exit 1; }
	go vet ./...
	$(GOLANGCI_LINT) run

.PHONY: vuln
vuln: ## Judge the command line, which links everything, by our own gate (VULNDB=file://DIR or a URL)
	@# Only a default database that does not answer is excused; one that was asked for by
	@# name must be there.
	@go build -o $(TOOLS)/mcpsec ./cmd/mcpsec; \
	status=0; \
	out=$$($(TOOLS)/mcpsec vuln $(TOOLS)/mcpsec --vex docs/exceptions.openvex.json $(if $(VULNDB),--db $(VULNDB)) 2>&1) || status=$$?; \
	if [ $$status -ne 0 ] && [ -z "$(VULNDB)" ] && [[ $$out == *'Get "https://'* ]]; then \
		echo "vulnerability database not reachable, check skipped"; exit 0; \
	fi; \
	echo "$$out"; exit $$status

.PHONY: bench
bench: ## Run all benchmarks, then the report of internal/bench
	go test -run '^$$' -bench . -benchmem ./...
	go run ./internal/bench

# A count, such as FUZZTIME=5000x, never fails by chance. A duration can, up to
# Go 1.26, with a bare "context deadline exceeded" and no failing input written:
# go.dev/issue/75804.
.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s; a count such as 5000x works too)
	@targets=$$(go test -list '^Fuzz' ./... | awk '/^Fuzz/ {names[n++] = $$1} $$1 == "ok" {for (i = 0; i < n; i++) print $$2, names[i]; n = 0}'); \
	while read -r pkg name; do \
		[ -n "$$pkg" ] || { echo "no fuzz targets"; break; }; \
		echo "--- $$name in $$pkg"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg" </dev/null; \
	done <<<"$$targets"

.PHONY: generate
generate: ## Write generated files
	go generate ./...

# Compares the files before and after, so that it also works with uncommitted edits.
.PHONY: check-generated
check-generated: ## Fail if generated files are not up to date
	@sums() { git ls-files -z --cached --others --exclude-standard | xargs -0 -r sha256sum 2>/dev/null || true; }; \
	before=$$(sums); [ -n "$$before" ] || { echo "check-generated: cannot list files: not a git repository?"; exit 1; }; \
	$(MAKE) --no-print-directory generate; \
	if ! changed=$$(diff <(echo "$$before") <(sums)); then \
		echo "Generated files were out of date. They have been rewritten; look at them and commit them:"; \
		awk '/^[<>]/ {print "  " $$3}' <<<"$$changed" | sort -u; exit 1; \
	fi

# The oracles are kept by name only: "make clean" after a change of versions above.
ORACLES := .cache/oracles

.PHONY: oracles
oracles: $(addprefix $(ORACLES)/,minio versitygw cosign rekor-server timestamp-server fulcio gitleaks pebble h2spec runsc) ## Build the independent programs of the contract tests (half an hour, once)

oracle = GOBIN="$(CURDIR)/$(ORACLES)" CGO_ENABLED=0 nice go install -trimpath $(1)

$(ORACLES)/minio:
	$(call oracle,github.com/minio/minio@$(MINIO_VERSION))
$(ORACLES)/versitygw:
	$(call oracle,github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION))
$(ORACLES)/cosign:
	$(call oracle,github.com/sigstore/cosign/v2/cmd/cosign@$(COSIGN_VERSION))
$(ORACLES)/rekor-server:
	$(call oracle,github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@$(REKOR_VERSION))
	mv $(ORACLES)/posix $@
$(ORACLES)/timestamp-server:
	$(call oracle,github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@$(TSA_VERSION))
$(ORACLES)/fulcio:
	$(call oracle,github.com/sigstore/fulcio@$(FULCIO_VERSION))
$(ORACLES)/gitleaks:
	$(call oracle,github.com/zricethezav/gitleaks/v8@$(GITLEAKS_VERSION))
$(ORACLES)/pebble:
	$(call oracle,github.com/letsencrypt/pebble/v2/cmd/pebble@$(PEBBLE_VERSION))
$(ORACLES)/h2spec:
	$(call oracle,github.com/summerwind/h2spec/cmd/h2spec@$(H2SPEC_VERSION))
$(ORACLES)/runsc:
	$(call oracle,gvisor.dev/gvisor/runsc@$(GVISOR_VERSION))

.PHONY: test-oracles
test-oracles: oracles ## Run the contract tests against the independent programs
	go test -count=1 -run 'Real|Stock|Contract|Keyless|Leak|Secret' -v ./attest/... ./creds/... ./cmd/mcpsec ./internal/test/leak | { grep -E '^[[:space:]]*--- (PASS|FAIL|SKIP)|^(ok|FAIL)' || true; }

.PHONY: test-leaks
test-leaks: $(ORACLES)/gitleaks ## Look for secrets in everything that a guarded server and the tests of credentials print
	go test -count=1 ./internal/test/leak
	go test -count=1 -v ./creds/... 2>&1 | go run ./internal/test/leak/scan -gitleaks $(ORACLES)/gitleaks

# Programs from npm that the transports are tested with, and the Node.js they need. They
# are kept in an ignored folder; tests that miss one are skipped and say so.
NPM_INSTALL := npm install --ignore-scripts --no-package-lock --no-audit --no-fund --save-exact

.PHONY: npm-servers
npm-servers: .cache/npm-servers/node_modules ## Install the npm servers that the sandbox is tested with
.cache/npm-servers/node_modules:
	mkdir -p .cache/npm-servers
	cd .cache/npm-servers && echo '{"private":true}' >package.json && $(NPM_INSTALL) \
		@modelcontextprotocol/server-filesystem@2026.8.31 @modelcontextprotocol/server-memory@2026.8.31 @modelcontextprotocol/server-everything@2026.8.31

.PHONY: clients
clients: .cache/npm/node_modules $(ORACLES)/h2spec ## Install the clients and scanners that the TLS listener is tested with
.cache/npm/node_modules:
	mkdir -p .cache/npm
	cd .cache/npm && echo '{"private":true}' >package.json && $(NPM_INSTALL) \
		conformance11@npm:@modelcontextprotocol/conformance@0.1.16 @modelcontextprotocol/conformance@0.2.0-alpha.12 \
		@modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/inspector@2.12.0 \
		mcp-remote@0.15.1 oidc-provider@9.13.3 undici@7.30.2 node@22.23.3
	cd .cache/npm && npm rebuild node # its script puts the program in place

.PHONY: test-clients
test-clients: clients ## Run clients, scanners, attacks, rotations and loads against the TLS listener (a quarter of an hour)
	go test -count=1 -timeout 30m -v ./internal/test/clients -args -whole
	go test -count=1 -timeout 30m -v -run 'Rotation|Revocation|IdleStreams|Throughput|Duties|Edge' ./transport/https -args -whole

.PHONY: quickstart
quickstart: ## Run the quickstart example
	go run ./examples/quickstart

.PHONY: clean
clean: ## Remove tools, caches and what builds and tests leave behind
	rm -rf .cache bin dist mcpsec/mcpsec quickstart coverage.*
	find . -path ./.git -prune -o \( -name '*.test' -o -name '*.prof' \) -type f -exec rm -f {} +

$(GOLANGCI_LINT):
	GOBIN="$(CURDIR)/$(TOOLS)" nice go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@
