"""The site for uvicorn, hypercorn and other ASGI servers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'app_dir.settings')

application = get_asgi_application()
