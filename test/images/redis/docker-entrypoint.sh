#!/bin/sh
# As the public image: reachable from other containers without a password.
set -eu
[ "$1" != redis-server ] || set -- "$@" --protected-mode no
exec "$@"
