"""What manage.py tells a person when it cannot start."""

import re
import sys
from contextlib import contextmanager

from .environment import ConfigurationError

FAILURE = 1
# The codes that entrypoint uses, from sysexits.h.
EX_UNAVAILABLE = 69
EX_CONFIG = 78

# What says that the server was not reached or let nobody in, and not that it
# refused a statement. Appendix A of PostgreSQL's manual: connections, names
# and passwords, a missing database, no room, shut down.
POSTGRESQL = ('08', '28', '3D', '53300', '57P')
# mysqld_error.h; the client's own are from 2000 on.
MYSQL = (1040, 1044, 1045, 1049, 1053, 1129, 1130, 1203)
# The words of sqlite3_errstr(): it has no other code in Python before 3.11.
SQLITE = ('unable to open', 'readonly', 'disk', 'locked')

NO_TABLE = re.compile(
    r'no such table: (?:main\.)?(?P<sqlite>[\w.]+)'
    r'|relation "(?P<postgresql>[\w.]+)" does not exist'
    r"|Table '(?P<mysql>[\w.]+)' doesn't exist")


@contextmanager
def one_line_errors():
    """End the process with one line where a trace would say no more.

    That is so for a broken contract, for a database that has no driver, lets
    nobody in, or was not migrated. Every other exception is a fault of the
    code and keeps its trace.
    """
    from django.core.exceptions import ImproperlyConfigured
    try:
        yield
    except ConfigurationError as error:
        _end(str(error), EX_CONFIG)
    except ImproperlyConfigured as error:
        reason = ' '.join(str(error).split())
        _end(f'cannot configure the component: {reason}', EX_CONFIG)
    except Exception as error:
        problem = connection_problem(error)
        if problem is not None:
            _end(problem, EX_UNAVAILABLE)
        problem = missing_table(error)
        if problem is not None:
            _end(problem, FAILURE)
        raise


def connection_problem(error):
    """Return one line if ``error`` is a database that cannot be reached."""
    from django.db import OperationalError, connection
    if not isinstance(error, OperationalError):
        return None
    if not _of_the_connection(connection.vendor, error.__cause__ or error):
        return None
    # Drivers name host, database and user here, never the password.
    reason = ' '.join(str(error).split())
    if connection.vendor == 'sqlite':
        return f'cannot use the database: {reason}, see DATABASE_NAME'
    return (f'cannot connect to the database: {reason}; see DATABASE_HOST, '
            'DATABASE_PORT, DATABASE_NAME, DATABASE_USERNAME and '
            'DATABASE_PASSWORD')


def _of_the_connection(vendor, cause):
    if vendor == 'postgresql':
        # psycopg 3 and 2; what the server has not said has no code.
        state = (getattr(cause, 'sqlstate', None)
                 or getattr(cause, 'pgcode', None) or '08')
        return state.startswith(POSTGRESQL)
    if vendor == 'mysql':
        code = cause.args[0] if cause.args else None
        return code in MYSQL or isinstance(code, int) and code >= 2000
    if vendor == 'sqlite':
        return any(words in str(cause) for words in SQLITE)
    return True


def missing_table(error):
    """Return one line if ``error`` is a database that was not migrated."""
    from django.db import OperationalError, ProgrammingError
    if not isinstance(error, (OperationalError, ProgrammingError)):
        return None
    found = NO_TABLE.search(str(error))
    if not found:
        return None
    return (f'the database has no table {found[found.lastgroup]}: run the '
            'task migrate first')


def _end(line, code):
    print(line, file=sys.stderr)
    sys.exit(code)
