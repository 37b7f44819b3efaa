"""Every page, light and dark, wide and narrow: axe-core finds nothing serious on it."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page

from accounts.models import Account, Change, Organization, Session, User
from tests.admin_pages import client_of, fill_in, url_of
from tests.api import ApiClient
from tests.asterisk.pbx import make_pbx
from tests.browser.conftest import LogIn
from tests.browser.pages import BARE, findings_on, pages_for, show_error
from tests.factories import make_voicemailbox
from voicemail.models import Pbx, RefusedPin, Voicemailbox
from voicemail.services import change_pin_by_phone

pytestmark = pytest.mark.journey

NARROW = {"width": 360, "height": 740}

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture
def rows(alice: User, bob: User, organization: Organization, as_bob: ApiClient) -> dict[Any, Any]:
    """Give a row of every model, with a history."""
    box = make_voicemailbox(organization, fullname="Joe Smith")
    fill_in(client_of(alice), url_of(box, "change"), fullname="Joseph Smith")
    pbx, _ = make_pbx()
    change_pin_by_phone(box, "0", pbx=pbx.name)
    return {
        Voicemailbox: box,
        RefusedPin: box.refused_pins.get(),
        Pbx: pbx,
        User: bob,
        Session: bob.sessions.get(),
        Change: Change.unscoped.latest("id"),
        Organization: organization,
        Account: organization.account,
    }


def overflow_of(page: Page) -> list[str]:
    width = page.evaluate("document.documentElement.scrollWidth")
    return [f"{page.url} is {width} wide"] if width > NARROW["width"] else []


@THEMES
@pytest.mark.parametrize("name", ["alice", "staff"])
def test_no_page_of_an_admin_has_a_serious_finding(
    page: Page, log_in: LogIn, rows: dict[Any, Any], staff: User, name: str, theme: Any
) -> None:
    page.emulate_media(color_scheme=theme)
    log_in(name)
    found = []
    for path in pages_for(User.unscoped.get(auth_username=name), rows).values():
        page.goto(path)
        found += findings_on(page)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["alice", "staff"])
def test_no_page_of_an_admin_scrolls_sideways_on_a_narrow_screen(
    page: Page, log_in: LogIn, rows: dict[Any, Any], staff: User, name: str
) -> None:
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a ViewportSize
    log_in(name)
    found = []
    for path in pages_for(User.unscoped.get(auth_username=name), rows).values():
        page.goto(path)
        found += overflow_of(page)
    assert not found, "\n".join(found)


@THEMES
def test_no_page_before_the_login_has_a_serious_finding(page: Page, theme: Any) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a ViewportSize
    found = []
    for path in BARE.values():
        page.goto(path)
        found += findings_on(page) + overflow_of(page)
    for name in ("400", "403", "403_csrf", "500"):
        show_error(page, name, render_to_string(f"{name}.html"))
        found += findings_on(page) + overflow_of(page)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_toggle_overrules_the_systems_theme(page: Page, system: Any) -> None:
    page.emulate_media(color_scheme=system)
    page.goto("/admin/login/")
    before = background_of(page)
    page.get_by_role("button", name="Toggle theme").click()
    after = background_of(page)
    page.goto("/")

    assert before != after
    assert page.evaluate("document.documentElement.dataset.theme") != system


def background_of(page: Page) -> str:
    background: str = page.locator("body").evaluate("body => getComputedStyle(body).background")
    return background
