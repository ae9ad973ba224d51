"""manage.py migrate_embedded."""

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Migrates SQLite, and nothing else.

    The image runs it at every start, so that a single container serves
    without another step. A database on a server is shared: containers that
    start together would migrate it together, so that is left to a TASK.
    """

    help = 'Migrate the embedded database; leave one on a server alone.'

    def handle(self, *, verbosity, **options):
        """Migrate, or say who does."""
        if settings.DATABASE_HOST:
            self.stdout.write(
                'The database is on a server: migrate it by '
                'APP_RUN_MODE=TASK APP_TASK_LIST="migrate --noinput"')
            return
        call_command('migrate', interactive=False, verbosity=verbosity)
