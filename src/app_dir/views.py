"""Pages and JSON of the site."""

import json
import logging

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import (
    require_http_methods, require_POST, require_safe)
from kombu.exceptions import OperationalError

from . import couchdb, servers, tasks
from .celery_app import app
from .models import Greeting
from .parts import parts

logger = logging.getLogger(__name__)

LATEST = 5
LONGEST = Greeting._meta.get_field('name').max_length
PROBLEMS = {
    'name': (400, f'wanted: a name of 1 to {LONGEST} letters'),
    'broker': (503, 'the broker cannot be reached'),
    'database': (503, 'the database cannot be reached'),
}


@never_cache
@require_safe
def page(request):
    """Show what the site runs on and whom it greeted."""
    context = {'parts': parts()}
    # A word of ours and not a text: anybody can write an address.
    if request.GET.get('failed') in PROBLEMS:
        _, context['failed'] = PROBLEMS[request.GET['failed']]
    try:
        context['count'] = Greeting.objects.cached_count()
        context['latest'] = list(Greeting.objects.all()[:LATEST])
    except DatabaseError as error:
        # The page says so: it is what somebody looks at to find out.
        context['database_problem'] = type(error).__name__
    return render(request, 'page.html', context)


@never_cache
@require_safe
def info(request):
    """Say the same to programs."""
    answer = parts()
    try:
        answer['greetings'] = Greeting.objects.cached_count()
    except DatabaseError:
        answer['greetings'] = None
    return JsonResponse(answer)


@never_cache
@require_safe
def status(request):
    """Report each server of the contract.

    Always 200: this is a report. What a load balancer asks is /healthz,
    since a database that is away must not cost the fleet.
    """
    return JsonResponse(servers.report())


# No session and no right of the sender has a part in it, so there is nothing
# that another site could make a browser misuse.
@csrf_exempt
@never_cache
@require_POST
def greetings(request):
    """Greet ``name``: now, or by a worker if ``by`` is "worker".

    Answers 201 or 202, 400 without a name, 503 if the database or the broker
    cannot be reached. A form of the page is sent back to the page.
    """
    name = request.POST.get('name', '').strip()
    by_worker = request.POST.get('by') == 'worker'
    failed = greet(name, by_worker)
    if 'text/html' in request.headers.get('Accept', ''):
        return redirect(
            reverse('page') + (f'?failed={failed}' if failed else ''))
    if failed:
        code, words = PROBLEMS[failed]
        return problem(code, words)
    if by_worker:
        return JsonResponse({'sent': f'Hello, {name}'}, status=202)
    return JsonResponse({'said': f'Hello, {name}'}, status=201)


def greet(name, by_worker):
    """Greet, and return the key of what went wrong, or None."""
    if not name or len(name) > LONGEST or '\0' in name:
        return 'name'
    if by_worker:
        try:
            tasks.greet.delay(name)
        except broker_errors() as error:
            logger.warning('cannot send a task: %s', type(error).__name__)
            return 'broker'
    else:
        try:
            Greeting.objects.greet(name, Greeting.Source.WEB)
        except DatabaseError as error:
            logger.warning('cannot store: %s', type(error).__name__)
            return 'database'


def broker_errors():
    """Return what sending raises when the broker is away or refuses."""
    connection = app.connection_for_write()
    return (OperationalError, *connection.connection_errors,
            *connection.channel_errors)


@never_cache
@require_http_methods(['GET', 'PUT'])
def document(request, name):
    """Show or store a JSON document in CouchDB: for staff only."""
    if not settings.COUCHDB_USERNAME:
        return problem(404, 'CouchDB is not in use, see COUCHDB_USERNAME')
    if not request.user.is_staff:
        raise PermissionDenied
    if name.startswith('_'):
        return problem(400, 'names with a _ in front belong to CouchDB')
    try:
        if request.method == 'GET':
            return JsonResponse(couchdb.read(name))
        content = json.loads(request.body)
        if not isinstance(content, dict):
            raise ValueError
        return JsonResponse(couchdb.write(name, content), status=201)
    except couchdb.NoSuchDocument:
        return problem(404, 'there is no such document')
    except couchdb.Conflict:
        return problem(409, 'the document has changed, send its last _rev')
    except ValueError:
        return problem(400, 'wanted: a JSON object')
    except OSError:
        return problem(503, 'CouchDB cannot be reached, see COUCHDB_*')


def problem(code, words):
    """Return an answer that says what is wrong."""
    return JsonResponse({'problem': words}, status=code)
