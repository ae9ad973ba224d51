"""PostgreSQL, MariaDB, RabbitMQ and Redis of Debian, for one test each.

On free ports of the loopback interface, with all their files in a temporary
folder. Who uses one calls ``close``. Each gives in ``variables`` what the
environment contract wants to know.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .component import PATIENCE, free_port, wait_until

# Marks every password, so that a test can look for it in what comes out.
CANARY = 'CanaryPa55'
# No program may quote it in a wrong way without a test that fails.
PASSWORD = CANARY + '%/@:#?+&='


class Server:
    """A server that can be stopped and started again."""

    package = None
    program = None
    user = None

    def __init__(self):
        """Make the folder, prepare and start."""
        if not self.find_program():
            raise AssertionError(
                f'cannot test with {self.package}: {self.program} is missing,'
                f' apt-get install {self.package}')
        self.folder = Path(tempfile.mkdtemp(prefix=f'{self.package}-'))
        self.port = free_port()
        self.process = None
        # Servers that refuse root, or drop it, need the folder themselves.
        self.identity = {}
        if self.user and os.getuid() == 0:
            entry = pwd.getpwnam(self.user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self.identity = {'user': entry.pw_uid, 'group': entry.pw_gid,
                             'extra_groups': []}
        self.prepare()
        self.start()

    def find_program(self):
        """Return the path of the program or None."""
        return shutil.which(self.program, path='/usr/bin:/usr/sbin')

    def prepare(self):
        """Do what comes once, before the first start."""

    def command(self):
        """Return the words to start it in the foreground."""
        raise NotImplementedError

    def variables_of_server(self):
        """Return the environment of the server itself."""
        return {'PATH': '/usr/bin:/bin:/usr/sbin:/sbin', 'LANG': 'C.UTF-8',
                'HOME': str(self.folder)}

    def ready(self):
        """Return whether it answers."""
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        except OSError:
            return False

    def call(self, *words, **variables):
        """Run a program of the server's to its end."""
        subprocess.run(
            words, cwd=self.folder, check=True, capture_output=True,
            env={**self.variables_of_server(), **variables},
            timeout=PATIENCE, **self.identity)

    def launch(self):
        """Start its process."""
        with open(self.folder / 'output', 'ab') as output:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                env=self.variables_of_server(), **self.identity)

    def start(self):
        """Start it and wait until it answers."""
        self.launch()

        def answers():
            if self.process.poll() is not None:
                self.has_ended()
                return False
            return self.ready()
        try:
            wait_until(answers, f'{self.package} to answer')
        except AssertionError as error:
            raise AssertionError(f'{error}\n{self.output()}') from None

    def has_ended(self):
        """Say so: it should run."""
        raise AssertionError(f'{self.package} has ended')

    def output(self):
        """Return what it has written, of all its lives."""
        return (self.folder / 'output').read_text(errors='replace')

    def stop(self):
        """Stop it at once; its data stay."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)

    def close(self):
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgreSQL(Server):
    """An empty database."""

    package = 'postgresql'
    program = 'postgres'
    user = 'postgres'

    def find_program(self):
        """Look for the newest version, which is not on PATH."""
        found = sorted(Path('/usr/lib/postgresql').glob('*/bin/postgres'),
                       key=lambda path: int(path.parts[4]))
        return found and found[-1]

    def prepare(self):
        """Make the cluster."""
        word = self.folder / 'password'
        word.write_text(PASSWORD)
        word.chmod(0o644)
        self.call(str(self.find_program().with_name('initdb')),
                  '--pgdata', 'data', '--username', 'component',
                  '--pwfile', str(word), '--auth', 'scram-sha-256',
                  '--encoding', 'UTF8', '--no-sync')

    def command(self):
        """Return the words to start it."""
        return [str(self.find_program()), '-D', 'data', '-p', str(self.port),
                '-h', '127.0.0.1', '-k', str(self.folder), '-F']

    def start(self):
        """Start it and make the database, if it is not there."""
        super().start()
        self.sql('CREATE DATABASE component')

    def launch(self):
        """Start it as if it had not been killed."""
        (self.folder / 'data' / 'postmaster.pid').unlink(missing_ok=True)
        super().launch()

    def has_ended(self):
        """Try again while a process of its last life holds its memory."""
        if 'is still in use' not in self.output()[-500:]:
            super().has_ended()
        self.launch()

    def ready(self):
        """Log in: the port opens before it is known whether it can serve."""
        return self.sql('SELECT 1')

    def sql(self, statement):
        """Return whether the server takes it."""
        return self.succeeds(
            str(self.find_program().with_name('psql')), '-h', '127.0.0.1',
            '-p', str(self.port), '-U', 'component', '-c', statement,
            'postgres')

    def succeeds(self, *words):
        """Return whether a program of the server's ends well."""
        try:
            self.call(*words, PGPASSWORD=PASSWORD)
        except subprocess.CalledProcessError:
            return False
        return True

    @property
    def variables(self):
        """Return the contract's set."""
        return {'DATABASE_HOST': '127.0.0.1',
                'DATABASE_PORT': str(self.port),
                'DATABASE_NAME': 'component',
                'DATABASE_USERNAME': 'component',
                'DATABASE_PASSWORD': PASSWORD}


class MariaDB(Server):
    """An empty database that speaks MySQL."""

    package = 'mariadb-server'
    program = 'mariadbd'
    user = 'mysql'

    def prepare(self):
        """Make the system's tables, and the words of each start."""
        self.call('mariadb-install-db', '--no-defaults',
                  f'--datadir={self.folder}/data',
                  '--auth-root-authentication-method=socket',
                  '--skip-test-db')
        (self.folder / 'first.sql').write_text(
            'CREATE DATABASE IF NOT EXISTS component CHARACTER SET utf8mb4;\n'
            "CREATE USER IF NOT EXISTS component@'127.0.0.1'"
            f" IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON component.* TO component@'127.0.0.1';\n")

    def command(self):
        """Return the words to start it."""
        return [self.find_program(), '--no-defaults',
                f'--datadir={self.folder}/data',
                '--bind-address=127.0.0.1', f'--port={self.port}',
                f'--socket={self.folder}/socket', '--skip-name-resolve',
                f'--init-file={self.folder}/first.sql']

    def ask(self, statement):
        """Return what the server answers."""
        return subprocess.run(
            ['mariadb', '--no-defaults', '--host=127.0.0.1',
             f'--port={self.port}', '--user=component',
             '--skip-column-names', f'--execute={statement}', 'component'],
            check=True, capture_output=True, text=True, timeout=PATIENCE,
            env={**self.variables_of_server(), 'MYSQL_PWD': PASSWORD}).stdout

    @property
    def variables(self):
        """Return the contract's set."""
        return {'DATABASE_ENGINE': 'mysql',
                'DATABASE_HOST': '127.0.0.1',
                'DATABASE_PORT': str(self.port),
                'DATABASE_NAME': 'component',
                'DATABASE_USERNAME': 'component',
                'DATABASE_PASSWORD': PASSWORD}


class Redis(Server):
    """An empty Redis with a password."""

    package = 'redis-server'
    program = 'redis-server'

    def command(self):
        """Return the words to start it."""
        return ['redis-server', '--bind', '127.0.0.1', '--port',
                str(self.port), '--dir', str(self.folder), '--save', '',
                '--requirepass', PASSWORD]

    def variables(self, prefix, database):
        """Return the contract's set SESSION or CACHE."""
        return {f'{prefix}_REDIS_HOST': '127.0.0.1',
                f'{prefix}_REDIS_PORT': str(self.port),
                f'{prefix}_REDIS_DB': str(database),
                f'{prefix}_REDIS_PASSWORD': PASSWORD}


class RabbitMQ(Server):
    """A node with one user and one virtual host."""

    package = 'rabbitmq-server'
    # The one on PATH wants to be root and becomes the package's user, whose
    # files are the machine's own node's.
    program = '/usr/lib/rabbitmq/bin/rabbitmq-server'
    vhost = '/component tests'

    def prepare(self):
        """Write the configuration."""
        self.mapper_port = free_port()
        self.between_nodes_port = free_port()
        (self.folder / 'rabbitmq.conf').write_text(
            f'listeners.tcp.default = 127.0.0.1:{self.port}\n'
            'default_user = component\n'
            f"default_pass = {CANARY}\n"
            f'default_vhost = {self.vhost}\n'
            'disk_free_limit.absolute = 1MB\n')

    def command(self):
        """Return the words to start it, with a port mapper of its own.

        Erlang starts one by itself if none is there, as a daemon, which
        would outlive the node; this one is in the group that is killed.
        """
        return ['sh', '-c', 'epmd & exec "$0"', self.program]

    def variables_of_server(self):
        """Return what keeps it apart from every other node."""
        folder = str(self.folder)
        return {
            **super().variables_of_server(),
            'RABBITMQ_NODENAME': f'component{self.port}@localhost',
            'RABBITMQ_CONFIG_FILE': f'{folder}/rabbitmq.conf',
            'RABBITMQ_CONF_ENV_FILE': f'{folder}/none',
            'RABBITMQ_MNESIA_BASE': f'{folder}/mnesia',
            'RABBITMQ_LOG_BASE': f'{folder}/log',
            'RABBITMQ_PID_FILE': f'{folder}/pid',
            'RABBITMQ_ENABLED_PLUGINS_FILE': f'{folder}/plugins',
            'RABBITMQ_DIST_PORT': str(self.between_nodes_port),
            'ERL_EPMD_PORT': str(self.mapper_port),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
        }

    def ready(self):
        """Log in: the port opens before the user is there."""
        from kombu import Connection
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
            return True
        except Exception:
            return False

    @property
    def url(self):
        """Return the address with the login."""
        from urllib.parse import quote
        return (f'amqp://component:{CANARY}@127.0.0.1:{self.port}/'
                + quote(self.vhost, safe=''))

    @property
    def variables(self):
        """Return the contract's set."""
        return {'RABBITMQ_HOST': '127.0.0.1',
                'RABBITMQ_PORT': str(self.port),
                'RABBITMQ_VHOST': self.vhost,
                'RABBITMQ_USERNAME': 'component',
                'RABBITMQ_PASSWORD': CANARY}
