#!/bin/sh
# `make bench`: installs the peers from Debian's packages and measures.
set -eu
cd "$(dirname "$0")/.."
for package in tini dumb-init catatonit s6 supervisor gunicorn gcc libc6-dev; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="${missing-} $package"
done
if [ -n "${missing-}" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "cannot measure against the peers without these packages: apt-get install$missing" >&2
		exit 1
	fi
	apt-get update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >/dev/null
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -static -o "$work/stamp" test/bench/peers/stamp.c
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/bareinit" ./test/bench/bareinit
CGO_ENABLED=0 go build -o "$work/kms-demo" ./internal/kms/kmstest/cmd/kms-demo
CGO_ENABLED=0 go build -o "$work/bench" ./test/bench
"$work/bench" -dir "$work" -entrypoint bin/entrypoint "$@"
