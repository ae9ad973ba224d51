"""The application as Django installs it."""

from django.apps import AppConfig
from django.core.management import call_command
from django.db.models.signals import post_migrate


def make_cache_table(using, **_):
    """Make the table of the database cache, if one is configured.

    After every migrate and not in a migration: the cache may have been on
    Redis when the migrations ran. A table that exists is left alone.
    """
    call_command('createcachetable', database=using, verbosity=0)


class ComponentConfig(AppConfig):
    """The component."""

    name = 'app_dir'
    verbose_name = 'Component'

    def ready(self):
        """Ask for the cache table once the schema is there."""
        post_migrate.connect(make_cache_table, sender=self)
