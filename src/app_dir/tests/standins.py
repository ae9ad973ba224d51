"""Stand-ins for servers that Debian has no package of.

Each listens on a free port of the loopback interface in a thread of this
process, remembers what it was told, and refuses whoever has no password.
"""

import base64
import gzip
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PASSWORD = 'CanaryPa55%/@:#?'


class StandIn:
    """A server in a thread; the owner calls ``close``."""

    def __init__(self):
        """Start it."""
        self.start()

    port = 0

    def start(self):
        """Listen, on the port of last time if there was one."""
        self.server = self.make_server(('127.0.0.1', self.port))
        self.server.owner = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={'poll_interval': 0.02})
        self.thread.start()

    def close(self):
        """Stop listening; it may be started again."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def make_server(self, address):
        """Return a server of socketserver's kind."""
        server = type('Server', (ThreadingHTTPServer,),
                      {'daemon_threads': True})
        return server(address, self.Handler)


class Handler(BaseHTTPRequestHandler):
    """HTTP without a log."""

    protocol_version = 'HTTP/1.1'

    @property
    def owner(self):
        """Return the stand-in."""
        return self.server.owner

    def log_message(self, *_):
        """Keep quiet."""

    def content(self):
        """Return the body of the request."""
        if self.headers.get('Transfer-Encoding') == 'chunked':
            body = b''
            while True:
                size = int(self.rfile.readline().split(b';')[0], 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
        else:
            body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.headers.get('Content-Encoding') == 'gzip':
            body = gzip.decompress(body)
        return body

    def answer(self, status, body=b'', kind='application/json', **headers):
        """Send an answer."""
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)


class CouchDB(StandIn):
    """Databases with documents, as CouchDB 3 answers."""

    def __init__(self):
        """Start without a database."""
        self.databases = {}
        super().__init__()

    class Handler(Handler):
        """The part of the HTTP interface that is used."""

        def handle_one(self):
            """Answer any method."""
            body = self.content()
            login = 'Basic ' + base64.b64encode(
                f'component:{PASSWORD}'.encode()).decode()
            if self.headers.get('Authorization') != login:
                return self.say(401, error='unauthorized')
            if self.path == '/_session':
                return self.say(200, ok=True)
            database, _, name = self.path[1:].partition('/')
            databases = self.owner.databases
            if not name:
                if database in databases:
                    return self.say(412, error='file_exists')
                databases[database] = {}
                return self.say(201, ok=True)
            documents = databases.get(database)
            if documents is None:
                return self.say(404, reason='Database does not exist.')
            old = documents.get(unquote(name))
            if self.command == 'GET':
                return self.say(200, **old) if old else self.say(
                    404, reason='missing')
            new = json.loads(body)
            if new.get('_rev') != (old or {}).get('_rev'):
                return self.say(409, error='conflict')
            number = int(new.get('_rev', '0-').split('-')[0]) + 1
            documents[unquote(name)] = {
                **new, '_id': unquote(name), '_rev': f'{number}-0'}
            return self.say(201, ok=True, id=unquote(name), rev=f'{number}-0')

        do_GET = do_PUT = handle_one

        def say(self, status, **document):
            """Send a document."""
            self.answer(status, json.dumps(document).encode())


class S3(StandIn):
    """Buckets, objects and their lists."""

    page = 2

    def __init__(self):
        """Start without a bucket."""
        self.buckets = {}
        self.regions = set()
        super().__init__()

    class Handler(Handler):
        """The part of the REST interface that is used."""

        def handle_one(self):
            """Answer any method."""
            body = self.content()
            login = self.headers.get('Authorization', '')
            if not login.startswith('AWS4-HMAC-SHA256 Credential=component/'):
                return self.fail(403, 'AccessDenied')
            self.owner.regions.add(login.split('/')[2])
            url = urlsplit(self.path)
            bucket, _, key = unquote(url.path)[1:].partition('/')
            buckets = self.owner.buckets
            if not key and self.command == 'PUT':
                buckets.setdefault(bucket, {})
                return self.answer(200)
            if bucket not in buckets:
                return self.fail(404, 'NoSuchBucket')
            if not key:
                return self.show_list(buckets[bucket], parse_qs(url.query))
            if self.command == 'PUT':
                if 'aws-chunked' in self.headers.get('Content-Encoding', ''):
                    # size CRLF data CRLF 0 CRLF trailers
                    size, _, rest = body.partition(b'\r\n')
                    body = rest[:int(size.split(b';')[0], 16)]
                buckets[bucket][key] = body
                return self.answer(200, ETag='"0"')
            if key not in buckets[bucket]:
                return self.fail(404, 'NoSuchKey')
            return self.answer(200, buckets[bucket][key], 'binary/any')

        do_GET = do_PUT = do_HEAD = handle_one

        def show_list(self, objects, query):
            """Send one page of a list."""
            after = query.get('continuation-token', [''])[0]
            prefix = query.get('prefix', [''])[0]
            keys = [key for key in sorted(objects)
                    if key.startswith(prefix) and key > after]
            page = keys[:self.owner.page]
            more = len(keys) > len(page)
            self.answer(200, (
                '<?xml version="1.0"?><ListBucketResult>'
                f'<IsTruncated>{str(more).lower()}</IsTruncated>'
                + (f'<NextContinuationToken>{escape(page[-1])}'
                   '</NextContinuationToken>' if more else '')
                + ''.join(f'<Contents><Key>{escape(key)}</Key></Contents>'
                          for key in page)
                + '</ListBucketResult>').encode(), 'application/xml')

        def fail(self, status, code):
            """Send an error."""
            self.answer(status, (
                f'<?xml version="1.0"?><Error><Code>{code}</Code></Error>'
            ).encode(), 'application/xml')


class Sentry(StandIn):
    """Remembers what was reported."""

    def __init__(self):
        """Start without a report."""
        self.reports = []
        super().__init__()

    @property
    def dsn(self):
        """Return the address to report to."""
        return f'http://key@127.0.0.1:{self.port}/1'

    def errors(self):
        """Return the reports that are errors."""
        return [text for text in self.reports if '"exception"' in text]

    class Handler(Handler):
        """Takes events and envelopes."""

        def do_POST(self):
            """Remember the text."""
            self.owner.reports.append(self.content().decode())
            self.answer(200, b'{}')


class SMTP(StandIn):
    """Takes mail from who signs in."""

    def __init__(self):
        """Start without a mail."""
        self.mails = []
        super().__init__()

    def make_server(self, address):
        """Return a server of lines."""
        server = type('Server', (socketserver.ThreadingTCPServer,),
                      {'daemon_threads': True, 'allow_reuse_address': True})
        return server(address, self.Handler)

    class Handler(socketserver.StreamRequestHandler):
        """The part of RFC 5321 and RFC 4954 that is used."""

        def handle(self):
            """Hold one conversation."""
            signed_in = False
            self.say('220 stand-in')
            while True:
                line = self.rfile.readline().decode().strip()
                verb = line[:4].upper()
                if not line or verb == 'QUIT':
                    return self.say('221 bye')
                if verb == 'EHLO':
                    self.say('250-stand-in\r\n250 AUTH PLAIN')
                elif verb == 'AUTH':
                    words = base64.b64decode(line.split()[2]).split(b'\0')
                    signed_in = words[1:] == [b'component',
                                              PASSWORD.encode()]
                    self.say('235 yes' if signed_in else '535 no')
                elif not signed_in:
                    self.say('530 who are you?')
                elif verb == 'DATA':
                    self.say('354 go on')
                    self.server.owner.mails.append(self.mail())
                    self.say('250 taken')
                else:
                    self.say('250 well')

        def mail(self):
            """Return the text up to the dot."""
            lines = iter(self.rfile.readline, b'.\r\n')
            return b''.join(lines).decode()

        def say(self, line):
            """Send a line."""
            self.wfile.write(f'{line}\r\n'.encode())
