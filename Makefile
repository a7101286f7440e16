# Run make, or make help, for the list of targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Tools are pinned, built from source with the toolchain in use, and kept in an
# ignored directory. golangci-lint v2.15.0 builds with Go 1.26; govulncheck v1.8.0
# is the newest whose dependencies can all be fetched.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.8.0

TOOLS         := .cache/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOVULNCHECK   := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)
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
	go test -race ./... $(TESTFLAGS)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check formatting, go vet and golangci-lint
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt needed:"; echo "$$files"; exit 1; }
	go vet ./...
	$(GOLANGCI_LINT) run

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities (VULNDB=file://DIR or a URL)
	@# Exit code 3 is a finding. Only a default database that does not answer is
	@# excused; one that was asked for by name must be there.
	@status=0; \
	out=$$($(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1) || status=$$?; \
	if [ $$status -eq 1 ] && [ -z "$(VULNDB)" ] && [[ $$out == *'fetching vulnerabilities: Get "'* ]]; then \
		echo "govulncheck: vulnerability database not reachable, check skipped"; exit 0; \
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

$(GOVULNCHECK):
	GOBIN="$(CURDIR)/$(TOOLS)" nice go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(TOOLS)/govulncheck $@
