"""manage.py greet --name NAME."""

from django.core.management.base import BaseCommand, CommandError

from ...models import Greeting
from ...tasks import mail_greeting


class Command(BaseCommand):
    """Greets somebody."""

    help = 'Greet somebody, and remember it.'

    def add_arguments(self, parser):
        """Say what the command takes."""
        parser.add_argument('--name', required=True)
        parser.add_argument('--email', help='send the greeting there, too')

    def handle(self, *, name, email, **options):
        """Store the greeting and print it."""
        longest = Greeting._meta.get_field('name').max_length
        if not name.strip() or len(name) > longest:
            raise CommandError(
                f'cannot greet: --name wants 1 to {longest} letters')
        self.stdout.write(
            str(Greeting.objects.greet(name, Greeting.Source.COMMAND)))
        if email:
            try:
                mail_greeting(name, email)
            except OSError as error:
                raise CommandError(
                    f'cannot send mail: {type(error).__name__}, see SMTP_*')
