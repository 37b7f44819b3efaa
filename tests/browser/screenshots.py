"""Pictures of every page, and those of the guide; `make screenshots` takes them.

Each page is seen in light, in dark and on a narrow screen, under var/screenshots; the
pictures of docs/admin.md are written to docs/images. This is no test: pytest only lends it the
database, the server and the browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from playwright.sync_api import Page

from accounts.models import Account, Change, Organization, Role, Session, User
from tests.admin_pages import client_of, fill_in, url_of
from tests.api import ApiClient
from tests.browser.conftest import LogIn
from tests.browser.pages import BARE, pages_for, show_error
from tests.factories import make_organization, make_user, make_voicemailbox
from voicemail.models import NotifyEmail, NotifyPager, Voicemailbox

pytestmark = pytest.mark.journey

PAGES = Path(settings.BASE_DIR) / "var" / "screenshots"
GUIDE = Path(settings.BASE_DIR) / "docs" / "images"

LOOKS: dict[str, tuple[Any, int]] = {
    "light": ("light", 1200),
    "dark": ("dark", 1200),
    "narrow": ("light", 360),
    "narrow-dark": ("dark", 360),
}
NAMES = (
    *("Joe Smith", "Zoë Müller", "Siobhán O'Brien", "Front Desk", "Ana María Núñez"),
    *("Sales & Support", "Łukasz Wójcik", "Jean-Luc Dupont", "Дарья Иванова", "Warehouse"),
)


@pytest.fixture
def rows(alice: User, bob: User, organization: Organization, as_bob: ApiClient) -> dict[Any, Any]:
    """Give an account at work: boxes of all kinds, users, a session, and a few changes."""
    west = make_organization(organization.account, domain="acme-west.example.com")
    boxes = [_box(organization if number % 3 else west, number) for number in range(len(NAMES))]
    make_user("dora", Role.ACCOUNT_ADMIN, organization.account, email="dora@example.com")
    client = client_of(alice)
    fill_in(client, url_of(boxes[1], "change"), fullname="Zoë Müller-Lang", timezone="us_pacific")
    client.post(url_of(boxes[9], "delete"), {"post": "yes"})
    client.cookies.pop("messages", None)
    return {
        Voicemailbox: boxes[1],
        User: bob,
        Session: bob.sessions.get(),
        Change: Change.unscoped.latest("id"),
        Organization: organization,
        Account: organization.account,
    }


def _box(organization: Organization, number: int) -> Voicemailbox:
    mailbox = 1001 + number
    notify_email = NotifyEmail.values[number % len(NotifyEmail.values)]
    return make_voicemailbox(
        organization,
        mailbox=mailbox,
        username=f"vm{mailbox}",
        fullname=NAMES[number],
        notify_email=notify_email,
        email="" if notify_email == NotifyEmail.NO else f"user{mailbox}@{organization.domain}",
        notify_pager=NotifyPager.values[number % 4 == 3],
        pager=f"pager{mailbox}@{organization.domain}",
        status="disabled" if number == 6 else "enabled",
    )


def looks(page: Page) -> Iterator[str]:
    """Go through the looks."""
    for look, (theme, width) in LOOKS.items():
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 800})
        yield look


@pytest.mark.parametrize("name", ["alice", "staff"])
def test_every_page_of_an_admin(
    page: Page, log_in: LogIn, rows: dict[Any, Any], staff: User, name: str
) -> None:
    pages = pages_for(User.unscoped.get(auth_username=name), rows)
    log_in(name)
    for look in looks(page):
        for title, path in pages.items():
            page.goto(path)
            page.screenshot(path=PAGES / f"{name}-{title}-{look}.png", full_page=True)


def test_every_page_before_the_login(page: Page, db: None) -> None:
    for look in looks(page):
        for title, path in BARE.items():
            page.goto(path)
            page.screenshot(path=PAGES / f"{title}-{look}.png", full_page=True)
        for error in ("400", "403", "403_csrf", "500"):
            show_error(page, error, render_to_string(f"{error}.html"))
            page.screenshot(path=PAGES / f"error-{error}-{look}.png", full_page=True)


def test_the_guides_pictures(page: Page, log_in: LogIn, rows: dict[Any, Any]) -> None:
    page.set_viewport_size({"width": 1200, "height": 720})
    box: Voicemailbox = rows[Voicemailbox]

    def picture(name: str, path: str = "") -> None:
        if path:
            page.goto(path)
        page.evaluate("document.activeElement?.blur()")
        page.screenshot(path=GUIDE / f"{name}.png")

    log_in("alice")
    picture("overview")
    picture("mailboxes", url_of(Voicemailbox))
    picture("search", f"{url_of(Voicemailbox)}?q=zo&status__exact=enabled")
    picture("mailbox", url_of(box, "change"))
    page.goto(f"{url_of(Voicemailbox, 'add')}?organization={box.organization_id}")
    page.get_by_label("Full name").fill("Ivan Petrov")
    picture("add")
    page.goto(url_of(box, "reset_pin"))
    page.get_by_role("button", name="Reset PIN").click()
    page.locator(".pin").wait_for()
    picture("new-pin")
    page.goto(url_of(Voicemailbox))
    page.get_by_role("link", name="Jean-Luc Dupont").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete mailbox").click()
    page.locator(".messagelist").wait_for()
    picture("undo")
    picture("history", url_of(box, "history"))
    picture("users", url_of(User))
    picture("sessions", url_of(Session))
    picture("changes", url_of(Change))
