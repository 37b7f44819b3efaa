"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.guards import missing_guards

_NOT_KEPT = {"Cache-Control": "no-store"}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does; the database is not asked."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8", headers=_NOT_KEPT)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 where everything is in place, else 503 and what is not, in words."""
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
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        yield f"Migrations that are not applied: {missing}. Run manage.py migrate."
    unguarded = len(missing_guards(connection))
    if unguarded:
        yield f"Guards that the database lacks: {unguarded}. Run manage.py migrate."
