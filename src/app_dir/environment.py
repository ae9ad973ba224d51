"""Reading of the environment: the only source of configuration.

The rules are those of the environment contract: an empty variable is an
unset one, booleans are the words that people write, any variable X of the
contract may come as the path of a file in X_FILE, and every problem is told
at once.
"""

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset(('true', 'on', 'ok', 'y', 'yes', '1'))
FALSE = frozenset(('false', 'off', 'n', 'no', '0'))


class ConfigurationError(ImproperlyConfigured):
    """The environment breaks the contract; the message is one line."""


class Environment:
    """Typed access to variables that collects problems as it goes.

    A problem names the variable and the form that is wanted, never the
    value: it may be a secret in the wrong place. The caller owes a call of
    ``raise_for_problems`` when everything has been read.
    """

    def __init__(self, variables):
        """Read from the mapping ``variables``."""
        self._variables = variables
        self.problems = []

    def text(self, name, default=''):
        """Return the value of ``name``, or that of the file in name_FILE."""
        value = self._variables.get(name, '')
        path = self._variables.get(name + '_FILE', '')
        if path:
            if value:
                self.problems.append(
                    f'{name} and {name}_FILE are both set, leave one')
            value = self._content(name + '_FILE', path)
        return value or default

    def _content(self, name, path):
        if not os.path.isfile(path):
            self.problems.append(f'{name} does not name a plain file')
            return ''
        try:
            content = Path(path).read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, 'strerror', None) or 'it is not UTF-8'
            self.problems.append(f'cannot read the file of {name}: {reason}')
            return ''
        if '\0' in content:
            self.problems.append(f'the file of {name} holds a NUL')
            return ''
        # Editors and echo end a file with a newline; one is cut, no more.
        if content.endswith('\n'):
            content = content[:-1]
            if content.endswith('\r'):
                content = content[:-1]
        return content

    def boolean(self, name, default=False):
        """Return True or False as the contract reads the words."""
        word = self.text(name).strip().lower()
        if not word:
            return default
        if word not in TRUE | FALSE:
            self.problems.append(
                f'{name} is not a boolean, wanted: '
                'true, on, ok, y, yes, 1, false, off, n, no or 0')
        return word in TRUE

    def number(self, name, default, least=0, most=None):
        """Return a whole number between ``least`` and ``most``."""
        word = self.text(name).strip()
        if not word:
            return default
        if not (word.isascii() and word.isdigit()) or int(word) < least or (
                most is not None and int(word) > most):
            upper = '' if most is None else f' to {most}'
            problem = f'{name} is not a number from {least}{upper}'
            if '://' in word:
                problem += (', a Kubernetes Service of that name sets it:'
                            ' enableServiceLinks: false')
            self.problems.append(problem)
            return default
        return int(word)

    def port(self, name, default):
        """Return a TCP port."""
        return self.number(name, default, least=1, most=65535)

    def required(self, name, because):
        """Return the value of ``name``; without one it is a problem."""
        value = self.text(name)
        if not value:
            self.problems.append(f'{name} is missing, {because}')
        return value

    def raise_for_problems(self):
        """Raise one ConfigurationError that lists every problem."""
        if self.problems:
            raise ConfigurationError(
                'cannot configure the component: ' + '; '.join(self.problems))


def read_dotenv(path):
    """Add what the file ``path`` sets to os.environ, whose own values win.

    For development without entrypoint, which merges the file by itself. On
    any platform but a local one the file is not looked at: a forgotten .env
    in an image must not configure production.
    """
    if os.environ.get('APP_PLATFORM', '') not in ('', 'local'):
        return
    if not os.path.isfile(path):
        return
    try:
        from dotenv import load_dotenv
    except ImportError:
        print(f'cannot read {path}: python-dotenv is not installed',
              file=sys.stderr)
        return
    load_dotenv(path)
