#!/bin/sh
# Installs the Debian packages of a list, packages.txt by default: as root by
# itself, else it says what to install.
set -eu
cd "$(dirname "$0")"
wanted=$(grep -v '^#' "${1:-packages.txt}")
missing=
for package in $wanted; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "cannot run the tests without these packages, install them: apt-get install$missing" >&2
	exit 1
fi
echo "installing:$missing"
log=$(mktemp)
# Servers that the tests start themselves must not be started by dpkg.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "cannot install the packages; the whole log is $log" >&2
	exit 1
fi
rm -f "$log"
