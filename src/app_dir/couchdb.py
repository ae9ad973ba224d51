"""Documents in CouchDB, by its HTTP interface.

One database, made when the first document is written. Source: "API
Reference" of the CouchDB documentation, /db and /db/doc.
"""

import base64
import http.client
import json
from urllib.parse import quote

from django.conf import settings

SECONDS = 3


class NoSuchDocument(LookupError):
    """There is no document of that name."""


class Conflict(Exception):
    """Somebody else changed the document since it was read."""


class Refused(OSError):
    """CouchDB answered, and not with what was asked for."""


def read(name):
    """Return the document ``name`` as a dict."""
    status, document = ask('GET', _path(name))
    if status == 404:
        raise NoSuchDocument(name)
    return _accept(status, document)


def write(name, document):
    """Store ``document`` as ``name``; a change carries the last _rev."""
    status, answer = ask('PUT', _path(name), document)
    if status == 404:
        # Two instances may make the database at once: 412 is "it is there".
        made, _ = ask('PUT', f'/{settings.COUCHDB_DATABASE}')
        if made not in (201, 202, 412):
            raise Refused(f'CouchDB does not make the database: {made}')
        status, answer = ask('PUT', _path(name), document)
    if status == 409:
        raise Conflict(name)
    return _accept(status, answer)


def ping():
    """Raise OSError if CouchDB is away or does not let us in."""
    _accept(*ask('GET', '/_session'))


def ask(method, path, document=None):
    """Return the status and the JSON of the answer to one request."""
    # Plain http.client: no proxy of the environment comes between us and our
    # server, and no redirect takes the password elsewhere.
    connection = http.client.HTTPConnection(
        settings.COUCHDB_HOST, settings.COUCHDB_PORT, timeout=SECONDS)
    login = f'{settings.COUCHDB_USERNAME}:{settings.COUCHDB_PASSWORD}'
    try:
        connection.request(
            method, path,
            body=None if document is None else json.dumps(document),
            headers={
                'Accept': 'application/json',
                'Authorization': 'Basic ' + base64.b64encode(
                    login.encode()).decode(),
                'Content-Type': 'application/json'})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b'null')
    except (http.client.HTTPException, ValueError) as error:
        raise Refused('what answers is not CouchDB') from error
    finally:
        connection.close()


def _path(name):
    return f'/{settings.COUCHDB_DATABASE}/{quote(name, safe="")}'


def _accept(status, answer):
    if status >= 300:
        raise Refused(f'CouchDB answers {status}')
    return answer
