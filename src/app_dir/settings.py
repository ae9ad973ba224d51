"""Django's settings, made from the environment alone.

The sets of the environment contract are read here and nowhere else. The
first variable of an optional set says whether the set is in use; without any
of them the component runs on embedded parts.
"""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

import django

from .environment import Environment, read_dotenv
from .places import database_file, make_folder, state_folder

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = state_folder(BASE_DIR)

read_dotenv(BASE_DIR / '.env')
environment = Environment(os.environ)

# Django

DEBUG = environment.boolean('DJANGO_DEBUG')

# Every copy has to sign with the same key, so the one for debugging is fixed;
# it protects nothing.
SECRET_KEY = (
    environment.text('DJANGO_SECRET_KEY', 'not-a-secret-for-debugging-only')
    if DEBUG else environment.required(
        'DJANGO_SECRET_KEY', 'it is required unless DJANGO_DEBUG=True'))

BASE_URL = environment.text('BASE_URL')
try:
    base_url = urlsplit(BASE_URL)
    base_host = base_url.hostname
except ValueError:
    base_host = None
if BASE_URL and not (base_host and base_url.scheme in ('http', 'https')):
    environment.problems.append(
        'BASE_URL is not an address, wanted: https://www.example.org')
    BASE_URL = ''

LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]']
ALLOWED_HOSTS = ['*'] if DEBUG else (
    LOCAL_HOSTS + [base_host] if BASE_URL else LOCAL_HOSTS)

if BASE_URL:
    origin = f'{base_url.scheme}://{base_url.netloc}'
    # Django 4.0 wants the scheme, 3.2 wants none.
    CSRF_TRUSTED_ORIGINS = [
        origin if django.VERSION >= (4, 0) else base_url.netloc]
if BASE_URL and base_url.scheme == 'https':
    # TLS ends at a proxy, which has to set this header and drop a client's.
    SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    'django.contrib.admin',
    'django.contrib.auth',
    'django.contrib.contenttypes',
    'django.contrib.sessions',
    'django.contrib.messages',
    'django.contrib.staticfiles',
    'app_dir.apps.ComponentConfig',
]

MIDDLEWARE = [
    # First: it answers whatever the Host header and the other parts say.
    'app_dir.middleware.AliveMiddleware',
    'django.middleware.security.SecurityMiddleware',
    'django.contrib.sessions.middleware.SessionMiddleware',
    'django.middleware.common.CommonMiddleware',
    'django.middleware.csrf.CsrfViewMiddleware',
    'django.contrib.auth.middleware.AuthenticationMiddleware',
    'django.contrib.messages.middleware.MessageMiddleware',
    'django.middleware.clickjacking.XFrameOptionsMiddleware',
]

ROOT_URLCONF = 'app_dir.urls'
WSGI_APPLICATION = 'app_dir.wsgi.application'
ASGI_APPLICATION = 'app_dir.asgi.application'
DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'

TEMPLATES = [{
    'BACKEND': 'django.template.backends.django.DjangoTemplates',
    'APP_DIRS': True,
    'OPTIONS': {'context_processors': [
        'django.template.context_processors.request',
        'django.contrib.auth.context_processors.auth',
        'django.contrib.messages.context_processors.messages',
    ]},
}]

AUTH_PASSWORD_VALIDATORS = [
    {'NAME': 'django.contrib.auth.password_validation.' + name}
    for name in ('UserAttributeSimilarityValidator',
                 'MinimumLengthValidator',
                 'CommonPasswordValidator',
                 'NumericPasswordValidator')
]

LANGUAGE_CODE = 'en'
TIME_ZONE = environment.text('DJANGO_TIMEZONE', 'UTC')
USE_TZ = True
if (Path('/usr/share/zoneinfo').is_dir()
        and not Path('/usr/share/zoneinfo', TIME_ZONE).is_file()):
    environment.problems.append(
        'DJANGO_TIMEZONE is not a time zone, wanted: Europe/Berlin or UTC')
    TIME_ZONE = 'UTC'

# Django serves static files while DEBUG is on only. Otherwise `manage.py
# collectstatic` puts them here, for nginx to serve below STATIC_URL.
STATIC_URL = '/static/'
STATIC_ROOT = BASE_DIR / 'static_root'

# The page of an error under DEBUG shows settings.
DEFAULT_EXCEPTION_REPORTER_FILTER = 'app_dir.debug_page.SecretsFilter'

# Django's default shows errors on the console while DEBUG is on only: a
# container in production would be silent.
LOGGING = {
    'version': 1,
    'disable_existing_loggers': False,
    'formatters': {'line': {
        'format': '%(asctime)s %(levelname)s %(name)s: %(message)s'}},
    'handlers': {'console': {
        'class': 'logging.StreamHandler', 'formatter': 'line'}},
    'root': {'handlers': ['console'], 'level': 'INFO'},
    'loggers': {
        'django': {
            'handlers': ['console'], 'level': 'INFO', 'propagate': False},
        # uvicorn has handlers of its own: each line would come twice.
        'uvicorn': {'handlers': [], 'propagate': True},
        'uvicorn.access': {'handlers': [], 'propagate': True}},
}

# SQL database: DATABASE_*

DATABASE_HOST = environment.text('DATABASE_HOST').strip('[]')
database_engine = environment.text('DATABASE_ENGINE', 'postgresql')
database_kind = database_engine.rpartition('.')[2]
if '.' not in database_engine:
    if database_engine not in ('postgresql', 'mysql', 'sqlite3', 'oracle'):
        environment.problems.append(
            'DATABASE_ENGINE is not known, wanted: postgresql, mysql, '
            'sqlite3, oracle, or the path of a backend with dots in it')
    database_engine = 'django.db.backends.' + database_engine

database_options = {
    'postgresql': {'connect_timeout': 5},
    # Django before 4.2 asks for three bytes a letter: no emoji.
    'mysql': {'connect_timeout': 5, 'charset': 'utf8mb4'},
}.get(database_kind, {})

if DATABASE_HOST:
    because = 'it is required with DATABASE_HOST'
    DATABASES = {'default': {
        'ENGINE': database_engine,
        'HOST': DATABASE_HOST,
        'PORT': environment.port('DATABASE_PORT', {
            'postgresql': 5432, 'mysql': 3306}.get(database_kind, '')),
        'NAME': environment.required('DATABASE_NAME', because),
        'USER': environment.required('DATABASE_USERNAME', because),
        'PASSWORD': environment.required('DATABASE_PASSWORD', because),
        # A connection for each request: a server that went away and came
        # back costs no request, on any version of Django.
        'CONN_MAX_AGE': 0,
        'OPTIONS': database_options,
    }}
else:
    sqlite_name = (environment.text('DATABASE_NAME')
                   if database_kind == 'sqlite3' else '')
    DATABASES = {'default': {
        'ENGINE': 'django.db.backends.sqlite3',
        'NAME': sqlite_name or str(database_file(BASE_DIR, STATE_DIR)),
        # Copies, worker and beat share the file; one writes at a time.
        'OPTIONS': {'timeout': 20},
    }}

# Redis: CACHE_REDIS_*, SESSION_REDIS_*


def address(host, port):
    """Return host:port, with the brackets that IPv6 needs in a URL."""
    host = host.strip('[]')
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def redis_cache(prefix, away):
    """Return the cache on the Redis that the set ``prefix`` names.

    ``away`` holds the options for the time when it cannot be reached.
    """
    return {
        'BACKEND': 'django_redis.cache.RedisCache',
        'LOCATION': 'redis://{}/{}'.format(
            address(environment.text(f'{prefix}_REDIS_HOST'),
                    environment.port(f'{prefix}_REDIS_PORT', 6379)),
            environment.number(f'{prefix}_REDIS_DB', 0)),
        'KEY_PREFIX': 'app_dir',
        'OPTIONS': {
            'PASSWORD': environment.text(f'{prefix}_REDIS_PASSWORD'),
            'SOCKET_CONNECT_TIMEOUT': 2,
            'SOCKET_TIMEOUT': 2,
            **away,
        },
    }


if environment.text('CACHE_REDIS_HOST'):
    # A cache that is away is a cache without entries.
    CACHES = {'default': redis_cache('CACHE', {'IGNORE_EXCEPTIONS': True})}
    DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
else:
    CACHES = {'default': {
        'BACKEND': 'django.core.cache.backends.db.DatabaseCache',
        'LOCATION': 'cache',
    }}

if environment.text('SESSION_REDIS_HOST'):
    # Errors are not ignored here: everybody would be signed out.
    CACHES['sessions'] = redis_cache('SESSION', {})
    SESSION_ENGINE = 'django.contrib.sessions.backends.cache'
    SESSION_CACHE_ALIAS = 'sessions'
else:
    SESSION_ENGINE = 'django.contrib.sessions.backends.db'

# Celery's broker: RABBITMQ_*. What celery reads is prefixed with CELERY_.

RABBITMQ_HOST = environment.text('RABBITMQ_HOST')
if RABBITMQ_HOST:
    because = 'it is required with RABBITMQ_HOST'
    CELERY_BROKER_URL = 'amqp://{}:{}@{}/{}'.format(
        quote(environment.required('RABBITMQ_USERNAME', because), safe=''),
        quote(environment.required('RABBITMQ_PASSWORD', because), safe=''),
        address(RABBITMQ_HOST, environment.port('RABBITMQ_PORT', 5672)),
        quote(environment.text('RABBITMQ_VHOST', '/'), safe=''))
    # A task counts as sent when RabbitMQ says that it has it.
    CELERY_BROKER_TRANSPORT_OPTIONS = {'confirm_publish': True}
elif not environment.text('CELERY_BROKER_URL'):
    # One folder in, the same out, for one worker: two of them race.
    CELERY_BROKER_URL = 'filesystem://localhost'
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        'data_folder_in': str(STATE_DIR / 'broker'),
        'data_folder_out': str(STATE_DIR / 'broker'),
        'control_folder': str(STATE_DIR / 'broker-control'),
    }
    make_folder(STATE_DIR / 'broker')

CELERY_TASK_IGNORE_RESULT = True
# A worker holds the tasks that it works on and no others, and a task leaves
# the queue when it is done: what a worker could not finish, another one does.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A broker that is away is waited for, for ever.
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# When the connection is lost the broker gives the task to somebody else:
# going on would do it twice.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / 'celerybeat-schedule')
# One for each copy, so that none is hidden by the life of another.
WORKER_HEARTBEAT_FILE = environment.text('WORKER_HEARTBEAT_FILE', str(
    STATE_DIR / 'worker-heartbeat-{}'.format(
        environment.text('APP_WORKER_INDEX', '0'))))

# CouchDB: COUCHDB_*

COUCHDB_USERNAME = environment.text('COUCHDB_USERNAME')
COUCHDB_PASSWORD = COUCHDB_USERNAME and environment.required(
    'COUCHDB_PASSWORD', 'it is required with COUCHDB_USERNAME')
COUCHDB_HOST = environment.text('COUCHDB_HOST', 'couchdb')
COUCHDB_PORT = environment.port('COUCHDB_PORT', 5984)
COUCHDB_DATABASE = 'app_dir'

# Sentry: SENTRY_DSN

SENTRY_DSN = environment.text('SENTRY_DSN')

# SMTP: SMTP_*

SMTP_HOST = environment.text('SMTP_HOST')
EMAIL_BACKEND = environment.text(
    'DJANGO_EMAIL_BACKEND',
    'django.core.mail.backends.smtp.EmailBackend' if SMTP_HOST
    else 'django.core.mail.backends.console.EmailBackend')
EMAIL_HOST = SMTP_HOST or 'localhost'
EMAIL_PORT = environment.port('SMTP_PORT', 587)
EMAIL_HOST_USER = environment.text('SMTP_USERNAME')
EMAIL_HOST_PASSWORD = environment.text('SMTP_PASSWORD')
EMAIL_USE_TLS = environment.boolean('SMTP_USE_TLS')
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = environment.text(
    'SMTP_FROM_EMAIL', f'app_dir@{base_host or "localhost"}')

# Application data in S3: APPDATA_*, AWS_REGION

APPDATA_BUCKET = environment.text('APPDATA_BUCKET')
APPDATA_PREFIX = environment.text('APPDATA_PREFIX').strip('/')
AWS_REGION = environment.text('AWS_REGION')

# Search: ANALYTICS_ES_*

SEARCH_ENDPOINT = environment.text('ANALYTICS_ES_ENDPOINT')

environment.raise_for_problems()

if SENTRY_DSN:
    from .reporting import start
    start(SENTRY_DSN)
