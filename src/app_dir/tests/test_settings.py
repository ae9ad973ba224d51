"""The settings that an environment makes, each in a process of its own."""

import json
import os
from pathlib import Path

from django.test import SimpleTestCase

from .component import Component

PRINT = '''
import json, os, sys
from django.conf import settings
print(json.dumps({name: getattr(settings, name, None)
                  for name in json.loads(sys.argv[1])}, default=str))
'''


class SettingsCase(SimpleTestCase):
    """Tests with one copy of the component."""

    @classmethod
    def setUpClass(cls):
        """Copy the component."""
        super().setUpClass()
        cls.component = Component()
        cls.addClassCleanup(cls.component.close)

    def settings_of(self, *names, **variables):
        """Return the named settings under ``variables``."""
        printed = self.component.run(
            'python3', '-c', PRINT, json.dumps(names),
            DJANGO_SETTINGS_MODULE='app_dir.settings', **variables)
        self.assertEqual(printed.returncode, 0, printed.stderr)
        values = json.loads(printed.stdout)
        return values if len(names) > 1 else values[names[0]]

    def refusal(self, **variables):
        """Return the one line with which manage.py refuses to start."""
        refused = self.component.manage('check', **variables)
        self.assertEqual(refused.returncode, 78, refused.stderr)
        self.assertEqual(refused.stderr.count('\n'), 1, refused.stderr)
        return refused.stderr


class Django(SettingsCase):
    """The Django set."""

    def test_a_key_is_required_unless_debug(self):
        """The message says so; with the key it starts."""
        self.assertIn('DJANGO_SECRET_KEY is missing', self.refusal())
        self.assertIn('DJANGO_SECRET_KEY', self.refusal(DJANGO_DEBUG='no'))
        key, debug = self.settings_of(
            'SECRET_KEY', 'DEBUG', DJANGO_SECRET_KEY='k').values()
        self.assertEqual((key, debug), ('k', False))
        self.assertIs(self.settings_of('DEBUG', DJANGO_DEBUG='yes'), True)

    def test_hosts_come_from_the_base_url(self):
        """And this machine's own names; under debug any."""
        local = ['localhost', '127.0.0.1', '[::1]']
        for variables, wanted in (
                ({'DJANGO_DEBUG': '1'}, ['*']),
                ({'DJANGO_SECRET_KEY': 'k'}, local),
                ({'DJANGO_SECRET_KEY': 'k',
                  'BASE_URL': 'https://www.example.org:8443/x'},
                 local + ['www.example.org'])):
            self.assertEqual(
                self.settings_of('ALLOWED_HOSTS', **variables), wanted)

    def test_https_makes_cookies_secure(self):
        """Plain http does not: nobody could sign in."""
        for url, wanted in (('https://a.example', True),
                            ('http://a.example', None)):
            self.assertEqual(self.settings_of(
                'SESSION_COOKIE_SECURE', 'CSRF_COOKIE_SECURE',
                DJANGO_DEBUG='1', BASE_URL=url)['CSRF_COOKIE_SECURE'] or None,
                wanted)

    def test_every_problem_is_told_at_once(self):
        """One line with all the names and none of the values."""
        line = self.refusal(
            DJANGO_DEBUG='canary', BASE_URL='canary', DATABASE_HOST='canary',
            DATABASE_PORT='canary', DATABASE_ENGINE='canary',
            DJANGO_TIMEZONE='canary', RABBITMQ_HOST='canary',
            COUCHDB_USERNAME='canary', SMTP_USE_TLS='canary')
        for name in ('DJANGO_DEBUG', 'DJANGO_SECRET_KEY', 'BASE_URL',
                     'DJANGO_TIMEZONE', 'DATABASE_PORT', 'DATABASE_NAME',
                     'DATABASE_ENGINE', 'DATABASE_USERNAME',
                     'DATABASE_PASSWORD', 'RABBITMQ_USERNAME',
                     'RABBITMQ_PASSWORD', 'COUCHDB_PASSWORD', 'SMTP_USE_TLS'):
            self.assertRegex(line, rf'\b{name} (is|are) ')
        self.assertNotIn('canary', line)


class Sets(SettingsCase):
    """The optional sets."""

    def test_without_any_set_everything_is_embedded(self):
        """SQLite, the filesystem broker, sessions and cache in SQL."""
        made = self.settings_of(
            'DATABASES', 'CELERY_BROKER_URL', 'CACHES', 'SESSION_ENGINE',
            'EMAIL_BACKEND', DJANGO_DEBUG='1')
        self.assertEqual(made['DATABASES']['default']['NAME'],
                         str(self.component.src / 'db.sqlite3'))
        self.assertEqual(made['CELERY_BROKER_URL'], 'filesystem://localhost')
        self.assertIn('DatabaseCache', made['CACHES']['default']['BACKEND'])
        self.assertEqual(made['SESSION_ENGINE'],
                         'django.contrib.sessions.backends.db')
        self.assertIn('console', made['EMAIL_BACKEND'])

    def test_database(self):
        """It is PostgreSQL unless told; the password may be in a file."""
        login = {'DJANGO_DEBUG': '1', 'DATABASE_HOST': 'db',
                 'DATABASE_NAME': 'n', 'DATABASE_USERNAME': 'u'}
        word = self.component.folder / 'word'
        word.write_text('pa$S%w\n')
        made = self.settings_of('DATABASES', DATABASE_PASSWORD_FILE=str(word),
                                **login)['default']
        self.assertEqual(
            [made[name] for name in ('ENGINE', 'HOST', 'PORT', 'NAME', 'USER',
                                     'PASSWORD')],
            ['django.db.backends.postgresql', 'db', 5432, 'n', 'u', 'pa$S%w'])
        for engine, wanted, port in (
                ('mysql', 'django.db.backends.mysql', 3306),
                ('django.db.backends.postgresql',
                 'django.db.backends.postgresql', 5432)):
            made = self.settings_of(
                'DATABASES', DATABASE_ENGINE=engine, DATABASE_PASSWORD='p',
                **login)['default']
            self.assertEqual((made['ENGINE'], made['PORT']), (wanted, port))

    def test_sqlite_elsewhere(self):
        """A file may be named."""
        made = self.settings_of('DATABASES', DJANGO_DEBUG='1',
                                DATABASE_ENGINE='sqlite3',
                                DATABASE_NAME='/tmp/elsewhere.db')
        self.assertEqual(made['default']['NAME'], '/tmp/elsewhere.db')

    def test_rabbitmq(self):
        """Login and virtual host are quoted for the URL."""
        login = {'DJANGO_DEBUG': '1', 'RABBITMQ_HOST': 'mq',
                 'RABBITMQ_USERNAME': 'u@x', 'RABBITMQ_PASSWORD': 'p/w%:'}
        self.assertEqual(self.settings_of('CELERY_BROKER_URL', **login),
                         'amqp://u%40x:p%2Fw%25%3A@mq:5672/%2F')
        login.update(RABBITMQ_HOST='::1', RABBITMQ_VHOST='a b')
        self.assertEqual(self.settings_of('CELERY_BROKER_URL', **login),
                         'amqp://u%40x:p%2Fw%25%3A@[::1]:5672/a%20b')

    def test_redis(self):
        """Sessions and cache each have a server of their own."""
        made = self.settings_of(
            'CACHES', 'SESSION_ENGINE', DJANGO_DEBUG='1',
            SESSION_REDIS_HOST='s', SESSION_REDIS_DB='3',
            CACHE_REDIS_HOST='c', CACHE_REDIS_PORT='7000')
        self.assertEqual(made['CACHES']['sessions']['LOCATION'],
                         'redis://s:6379/3')
        self.assertEqual(made['CACHES']['default']['LOCATION'],
                         'redis://c:7000/0')
        self.assertEqual(made['SESSION_ENGINE'],
                         'django.contrib.sessions.backends.cache')


class Dotenv(SettingsCase):
    """The file .env, read by the component itself."""

    def setUp(self):
        """Write one."""
        self.path = self.component.src / '.env'
        self.path.write_text('DJANGO_SECRET_KEY="from the file"\n'
                             'DJANGO_TIMEZONE=Europe/Berlin\n')
        self.addCleanup(self.path.unlink)

    def test_it_is_read_locally(self):
        """Without a platform, and on the one called local."""
        for variables in ({}, {'APP_PLATFORM': 'local'}):
            self.assertEqual(self.settings_of('SECRET_KEY', **variables),
                             'from the file')

    def test_the_real_environment_wins(self):
        """Variable by variable."""
        self.assertEqual(
            self.settings_of('SECRET_KEY', 'TIME_ZONE', DJANGO_SECRET_KEY='k'),
            {'SECRET_KEY': 'k', 'TIME_ZONE': 'Europe/Berlin'})

    def test_it_is_not_read_on_any_other_platform(self):
        """A file left in an image does not configure production."""
        for platform in ('ecs', 'kubernetes', 'lambda', 'codeontap'):
            self.assertIn('DJANGO_SECRET_KEY is missing',
                          self.refusal(APP_PLATFORM=platform))


class Places(SettingsCase):
    """Where the embedded parts write."""

    def test_beside_the_code(self):
        """In a checkout a developer finds the files."""
        self.assertEqual(self.settings_of('STATE_DIR', DJANGO_DEBUG='1'),
                         str(self.component.src / 'var'))

    def test_below_tmpdir_where_the_code_cannot_be_written(self):
        """A read-only image; every process finds the same folder."""
        temporary = self.component.folder / 'temporary'
        temporary.mkdir()
        # A file in the place of the folder stands for a read-only root,
        # which would not stop root.
        var = self.component.src / 'var'
        if var.is_dir():
            (var / 'broker').rmdir()
            var.rmdir()
        var.write_text('')
        self.addCleanup(var.unlink)
        made = [self.settings_of('STATE_DIR', 'DATABASES', DJANGO_DEBUG='1',
                                 TMPDIR=str(temporary)) for _ in range(2)]
        self.assertEqual(made[0], made[1])
        state = temporary / f'app_dir-{os.getuid()}'
        self.assertEqual(made[0]['STATE_DIR'], str(state))
        self.assertEqual(made[0]['DATABASES']['default']['NAME'],
                         str(state / 'db.sqlite3'))
        self.assertEqual(state.stat().st_mode & 0o777, 0o700)

    def test_a_link_that_somebody_left_in_tmp_is_not_followed(self):
        """The next place is taken."""
        temporary = self.component.folder / 'shared'
        theirs = self.component.folder / 'theirs'
        temporary.mkdir()
        theirs.mkdir()
        name = f'app_dir-{os.getuid()}'
        (temporary / name).symlink_to(theirs)
        from ..places import state_folder
        with self.modified(TMPDIR=str(temporary)):
            chosen = state_folder(Path('/proc/none'))
        self.assertNotEqual(chosen, temporary / name)

    def modified(self, **variables):
        """Return a context in which os.environ holds ``variables``."""
        from unittest.mock import patch
        return patch.dict(os.environ, variables)
