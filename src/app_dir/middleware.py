"""The answer to "are you alive?"."""

from django.http import HttpResponse

PATH = '/healthz'
ALIVE = b'alive\n'


class AliveMiddleware:
    """Answers GET /healthz before anything else has a say.

    No dependency is asked, and neither the Host header nor a redirect to
    https matters: load balancers ask by address and in plain http.
    """

    def __init__(self, get_response):
        """Stand before ``get_response``."""
        self.get_response = get_response

    def __call__(self, request):
        """Answer the one path, hand on every other."""
        if request.path_info == PATH:
            return HttpResponse(
                ALIVE, content_type='text/plain',
                headers={'Content-Length': str(len(ALIVE))})
        return self.get_response(request)
