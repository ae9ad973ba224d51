"""CouchDB, S3, Sentry and SMTP: used, away, and back again."""

import io
import json
import os
import shutil
import subprocess
from unittest.mock import patch

import boto3
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, TestCase, override_settings

from .. import appdata, servers
from ..models import Greeting
from ..reporting import without_values
from . import standins
from .component import Component, free_port, wait_until
from .quiet import setUpModule, tearDownModule  # noqa: F401


class AwayAndBack:
    """What holds for each of the servers.

    ``self.set`` names the set and ``self.server`` is the stand-in.
    """

    def line(self):
        """Return what /status says about the set."""
        return self.client.get('/status').json()[self.set]

    def test_status_follows_the_server(self):
        """Reachable, away with a hint, and reachable again by itself."""
        up = self.line()
        self.assertEqual((up['in_use'], up['reachable']), (True, True), up)
        self.server.close()
        down = self.line()
        self.assertEqual((down['in_use'], down['reachable']), (True, False))
        self.assertIn(servers.VARIABLES[self.set], down['problem'])
        self.server.start()
        self.assertTrue(self.line()['reachable'])


def serve(case, stand_in):
    """Start ``stand_in`` for the time of one test of ``case``."""
    server = stand_in()
    case.addCleanup(server.close)
    return server


def configure(case, **settings):
    """Override settings for the time of one test of ``case``."""
    override = override_settings(**settings)
    override.enable()
    case.addCleanup(override.disable)


class Documents(AwayAndBack, TestCase):
    """Documents in CouchDB, for staff."""

    set = 'couchdb'

    def setUp(self):
        """Start it and sign in."""
        self.server = serve(self, standins.CouchDB)
        configure(self, COUCHDB_HOST='127.0.0.1',
                  COUCHDB_PORT=self.server.port, COUCHDB_USERNAME='component',
                  COUCHDB_PASSWORD=standins.PASSWORD)
        self.user = get_user_model().objects.create_user('staff',
                                                         is_staff=True)
        self.client.force_login(self.user)

    def put(self, name, content):
        """Store a document."""
        return self.client.put(f'/api/documents/{name}', content,
                               content_type='application/json')

    def test_a_document_is_stored_read_and_changed(self):
        """The database is made with the first one."""
        self.assertEqual(self.server.databases, {})
        stored = self.put('a b', {'x': 1})
        self.assertEqual(stored.status_code, 201, stored.content)
        read = self.client.get('/api/documents/a b').json()
        self.assertEqual(read['x'], 1)
        changed = self.put('a b', {'x': 2, '_rev': read['_rev']})
        self.assertEqual(changed.status_code, 201)
        self.assertEqual(self.put('a b', {'x': 3}).status_code, 409)
        self.assertEqual(self.client.get('/api/documents/a b').json()['x'], 2)

    def test_what_is_no_document(self):
        """Each is told apart."""
        self.assertEqual(self.client.get('/api/documents/x').status_code, 404)
        for content in ('[]', 'x', '1', b'\xff'):
            self.assertEqual(self.put('x', content).status_code, 400, content)
        self.assertEqual(self.put('_design', {}).status_code, 400)
        self.assertEqual(self.client.get('/api/documents/a%2F_all_docs')
                         .status_code, 404)

    def test_visitors_see_nothing(self):
        """Neither those who did not sign in nor those who are not staff."""
        self.user.is_staff = False
        self.user.save()
        self.assertEqual(self.client.get('/api/documents/x').status_code, 403)
        self.client.logout()
        self.assertEqual(self.put('x', {}).status_code, 403)

    def test_a_wrong_password(self):
        """The answer names the variables and holds no value."""
        with override_settings(COUCHDB_PASSWORD='Canary-wrong'):
            answer = self.client.get('/api/documents/x')
            line = self.line()
        self.assertEqual(answer.status_code, 503)
        self.assertIn('COUCHDB_*', answer.json()['problem'])
        self.assertFalse(line['reachable'])
        self.assertNotIn('Canary', answer.content.decode() + json.dumps(line))


class ApplicationData(AwayAndBack, TestCase):
    """Objects in S3."""

    set = 'appdata'

    def setUp(self):
        """Start it and make the bucket."""
        self.server = serve(self, standins.S3)
        self.configure(f'http://127.0.0.1:{self.server.port}')

    def configure(self, url):
        """Use the S3 at ``url``."""
        variables = patch.dict(
            os.environ, AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID='component',
            AWS_SECRET_ACCESS_KEY='secret', AWS_EC2_METADATA_DISABLED='true')
        variables.start()
        self.addCleanup(variables.stop)
        configure(self, APPDATA_BUCKET='shared', APPDATA_PREFIX='product/one',
                  AWS_REGION='ap-southeast-2')
        appdata.client().create_bucket(
            Bucket='shared', CreateBucketConfiguration={
                'LocationConstraint': 'ap-southeast-2'})

    def test_an_export_is_stored_below_the_prefix(self):
        """The command prints the key of what it wrote."""
        Greeting.objects.greet('Ada', Greeting.Source.WEB)
        printed = io.StringIO()
        call_command('export_greetings', stdout=printed)
        key = printed.getvalue().strip()
        self.assertTrue(
            key.startswith('product/one/app_dir/exports/'), key)
        self.assertEqual(json.loads(appdata.load(key))[0]['name'], 'Ada')

    def test_instances_share_a_bucket(self):
        """Nothing of theirs is overwritten or listed; ours comes in order."""
        ours = [appdata.save('exports', b'%d' % number)
                for number in range(5)]
        with override_settings(APPDATA_PREFIX='product/two'):
            theirs = appdata.save('exports', b'theirs')
        self.assertEqual(len({*ours, theirs}), 6)
        self.assertEqual(appdata.keys('exports'), ours)
        self.assertEqual([appdata.load(key) for key in ours],
                         [b'0', b'1', b'2', b'3', b'4'])

    def test_the_region_is_the_contracts(self):
        """The signature is made for it."""
        appdata.ping()
        self.assertEqual(self.server.regions, {'ap-southeast-2'})

    def test_a_bucket_that_is_not_there(self):
        """The command says so and names the variables."""
        with override_settings(APPDATA_BUCKET='none'):
            with self.assertRaisesMessage(
                    CommandError, 'cannot export: NoSuchBucket, see APPDATA'):
                call_command('export_greetings')

    def test_without_a_prefix(self):
        """No key begins with a slash."""
        with override_settings(APPDATA_PREFIX=''):
            self.assertEqual(appdata.prefix('x'), 'app_dir/x/')
            self.assertEqual(appdata.prefix(''), 'app_dir/')


if shutil.which('moto_server'):
    class ApplicationDataOnMoto(ApplicationData):
        """The same against another hand's S3."""

        test_status_follows_the_server = None
        test_the_region_is_the_contracts = None

        def setUp(self):
            """Start it as a process."""
            port = free_port()
            process = subprocess.Popen(
                ['moto_server', '-H', '127.0.0.1', '-p', str(port)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            url = f'http://127.0.0.1:{port}'
            wait_until(lambda: answers(url), 'moto_server')
            self.configure(url)


def answers(url):
    """Return whether an S3 answers at ``url``."""
    try:
        boto3.client('s3', endpoint_url=url, region_name='x',
                     aws_access_key_id='x',
                     aws_secret_access_key='x').list_buckets()
        return True
    except Exception:
        return False


class Mail(AwayAndBack, TestCase):
    """Mail by SMTP."""

    set = 'smtp'

    def setUp(self):
        """Start it; Django's tests would keep mail in memory."""
        self.server = serve(self, standins.SMTP)
        configure(self, SMTP_HOST='127.0.0.1', EMAIL_HOST='127.0.0.1',
                  EMAIL_PORT=self.server.port, EMAIL_HOST_USER='component',
                  EMAIL_HOST_PASSWORD=standins.PASSWORD,
                  DEFAULT_FROM_EMAIL='site@example.org', EMAIL_BACKEND=(
                      'django.core.mail.backends.smtp.EmailBackend'))

    def greet(self):
        """Greet by mail."""
        call_command('greet', '--name', 'Ada', '--email', 'ada@example.org',
                     stdout=io.StringIO())

    def test_a_greeting_arrives(self):
        """From the contract's sender, after signing in."""
        self.greet()
        sent, = self.server.mails
        self.assertIn('From: site@example.org', sent)
        self.assertIn('Hello, Ada', sent)
        self.assertEqual(mail.outbox, [])

    def test_a_wrong_password(self):
        """One line that names the variables."""
        with override_settings(EMAIL_HOST_PASSWORD='Canary'):
            with self.assertRaises(CommandError) as caught:
                self.greet()
        self.assertIn('see SMTP_*', str(caught.exception))
        self.assertNotIn('Canary', str(caught.exception))


class Reports(SimpleTestCase):
    """Errors of the site and of tasks are sent to Sentry."""

    def test_errors_arrive_without_values(self):
        """One of a request and one of a task, both as they happen."""
        server = serve(self, standins.Sentry)
        with Component(DJANGO_SECRET_KEY='CanaryKey',
                       SENTRY_DSN=server.dsn) as component:
            site = component.start_web()
            self.assertTrue(site.json('/status')['sentry']['reachable'])
            # There are no tables yet: a session cannot be looked up.
            status, _ = site.ask('/admin/login/', 'POST', {
                'password': 'CanaryWord'}, {
                    'Cookie': 'sessionid=CanarySession', 'Host': 'localhost'})
            self.assertEqual(status, 403)
            status, _ = site.ask('/admin/', headers={
                'Cookie': 'sessionid=CanarySession', 'Host': 'localhost'})
            self.assertEqual(status, 500)
            wait_until(server.errors, 'the error of the request')
            worker = component.start_worker()
            component.send("slow.delay('CanaryArgument')")
            worker.wait_for('TypeError')
            wait_until(lambda: len(server.errors()) > 1,
                       'the error of the task')
        self.assertIn('OperationalError', server.errors()[0])
        self.assertIn('TypeError', server.errors()[1])
        self.assertNotIn('Canary', ''.join(server.reports))

    def test_the_control(self):
        """What the library collects holds all of these."""
        event = {
            'exception': {'values': [{'stacktrace': {'frames': [
                {'function': 'f', 'vars': {'x': 'Canary'}}]}}, {}]},
            'stacktrace': {'frames': [{'vars': {'x': 'Canary'}}]},
            'request': {'url': '/', 'data': {'x': 'Canary'}},
            'extra': {'sys.argv': ['Canary'],
                      'celery-job': {'args': ['Canary']}}}
        cleaned = without_values(json.loads(json.dumps(event)), {})
        self.assertNotIn('Canary', json.dumps(cleaned))
        self.assertEqual(cleaned['request'], {'url': '/'})
        self.assertEqual(without_values({'message': 'm'}, {}),
                         {'message': 'm'})
