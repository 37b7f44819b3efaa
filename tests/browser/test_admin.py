"""Alice's day in the admin, and what charlie and bob see of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import Organization, User
from tests.admin_pages import url_of
from tests.browser.conftest import LogIn
from tests.browser.pages import findings_on
from tests.factories import make_voicemailbox
from voicemail.models import Voicemailbox

pytestmark = pytest.mark.journey


@pytest.fixture(autouse=True)
def _boxes(
    alice: User,
    bob: User,
    charlie: User,
    organization: Organization,
    other_organization: Organization,
) -> None:
    make_voicemailbox(organization, mailbox=7011, username="vm7011", fullname="Zoë Müller")
    make_voicemailbox(organization, mailbox=7012, username="vm7012", fullname="Joe Smith")
    make_voicemailbox(other_organization, mailbox=9001, username="vm9001", fullname="Max Globex")


def open_boxes(page: Page) -> None:
    page.get_by_role("link", name="Mailboxes").first.click()


def expect_names(page: Page, *names: str) -> None:
    expect(page.locator("#result_list td.field-fullname")).to_have_text(list(names))


def expect_told_beside(field: Locator, text: str) -> None:
    expect(field).to_have_accessible_description(re.compile(re.escape(text)))


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def test_an_admin_sees_the_accounts_boxes_and_no_others(log_in: LogIn) -> None:
    page = log_in("alice")
    open_boxes(page)
    expect_names(page, "Zoë Müller", "Joe Smith")
    expect(page.locator("body")).not_to_contain_text("Globex")


def test_an_admin_finds_a_box_by_a_part_of_its_name(log_in: LogIn) -> None:
    page = log_in("alice")
    open_boxes(page)
    page.get_by_role("searchbox", name="Find").fill("Müll")
    page.get_by_role("button", name="Search").click()
    expect_names(page, "Zoë Müller")


def test_an_admin_reads_an_error_beside_its_field_mends_it_and_adds_the_box(
    log_in: LogIn,
) -> None:
    page = log_in("alice")
    open_boxes(page)
    page.get_by_role("link", name="Add mailbox").click()
    page.get_by_label("Mailbox:", exact=True).fill("7011")
    page.get_by_label("User name of the address").fill("vm7013")
    page.get_by_label("Full name").fill("Ana Núñez")
    page.get_by_label("New PIN").fill("482915")
    page.get_by_label("Notify by e-mail").select_option(label="E-mail with the recording")
    save(page)
    mailbox = page.get_by_label("Mailbox:", exact=True)
    expect_told_beside(mailbox, "This mailbox is already in use in this organization.")
    expect_told_beside(page.get_by_label("E-mail:", exact=True), "This value is required.")
    expect(page.get_by_label("New PIN")).to_have_value("")
    mailbox.fill("7013")
    page.get_by_label("E-mail:", exact=True).fill("ana@example.com")
    save(page)
    expect(page.locator(".messagelist")).to_contain_text("Mailbox 7013 of Ana Núñez was added.")
    expect(page.locator(".pin")).to_be_visible()
    open_boxes(page)
    expect_names(page, "Zoë Müller", "Joe Smith", "Ana Núñez")


def test_an_admin_edits_a_box(log_in: LogIn) -> None:
    page = log_in("alice")
    open_boxes(page)
    page.get_by_role("link", name="Joe Smith").click()
    page.get_by_label("Full name").fill("Joseph Smith")
    save(page)
    expect(page.locator(".messagelist")).to_contain_text(
        "Mailbox 7012 of Joseph Smith was changed: Full name."
    )
    expect_names(page, "Zoë Müller", "Joseph Smith")


def test_an_admin_deletes_a_box_and_undoes_it(log_in: LogIn) -> None:
    page = log_in("alice")
    open_boxes(page)
    page.get_by_role("link", name="Joe Smith").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete mailbox").click()
    expect(page.locator(".messagelist")).to_contain_text("Mailbox 7012 of Joe Smith was deleted.")
    expect_names(page, "Zoë Müller")
    page.get_by_role("link", name="Undo").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".messagelist")).to_contain_text("was restored")
    open_boxes(page)
    expect_names(page, "Zoë Müller", "Joe Smith")


def test_an_admin_restores_a_former_version(log_in: LogIn) -> None:
    page = log_in("alice")
    open_boxes(page)
    page.get_by_role("link", name="Joe Smith").click()
    page.get_by_label("Full name").fill("Josephine Smith")
    save(page)
    page.get_by_role("link", name="Josephine Smith").click()
    page.get_by_role("link", name="History").click()
    expect(page.locator("body")).to_contain_text("Joe Smith → Josephine Smith")
    page.get_by_role("link", name="Restore the version").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".messagelist")).to_contain_text("was restored")
    open_boxes(page)
    expect_names(page, "Zoë Müller", "Joe Smith")


def test_an_admin_resets_a_pin_and_sees_the_new_one_once(log_in: LogIn) -> None:
    box = Voicemailbox.unscoped.get(fullname="Joe Smith")
    page = log_in("alice")
    page.goto(url_of(box, "change"))
    page.get_by_role("link", name="Reset PIN").click()
    page.get_by_role("button", name="Reset PIN").click()
    new = page.locator(".pin").inner_text()
    assert new != box.password
    assert findings_on(page) == []
    box.refresh_from_db()
    assert new == box.password
    for path in (url_of(box, "change"), url_of(box, "history"), "/admin/"):
        page.goto(path)
        expect(page.locator("body")).not_to_contain_text(new)


def test_an_admin_asks_for_a_pin_and_the_history_says_so(log_in: LogIn) -> None:
    box = Voicemailbox.unscoped.get(fullname="Joe Smith")
    page = log_in("alice")
    page.goto(url_of(box, "change"))
    page.get_by_role("link", name="Show PIN").click()
    page.get_by_role("button", name="Show PIN").click()
    expect(page.locator(".pin")).to_have_text(box.password)
    assert findings_on(page) == []
    page.goto(url_of(box, "history"))
    expect(page.locator(".versions tbody tr").first).to_contain_text("PIN shown")


def reach(page: Page, target: Locator) -> None:
    """Press Tab until something has the focus, as somebody without a mouse does."""
    expect(target).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"The keyboard does not reach {target}.")


def test_a_box_is_added_by_keyboard_alone(log_in: LogIn) -> None:
    page = log_in("alice")
    reach(page, page.get_by_role("link", name="Add mailbox"))
    page.keyboard.press("Enter")
    reach(page, page.get_by_label("Full name"))
    page.keyboard.type("Ana Núñez")
    reach(page, page.get_by_role("button", name="Save", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("of Ana Núñez was added.")
    expect(page.locator(".pin")).to_be_visible()


def test_another_accounts_admin_sees_none_of_it(log_in: LogIn) -> None:
    page = log_in("charlie")
    open_boxes(page)
    expect_names(page, "Max Globex")
    foreign = Voicemailbox.unscoped.get(fullname="Joe Smith")
    page.goto(f"/admin/voicemail/voicemailbox/{foreign.pk}/change/")
    expect(page.locator(".messagelist")).to_contain_text("doesn’t exist. Perhaps it was deleted?")
    expect(page.locator("body")).not_to_contain_text("Joe Smith")


def test_a_plain_user_does_not_get_in(log_in: LogIn) -> None:
    page = log_in("bob")
    expect(page.locator(".errornote")).to_have_text(
        "The username or password is incorrect, or this user is no administrator."
    )
    expect(page.get_by_role("link", name="Mailboxes")).to_have_count(0)
