#!/bin/sh
# The tests that need a Docker engine.
set -eu
cd "$(dirname "$0")/.."
if ! docker info >/dev/null 2>&1; then
	echo "NOT RUN: the tests of images and compose files need a Docker engine, and none answers here"
	exit 0
fi
sh test/prepare.sh packages-engine.txt
test/images/make
go test -tags engine -count 1 -timeout 30m -parallel 4 ./test/docker/...
