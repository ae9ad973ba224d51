"""For modules whose tests provoke errors: no log among the dots.

``from .quiet import setUpModule, tearDownModule``; unittest calls both.
"""

import logging


def setUpModule():
    """Log nothing."""
    logging.disable(logging.CRITICAL)


def tearDownModule():
    """Log again."""
    logging.disable(logging.NOTSET)
