#!/bin/sh
# Makes .venv with what the component needs: from PyPI where it answers, else
# Debian's packages when root, else it says what to install. Done once for each
# state of requirements.txt; one that somebody made by hand and that has all of
# it is kept.
set -eu
cd "$(dirname "$0")/../.."
requirements=src/requirements.txt
stamp=.venv/requirements.txt
cmp -s "$requirements" "$stamp" && exit 0

debian='python3-venv python3-pip python3-django gunicorn celery python3-redis python3-django-redis python3-psycopg python3-boto3 python3-sentry-sdk python3-dotenv libjs-jquery tzdata'
python=/usr/bin/python3
[ -x $python ] || python=$(command -v python3 || true)

debian_packages() {
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing Debian's packages for the component"
		log=$(mktemp)
		if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $debian; } >"$log" 2>&1; then
			rm -f "$log"
			return 0
		fi
		tail -n 5 "$log" >&2
	fi
	echo "cannot install what the component needs; install it: apt-get install $debian" >&2
	exit 1
}

make_venv() {
	rm -rf .venv
	"$python" -m venv --system-site-packages .venv >/dev/null 2>&1
}
# kombu wants PyPI's tzdata, which carries what Debian's carries for the whole
# system: the name is all that it lacks.
name_tzdata() {
	version=$(dpkg-query -W -f '${Version}' tzdata | sed 's/-.*//; y/abcdefghi/123456789/; s/^..../&./')
	info=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tzdata-$version.dist-info
	mkdir -p "$info"
	printf 'Metadata-Version: 2.1\nName: tzdata\nVersion: %s\n' "$version" >"$info/METADATA"
}
satisfied() { .venv/bin/python -m pip install --quiet --no-index --requirement "$requirements" >/dev/null 2>&1; }

if [ -x .venv/bin/python ] && satisfied; then
	cp "$requirements" "$stamp"
	exit 0
fi
if [ -z "$python" ] || ! make_venv; then
	debian_packages
	python=/usr/bin/python3
	make_venv
fi
if ! satisfied; then
	echo "installing $requirements with pip"
	if ! .venv/bin/python -m pip install --quiet --timeout 10 --retries 0 --requirement "$requirements" >/dev/null 2>&1; then
		debian_packages
		python=/usr/bin/python3
		make_venv
		name_tzdata
		if ! satisfied; then
			.venv/bin/python -m pip install --no-index --requirement "$requirements" 2>&1 | tail -n 3 >&2
			echo "cannot satisfy $requirements with Debian's packages" >&2
			exit 1
		fi
	fi
fi
cp "$requirements" "$stamp"
