"""What happens to every request: who it is from, its log line, and the API's last resort."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from secrets import token_hex
from typing import Any, TypeAlias

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from voicemail_site.logs import request_id
from voicemail_site.webapi.views import BROKEN, exception_response

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]
Address: TypeAlias = IPv4Address | IPv6Address

FORWARDED_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REQUEST_ID",
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")

_PBX = "/asterisk/"
_FOR_PROGRAMS = re.compile(r"/(?:(?:webapi|restapi|api)/?\Z|rng/|asterisk/|healthz\Z|readyz\Z)")

UNREADABLE = "The request can't be read, or it names a host that is not served here."

_logger = logging.getLogger("voicemail_site.request")


class TrustedProxyMiddleware:
    """Believe the headers of trusted proxies, and of nobody else.

    Behind them REMOTE_ADDR becomes the client's address, so that the rest of the code need not
    know about proxies.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sender = _read_address(request.META.get("REMOTE_ADDR", ""))
        if sender is not None and _is_trusted(sender):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            request.META["REMOTE_ADDR"] = str(_client(sender, forwarded))
        else:
            for header in FORWARDED_HEADERS:
                request.META.pop(header, None)
        return self.get_response(request)


def _client(sender: Address, forwarded: str) -> Address:
    """Go back from proxy to proxy; what stands before a stranger, or garbage, proves nothing."""
    client = sender
    for text in reversed(forwarded.split(",")):
        previous = _read_address(text.strip())
        if previous is None or not _is_trusted(client):
            break
        client = previous
    return client


@lru_cache(maxsize=1024)
def _read_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket of both families tells an IPv4 sender as ::ffff:10.0.0.1.
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


class RequestLogMiddleware:
    """Give each request an id, and log a line about its answer.

    The line has what the view left in ``request.log_fields``, and never the query.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        number = _request_id(request)
        request.request_id = number  # type: ignore[attr-defined]  # read by views
        # It stays until the thread's next request: a streamed answer fails after this returned.
        request_id.set(number)
        response = self.get_response(request)
        response.headers["X-Request-ID"] = number
        duration = round((time.perf_counter() - started) * 1000)
        _logger.info("Answered.", extra=_log_fields(request, response.status_code, duration))
        return response


def _request_id(request: HttpRequest) -> str:
    proposed = request.META.get("HTTP_X_REQUEST_ID", "")
    return proposed if _REQUEST_ID.fullmatch(proposed) else token_hex(16)


def _log_fields(request: HttpRequest, status: int, duration_ms: int) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "status": status,
        "duration_ms": duration_ms,
        "client": request.META.get("REMOTE_ADDR", ""),
        **getattr(request, "log_fields", {}),
    }


class ApiErrorMiddleware:
    """Answer an Exception document on the API's paths where Django would answer a page.

    On a PBX's paths the answer is empty then.

    A foreign Host header, for one, never reaches the API's view, and with DEBUG not even Django's
    error handlers.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code >= HTTPStatus.BAD_REQUEST and request.path_info.startswith(_PBX):
            # A page with a "=" in it would be a mailbox to Asterisk.
            return HttpResponse(status=response.status_code)
        if not _is_error_page(response) or not _is_api(request):
            return response
        request.log_fields = {"outcome": "failed"}  # type: ignore[attr-defined]  # for the log
        text = UNREADABLE if response.status_code == HTTPStatus.BAD_REQUEST else BROKEN
        return exception_response(request, response.status_code, text)


class ProgramsMiddleware:
    """Answer programs here: the API, its grammar, PBXs and probes know no cookie and no page.

    What follows in the list of middleware would take as long as a short answer itself.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _FOR_PROGRAMS.match(request.path_info):
            return self.get_response(request)
        request.get_host()  # It refuses a host that is not served here.
        match = request.resolver_match = _resolved(request.path_info, settings.ROOT_URLCONF)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response


@lru_cache(maxsize=64)
def _resolved(path: str, urlconf: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _is_error_page(response: HttpResponseBase) -> bool:
    content_type = response.headers.get("Content-Type", "")
    return response.status_code >= HTTPStatus.BAD_REQUEST and content_type.startswith("text/html")


def _is_api(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).url_name == "webapi"
    except Resolver404:
        return False
