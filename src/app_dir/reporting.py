"""Errors to Sentry, when SENTRY_DSN is set."""

import sentry_sdk


def start(dsn):
    """Report the errors of this process to ``dsn``."""
    sentry_sdk.init(dsn=dsn, send_default_pii=False,
                    before_send=without_values)


def without_values(event, hint):
    """Return ``event`` without what visitors and variables hold.

    A frame of the function that read a password holds the password, and so
    does the body of a request to sign in, and a task's argument may be
    anything. The options for that differ between the versions of the
    library, what an event looks like does not.
    """
    for kind in ('exception', 'threads', 'stacktrace'):
        part = event.get(kind) or {}
        for value in part.get('values', [{'stacktrace': part}]):
            for frame in (value.get('stacktrace') or {}).get('frames', ()):
                frame.pop('vars', None)
    for part, names in (('request', ('data', 'cookies', 'env')),
                        ('extra', ('sys.argv', 'celery-job'))):
        for name in names:
            (event.get(part) or {}).pop(name, None)
    return event
