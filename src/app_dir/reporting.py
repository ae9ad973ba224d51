"""Errors to Sentry, when SENTRY_DSN is set."""

import sentry_sdk


def start(dsn):
    """Report the errors of this process to ``dsn``."""
    sentry_sdk.init(dsn=dsn, send_default_pii=False,
                    before_send=without_variables)


def without_variables(event, hint):
    """Return ``event`` without what local variables and arguments held.

    A frame of the function that read a password holds the password. The
    option for it changed its name between the versions of the library.
    """
    kinds = ('exception', 'threads')
    for value in (value for kind in kinds
                  for value in event.get(kind, {}).get('values', ())):
        for frame in (value.get('stacktrace') or {}).get('frames', ()):
            frame.pop('vars', None)
    event.get('extra', {}).pop('sys.argv', None)
    return event
