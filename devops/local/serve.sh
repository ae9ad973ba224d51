#!/bin/sh
# `make run`: the component behind entrypoint, two copies, until Ctrl-C.
set -eu
cd "$(dirname "$0")/../.."
sh devops/local/venv.sh
VIRTUAL_ENV=$PWD/.venv
PATH=$VIRTUAL_ENV/bin:$PATH
export VIRTUAL_ENV PATH
: "${DJANGO_DEBUG=True}" "${PORT:=8000}" "${APP_WORKER_COUNT:=2}" "${APP_WORKER_STRATEGY=copies}" "${APP_INIT_TASKS=migrate --noinput}"
export DJANGO_DEBUG PORT APP_WORKER_COUNT APP_WORKER_STRATEGY APP_INIT_TASKS
echo "the site is on http://127.0.0.1:$PORT as soon as its copies are ready; Ctrl-C ends it"
exec bin/entrypoint run --dir src --bind "127.0.0.1:$PORT" "$@"
