"""Every page that somebody can open, taken from the site itself, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import URLPattern
from playwright.sync_api import Page

from accounts.models import User
from tests.admin_pages import client_of, url_of

SERIOUS = ("serious", "critical")

BARE = {
    "landing": "/",
    "login": "/admin/login/",
    "password": "/password/",
    "error-404": "/nothing/here/",
}
SITE = {
    "overview": "/admin/",
    "app": "/admin/voicemail/",
    "own-password": "/admin/password_change/",
    "own-password-changed": "/admin/password_change/done/",
    "error-404-in-the-admin": "/admin/nothing/here/",
    "list-nothing-found": "/admin/voicemail/voicemailbox/?q=nobody",
}


def pages_for(user: User, rows: dict[Any, models.Model]) -> dict[str, str]:
    """Name the pages that answer somebody's GET with HTML; ``rows`` has one row of a model."""
    client = client_of(user)
    pages = SITE | {name: path for model, row in rows.items() for name, path in _pages(model, row)}
    return {name: path for name, path in pages.items() if _is_page(client, path)}


def _pages(model: Any, row: models.Model) -> Iterator[tuple[str, str]]:
    for pattern in admin.site._registry[model].urls:
        if isinstance(pattern, URLPattern) and pattern.name:
            name = pattern.name.replace(f"{model._meta.app_label}_", "").replace("_", "-")
            yield name, url_of(model) + _filled(str(pattern.pattern), row)


def _filled(route: str, row: Any) -> str:
    if "history_id" in route:
        route = route.replace("<str:history_id>", str(row.history.last().history_id))
    return route.replace("<path:object_id>", str(row.pk))


def _is_page(client: Client, path: str) -> bool:
    response = client.get(path)
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return is_html and response.status_code in (200, 404)


def show_error(page: Page, name: str, body: str) -> None:
    """Open a page that tells of an error which a test can't bring about."""
    address = f"/error/{name}"
    page.route(f"**{address}", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(address)


def findings_on(page: Page) -> list[str]:
    """Name what is serious on the page that is open: axe-core's findings, and its headings."""
    found = [
        f"{page.url} {violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
    if page.locator("h1").count() != 1:
        found.append(f"{page.url} has {page.locator('h1').count()} h1")
    return found
