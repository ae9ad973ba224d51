"""Where the component may write.

Only embedded parts write at all: SQLite, the filesystem broker, beat's
schedule, the worker's heartbeat. Beside the code if possible, so that a
developer finds them; else, in an image with a read-only root, below the
first temporary folder that can be written. Every process of a container has
to come to the same answer, so nothing here is random.
"""

import os
import stat
import tempfile
from pathlib import Path


def candidates(base):
    """Return the folders to try, best first."""
    # Below a shared /tmp the name carries the uid: two users on one machine
    # must not meet there.
    name = f'app_dir-{os.getuid()}'
    temporary = [os.environ.get('TMPDIR'), '/tmp', '/var/tmp', '/dev/shm']
    return [Path(base) / 'var'] + [Path(t) / name for t in temporary if t]


def state_folder(base):
    """Make and return the first of the candidates that can be written.

    Where none can, the first is returned and the error comes when something
    is written: a random folder would not be found by the other processes.
    """
    beside, *temporary = candidates(base)
    if _usable(beside):
        return beside
    for folder in temporary:
        if _usable(folder) and _ours(folder):
            return folder
    return beside


def make_folder(path):
    """Make a folder; if that fails, so will writing to it, and say so."""
    try:
        path.mkdir(exist_ok=True)
    except OSError:
        pass


def _usable(folder):
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # access(2) is wrong about some network and overlay mounts.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _ours(folder):
    # Somebody else may have made that name in /tmp first, or linked it.
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def database_file(base, state):
    """Return SQLite's file: beside manage.py, unless that is read-only."""
    beside = Path(base) / 'db.sqlite3'
    # SQLite writes a journal beside the file: the folder counts, too.
    if state.parent == Path(base) and os.access(base, os.W_OK) and (
            not beside.exists() or os.access(beside, os.W_OK)):
        return beside
    return state / 'db.sqlite3'
