#!/bin/sh
# WORKER. Gossip and mingle are talk between workers that nothing here uses;
# with RabbitMQ mingle makes each start a second longer.
exec python3 -m celery --app app_dir.celery_app worker --concurrency "${APP_WORKER_COUNT:-1}" --loglevel INFO --without-gossip --without-mingle
