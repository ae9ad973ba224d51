"""The scripts of the four modes, run as entrypoint or a person runs them."""

import inspect
import os

from celery.worker.consumer import Consumer
from django.test import SimpleTestCase

from .component import Component, wait_until


class EmbeddedCase(SimpleTestCase):
    """Tests with nothing but DJANGO_DEBUG=True: on embedded parts."""

    def setUp(self):
        """Copy the component and migrate."""
        self.component = Component(DJANGO_DEBUG='True')
        self.addCleanup(self.component.close)
        migrated = self.component.manage('migrate', '--noinput', '-v0')
        self.assertEqual(migrated.returncode, 0, migrated.stderr)


class Modes(EmbeddedCase):
    """Each of the four."""

    def test_every_script_is_one_exec_line(self):
        """So that the server is the process that gets the signals."""
        for mode in ('web', 'task', 'worker', 'beat'):
            path = self.component.src / f'container-{mode}.sh'
            first, *rest = path.read_text().splitlines()
            self.assertEqual(first, '#!/bin/sh')
            lines = [line for line in rest if not line.startswith('#')]
            self.assertEqual(len(lines), 1, mode)
            self.assertTrue(lines[0].startswith('exec '), mode)
            self.assertTrue(os.access(path, os.X_OK), mode)
        self.assertTrue(os.access(self.component.src / 'manage.py', os.X_OK))

    def test_web(self):
        """It serves, with as many workers as told, and ends when asked."""
        site = self.component.start_web(
            APP_WORKER_COUNT='2', APP_RUN_MODE='WEB', APP_WORKER_INDEX='1')
        output = site.process.output
        wait_until(lambda: output().count('Booting worker') == 2, 'workers')
        self.assertEqual(site.json('/api/info')['copy'], 1)
        self.assertEqual(site.ask('/api/greetings', 'POST', {'name': 'Ada'})
                         [0], 201)
        self.assertEqual(site.json('/api/info')['greetings'], 1)
        self.assertEqual(site.ask('/static/admin/css/base.css')[0], 200)
        self.assertEqual(site.process.stop(), 0)

    def test_task(self):
        """Three commands in order; the code of the one that fails."""
        done = self.component.run('./container-task.sh', APP_TASK_LIST=(
            'check; migrate --noinput; greet --name "two words; one name"'))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, 'no issues(?s:.*)\nHello, two words;')
        for tasks, code in (
                ('greet --nonsense; greet --name no', 2),
                ('nonsense; greet --name no', 1),
                ('shell -c "import sys; sys.exit(5)"; greet --name no', 5)):
            failed = self.component.run('./container-task.sh',
                                        APP_TASK_LIST=tasks)
            self.assertEqual(failed.returncode, code, tasks)
        self.assertEqual(self.component.greetings(),
                         [('two words; one name', 'command')])
        nothing = self.component.run('./container-task.sh')
        self.assertEqual((nothing.returncode, nothing.stdout),
                         (0, 'nothing to do: APP_TASK_LIST is empty\n'))

    def test_beat_has_a_row_recorded_by_the_worker(self):
        """Through the filesystem broker; both end when asked."""
        worker = self.component.start_worker()
        beat = self.component.start('./container-beat.sh')
        wait_until(lambda: ('beat', 'beat') in self.component.greetings(),
                   'the row of beat')
        self.assertEqual(beat.stop(), 0)
        self.assertEqual(worker.stop(), 0)


class WarmShutdown(EmbeddedCase):
    """TERM to a worker that works."""

    def slow_task_during_a_stop(self):
        """Stop a worker while it works, start the next, return the rows."""
        worker = self.component.start_worker()
        self.component.send("slow.delay(3, 'long')")
        worker.wait_for('slow[')
        self.assertEqual(worker.stop(), 0)
        # A worker that did this one has done what came before it.
        self.component.send("greet.delay('last')")
        worker = self.component.start_worker()
        wait_until(lambda: ('last', 'worker') in self.component.greetings(),
                   'the last task')
        worker.stop()
        return [name for name, _ in self.component.greetings()]

    def test_a_running_task_is_finished_before_the_worker_ends(self):
        """And it is done once."""
        self.assertEqual(self.slow_task_during_a_stop(), ['long', 'last'])

    def test_the_control(self):
        """By celery alone it is done again, where celery does so."""
        path = self.component.package / 'celery_app.py'
        path.write_text(path.read_text().replace(
            '(Loop, LastAcknowledgements)', '(Loop,)'))
        fixed = 'perform_pending_operations' in inspect.getsource(
            Consumer.shutdown)
        self.assertEqual(self.slow_task_during_a_stop().count('long'),
                         1 if fixed else 2)


class Heartbeat(EmbeddedCase):
    """The worker's sign of life."""

    def test_the_heartbeat(self):
        """The worker touches its file, again and again, one for each copy."""
        self.component.start_worker(APP_WORKER_INDEX='3')
        path = self.component.src / 'var' / 'worker-heartbeat-3'
        first = path.stat().st_mtime_ns
        wait_until(lambda: path.stat().st_mtime_ns > first, 'a heartbeat')

    def test_the_heartbeat_elsewhere(self):
        """WORKER_HEARTBEAT_FILE names the file."""
        path = self.component.folder / 'pulse'
        self.component.start_worker(WORKER_HEARTBEAT_FILE=str(path))
        self.assertTrue(path.exists())


class BadInput(SimpleTestCase):
    """What somebody sees who got something wrong."""

    def setUp(self):
        """Copy the component."""
        self.component = Component()
        self.addCleanup(self.component.close)

    def test_production_without_a_key(self):
        """The server gives up, and its last words name the variable."""
        for script in ('web', 'worker', 'beat', 'task'):
            ended = self.component.run(f'./container-{script}.sh',
                                       APP_TASK_LIST='check', PORT='0')
            self.assertNotEqual(ended.returncode, 0, script)
            self.assertIn('cannot configure the component: DJANGO_SECRET_KEY'
                          ' is missing', ended.stderr, script)

    def test_static_files_in_production(self):
        """They are collected for nginx; the component does not serve them."""
        self.component.environment['DJANGO_SECRET_KEY'] = 'k'
        done = self.component.manage('collectstatic', '--noinput')
        self.assertEqual(done.returncode, 0, done.stderr)
        collected = self.component.src / 'static_root/admin/css/base.css'
        self.assertTrue(collected.exists())
        site = self.component.start_web()
        self.assertEqual(site.ask('/static/admin/css/base.css')[0], 404)

    def test_a_servers_line_comes_once(self):
        """Though uvicorn has a handler before it reads the settings."""
        done = self.component.run('python3', '-c', inspect.cleandoc("""
            import logging.config, os
            logging.config.dictConfig({
                'version': 1, 'disable_existing_loggers': False,
                'handlers': {'own': {'class': 'logging.StreamHandler'}},
                'loggers': {name: {'handlers': ['own'], 'propagate': False}
                            for name in ('uvicorn', 'uvicorn.access')}})
            os.environ['DJANGO_SETTINGS_MODULE'] = 'app_dir.settings'
            import django
            django.setup()
            for name in ('error', 'access'):
                logging.getLogger('uvicorn.' + name).warning('a line')
            """), DJANGO_DEBUG='yes')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(
            done.stderr, r'\A\S+ \S+ WARNING uvicorn\.error: a line\n'
            r'\S+ \S+ WARNING uvicorn\.access: a line\n\Z')

    def test_a_database_that_is_away(self):
        """One line that names the variables and not the password."""
        ended = self.component.manage(
            'migrate', DJANGO_DEBUG='1', DATABASE_HOST='127.0.0.1',
            DATABASE_PORT='1', DATABASE_NAME='n', DATABASE_USERNAME='u',
            DATABASE_PASSWORD='Canary')
        self.assertEqual(ended.returncode, 69)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        self.assertRegex(ended.stderr, '^cannot connect to the database: .*'
                         'DATABASE_HOST.*DATABASE_PASSWORD')
        self.assertNotIn('Canary', ended.stderr)

    def test_a_command_before_the_first_migrate(self):
        """One line that says what to do, and no word of a connection."""
        ended = self.component.manage('greet', '--name', 'Ada',
                                      DJANGO_DEBUG='1')
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(
            ended.stderr, 'the database has no table app_dir_greeting: '
            'run the task migrate first\n')

    def test_a_database_without_its_driver(self):
        """Django's words, in one line."""
        ended = self.component.manage(
            'migrate', DJANGO_DEBUG='1', DATABASE_ENGINE='oracle',
            DATABASE_HOST='127.0.0.1', DATABASE_NAME='n',
            DATABASE_USERNAME='u', DATABASE_PASSWORD='Canary')
        self.assertEqual(ended.returncode, 78)
        self.assertRegex(ended.stderr, r'\Acannot configure the component: '
                         r'Error loading .*\n\Z')

    def test_a_database_that_is_no_file(self):
        """The driver's words, and where the name comes from."""
        ended = self.component.manage(
            'migrate', DJANGO_DEBUG='1', DATABASE_ENGINE='sqlite3',
            DATABASE_NAME=str(self.component.src / 'missing' / 'db'))
        self.assertEqual(ended.returncode, 69)
        self.assertEqual(
            ended.stderr, 'cannot use the database: unable to open database '
            'file, see DATABASE_NAME\n')

    def test_a_page_before_the_first_migrate(self):
        """It says what to do."""
        self.component.environment['DJANGO_DEBUG'] = 'yes'
        site = self.component.start_web()
        status, page = site.ask('/')
        self.assertEqual(status, 200)
        self.assertIn('manage.py migrate', page)
