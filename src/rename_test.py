#!/usr/bin/env python3
"""Shows that the component works under another name: ./rename_test.py.

A fork replaces app_dir by its own name in the contents and the names of all
files. This does so with a copy, and runs its checks, migrations and tests.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
# In two parts, or the fork's own copy of this test would rename nothing.
OLD = 'app' + '_dir'
NEW = 'shop'


def rename(folder):
    """Replace OLD by NEW in everything below ``folder``."""
    # Deepest first: the path of a file must not change before its turn.
    for path in sorted(folder.rglob('*'), reverse=True):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(
                OLD.encode(), NEW.encode()))
        if OLD in path.name:
            path.rename(path.with_name(path.name.replace(OLD, NEW)))


class Renamed(unittest.TestCase):
    """The component under another name."""

    def setUp(self):
        """Copy and rename it."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.src = Path(folder.name) / 'src'
        shutil.copytree(SOURCE, self.src, ignore=shutil.ignore_patterns(
            'var', 'static_root', 'db.sqlite3*', '.env', '.venv',
            '__pycache__'))
        rename(self.src)

    def run_in_copy(self, *words):
        """Run a command and fail with its output if it fails."""
        done = subprocess.run(
            words, cwd=self.src, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, 'DJANGO_DEBUG': 'True', 'PATH':
                 f'{Path(sys.executable).parent}:{os.environ["PATH"]}'})
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_it_works(self):
        """Checks, migrations, tests, and all four modes."""
        for path in self.src.rglob('*'):
            self.assertNotIn(OLD, str(path.relative_to(self.src)))
            if path.is_file():
                self.assertNotIn(OLD.encode(), path.read_bytes(), path)
        self.assertTrue((self.src / NEW / 'wsgi.py').exists())
        self.run_in_copy('./manage.py', 'check')
        self.run_in_copy('./manage.py', 'makemigrations', '--check')
        self.run_in_copy('./manage.py', 'migrate', '--noinput')
        self.assertIn('Hello, Ada', self.run_in_copy(
            './manage.py', 'greet', '--name', 'Ada'))
        # What takes long there has nothing to do with names.
        self.run_in_copy(
            './manage.py', 'test', '--parallel', '2', *(
                f'{NEW}.tests.test_{name}' for name in (
                    'environment', 'settings', 'site', 'tasks', 'services',
                    'processes.Modes')))


if __name__ == '__main__':
    unittest.main()
