"""The worker's sign of life: a file that is touched every few seconds.

``entrypoint run --health 'file:PATH<30s'`` watches it, for the price of a
stat; ``celery inspect ping`` costs 0.6 s of CPU, needs the broker and fails
on a busy worker.

While the worker is connected, its event loop touches the file: a loop that
hangs is seen. Celery's own heartbeat_sent signal would do for that, but it
comes only while there is a broker, and a broker that is down must not look
like a dead worker: restarting workers does not bring it back. So while there
is no connection (at the start, when it is lost, and when tasks are finished
on the way down) a thread does it.
"""

import logging
import threading
from pathlib import Path

from celery import bootsteps

SECONDS = 5

logger = logging.getLogger(__name__)


class Thread(bootsteps.StartStopStep):
    """The worker's step: runs the thread."""

    # After the pool, which forks.
    requires = {'celery.worker.components:Pool'}

    def __init__(self, worker, **options):
        """Hang the heartbeat on ``worker``."""
        from django.conf import settings
        super().__init__(worker, **options)
        worker.sign_of_life = SignOfLife(settings.WORKER_HEARTBEAT_FILE)

    def start(self, worker):
        """Run until the process ends."""
        worker.sign_of_life.start()

    def stop(self, worker):
        """Go on: tasks that run are still being waited for."""


class Loop(bootsteps.StartStopStep):
    """The consumer's step: the event loop takes over while connected."""

    requires = {'celery.worker.consumer.tasks:Tasks'}

    def start(self, consumer):
        """Take over; celery clears the timer when a connection is lost."""
        sign_of_life = consumer.controller.sign_of_life
        sign_of_life.connected.set()
        # With some transports the timer is a thread of its own. It is the
        # loop that is to show that it turns.
        consumer.timer.call_repeatedly(
            SECONDS, consumer.call_soon, (sign_of_life.touch,))

    def stop(self, consumer):
        """Hand over to the thread."""
        consumer.controller.sign_of_life.connected.clear()


class SignOfLife:
    """The file, and the thread that touches it while unconnected."""

    def __init__(self, path):
        """Use the file ``path``; its folder has to be there."""
        self.path = Path(path)
        self.connected = threading.Event()

    def touch(self):
        """Set the file's time to now."""
        try:
            self.path.touch()
        except OSError as error:
            logger.warning('cannot touch WORKER_HEARTBEAT_FILE %s: %s',
                           self.path, error.strerror)

    def start(self):
        """Touch at once, then start the thread."""
        self.touch()
        # celery 5.2 counts threads to decide how to obey a signal, and with
        # one more than its own QUIT no longer ends a warm shutdown; it does
        # not count names that begin like this (celery/apps/worker.py).
        threading.Thread(target=self._run, daemon=True,
                         name='Dummy-heartbeat').start()

    def _run(self):
        pause = threading.Event()
        while not pause.wait(SECONDS):
            if not self.connected.is_set():
                self.touch()
