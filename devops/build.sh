#!/bin/sh
# Builds the release binary into the file that is named, bin/entrypoint by
# default; VERSION is what `entrypoint version` says. Makefile, Dockerfile and
# tests all build with it, so that what is tested is what ships.
#
#   -tags           no man pages of the cli library; no HTTP/2, which nothing here speaks (0.5 MB)
#   -gcflags        no inlining inside the AWS SDK: 0.6 MB, in code that waits for a network
#   -E              the entry point before Go's: a copy's first moment (internal/shim/entry.go), and what was
#                   ignored at start (internal/early/entry.go)
set -eu
cd "$(dirname "$0")/.."
CGO_ENABLED=0 exec go build -trimpath \
	-tags urfave_cli_no_docs,nethttpomithttp2 \
	-gcflags 'github.com/aws/...=-l' \
	-ldflags "-s -w -X main.version=${VERSION:-dev} -E github.com/codeontap/entrypoint/internal/shim.Entry" \
	-o "${1:-bin/entrypoint}" .
