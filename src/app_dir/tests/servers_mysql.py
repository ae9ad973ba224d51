"""The component on a real MariaDB."""

from django.test import SimpleTestCase

from .backends import CANARY, MariaDB
from .component import Component, wait_until


class OnMySQL(SimpleTestCase):
    """The set DATABASE_* with DATABASE_ENGINE=mysql."""

    def setUp(self):
        """Start an empty server, and a component that is to use it."""
        self.server = MariaDB()
        self.addCleanup(self.server.close)
        self.component = Component(DJANGO_SECRET_KEY='k',
                                   **self.server.variables)
        self.addCleanup(self.component.close)

    def test_it_holds_everything(self):
        """Rows and the cache; it goes away, says so, and heals by itself."""
        early = self.component.manage('greet', '--name', 'Ada')
        self.assertEqual(
            early.stderr, 'the database has no table '
            'component.app_dir_greeting: run the task migrate first\n')
        done = self.component.run('./container-task.sh', APP_TASK_LIST=(
            'migrate --noinput -v0; greet --name "Ada \U0001f44b"; check '
            '--database default'))
        self.assertEqual(done.returncode, 0, done.stderr)
        site = self.component.start_web()
        info = site.json('/api/info')
        self.assertEqual(
            (info['database'], info['cache'], info['greetings']),
            ('mysql', 'database', 1))
        self.assertEqual(self.server.ask(
            'SELECT (SELECT count(*) FROM app_dir_greeting),'
            ' (SELECT count(*) FROM cache)'), '1\t1\n')
        self.assertFalse((self.component.src / 'db.sqlite3').exists())
        self.server.stop()
        line = site.json('/status')['database']
        self.assertEqual((line['in_use'], line['reachable']), (True, False))
        self.assertIn('DATABASE_*', line['problem'])
        self.server.start()
        wait_until(lambda: site.json('/status')['database']['reachable'],
                   'the database to be reachable')
        self.assertEqual(
            site.ask('/api/greetings', 'POST', {'name': 'Ada'})[0], 201)

    def test_a_wrong_password(self):
        """The variable is named, its value is not."""
        ended = self.component.manage(
            'migrate', DATABASE_PASSWORD=CANARY + 'wrong')
        self.assertEqual(ended.returncode, 69, ended.stderr)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        self.assertIn('DATABASE_PASSWORD', ended.stderr)
        self.assertNotIn(CANARY, ended.stderr)
