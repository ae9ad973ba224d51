"""What workers do.

Every task is acknowledged after it ran (CELERY_TASK_ACKS_LATE): one that
was cut short is done again by another worker, so doing one twice has to be
harmless.
"""

import time
from datetime import timedelta

from celery import shared_task
from django.core.mail import send_mail
from django.utils import timezone

from .models import Greeting

BEATS_KEPT = timedelta(hours=1)


@shared_task
def greet(name):
    """Store a greeting of ``name``."""
    Greeting.objects.greet(name, Greeting.Source.WORKER)


@shared_task
def slow(seconds, name='slow task'):
    """Work for ``seconds``, then store a greeting: to watch a stop by."""
    time.sleep(seconds)
    Greeting.objects.greet(name, Greeting.Source.WORKER)


@shared_task
def record_beat():
    """Store that beat, broker and worker are at work together."""
    Greeting.objects.greet('beat', Greeting.Source.BEAT)
    Greeting.objects.filter(
        source=Greeting.Source.BEAT,
        created__lt=timezone.now() - BEATS_KEPT).delete()


@shared_task(autoretry_for=(OSError,), retry_backoff=5, max_retries=8)
def mail_greeting(name, address):
    """Send a greeting by mail; a server that is away is tried again."""
    send_mail('Hello', f'Hello, {name}\n', None, [address])
