"""Metrics for Prometheus: what is counted, and who may read it (docs/operations.md, Metrics).

A refused request has status 200, so requests are told apart by action and error code. Each label
has few values, known beforehand: nothing that a client sent becomes one.
"""

from __future__ import annotations

import hmac
import os
import platform
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import django
from axes.signals import user_locked_out
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.db import Error, close_old_connections, connection, transaction
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from accounts.lockout import locks_at
from accounts.models import Session
from voicemail.models import SpoolTask

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]

PATH: Final = "/metrics"
NONE, FAILED, UNKNOWN = "none", "failed", "unknown"

# What a PBX asks by name in a path, or by a view of its own.
_LOOKUPS = frozenset({"single", "multi", "update", "pin-check"})
_OPERATIONS = _LOOKUPS | {"require", "store", "destroy", "spool-orders", "spool-confirmation"}

# How long the database may take for each question of the page, in milliseconds.
_PATIENCE = 1_000

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_counted = CollectorRegistry()

api_seconds = Histogram(
    "voicemail_api_request_seconds",
    "Requests to the Web API by action and first error code, until the answer was sent.",
    ("action", "code"),
    buckets=_SECONDS,
    registry=_counted,
)
api_errors = Counter(
    "voicemail_api_errors",
    "Errors that the Web API answered, several for a request where it had several.",
    ("action", "code"),
    registry=_counted,
)
long_answers = Gauge(
    "voicemail_api_long_answers",
    "Answers of the Web API that are being sent piece by piece.",
    registry=_counted,
    multiprocess_mode="livesum",
)
pbx_seconds = Histogram(
    "voicemail_pbx_request_seconds",
    "Requests of PBXs by operation and outcome.",
    ("operation", "outcome"),
    buckets=_SECONDS,
    registry=_counted,
)
page_seconds = Histogram(
    "voicemail_page_seconds",
    "Other requests, by area and class of status.",
    ("area", "status"),
    buckets=_SECONDS,
    registry=_counted,
)
login_failures = Counter(
    "voicemail_login_failures",
    "Logins to the API and the admin that were refused: a wrong password, or locked out.",
    ("reason",),
    registry=_counted,
)
locks = Counter("voicemail_locks", "Users whom wrong passwords locked.", registry=_counted)
connections_opened = Counter(
    "voicemail_database_connections_opened",
    "Connections to the database that were opened.",
    registry=_counted,
)


class MetricsMiddleware:
    """Count and time every request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        name = match.view_name if match else ""
        if name == "webapi":
            _count_api(request, response, started)
        elif match and name.startswith("asterisk:"):
            operation = match.kwargs.get("operation", match.url_name)
            labels = _pbx_labels(operation, response)
            pbx_seconds.labels(*labels).observe(time.perf_counter() - started)
        else:
            area = "admin" if name.startswith("admin:") else "other"
            status = f"{response.status_code // 100}xx"
            page_seconds.labels(area, status).observe(time.perf_counter() - started)
        return response


def _count_api(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
    fields = getattr(request, "log_fields", {})
    action = fields.get("action") or UNKNOWN
    codes = fields.get("codes") or ()
    for code in codes:
        api_errors.labels(action, code).inc()
    is_failed = response.status_code >= HTTPStatus.BAD_REQUEST
    timed = api_seconds.labels(action, FAILED if is_failed else codes[0] if codes else NONE)
    if not isinstance(response, StreamingHttpResponse):
        timed.observe(time.perf_counter() - started)
        return
    long_answers.inc()
    # Django calls these once the answer was sent, or its reader has left.
    response._resource_closers.extend(  # type: ignore[attr-defined]  # not in its types
        (long_answers.dec, lambda: timed.observe(time.perf_counter() - started))
    )


def _pbx_labels(operation: str | None, response: HttpResponseBase) -> tuple[str, str]:
    if operation is None or operation not in _OPERATIONS:
        return UNKNOWN, UNKNOWN
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return operation, FAILED
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        return operation, "refused"
    if operation not in _LOOKUPS:
        return operation, "answered"
    is_found = isinstance(response, HttpResponse) and response.content not in (b"", b"0")
    return operation, "found" if is_found else "missed"


@receiver(user_login_failed)
def _count_failure(sender: Any, request: Any = None, **kwargs: Any) -> None:
    is_locked = getattr(request, "axes_locked_out", False)
    login_failures.labels("locked" if is_locked else "wrong").inc()


@receiver(user_locked_out)
def _count_lock(sender: Any, **kwargs: Any) -> None:
    locks.inc()


@receiver(connection_created)
def _count_connection(sender: Any, **kwargs: Any) -> None:
    connections_opened.inc()


class State(Collector):
    """What is so at the moment, the same on every node: it is looked up for each page."""

    def collect(self) -> Iterator[Metric]:
        """Give the version and, if the database answers in time, what is in it."""
        build = InfoMetricFamily("voicemail_build", "What runs here.")
        build.add_metric([], _versions())
        yield build
        up = GaugeMetricFamily("voicemail_database_up", "Whether the database answers in time.")
        try:
            families = list(_from_the_database())
        except Error:
            families = []
        up.add_metric([], float(bool(families)))
        yield from (up, *families)


def _versions() -> dict[str, str]:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]
    return {
        "version": project["version"],
        "python": platform.python_version(),
        "django": django.get_version(),
    }


def _from_the_database() -> Iterator[Metric]:
    is_postgresql = connection.vendor == "postgresql"
    # A transaction would take SQLite's one write lock.
    block: AbstractContextManager[Any] = transaction.atomic() if is_postgresql else nullcontext()
    with block, connection.cursor() as cursor:
        if is_postgresql:
            cursor.execute(f"SET LOCAL statement_timeout = {_PATIENCE}")
            yield from _connections(cursor)
        now = timezone.now()
        yield _gauge("users_locked", "Users who are locked.", locks_at(now).count())
        sessions = Session.unscoped.live_at(now).count()
        yield _gauge("api_sessions", "API sessions that open the API.", sessions)
        tasks = SpoolTask.unscoped.filter(confirmed=None).count()
        yield _gauge("spool_tasks_open", "Spool orders that a PBX has still to do.", tasks)


def _gauge(name: str, help_text: str, number: float) -> Metric:
    return GaugeMetricFamily(f"voicemail_{name}", help_text, number)


def _connections(cursor: Any) -> Iterator[Metric]:
    """Tell of all connections to the service's database, and how many the server allows."""
    family = GaugeMetricFamily(
        "voicemail_database_connections",
        "Connections to the database, by state, from every node and command.",
        labels=("state",),
    )
    cursor.execute(
        "SELECT COALESCE(state, 'unknown'), COUNT(*) FROM pg_stat_activity "
        "WHERE datname = current_database() GROUP BY 1"
    )
    for state, number in cursor.fetchall():
        family.add_metric([state], number)
    yield family
    cursor.execute("SELECT current_setting('max_connections')::int")
    (most,) = cursor.fetchone()
    yield _gauge("database_max_connections", "How many connections PostgreSQL allows.", most)


_state = CollectorRegistry()
_state.register(State())


def written() -> bytes:
    """Write the page, with what all workers of this node have counted."""
    registry = _counted
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # It has no types.
    return generate_latest(registry) + generate_latest(_state)


class MetricsPage:
    """Answer ``/metrics`` to those who may read it, before Django sees the request.

    Anybody else gets what the service answers for a page that does not exist. On METRICS_BIND
    there is no other page.
    """

    def __init__(self, service: WSGIApplication) -> None:
        self.service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_apart = _is_apart(environ)
        if environ.get("PATH_INFO") == PATH and _may_read(environ, is_apart):
            # Django does so with each request of its own.
            close_old_connections()
            page = written()
            close_old_connections()
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), *_NOT_KEPT])
            return [page]
        if is_apart:
            start_response("404 Not Found", [("Content-Type", "text/plain"), *_NOT_KEPT])
            return [b"Not found.\n"]
        return self.service(environ, start_response)


_NOT_KEPT = (("Cache-Control", "no-store"),)


def _is_apart(environ: WSGIEnvironment) -> bool:
    """Tell whether a request came to METRICS_BIND; its own headers are not asked."""
    listener = environ.get("gunicorn.socket")
    name = listener.getsockname() if settings.METRICS_PORT and listener else None
    return isinstance(name, tuple) and name[1] == settings.METRICS_PORT


def _may_read(environ: WSGIEnvironment, is_apart: bool) -> bool:
    if environ["REQUEST_METHOD"] != "GET" or is_apart != bool(settings.METRICS_BIND):
        return False
    presented = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
    expected = f"Bearer {settings.METRICS_TOKEN}".encode()
    return not settings.METRICS_TOKEN or hmac.compare_digest(presented, expected)
