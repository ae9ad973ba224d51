"""manage.py run_tasks: what container-task.sh runs."""

import os
import sys

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand, CommandError

from ... import task_list

USAGE = 64


class Command(BaseCommand):
    """Runs the commands of APP_TASK_LIST, in order, in this process.

    The first that fails ends it with that command's exit code.
    """

    help = 'Run the manage.py commands of APP_TASK_LIST (";" between them).'
    # Each of them makes its own checks.
    requires_system_checks = []

    def handle(self, **options):
        """Run one after the other."""
        try:
            commands = task_list.split(os.environ.get('APP_TASK_LIST', ''))
        except ValueError:
            raise CommandError(
                'cannot read APP_TASK_LIST: a quote is not closed',
                returncode=USAGE)
        if not commands:
            self.stdout.write('nothing to do: APP_TASK_LIST is empty')
        for words in commands:
            # By name alone: arguments may be secrets, and logs are kept.
            self.stderr.write(f'run_tasks: {words[0]}', self.style.NOTICE)
            self.run(words)

    def run(self, words):
        """Run one command; a failure leaves as SystemExit."""
        try:
            ManagementUtility([sys.argv[0], *words]).execute()
        except SystemExit as end:
            if end.code not in (None, 0):
                raise
