"""What manage.py tells a person when it cannot start."""

import sys
from contextlib import contextmanager

from .environment import ConfigurationError

# The codes that entrypoint uses, from sysexits.h.
EX_UNAVAILABLE = 69
EX_CONFIG = 78


@contextmanager
def one_line_errors():
    """End the process with one line where a trace would say no more.

    That is so for a broken contract and for a database that lets nobody in.
    Every other exception is a fault of the code and keeps its trace.
    """
    try:
        yield
    except ConfigurationError as error:
        _end(str(error), EX_CONFIG)
    except Exception as error:
        problem = connection_problem(error)
        if problem is None:
            raise
        _end(problem, EX_UNAVAILABLE)


def connection_problem(error):
    """Return one line if ``error`` is a database that cannot be reached."""
    from django.db import OperationalError, connection
    if not isinstance(error, OperationalError) or connection.connection:
        return None
    # Drivers name host, database and user here, never the password.
    reason = ' '.join(str(error).split())
    if connection.vendor == 'sqlite':
        return f'cannot open the database: {reason}, see DATABASE_NAME'
    return (f'cannot connect to the database: {reason}; see DATABASE_HOST, '
            'DATABASE_PORT, DATABASE_NAME, DATABASE_USERNAME and '
            'DATABASE_PASSWORD')


def _end(line, code):
    print(line, file=sys.stderr)
    sys.exit(code)
