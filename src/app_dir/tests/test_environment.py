"""The rules of the environment contract."""

import os
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

from ..environment import ConfigurationError, Environment


class Values(SimpleTestCase):
    """Text, booleans and numbers."""

    def test_booleans_are_the_words_of_the_contract(self):
        """Any case, white space around; anything else is a problem."""
        words = {True: ('true', 'on', 'ok', 'y', 'yes', '1'),
                 False: ('false', 'off', 'n', 'no', '0')}
        for wanted, spellings in words.items():
            for word in spellings:
                for spelling in (word, word.upper(), f' {word}\n'):
                    environment = Environment({'X': spelling})
                    self.assertIs(environment.boolean('X'), wanted, spelling)
                    self.assertEqual(environment.problems, [], spelling)
        for word in ('maybe', 't', '2', 'none', 'truetrue'):
            environment = Environment({'X': word})
            environment.boolean('X')
            self.assertEqual(len(environment.problems), 1, word)

    def test_an_empty_variable_is_an_unset_one(self):
        """Defaults stand in for both."""
        for variables in ({}, {'X': ''}):
            environment = Environment(variables)
            self.assertEqual(environment.text('X', 'default'), 'default')
            self.assertIs(environment.boolean('X', True), True)
            self.assertEqual(environment.port('X', 5432), 5432)
            self.assertEqual(environment.problems, [])

    def test_ports(self):
        """Whole numbers that a port can have."""
        for word, wanted in (('1', 1), ('65535', 65535), (' 80 ', 80)):
            self.assertEqual(Environment({'X': word}).port('X', 0), wanted)
        for word in ('0', '65536', '-1', '5.4', '5e3', 'x', '٣', '²',
                     '99999999999999999999'):
            environment = Environment({'X': word})
            self.assertEqual(environment.port('X', 7), 7)
            self.assertEqual(len(environment.problems), 1, word)

    def test_a_service_link_of_kubernetes_is_named_as_such(self):
        """The message says what to turn off."""
        environment = Environment({'RABBITMQ_PORT': 'tcp://10.0.0.1:5672'})
        environment.port('RABBITMQ_PORT', 5672)
        self.assertIn('enableServiceLinks: false', environment.problems[0])

    def test_all_problems_come_at_once_without_a_value(self):
        """One line that names every variable."""
        environment = Environment({'A': 'canary-a', 'B': 'canary-b'})
        environment.boolean('A')
        environment.port('B', 1)
        environment.required('C', 'it is required')
        with self.assertRaises(ConfigurationError) as caught:
            environment.raise_for_problems()
        message = str(caught.exception)
        for name in 'ABC':
            self.assertRegex(message, rf'\b{name} ')
        self.assertNotIn('canary', message)
        self.assertNotIn('\n', message)


class ValuesInFiles(SimpleTestCase):
    """X_FILE."""

    def setUp(self):
        """Make a folder for the files."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def read(self, content):
        """Return the value that a file of ``content`` gives, and problems."""
        path = self.folder / 'secret'
        path.write_bytes(content)
        environment = Environment({'X_FILE': str(path)})
        return environment.text('X'), environment.problems

    def test_one_newline_at_the_end_is_cut(self):
        """What an editor adds, not what belongs to the secret."""
        for content, wanted in (
                (b'word', 'word'), (b'word\n', 'word'), (b'word\r\n', 'word'),
                (b'word\n\n', 'word\n'), (b' w\nx ', ' w\nx '), (b'\n', '')):
            self.assertEqual(self.read(content), (wanted, []), content)

    def test_files_that_cannot_be_a_value(self):
        """Each is a problem that names the variable, not the content."""
        for content in (b'canary\0', b'canary\xff'):
            value, problems = self.read(content)
            self.assertEqual((value, len(problems)), ('', 1))
            self.assertIn('X_FILE', problems[0])
            self.assertNotIn('canary', problems[0])
        os.mkfifo(self.folder / 'pipe')
        for path in ('missing', 'pipe', '.'):
            environment = Environment({'X_FILE': str(self.folder / path)})
            environment.text('X')
            self.assertEqual(len(environment.problems), 1, path)

    def test_both_set_is_a_problem(self):
        """Nobody can tell which one was meant."""
        path = self.folder / 'secret'
        path.write_text('word')
        environment = Environment({'X': 'other', 'X_FILE': str(path)})
        environment.text('X')
        self.assertIn('both set', environment.problems[0])
