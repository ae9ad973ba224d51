"""The site under gunicorn and uwsgi."""
import os
import signal
import time

# A release is what stands in this file: its first word may be a fault.
RELEASE = ""
if os.environ.get("RELEASE_FILE"):
    with open(os.environ["RELEASE_FILE"]) as f:
        RELEASE = f.read().strip()
if RELEASE == "crash":
    raise ImportError("this release cannot be imported")
if RELEASE == "hang":
    signal.pause()
time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))


def download():
    """Send ten parts in five seconds."""
    for _ in range(10):
        time.sleep(0.5)
        yield b"part\n"


def application(environ, start_response):
    """Answer with the copy's index after 50 ms, or with what is asked for."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ.get("PATH_INFO", "/")
    if path == "/download":
        return download()
    if path == "/secret":
        return [os.environ.get("DATABASE_PASSWORD", "").encode()]
    if path == "/release":
        return [RELEASE.encode()]
    time.sleep(0.05)
    return [str(os.getpid()).encode()]
