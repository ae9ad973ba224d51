"""What an image runs at its start."""

from django.test import SimpleTestCase

from .component import Component


class MigrateEmbedded(SimpleTestCase):
    """SQLite is migrated; a database on a server is not touched."""

    def test_sqlite(self):
        """A row can be stored afterwards, also after a second time."""
        component = Component(DJANGO_DEBUG='True')
        self.addCleanup(component.close)
        for _ in range(2):
            done = component.manage('migrate_embedded')
            self.assertEqual(done.returncode, 0, done.stderr)
        greeted = component.manage('greet', '--name', 'Ada')
        self.assertEqual(greeted.returncode, 0, greeted.stderr)

    def test_server(self):
        """Nobody listens there, and nobody minds."""
        component = Component(
            DJANGO_DEBUG='True', DATABASE_HOST='127.0.0.1',
            DATABASE_PORT='1', DATABASE_NAME='app', DATABASE_USERNAME='app',
            DATABASE_PASSWORD='app')
        self.addCleanup(component.close)
        done = component.manage('migrate_embedded')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('APP_RUN_MODE=TASK', done.stdout)
