#!/bin/sh
# The stories of cgroup v2, on a Debian kernel of their own: what runs here may
# have v1, and the container's limits come from one or the other.
set -eu
cd "$(dirname "$0")/.."
if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ]; then
	echo "NOT RUN: the stories of cgroup v2 need Debian on amd64"
	exit 0
fi
sh test/prepare.sh packages-vm.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
newest() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p' | head -n 1; }
package=$(newest)
if [ -z "$package" ] && [ "$(id -u)" = 0 ]; then
	apt-get update >/dev/null
	package=$(newest)
fi
(cd "$work" && apt-get download "$package" >apt.log 2>&1) || {
	cat "$work/apt.log" >&2
	echo "cannot get a kernel: apt-get download $package" >&2
	exit 1
}
dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
ENTRYPOINT_KERNEL=$(echo "$work"/boot/vmlinuz-*)
export ENTRYPOINT_KERNEL
go test -tags vm -count 1 -timeout 10m ./test/vm
