"""What the component stores."""

from django.core.cache import cache
from django.db import DatabaseError, models, transaction

COUNT_KEY = 'greetings'
COUNT_SECONDS = 5


class GreetingManager(models.Manager):
    """Greetings as the rest of the component uses them."""

    def greet(self, name, source):
        """Store and return a greeting of ``name``."""
        greeting = self.create(name=name, source=source)
        transaction.on_commit(forget_count)
        return greeting

    def cached_count(self):
        """Return how many there are, as of a few seconds ago at most."""
        count = cache.get(COUNT_KEY)
        if count is None:
            count = self.count()
            cache.set(COUNT_KEY, count, COUNT_SECONDS)
        return count


def forget_count():
    """Have the next reader count again."""
    try:
        cache.delete(COUNT_KEY)
    except DatabaseError:
        # The row is stored; a count that is a few seconds old is no reason
        # to tell the caller that it is not.
        pass


class Greeting(models.Model):
    """Somebody was greeted."""

    class Source(models.TextChoices):
        """The kind of process that did it."""

        WEB = 'web'
        COMMAND = 'command'
        WORKER = 'worker'
        BEAT = 'beat'

    name = models.CharField(max_length=100)
    source = models.CharField(max_length=10, choices=Source.choices)
    created = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = GreetingManager()

    class Meta:
        """Newest first."""

        ordering = ['-created', '-pk']

    def __str__(self):
        """Return what was said."""
        return f'Hello, {self.name}'
