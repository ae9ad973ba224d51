#!/bin/sh
# WEB. `python3 -m` and not the scripts of PATH: those of Debian do not see a
# virtual environment. A socket inherited by LISTEN_FDS wins over --bind.
exec python3 -m gunicorn app_dir.wsgi --bind "0.0.0.0:${PORT:-8000}" --workers "${APP_WORKER_COUNT:-1}"
