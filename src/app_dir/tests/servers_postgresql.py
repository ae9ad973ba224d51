"""The component on a real PostgreSQL."""

from django.test import SimpleTestCase

from .backends import CANARY, PostgreSQL
from .component import Component, wait_until


class OnPostgreSQL(SimpleTestCase):
    """The set DATABASE_*."""

    def setUp(self):
        """Start an empty server, and a component that is to use it."""
        self.server = PostgreSQL()
        self.addCleanup(self.server.close)
        self.component = Component(DJANGO_SECRET_KEY='k',
                                   **self.server.variables)
        self.addCleanup(self.component.close)

    def test_it_holds_everything(self):
        """Rows, sessions and the cache; no SQLite file appears."""
        early = self.component.manage('greet', '--name', 'Ada')
        self.assertEqual(
            early.stderr, 'the database has no table app_dir_greeting: '
            'run the task migrate first\n')
        done = self.component.run('./container-task.sh', APP_TASK_LIST=(
            'migrate --noinput -v0; greet --name Ada; check --database '
            'default'))
        self.assertEqual(done.returncode, 0, done.stderr)
        site = self.component.start_web()
        info = site.json('/api/info')
        self.assertEqual(
            (info['database'], info['cache'], info['greetings']),
            ('postgresql', 'database', 1))
        self.assertTrue(self.server.succeeds(
            str(self.server.find_program().with_name('psql')), '-h',
            '127.0.0.1', '-p', str(self.server.port), '-U', 'component',
            '-v', 'ON_ERROR_STOP=1', '-c',
            "DO $$ BEGIN "
            "ASSERT (SELECT count(*) FROM app_dir_greeting) = 1;"
            "ASSERT (SELECT count(*) FROM cache) = 1; END $$", 'component'))
        self.assertFalse((self.component.src / 'db.sqlite3').exists())

    def test_away_and_back(self):
        """The site starts without it, says so, and heals by itself."""
        self.component.manage('migrate', '-v0')
        self.server.stop()
        site = self.component.start_web()
        line = site.json('/status')['database']
        self.assertEqual((line['in_use'], line['reachable']), (True, False))
        self.assertIn('DATABASE_*', line['problem'])
        status, page = site.ask('/')
        self.assertEqual(status, 200)
        self.assertIn('The database cannot be used', page)
        self.assertEqual(
            site.ask('/api/greetings', 'POST', {'name': 'Ada'})[0], 503)
        self.server.start()
        wait_until(lambda: site.json('/status')['database']['reachable'],
                   'the database to be reachable')
        self.assertEqual(
            site.ask('/api/greetings', 'POST', {'name': 'Ada'})[0], 201)
        # A connection that was cut while nobody looked costs no request.
        self.server.stop()
        self.server.start()
        self.assertEqual(site.ask('/')[0], 200)
        self.assertEqual(site.json('/api/info')['greetings'], 1)

    def test_a_wrong_password(self):
        """The variable is named, its value is not."""
        wrong = {'DATABASE_PASSWORD': CANARY + 'wrong'}
        ended = self.component.manage('migrate', **wrong)
        self.assertEqual(ended.returncode, 69, ended.stderr)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        self.assertIn('DATABASE_PASSWORD', ended.stderr)
        site = self.component.start_web(**wrong)
        pages = ''.join(site.ask(path)[1] for path in (
            '/', '/status', '/api/info'))
        self.assertIn('OperationalError, see DATABASE_*', pages)
        for words in (ended.stderr, pages, site.process.output()):
            self.assertNotIn(CANARY, words)
