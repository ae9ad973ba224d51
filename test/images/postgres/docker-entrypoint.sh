#!/bin/sh
# Makes the cluster at the first start, then is the server.
set -eu

[ "$1" = postgres ] || exec "$@"

from_file() { # NAME: its value, or the content of NAME_FILE
	eval "file=\${$1_FILE-}"
	if [ -n "$file" ]; then cat "$file"; else eval "printf '%s\n' \"\${$1-}\""; fi
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	user=$(from_file POSTGRES_USER)
	user=${user:-postgres}
	database=$(from_file POSTGRES_DB)
	database=${database:-$user}
	password=$(from_file POSTGRES_PASSWORD)
	[ -n "$password" ] || {
		echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
		exit 1
	}
	umask 077
	printf '%s\n' "$password" >/tmp/pw
	initdb --no-sync --username="$user" --pwfile=/tmp/pw --auth-local=trust --auth-host=scram-sha-256 >/dev/null
	rm -f /tmp/pw
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	[ "$database" = postgres ] || printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -j -D "$PGDATA" postgres >/dev/null
fi
exec "$@" -c listen_addresses='*'
