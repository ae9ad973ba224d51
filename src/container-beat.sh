#!/bin/sh
# BEAT. Exactly one in the whole deployment: two send everything twice.
exec python3 -m celery --app app_dir.celery_app beat --loglevel INFO
