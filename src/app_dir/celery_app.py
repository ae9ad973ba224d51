"""The celery application: ``celery --app app_dir.celery_app worker``."""

import os

from celery import Celery

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'app_dir.settings')

# How often beat has its row recorded, in seconds.
BEAT_SECONDS = 10

app = Celery('app_dir')
# Lazy: the environment is read when a setting is asked for.
app.config_from_object('django.conf:settings', namespace='CELERY')
app.autodiscover_tasks()
app.conf.beat_schedule = {
    'record-beat': {
        'task': 'app_dir.tasks.record_beat',
        'schedule': BEAT_SECONDS,
        # While no worker runs one of them waits, not thousands.
        'options': {'expires': BEAT_SECONDS},
    },
}


def add_steps():
    """Teach the worker what celery does not do by itself."""
    from .acknowledgements import LastAcknowledgements
    from .heartbeat import Loop, Thread
    app.steps['worker'].add(Thread)
    app.steps['consumer'].update((Loop, LastAcknowledgements))


add_steps()
