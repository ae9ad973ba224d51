"""manage.py export_greetings."""

import json

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ... import appdata
from ...models import Greeting


class Command(BaseCommand):
    """Writes all greetings to the application's data in S3."""

    help = 'Write all greetings to S3 and print the key.'

    def handle(self, **options):
        """Write one object under a key of its own."""
        if not settings.APPDATA_BUCKET:
            raise CommandError('cannot export: APPDATA_BUCKET is not set')
        content = json.dumps([
            {'name': greeting.name, 'source': greeting.source,
             'created': greeting.created.isoformat()}
            for greeting in Greeting.objects.order_by('pk').iterator()])
        try:
            key = appdata.save('exports', content.encode())
        except (BotoCoreError, ClientError) as error:
            code = getattr(error, 'response', {}).get('Error', {}).get('Code')
            raise CommandError(
                f'cannot export: {code or type(error).__name__}, see '
                'APPDATA_BUCKET and AWS_REGION')
        self.stdout.write(key)
