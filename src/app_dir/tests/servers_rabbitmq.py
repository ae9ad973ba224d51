"""The component with a real RabbitMQ as celery's broker."""

import signal

from django.test import SimpleTestCase

from .backends import CANARY, RabbitMQ
from .component import PACKAGE, PATIENCE, Component, wait_until


class RabbitMQCase(SimpleTestCase):
    """Tests that share a RabbitMQ, which takes long to start."""

    @classmethod
    def setUpClass(cls):
        """Start it, with a virtual host."""
        super().setUpClass()
        cls.server = RabbitMQ()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        """Migrate a component, and leave no task of another test."""
        self.component = Component(DJANGO_SECRET_KEY='k',
                                   **self.server.variables)
        self.addCleanup(self.component.close)
        migrated = self.component.manage('migrate', '-v0')
        self.assertEqual(migrated.returncode, 0, migrated.stderr)
        self.purge()

    def purge(self):
        """Empty the queue."""
        purged = self.component.run(
            'python3', '-m', 'celery', '-A', PACKAGE.name + '.celery_app',
            'purge', '-f')
        self.assertEqual(purged.returncode, 0, purged.stderr)

    def greeted(self, *names):
        """Wait until exactly ``names`` were greeted, in any order."""
        def found():
            return [name for name, source in self.component.greetings()
                    if source != 'beat']
        wait_until(lambda: len(found()) >= len(names), f'{names}')
        self.assertEqual(sorted(found()), sorted(names))


class Restarts(RabbitMQCase):
    """The broker goes away and comes back."""

    def test_a_broker_that_goes_away_and_comes_back(self):
        """Worker and beat wait for it and go on; no task is lost."""
        site = self.component.start_web()
        self.assertEqual(site.json('/api/info')['broker'], 'rabbitmq')
        self.assertTrue(site.json('/status')['rabbitmq']['reachable'])

        def ask(name):
            return site.ask('/api/greetings', 'POST', {
                'name': name, 'by': 'worker'})[0]
        self.assertEqual(ask('waits in the queue'), 202)
        self.server.stop()
        line = site.json('/status')['rabbitmq']
        self.assertEqual((line['in_use'], line['reachable']), (True, False))
        self.assertIn('RABBITMQ_*', line['problem'])
        self.assertEqual(ask('nobody takes it'), 503)

        # They start without a broker, and the worker's heart beats.
        beat = self.component.start('./container-beat.sh')
        beat.wait_for('Connection error')
        worker = self.component.start('./container-worker.sh')
        worker.wait_for('Trying again')
        path = self.component.src / 'var' / 'worker-heartbeat-0'
        self.beats(path)
        self.server.start()
        worker.wait_for(' ready.')
        wait_until(lambda: site.json('/status')['rabbitmq']['reachable'],
                   'the broker to be reachable')
        self.assertEqual(ask('after the first time'), 202)
        self.greeted('waits in the queue', 'after the first time')
        self.beats(path)

        # The same again for a worker and a site that were connected.
        self.server.stop()
        worker.wait_for('Connection to broker lost')
        self.beats(path)
        self.server.start()
        wait_until(lambda: ask('after the second time') == 202,
                   'a task to be taken')
        self.greeted('waits in the queue', 'after the first time',
                     'after the second time')
        self.beats(path)
        wait_until(lambda: ('beat', 'beat') in self.component.greetings(),
                   'the row of beat')
        for process in (worker, beat, site.process):
            self.assertNotIn(CANARY, process.output())
        self.assertEqual(worker.stop(), 0)

    def beats(self, path):
        """Wait for a heartbeat that is yet to come."""
        first = path.stat().st_mtime_ns
        wait_until(lambda: path.stat().st_mtime_ns > first, 'a heartbeat')

    def test_a_connection_that_is_lost_during_a_task(self):
        """The broker gives the task out again; it is not done twice."""
        worker = self.component.start_worker()
        self.component.send("slow.delay(6, 'once')")
        worker.wait_for('slow[')
        self.server.stop()
        worker.wait_for('Connection to broker lost')
        self.server.start()
        wait_until(lambda: worker.output().count(' received') == 2,
                   'the task to be given out again')
        self.component.send("greet.delay('last')")
        wait_until(lambda: ('last', 'worker') in self.component.greetings(),
                   'the last task')
        self.greeted('once', 'last')


class OnRabbitMQ(RabbitMQCase):
    """The set RABBITMQ_*."""

    def test_a_task_that_was_cut_short_is_done_by_another_worker(self):
        """After TERM and QUIT, and after KILL."""
        for number in (signal.SIGQUIT, signal.SIGKILL):
            worker = self.component.start_worker()
            self.component.send('slow.delay(3600)')
            worker.wait_for('slow[')
            if number == signal.SIGQUIT:
                worker.popen.send_signal(signal.SIGTERM)
                worker.wait_for('Warm shutdown')
            worker.stop(number)
            worker.close()
            other = self.component.start_worker()
            other.wait_for('slow[')
            other.close()
            self.purge()

    def test_a_wrong_password_and_a_wrong_virtual_host(self):
        """The variables are named, their values are not."""
        for name, value in (('RABBITMQ_PASSWORD', CANARY + 'wrong'),
                            ('RABBITMQ_VHOST', 'none')):
            self.component.environment[name] = value
            site = self.component.start_web()
            line = site.json('/status')['rabbitmq']
            self.assertFalse(line['reachable'], name)
            self.assertIn('RABBITMQ_*', line['problem'])
            self.assertEqual(site.ask('/api/greetings', 'POST', {
                'name': 'x', 'by': 'worker'})[0], 503)
            worker = self.component.start('./container-worker.sh')
            worker.popen.wait(PATIENCE)
            self.assertRegex(worker.output(), 'ACCESS_REFUSED|NOT_ALLOWED')
            for process in (worker, site.process):
                self.assertNotIn(CANARY, process.output())
