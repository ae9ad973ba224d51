#!/bin/sh
# What `make check` checks. Each finding names its file.
set -eu
cd "$(dirname "$0")/.."
tags=urfave_cli_no_docs,nethttpomithttp2

odd=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
if [ -n "$odd" ]; then
	echo "not formatted, run gofmt -w: $odd" >&2
	exit 1
fi
go vet -tags "$tags" ./...
go vet -tags "$tags,engine,soak" ./test/...
go tool staticcheck -tags "$tags" ./...
go run ./internal/contract/gen -check
go test -tags "$tags" -run 'TestTheHouse|TestDocumentation' . >/dev/null ||
	go test -tags "$tags" -run 'TestTheHouse|TestDocumentation' .
# linux/arm64 is built as well as linux/amd64.
GOARCH=arm64 CGO_ENABLED=0 go build -tags "$tags" -o /dev/null .
if command -v pycodestyle >/dev/null && command -v pydocstyle >/dev/null; then
	(cd src && pycodestyle . && pydocstyle .)
else
	echo "not checked: Python style (apt-get install pycodestyle pydocstyle)" >&2
fi
