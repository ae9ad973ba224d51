#!/bin/sh
# `make demo-kms`: a KMS of our own on a loopback port, a DATABASE_PASSWORD
# encrypted with it, and the component that gets it decrypted, until Ctrl-C.
# With DEMO_ONCE=1 it ends by itself once it has shown all. The database is a
# PostgreSQL of this demo's where one is installed, which lets nobody in without
# the password; else SQLite, which asks for none.
#
#   sh devops/local/demo-kms.sh [path of entrypoint]
set -eu
entrypoint=$(realpath "${1:-bin/entrypoint}")
cd "$(dirname "$0")/../.."
sh devops/local/venv.sh
VIRTUAL_ENV=$PWD/.venv
PATH=$VIRTUAL_ENV/bin:$PATH
export VIRTUAL_ENV PATH

dir=$(mktemp -d)
chmod 711 "$dir"
kms='' site='' postgresql=''
clean() {
	trap '' INT TERM EXIT
	[ -z "$site" ] || { kill "$site" && wait "$site"; } 2>/dev/null || :
	[ -z "$postgresql" ] || as_postgres "$postgresql/pg_ctl" -D "$dir/db" -m fast -s stop || :
	[ -z "$kms" ] || { kill "$kms" && wait "$kms"; } 2>/dev/null || :
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n# %s\n' "$*"; }

step 'a stand-in for AWS KMS'
go build -o "$dir/kms-demo" ./internal/kms/kmstest/cmd/kms-demo
mkfifo "$dir/said"
"$dir/kms-demo" >"$dir/said" &
kms=$!
for _ in 1 2 3 4 5; do
	read -r line
	echo "export $line"
	export "${line?}"
done <"$dir/said"

step 'encrypt: what prints may stand in a repository'
password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
DATABASE_PASSWORD=$(printf %s "$password" | "$entrypoint" encrypt DATABASE_PASSWORD)
DATABASE_PASSWORD=${DATABASE_PASSWORD#*=}
export DATABASE_PASSWORD
printf 'DATABASE_PASSWORD=%.40s...\n' "$DATABASE_PASSWORD"

# PostgreSQL does not run as root.
as_postgres() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid postgres --regid postgres --clear-groups "$@"
	else
		"$@"
	fi
}
for folder in /usr/lib/postgresql/*/bin; do
	[ ! -x "$folder/initdb" ] || postgresql=$folder
done
if [ -n "$postgresql" ]; then
	step 'a PostgreSQL that wants the password'
	mkdir "$dir/db" "$dir/socket"
	(umask 077 && printf %s "$password" >"$dir/password")
	[ "$(id -u)" != 0 ] || chown postgres "$dir/db" "$dir/socket" "$dir/password"
	(cd / && as_postgres "$postgresql/initdb" -D "$dir/db" -U app --auth scram-sha-256 --pwfile "$dir/password" -N >"$dir/log")
	rm "$dir/password"
	(cd / && as_postgres "$postgresql/pg_ctl" -D "$dir/db" -l "$dir/db/log" -o "-k $dir/socket -c listen_addresses=''" -s -w start)
	export DATABASE_HOST="$dir/socket" DATABASE_NAME=postgres
else
	step 'no PostgreSQL is installed (apt-get install postgresql): SQLite, which does not ask for the password'
	export DATABASE_HOST=localhost DATABASE_NAME="$dir/db.sqlite3" DATABASE_ENGINE=sqlite3
fi
export DATABASE_USERNAME=app DJANGO_DEBUG=True ENTRYPOINT_DECRYPT_FAILURE=exit ENTRYPOINT_CONTROL="$dir/control.sock"

step 'entrypoint check: KMS is asked about every ciphertext'
"$entrypoint" check --dir src

step 'entrypoint run: the component, which knows nothing of KMS'
address=127.0.0.1:${PORT:-8000}
APP_INIT_TASKS='migrate --noinput' "$entrypoint" run --dir src --bind "$address" --strategy copies &
site=$!
until "$entrypoint" health --ready >/dev/null 2>&1; do
	kill -0 "$site" 2>/dev/null || { wait "$site"; exit; }
done

step "what Django sees: the password's SHA-256, beside that of what was encrypted"
"$entrypoint" exec --dir src -- python manage.py shell -c 'import hashlib
from django.conf import settings
print(hashlib.sha256(settings.DATABASES["default"]["PASSWORD"].encode()).hexdigest(), "Django")' | tee "$dir/seen"
printf '%s encrypted\n' "$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)"
grep -q "^$(printf %s "$password" | sha256sum | cut -d ' ' -f 1) " "$dir/seen" || { echo "cannot show it: Django has another password" >&2; exit 1; }

step "what the site says of its database, http://$address/status"
python -c 'import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1]))["database"])' "http://$address/status"

[ -z "${DEMO_ONCE:-}" ] || exit 0
step "the site is at http://$address/, until Ctrl-C"
wait "$site"
