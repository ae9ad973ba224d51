"""The component with sessions, cache and broker on a real Redis."""

import re
import signal
from urllib.parse import quote

from django.test import SimpleTestCase

from .backends import CANARY, PASSWORD, Redis
from .component import Component, wait_until


class RedisCase(SimpleTestCase):
    """Tests with one Redis."""

    def setUp(self):
        """Start it."""
        self.server = Redis()
        self.addCleanup(self.server.close)

    def keys(self, database):
        """Return the keys of one database."""
        import redis
        with redis.Redis(port=self.server.port, db=database,
                         password=PASSWORD) as client:
            return [key.decode() for key in client.keys('*')]

    def component(self, **variables):
        """Return a component that has migrated."""
        component = Component(DJANGO_SECRET_KEY='k', **variables)
        self.addCleanup(component.close)
        migrated = component.manage('migrate', '-v0')
        self.assertEqual(migrated.returncode, 0, migrated.stderr)
        return component


class Cache(RedisCase):
    """The set CACHE_REDIS_*."""

    def test_away_and_back(self):
        """A cache that is away is a cache without entries."""
        component = self.component(**self.server.variables('CACHE', 2))
        site = component.start_web()
        self.assertEqual(site.json('/api/info')['cache'], 'redis')
        self.assertTrue(site.json('/status')['cache']['reachable'])
        self.assertEqual(len(self.keys(2)), 1)
        self.server.stop()
        self.assertFalse(site.json('/status')['cache']['reachable'])
        self.assertEqual(site.ask('/')[0], 200)
        self.assertEqual(
            site.ask('/api/greetings', 'POST', {'name': 'Ada'})[0], 201)
        self.server.start()
        wait_until(lambda: site.json('/status')['cache']['reachable'],
                   'the cache to be reachable')
        self.assertEqual(site.json('/api/info')['greetings'], 1)
        self.assertEqual(len(self.keys(2)), 1)
        self.assertNotIn(CANARY, site.process.output())


class Sessions(RedisCase):
    """The set SESSION_REDIS_*."""

    def test_away_and_back(self):
        """Who signed in is signed in at every copy, and again afterwards."""
        component = self.component(**self.server.variables('SESSION', 3))
        made = component.manage(
            'createsuperuser', '--noinput', '--username', 'root', '--email',
            'root@example.org', DJANGO_SUPERUSER_PASSWORD='word')
        self.assertEqual(made.returncode, 0, made.stderr)
        first, second = component.start_web(), component.start_web()
        cookie = sign_in(first, 'root', 'word')
        self.assertEqual(len(self.keys(3)), 1)
        headers = {'Cookie': cookie}
        self.assertIn('Site administration',
                      second.ask('/admin/', headers=headers)[1])
        self.server.stop()
        # What needs no session goes on.
        self.assertEqual(first.ask('/', headers=headers)[0], 200)
        line = first.json('/status')['session']
        self.assertFalse(line['reachable'])
        self.assertIn('SESSION_REDIS_*', line['problem'])
        self.server.start()
        wait_until(lambda: first.json('/status')['session']['reachable'],
                   'the sessions to be reachable')
        self.assertIn('sessionid', sign_in(first, 'root', 'word'))


def sign_in(site, name, word):
    """Sign in at Django's admin and return the cookies."""
    from http.client import HTTPConnection
    from urllib.parse import urlencode
    connection = HTTPConnection('127.0.0.1', site.port)
    try:
        connection.request('GET', '/admin/login/')
        page = connection.getresponse()
        token = re.search('csrfmiddlewaretoken" value="([^"]+)',
                          page.read().decode()).group(1)
        csrf = page.headers['Set-Cookie'].split(';')[0]
        connection.close()
        connection.request('POST', '/admin/login/', urlencode({
            'username': name, 'password': word, 'next': '/admin/',
            'csrfmiddlewaretoken': token}), {
                'Cookie': csrf,
                'Content-Type': 'application/x-www-form-urlencoded'})
        answer = connection.getresponse()
        answer.read()
        return '; '.join(line.split(';')[0] for line in
                         answer.headers.get_all('Set-Cookie'))
    finally:
        connection.close()


class Broker(RedisCase):
    """Redis as celery's broker, by celery's own CELERY_BROKER_URL."""

    def test_quit_after_term_gives_a_task_back_at_once(self):
        """It is in the queue when the worker has ended, not an hour later."""
        component = self.component(CELERY_BROKER_URL=(
            f'redis://:{quote(PASSWORD, safe="")}@127.0.0.1:'
            f'{self.server.port}/0'))
        worker = component.start_worker()
        component.send('slow.delay(3600)')
        worker.wait_for('slow[')
        worker.popen.send_signal(signal.SIGTERM)
        worker.wait_for('Warm shutdown')
        worker.stop(signal.SIGQUIT)
        self.assertIn('celery', self.keys(0))
        component.start_worker().wait_for('slow[')
