"""A copy of the component in a folder of its own, run as users run it."""

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

PACKAGE = Path(__file__).resolve().parent.parent
SOURCE = PACKAGE.parent
# What a checkout holds beside the code.
LEFT_OUT = shutil.ignore_patterns(
    'var', 'static_root', 'db.sqlite3*', '.env', '.venv', '__pycache__')
# Long enough for two slow cores that others use, too: no test waits for it
# to pass.
PATIENCE = 120


def free_port():
    """Return a port that nobody listens on.

    Below the range from which the kernel takes the ports of clients: nobody
    must get it by chance before a server has started.
    """
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue
    raise AssertionError('cannot find a free port from 20000 to 31999')


def wait_until(happened, what):
    """Ask ``happened`` until it returns something true, and return that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = happened()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f'waited {PATIENCE} s in vain: {what}')


class Component:
    """The component with its environment; the owner calls ``close``.

    Nothing of the surrounding environment gets in but what finds programs.
    """

    def __init__(self, **variables):
        """Copy the code and remember the environment."""
        self.folder = Path(tempfile.mkdtemp(prefix='component-'))
        self.src = self.folder / 'src'
        shutil.copytree(SOURCE, self.src, ignore=LEFT_OUT)
        self.package = self.src / PACKAGE.name
        self.processes = []
        self.environment = {
            # The scripts take the first python3, which has to be this one.
            'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
            'HOME': str(self.folder),
            'LANG': 'C.UTF-8',
            **variables,
        }

    def __enter__(self):
        """Lend the component."""
        return self

    def __exit__(self, *_):
        """End what it runs."""
        self.close()

    def close(self):
        """Kill what still runs and remove the folder."""
        for process in self.processes:
            process.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words, **variables):
        """Run a command to its end and return what it printed."""
        return subprocess.run(
            words, cwd=self.src, env={**self.environment, **variables},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE)

    def manage(self, *words, **variables):
        """Run a command of manage.py to its end."""
        return self.run('./manage.py', *words, **variables)

    def start(self, *words, **variables):
        """Start a command and return the running Process."""
        process = Process(words, self.src,
                          {**self.environment, **variables}, self.folder)
        self.processes.append(process)
        return process

    def start_web(self, **variables):
        """Start WEB and return its Site when it answers."""
        port = free_port()
        process = self.start('./container-web.sh', PORT=str(port), **variables)
        site = Site(port, process)
        wait_until(site.alive, 'the site to answer')
        return site

    def start_worker(self, **variables):
        """Start WORKER and return the process when it is ready."""
        worker = self.start('./container-worker.sh', **variables)
        worker.wait_for(' ready.')
        return worker

    def greetings(self):
        """Return all greetings as (name, source), oldest first."""
        embedded = self.src / 'db.sqlite3'
        with closing(sqlite3.connect(embedded, PATIENCE)) as database:
            return database.execute(
                f'SELECT name, source FROM {PACKAGE.name}_greeting '
                'ORDER BY id').fetchall()

    def send(self, call):
        """Send a task: ``call`` is Python such as ``slow.delay(3)``."""
        sent = self.manage(
            'shell', '-c', f'from app_dir.tasks import *; {call}')
        assert sent.returncode == 0, sent.stderr


class Process:
    """A command that runs, in a process group of its own."""

    def __init__(self, words, folder, environment, output_folder):
        """Start it with its output in a file."""
        descriptor, path = tempfile.mkstemp(dir=output_folder)
        with open(descriptor, 'wb') as output:
            self.popen = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True)
        self.path = Path(path)

    def output(self):
        """Return what it has printed so far."""
        return self.path.read_text(errors='replace')

    def wait_for(self, text):
        """Wait until ``text`` is in the output."""
        def seen():
            if text in self.output():
                return True
            if self.popen.poll() is not None:
                raise AssertionError(
                    f'ended before {text!r} came:\n{self.output()}')
            return False
        wait_until(seen, f'{text!r}')

    def stop(self, number=signal.SIGTERM):
        """Signal the main process and return its code when it has ended."""
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)

    def close(self):
        """Kill the group."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(PATIENCE)


class Site:
    """A client of the site."""

    def __init__(self, port, process):
        """Ask at ``port``."""
        self.port = port
        self.process = process

    def ask(self, path, method='GET', form=None, headers=()):
        """Return the status and the body of one answer."""
        connection = HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE)
        try:
            body = form and urlencode(form)
            connection.request(method, path, body, {
                **({'Content-Type': 'application/x-www-form-urlencoded'}
                   if form else {}), **dict(headers)})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def json(self, path, **request):
        """Return the JSON of one answer."""
        return json.loads(self.ask(path, **request)[1])

    def alive(self):
        """Return whether it answers; raise if it has ended."""
        if self.process.popen.poll() is not None:
            raise AssertionError(f'has ended:\n{self.process.output()}')
        try:
            return self.ask('/healthz')[0] == 200
        except OSError:
            return False
