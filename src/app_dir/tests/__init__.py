"""Tests of the component.

``DJANGO_DEBUG=True ./manage.py test`` runs those that need Python alone:
modules named test_*. Those that start PostgreSQL, RabbitMQ and Redis are named
servers_* and run by ``./manage.py test --pattern 'servers_*.py'``.
"""
