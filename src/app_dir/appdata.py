"""The application's data in S3.

Many instances of many applications share the bucket, so
- every key begins with APPDATA_PREFIX and the package's name;
- a key is made of the time and a random number and written once: no two
  instances ever write the same one, nobody counts, locks or overwrites;
- whatever needs "the latest" lists a prefix, since keys sort by time.
"""

import os
import uuid

from django.conf import settings
from django.utils import timezone

SECONDS = 3


def save(kind, content, content_type='application/json'):
    """Store the bytes ``content`` under a new key, which is returned."""
    key = f'{prefix(kind)}{new_name()}'
    client().put_object(Bucket=settings.APPDATA_BUCKET, Key=key,
                        Body=content, ContentType=content_type)
    return key


def load(key):
    """Return the bytes stored under ``key``."""
    answer = client().get_object(Bucket=settings.APPDATA_BUCKET, Key=key)
    return answer['Body'].read()


def keys(kind):
    """Return the keys of one kind, oldest first."""
    pages = client().get_paginator('list_objects_v2').paginate(
        Bucket=settings.APPDATA_BUCKET, Prefix=prefix(kind))
    return [entry['Key'] for page in pages
            for entry in page.get('Contents', ())]


def ping():
    """Raise if the bucket cannot be listed with our prefix."""
    client().list_objects_v2(Bucket=settings.APPDATA_BUCKET, MaxKeys=1,
                             Prefix=prefix(''))


def prefix(kind):
    """Return what the keys of one kind begin with."""
    parts = [settings.APPDATA_PREFIX, 'app_dir', kind]
    return '/'.join(part for part in parts if part) + '/'


def new_name():
    """Return a name that no other instance makes, and that sorts by time."""
    return f'{timezone.now():%Y/%m/%d/%H%M%S.%f}-{uuid.uuid4().hex}'


def client():
    """Return a client; the role gives the credentials.

    A new session each time: boto3's default one is not safe to share
    between threads.
    """
    # Here and not above: it is large, and most deployments do without.
    import boto3
    from botocore.config import Config
    return boto3.session.Session().client(
        's3',
        region_name=settings.AWS_REGION or None,
        # boto3 reads these by itself from 1.28 on.
        endpoint_url=(os.environ.get('AWS_ENDPOINT_URL_S3')
                      or os.environ.get('AWS_ENDPOINT_URL') or None),
        config=Config(connect_timeout=SECONDS, read_timeout=SECONDS,
                      retries={'max_attempts': 2}))
