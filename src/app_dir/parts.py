"""What this process runs on, in words that may be shown to anybody."""

import os
import platform
from urllib.parse import urlsplit

import celery
import django
from django.conf import settings
from django.db import connection

from .celery_app import app


def parts():
    """Return kinds, names of engines and versions; no hosts, no secrets."""
    return {
        'mode': os.environ.get('APP_RUN_MODE') or 'none',
        'platform': os.environ.get('APP_PLATFORM') or 'none',
        'copy': number('APP_WORKER_INDEX', 0),
        'copies': number('APP_WORKER_TOTAL', 1),
        'pid': os.getpid(),
        'database': connection.vendor,
        'broker': broker(),
        'cache': 'redis' if 'redis' in settings.CACHES['default'][
            'BACKEND'] else 'database',
        'sessions': 'redis' if 'sessions' in settings.CACHES
        else 'database',
        'versions': {
            'python': platform.python_version(),
            'django': django.get_version(),
            'celery': celery.__version__,
        },
    }


def number(name, default):
    """Return a variable that entrypoint sets, as a number."""
    word = os.environ.get(name, '')
    return int(word) if word.isdigit() else default


def broker():
    """Return the kind of celery's broker."""
    scheme = urlsplit(app.conf.broker_url or '').scheme
    return {'amqp': 'rabbitmq', 'pyamqp': 'rabbitmq', 'amqps': 'rabbitmq',
            'rediss': 'redis'}.get(scheme, scheme)
