"""The acknowledgements of the tasks that end during a warm shutdown.

Over a transport without an event loop, such as the filesystem's, celery 5.2
leaves them to the loop that has ended by then: it puts the tasks back, and
they are done twice. Celery 5.5 does by itself what is done here.
"""

from celery import bootsteps


class LastAcknowledgements(bootsteps.StartStopStep):
    """The consumer's step: sends them before the channel is closed."""

    # Steps are shut down in reverse, and Tasks closes the channel.
    requires = {'celery.worker.consumer.tasks:Tasks'}

    def shutdown(self, consumer):
        """Do what waits for the loop; all tasks have ended."""
        consumer.perform_pending_operations()
