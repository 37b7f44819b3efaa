"""Logins, locks, users, passwords and API sessions, as people meet them in the browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.admin_pages import url_of
from tests.api import ApiClient
from tests.browser.conftest import LogIn
from tests.browser.pages import findings_on

pytestmark = pytest.mark.journey

LOCKED = "You have failed to log in too many times. Please wait 10 minutes then try again."
NEW_PASSWORD = "staple battery horse"


def test_a_user_who_is_locked_is_unlocked_by_the_staff(
    log_in: LogIn, other_page: Page, alice: User, staff: User
) -> None:
    for _ in range(5):
        page = log_in("alice", password="wrong")
        expect(page.locator(".errornote")).to_contain_text("incorrect")
    log_in("alice")
    expect(page.locator(".errornote")).to_have_text(LOCKED)
    assert findings_on(page) == []

    desk = log_in("staff", at=other_page)
    desk.goto(url_of(alice, "change"))
    desk.get_by_role("button", name="Unlock now").click()
    expect(desk.locator(".messagelist")).to_contain_text("Unlocked: alice.")

    log_in("alice")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_an_admin_ends_a_session_and_the_api_refuses_it(
    log_in: LogIn, alice: User, as_alice: ApiClient
) -> None:
    assert as_alice.call("AccountRead", AccountId=str(alice.account_id)).is_completed

    page = log_in("alice")
    page.get_by_role("link", name="API sessions").first.click()
    page.get_by_role("link", name="End this session of alice").click()
    page.get_by_role("button", name="End session").click()

    expect(page.locator(".messagelist")).to_contain_text("alice")
    expect(page.get_by_role("link", name="End this session of alice")).to_have_count(0)
    reply = as_alice.call("AccountRead", AccountId=str(alice.account_id))
    assert not reply.is_completed
    assert reply.context["Session"]["IsEstablished"] == "false"


def test_a_new_user_gets_a_password_by_a_link_that_opens_once(
    log_in: LogIn, other_page: Page, alice: User
) -> None:
    page = log_in("alice")
    page.get_by_role("link", name="Add user").first.click()
    page.get_by_label("Authentication name").fill("dora")
    page.get_by_label("Role:").select_option(label="Account Admin")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("User dora was added.")

    page.goto(url_of(User.unscoped.get(auth_username="dora"), "change"))
    page.get_by_role("link", name="Send a password link").click()
    page.get_by_role("button", name="Show the link").click()
    assert findings_on(page) == []
    link = "/password/" + page.locator("#password-link").input_value().split("/password/")[1]

    other_page.goto(link)
    assert findings_on(other_page) == []
    other_page.get_by_label("New password:", exact=True).fill(NEW_PASSWORD)
    other_page.get_by_label("New password again").fill(NEW_PASSWORD)
    other_page.get_by_role("button", name="Set your password").click()
    expect(other_page.get_by_role("heading")).to_have_text("Your password was changed")

    log_in("dora", password=NEW_PASSWORD, at=other_page)
    expect(other_page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading")).to_have_text("This link does not open any more")
