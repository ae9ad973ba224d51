"""Pages and JSON of the site."""

import json

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import (
    require_GET, require_http_methods, require_POST)

from . import couchdb, servers, tasks
from .models import Greeting
from .parts import parts

LATEST = 5


@never_cache
@require_GET
def page(request):
    """Show what the site runs on and whom it greeted."""
    context = {'parts': parts(), 'failed': request.GET.get('failed')}
    try:
        context['count'] = Greeting.objects.cached_count()
        context['latest'] = list(Greeting.objects.all()[:LATEST])
    except DatabaseError as error:
        # The page says so: it is what somebody looks at to find out.
        context['database_problem'] = type(error).__name__
    return render(request, 'page.html', context)


@never_cache
@require_GET
def info(request):
    """Say the same to programs."""
    answer = parts()
    try:
        answer['greetings'] = Greeting.objects.cached_count()
    except DatabaseError:
        answer['greetings'] = None
    return JsonResponse(answer)


@never_cache
@require_GET
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
    code, answer = greet(request.POST.get('name', '').strip(),
                         request.POST.get('by', 'web'))
    if 'text/html' in request.headers.get('Accept', ''):
        failed = f'?failed={answer["problem"]}' if code >= 400 else ''
        return redirect(f'/{failed}')
    return JsonResponse(answer, status=code)


def greet(name, by):
    """Return the code and the answer of a request to greet ``name``."""
    longest = Greeting._meta.get_field('name').max_length
    if not name or len(name) > longest or '\0' in name:
        return 400, {'problem': f'wanted: a name of 1 to {longest} letters'}
    if by == 'worker':
        try:
            tasks.greet.delay(name)
        except tasks.greet.OperationalError:
            return 503, {'problem': 'the broker cannot be reached'}
        return 202, {'sent': f'Hello, {name}'}
    try:
        return 201, {'said': str(
            Greeting.objects.greet(name, Greeting.Source.WEB))}
    except DatabaseError:
        return 503, {'problem': 'the database cannot be reached'}


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
