"""The servers that the component uses, and whether they answer.

A set of the contract whose first variable is there names a server. Each is
asked for something that needs the login, with a limit in time, all at once.
What comes out names variables and kinds of errors: a driver's own words
could carry an address or a password.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from smtplib import SMTP
from socket import create_connection
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.db import connection as database

from . import appdata, couchdb
from .celery_app import app

SECONDS = 3

logger = logging.getLogger(__name__)


def ask_database():
    """Run a query."""
    try:
        with database.cursor() as cursor:
            cursor.execute('SELECT 1')
            cursor.fetchone()
    finally:
        # This thread's own connection, which nobody else would close.
        database.close()


def ask_rabbitmq():
    """Log in and open the virtual host."""
    with app.connection_for_write(connect_timeout=SECONDS) as connection:
        connection.connect()


def ask_redis(alias):
    """Ask for a key, past the handling of errors of the cache."""
    caches[alias].client.get_client().ping()


def ask_smtp():
    """Say hello; logging in each time would look like an attack."""
    with SMTP(settings.EMAIL_HOST, settings.EMAIL_PORT, timeout=SECONDS):
        pass


def ask_address(url):
    """Open a connection to the host of ``url``."""
    address = urlsplit(url if '//' in url else f'//{url}')
    port = address.port or {'http': 80}.get(address.scheme, 443)
    create_connection((address.hostname, port), timeout=SECONDS).close()


def in_use():
    """Return by set the function that asks its server, None if not in use.

    The names are those of the contract.
    """
    return {
        'database': settings.DATABASE_HOST and ask_database,
        'rabbitmq': settings.RABBITMQ_HOST and ask_rabbitmq,
        'session': 'sessions' in settings.CACHES and (
            lambda: ask_redis('sessions')),
        'cache': 'redis' in settings.CACHES['default']['BACKEND'] and (
            lambda: ask_redis('default')),
        'couchdb': settings.COUCHDB_USERNAME and couchdb.ping,
        'sentry': settings.SENTRY_DSN and (
            lambda: ask_address(settings.SENTRY_DSN)),
        'smtp': settings.SMTP_HOST and ask_smtp,
        'appdata': settings.APPDATA_BUCKET and appdata.ping,
        'search': settings.SEARCH_ENDPOINT and (
            lambda: ask_address(settings.SEARCH_ENDPOINT)),
    }


VARIABLES = {
    'database': 'DATABASE_*',
    'rabbitmq': 'RABBITMQ_*',
    'session': 'SESSION_REDIS_*',
    'cache': 'CACHE_REDIS_*',
    'couchdb': 'COUCHDB_*',
    'sentry': 'SENTRY_DSN',
    'smtp': 'SMTP_*',
    'appdata': 'APPDATA_*',
    'search': 'ANALYTICS_ES_*',
}


def measure(name, ask):
    """Return what /status says about one server."""
    if not ask:
        return {'in_use': False}
    started = time.perf_counter()
    try:
        ask()
        problem = None
    except Exception as error:
        # Whatever a driver raises means: not reachable.
        logger.warning('cannot reach %s: %s, see %s',
                       name, type(error).__name__, VARIABLES[name])
        problem = f'{type(error).__name__}, see {VARIABLES[name]}'
    report = {
        'in_use': True,
        'reachable': problem is None,
        'latency_ms': round((time.perf_counter() - started) * 1000, 1),
    }
    if problem:
        report['problem'] = problem
    return report


def report():
    """Ask every server that is in use and return the answers by set."""
    asks = in_use()
    with ThreadPoolExecutor(len(asks)) as pool:
        return dict(zip(asks, pool.map(measure, asks, asks.values())))
