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
go vet -tags "$tags,engine,soak,vm" ./test/...
go tool staticcheck -tags "$tags" ./...
go run ./internal/contract/gen -check
go test -tags "$tags" -run 'TestTheHouse|TestDocumentation' . >/dev/null ||
	go test -tags "$tags" -run 'TestTheHouse|TestDocumentation' .
# linux/arm64 is built as well as linux/amd64, and neither is over 17 MB.
for arch in amd64 arm64; do
	binary=$(mktemp)
	GOARCH=$arch sh devops/build.sh "$binary"
	size=$(stat -c %s "$binary")
	rm -f "$binary"
	if [ "$size" -gt 17000000 ]; then
		echo "the binary for $arch has $size bytes, the budget is 17000000" >&2
		exit 1
	fi
done
if command -v pycodestyle >/dev/null && command -v pydocstyle >/dev/null; then
	(cd src && pycodestyle . && pydocstyle .)
else
	echo "not checked: Python style (apt-get install pycodestyle pydocstyle)" >&2
fi
