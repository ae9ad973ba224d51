"""Tasks, and the commands of manage.py."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from unittest.mock import patch

from django.core import mail
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, TestCase
from django.utils import timezone

from .. import task_list, tasks
from ..celery_app import app
from ..models import Greeting
from .quiet import setUpModule, tearDownModule  # noqa: F401


class Tasks(TestCase):
    """What workers do, in this process."""

    def greetings(self):
        """Return names and sources, oldest first."""
        return list(Greeting.objects.order_by('pk').values_list(
            'name', 'source'))

    def test_greet(self):
        """A row of the worker's."""
        tasks.greet.apply(('Ada',)).get()
        self.assertEqual(self.greetings(), [('Ada', 'worker')])

    def test_slow(self):
        """It sleeps first, then stores."""
        with patch.object(tasks.time, 'sleep') as sleep:
            tasks.slow.apply((3,)).get()
        sleep.assert_called_once_with(3)
        self.assertEqual(self.greetings(), [('slow task', 'worker')])

    def test_beats_do_not_pile_up(self):
        """Old ones go; other greetings stay however old they are."""
        old = timezone.now() - tasks.BEATS_KEPT - timedelta(seconds=1)
        for source in (Greeting.Source.BEAT, Greeting.Source.WEB):
            greeting = Greeting.objects.greet('old', source)
            Greeting.objects.filter(pk=greeting.pk).update(created=old)
        tasks.record_beat.apply().get()
        self.assertEqual(self.greetings(), [('old', 'web'), ('beat', 'beat')])

    def test_mail(self):
        """It is sent from the configured address."""
        tasks.mail_greeting.apply(('Ada', 'ada@example.org')).get()
        self.assertEqual(mail.outbox[0].to, ['ada@example.org'])
        self.assertEqual(mail.outbox[0].body, 'Hello, Ada\n')

    def test_the_schedule_names_tasks_that_there_are(self):
        """A name that is wrong would be seen by the worker only."""
        app.loader.import_default_modules()
        for entry in app.conf.beat_schedule.values():
            self.assertIn(entry['task'], app.tasks)


class Commands(TestCase):
    """greet and run_tasks."""

    def call(self, *words):
        """Return what a command prints."""
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(io.StringIO()):
            call_command(*words, stdout=printed)
        return printed.getvalue()

    def test_greet_prints_and_stores(self):
        """Two words are one name."""
        self.assertEqual(self.call('greet', '--name', 'two words'),
                         'Hello, two words\n')
        self.assertEqual(Greeting.objects.get().source, 'command')

    def test_greet_refuses_what_it_cannot_store(self):
        """With a line that says what is wanted."""
        for name in ('', ' ', 'x' * 101):
            with self.assertRaisesMessage(CommandError, '1 to 100'):
                self.call('greet', '--name', name)

    def test_greet_by_mail(self):
        """The mail goes out, too."""
        self.call('greet', '--name', 'Ada', '--email', 'ada@example.org')
        self.assertEqual(len(mail.outbox), 1)

    def test_tasks_run_in_order(self):
        """Quotes keep words and semicolons together."""
        with patch.dict(os.environ, APP_TASK_LIST=(
                'greet --name "one; two"; greet --name three;')):
            self.call('run_tasks')
        self.assertEqual(
            [greeting.name for greeting in Greeting.objects.order_by('pk')],
            ['one; two', 'three'])

    def test_the_first_failure_ends_them_with_its_code(self):
        """What comes after it does not run."""
        with patch.dict(os.environ, APP_TASK_LIST=(
                'greet --name one; greet --nonsense; greet --name three')):
            with self.assertRaises(SystemExit) as end:
                self.call('run_tasks')
        self.assertEqual(end.exception.code, 2)
        self.assertEqual(Greeting.objects.get().name, 'one')

    def test_no_tasks(self):
        """It says so and ends well."""
        with patch.dict(os.environ, APP_TASK_LIST=' ; '):
            self.assertEqual(self.call('run_tasks'),
                             'nothing to do: APP_TASK_LIST is empty\n')

    def test_an_open_quote(self):
        """A usage error, before anything runs."""
        with patch.dict(os.environ, APP_TASK_LIST='greet --name a; greet "'):
            with self.assertRaises(CommandError) as caught:
                self.call('run_tasks')
        self.assertEqual(caught.exception.returncode, 64)
        self.assertFalse(Greeting.objects.exists())

    def test_export_without_a_bucket(self):
        """It names the variable."""
        with self.assertRaisesMessage(CommandError, 'APPDATA_BUCKET'):
            self.call('export_greetings')


class TaskList(SimpleTestCase):
    """The language of APP_TASK_LIST."""

    def test_splitting(self):
        """As a shell would quote, but without one."""
        for text, wanted in (
                ('', []),
                (' ;; ', []),
                ('check', [['check']]),
                ('a;b', [['a'], ['b']]),
                ("a ';' \";\"", [['a', ';', ';']]),
                (r'a\;b c', [['a;b', 'c']]),
                (r'a "x\";y" b', [['a', 'x";y', 'b']]),
                (r"a '\';b", [['a', '\\'], ['b']]),
                ('a "";b', [['a', ''], ['b']]),
                ('a $HOME `id` #x;b\nc', [['a', '$HOME', '`id`', '#x'],
                                          ['b', 'c']])):
            self.assertEqual(task_list.split(text), wanted, text)

    def test_open_quotes(self):
        """Wherever they begin."""
        for text in ('a "b', "a 'b; c", 'a; b "', "'", 'a\\'):
            with self.assertRaises(ValueError, msg=text):
                task_list.split(text)
