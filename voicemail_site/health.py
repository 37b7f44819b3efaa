"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.guards import missing_guards

# As long as this file is in VAR_DIR, the node goes on answering, but says that it is not ready.
DRAINING = "draining"

_NOT_KEPT = {"Cache-Control": "no-store"}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does; the database is not asked."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8", headers=_NOT_KEPT)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 where everything is in place, else 503 and what is not, in words.

    A balancer sends nothing more to a node that is not ready (docs/operations.md, Several nodes).
    """
    try:
        problems = list(_problems())
    except Error:
        problems = ["The database does not answer."]
    return JsonResponse(
        {"ready": not problems, "problems": problems},
        status=503 if problems else 200,
        headers=_NOT_KEPT,
    )


def _problems() -> Iterator[str]:
    if (settings.VAR_DIR / DRAINING).exists():
        yield "This node is being taken out of service."
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        yield f"Migrations that are not applied: {missing}. Run manage.py migrate."
    unguarded = len(missing_guards(connection))
    if unguarded:
        yield f"Guards that the database lacks: {unguarded}. Run manage.py migrate."
