"""The pages and the JSON."""

import json
from unittest.mock import patch

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import DatabaseError
from django.test import TestCase, override_settings
from django.views.debug import get_default_exception_reporter_filter

from .. import parts, tasks
from ..models import Greeting
from .quiet import setUpModule, tearDownModule  # noqa: F401


class Page(TestCase):
    """The page at / and its JSON."""

    def setUp(self):
        """Forget what another test cached."""
        cache.clear()

    def test_the_page_says_what_it_runs_on(self):
        """Mode, copy, process, and the kinds of the parts."""
        with patch.dict('os.environ', APP_RUN_MODE='WEB', APP_WORKER_INDEX='2',
                        APP_WORKER_TOTAL='3'), patch.object(
                            parts.os, 'getpid', return_value=4711):
            page = self.client.get('/').content.decode()
        for words in ('<dd>WEB</dd>', '<dd>2 of 3</dd>', '<dd>4711</dd>',
                      f'<dd>{parts.connection.vendor}</dd>',
                      f'<dd>{parts.broker()}</dd>'):
            self.assertIn(words, page)

    def test_the_json_says_the_same_and_counts(self):
        """For programs."""
        Greeting.objects.greet('Ada', Greeting.Source.WEB)
        answer = self.client.get('/api/info')
        self.assertEqual(answer['Content-Type'], 'application/json')
        content = answer.json()
        self.assertEqual(content['greetings'], 1)
        self.assertEqual({**content, 'greetings': None},
                         {**parts.parts(), 'greetings': None})

    def test_names_are_escaped(self):
        """A visitor's name is not a script."""
        Greeting.objects.greet('<script>', Greeting.Source.WEB)
        page = self.client.get('/').content.decode()
        self.assertIn('Hello, &lt;script&gt;', page)
        self.assertNotIn('Hello, <script>', page)

    def test_without_a_database_the_page_says_so(self):
        """It is what somebody looks at to find out."""
        with patch.object(Greeting.objects, 'cached_count',
                          side_effect=DatabaseError('canary')):
            page = self.client.get('/')
            content = self.client.get('/api/info').json()
        self.assertContains(page, 'The database cannot be used')
        self.assertNotContains(page, 'canary')
        self.assertIsNone(content['greetings'])

    def test_only_reading(self):
        """The rest is not allowed."""
        for path in ('/', '/api/info', '/status'):
            self.assertEqual(self.client.head(path).status_code, 200)
            self.assertEqual(self.client.post(path).status_code, 405)


class Greetings(TestCase):
    """POST /api/greetings."""

    def test_a_name_is_greeted_and_counted_at_once(self):
        """The cached count does not lag behind the row."""
        cache.clear()
        self.assertEqual(Greeting.objects.cached_count(), 0)
        with self.captureOnCommitCallbacks(execute=True):
            answer = self.client.post('/api/greetings', {'name': ' Ada '})
        self.assertEqual((answer.status_code, answer.json()),
                         (201, {'said': 'Hello, Ada'}))
        self.assertEqual(Greeting.objects.cached_count(), 1)
        self.assertEqual(Greeting.objects.get().source, 'web')

    def test_a_worker_may_do_it(self):
        """The task is sent with the name."""
        with patch.object(tasks.greet, 'delay') as delay:
            answer = self.client.post('/api/greetings',
                                      {'name': 'Ada', 'by': 'worker'})
        self.assertEqual(answer.status_code, 202)
        delay.assert_called_once_with('Ada')
        self.assertFalse(Greeting.objects.exists())

    def test_bad_names(self):
        """Nothing is stored."""
        for name in ('', '  ', 'x' * 101, 'a\0b'):
            answer = self.client.post('/api/greetings', {'name': name})
            self.assertEqual(answer.status_code, 400, name)
        self.assertFalse(Greeting.objects.exists())

    def test_servers_that_are_away(self):
        """503, and no word of the driver's."""
        with patch.object(tasks.greet, 'delay',
                          side_effect=tasks.greet.OperationalError('canary')):
            answer = self.client.post('/api/greetings',
                                      {'name': 'Ada', 'by': 'worker'})
        self.assertEqual(answer.status_code, 503)
        self.assertNotContains(answer, 'canary', status_code=503)
        with patch.object(Greeting.objects, 'greet',
                          side_effect=DatabaseError('canary')):
            answer = self.client.post('/api/greetings', {'name': 'Ada'})
        self.assertNotContains(answer, 'canary', status_code=503)

    def test_the_form_goes_back_to_the_page(self):
        """With what went wrong, and in no other words than ours."""
        html = {'HTTP_ACCEPT': 'text/html,*/*'}
        answer = self.client.post('/api/greetings', {'name': 'Ada'}, **html)
        self.assertRedirects(answer, '/')
        answer = self.client.post('/api/greetings', {'name': ''}, **html,
                                  follow=True)
        self.assertContains(answer, 'Not greeted: wanted: a name')
        page = self.client.get('/', {'failed': 'call 555-0100'})
        self.assertNotContains(page, '555')


@override_settings(DEBUG=False, ALLOWED_HOSTS=['www.example.org'],
                   SECURE_SSL_REDIRECT=True)
class Alive(TestCase):
    """GET /healthz."""

    def test_it_answers_whoever_asks(self):
        """By any name, in plain http, without a query."""
        with self.assertNumQueries(0):
            answer = self.client.get('/healthz', HTTP_HOST='10.0.0.7:8000')
        self.assertEqual((answer.status_code, answer.content),
                         (200, b'alive\n'))

    def test_other_pages_do_not(self):
        """The control: this is what would happen to /healthz."""
        self.assertEqual(self.client.get(
            '/', HTTP_HOST='www.example.org').status_code, 301)
        self.assertEqual(self.client.get(
            '/', HTTP_HOST='10.0.0.7:8000', secure=True).status_code, 400)


class Status(TestCase):
    """GET /status."""

    def test_unused_sets_are_not_asked(self):
        """Each set of the contract is listed."""
        report = self.client.get('/status').json()
        self.assertEqual(set(report), {
            'database', 'rabbitmq', 'session', 'cache', 'couchdb', 'sentry',
            'smtp', 'appdata', 'search'})
        self.assertEqual(report['couchdb'], {'in_use': False})


CANARY = 'Canary7'


class NoSecrets(TestCase):
    """What a visitor must never see."""

    def test_no_page_holds_a_secret(self):
        """Every password and host of every set is a canary."""
        away = {'host': f'{CANARY}.invalid', 'word': CANARY}
        changed = {
            'SECRET_KEY': CANARY, 'DATABASE_HOST': '',
            'COUCHDB_HOST': '127.0.0.1', 'COUCHDB_PORT': 1,
            'COUCHDB_USERNAME': CANARY, 'COUCHDB_PASSWORD': CANARY,
            'SENTRY_DSN': f'http://{CANARY}@127.0.0.1:1/{CANARY}',
            'SMTP_HOST': '127.0.0.1', 'EMAIL_HOST': '127.0.0.1',
            'EMAIL_PORT': 1,
            'EMAIL_HOST_PASSWORD': CANARY,
            'SEARCH_ENDPOINT': f'http://u:{CANARY}@127.0.0.1:1',
            'RABBITMQ_HOST': away['host'],
        }
        variables = {name: CANARY for name in (
            'DATABASE_PASSWORD', 'RABBITMQ_PASSWORD', 'SMTP_PASSWORD',
            'AWS_SECRET_ACCESS_KEY')}
        with override_settings(**changed), patch.dict('os.environ',
                                                      variables):
            for path in ('/', '/api/info', '/status', '/healthz', '/none'):
                answer = self.client.get(path)
                self.assertNotIn(CANARY, answer.content.decode(), path)
            report = self.client.get('/status').json()
        self.assertEqual(
            {name for name, line in report.items() if line['in_use']},
            {'couchdb', 'sentry', 'smtp', 'search', 'rabbitmq'}
            | ({'database'} if settings.DATABASE_HOST else set()))
        for name in ('couchdb', 'sentry', 'smtp', 'search'):
            self.assertFalse(report[name]['reachable'])
            self.assertIn(', see ', report[name]['problem'])


@override_settings(
    DEBUG=True, SENTRY_DSN=f'https://{CANARY}@x/1',
    CELERY_BROKER_URL=f'amqp://u:{CANARY}@x', DATABASE_PASSWORD=CANARY,
    CACHES={**settings.CACHES, 'x': {
        'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': 'redis://x',
        'OPTIONS': {'PASSWORD': CANARY}}})
class DebugPage(TestCase):
    """The page of an error under DEBUG."""

    def page(self):
        """Return one; it shows settings and the WSGI environment."""
        get_default_exception_reporter_filter.cache_clear()
        self.addCleanup(get_default_exception_reporter_filter.cache_clear)
        self.client.raise_request_exception = False
        with patch.object(Greeting.objects, 'cached_count',
                          side_effect=ArithmeticError):
            answer = self.client.get('/', DATABASE_PASSWORD=CANARY,
                                     SENTRY_DSN=CANARY)
        self.assertEqual(answer.status_code, 500)
        self.assertContains(answer, 'CELERY_BROKER_URL', status_code=500)
        return answer.content.decode()

    def test_it_holds_no_secret(self):
        """Neither in passwords nor in addresses."""
        self.assertNotIn(CANARY, self.page())

    @override_settings(DEFAULT_EXCEPTION_REPORTER_FILTER=(
        'django.views.debug.SafeExceptionReporterFilter'))
    def test_the_control(self):
        """Django by itself does not look into addresses."""
        self.assertIn(CANARY, self.page())


class Documents(TestCase):
    """/api/documents without a CouchDB."""

    def test_it_says_that_couchdb_is_not_in_use(self):
        """Harmless."""
        answer = self.client.get('/api/documents/x')
        self.assertEqual(answer.status_code, 404)
        self.assertIn('COUCHDB_USERNAME', answer.json()['problem'])


class Admin(TestCase):
    """Django's admin."""

    def test_greetings_are_there(self):
        """For a superuser."""
        user = get_user_model().objects.create_superuser('root')
        self.client.force_login(user)
        Greeting.objects.greet('Ada', Greeting.Source.WEB)
        self.assertContains(
            self.client.get('/admin/app_dir/greeting/'), 'Ada')


class Json(TestCase):
    """What JSON of ours can carry."""

    def test_numbers_are_numbers(self):
        """So that a program can compare them."""
        content = json.loads(self.client.get('/api/info').content)
        for name in ('copy', 'copies', 'pid', 'greetings'):
            self.assertIsInstance(content[name], int)
