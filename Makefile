# Few targets; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

TAGS    := urfave_cli_no_docs,nethttpomithttp2
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SOURCES := $(shell find . -name '*.go' -not -path './test/*' -not -name '*_test.go' 2>/dev/null) go.mod go.sum
PORT    ?= 8000

bin/entrypoint: $(SOURCES)
	@VERSION=$(VERSION) sh devops/build.sh $@

.PHONY: build run check test test-engine test-vm bench soak demo-kms generate clean help
build: bin/entrypoint ## the static binary: bin/entrypoint

run: bin/entrypoint ## a Django site behind entrypoint on http://127.0.0.1:8000 (PORT=), two copies, until Ctrl-C
	@PORT=$(PORT) sh devops/local/serve.sh

check: ## format, vet, staticcheck, architecture, generated files fresh, Python style
	@sh test/check.sh

test: ## everything that needs no container engine; installs what it needs
	@sh test/prepare.sh
	@sh test/check.sh
	CGO_ENABLED=1 go test -race -tags $(TAGS) -p 3 -count 1 -timeout 15m ./...
	cd test/kubernetes && go test -count 1 ./...
	@sh test/component.sh

test-engine: ## what needs a Docker engine; says so where there is none
	@sh test/engine.sh

test-vm: ## cgroup v2, on a Debian kernel of its own in qemu
	@sh test/vm.sh

bench: bin/entrypoint ## figures against tini, s6 and others, into docs/benchmarks.md
	@sh test/bench.sh

soak: bin/entrypoint ## rolling restarts for five minutes: nothing may grow
	CGO_ENABLED=1 go test -race -tags "$(TAGS),soak" -run Soak -timeout 10m -v ./test/web

demo-kms: bin/entrypoint ## a KMS of our own, a password encrypted with it, and the site that uses it
	@sh devops/local/demo-kms.sh

generate: ## the tables in README and docs, and the sample files, from the code
	go run ./internal/contract/gen
	go test -tags $(TAGS) -run TestDocumentation . -update

clean: ## what was built here
	rm -rf bin .venv

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
