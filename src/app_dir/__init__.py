"""The component: a site, its tasks, a celery worker and a beat.

Importing the package makes the celery application the current one, so that
``shared_task`` finds it in every process, the web copies included.
"""

from .celery_app import app as celery_app

__all__ = ['celery_app']
