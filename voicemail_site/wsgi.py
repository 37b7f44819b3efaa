"""The entry of the web server."""

import os
from collections.abc import Iterable
from importlib import import_module
from io import BytesIO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from voicemail_site.requests import Request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicemail_site.settings")

# A page that takes longer has lost its reader; commands such as an import have no limit.
os.environ.setdefault("DATABASE_STATEMENT_TIMEOUT", "5000")

# Far more than the API takes; what is longer is cut here, and refused there.
_CHUNKS_MAX_BYTES = 16 * 1024 * 1024

_django = get_wsgi_application()
_django.request_class = Request


def _answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request, with a body in chunks as with any other."""
    # Django takes a body without a length for an empty one.
    if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(_CHUNKS_MAX_BYTES)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return _django(environ, start_response)


application: WSGIApplication = _answer
if settings.HAS_METRICS:
    application = import_module("voicemail_site.metrics").MetricsPage(_answer)
