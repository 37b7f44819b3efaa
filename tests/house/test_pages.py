"""The overview of the admin, the pages that tell of an error, and what no template holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client

from accounts.models import Account, Organization, Role, User
from tests.admin_pages import client_of, fill_in, url_of
from tests.factories import make_user, make_voicemailbox
from voicemail_site import admin_site

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STYLES = sorted((ROOT / "voicemail_site" / "static").rglob("*.css"))

INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=\"|javascript:", re.I)
HOST = re.compile(r"https?://(?!www\.w3\.org/)|[\"'(]//")


def cards_of(user: User) -> dict[str, Any]:
    return {card.name: card for card in client_of(user).get("/admin/").context["cards"]}


def test_the_overview_begins_with_what_an_admin_does_most(alice: User) -> None:
    names = list(cards_of(alice))

    assert names == [
        *("Mailboxes", "Refused PINs"),
        *("Users", "API sessions", "Changes", "Organizations", "Accounts"),
    ]


def test_the_overview_counts_the_accounts_own_and_nothing_else(
    alice: User, bob: User, charlie: User, organization: Organization, staff: User
) -> None:
    make_voicemailbox(organization)
    make_voicemailbox(organization)

    assert (cards_of(alice)["Mailboxes"].number, cards_of(alice)["Users"].number) == ("2", "2")
    assert (cards_of(charlie)["Mailboxes"].number, cards_of(charlie)["Users"].number) == ("0", "1")
    assert (cards_of(staff)["Mailboxes"].number, cards_of(staff)["Users"].number) == ("2", "4")


def test_the_overview_stops_counting_where_it_would_take_long(
    alice: User, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_site, "COUNTED_UP_TO", 2)
    for _ in range(2):
        make_voicemailbox(organization)
    assert cards_of(alice)["Mailboxes"].number == "2"

    make_voicemailbox(organization)
    assert cards_of(alice)["Mailboxes"].number == "more than 2"


def test_the_overview_says_how_to_come_to_the_first_mailbox(
    alice: User, staff: User, account: Account
) -> None:
    mailboxes = cards_of(alice)["Mailboxes"]
    assert "Your provider adds it" in mailboxes.hint
    assert mailboxes.add_url == ""
    assert "add an account and an organization first" in cards_of(staff)["Mailboxes"].hint


def test_the_overview_offers_to_add_the_first_mailbox(
    alice: User, organization: Organization
) -> None:
    mailboxes = cards_of(alice)["Mailboxes"]

    assert mailboxes.hint == "None yet. Add the first one."
    assert mailboxes.add_url == "/admin/voicemail/voicemailbox/add/"


def test_the_overview_asks_the_database_the_same_for_any_number_of_boxes(
    alice: User, organization: Organization, django_assert_num_queries: Any
) -> None:
    client = client_of(alice)
    make_voicemailbox(organization)
    # The session and its user, a count for each of seven parts, and the recent actions.
    with django_assert_num_queries(10):
        client.get("/admin/")
    for _ in range(20):
        make_voicemailbox(organization)
    with django_assert_num_queries(10):
        client.get("/admin/")


def test_the_overview_lists_what_one_did_oneself(
    alice: User, account: Account, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=7011, fullname="Joe Smith")
    fill_in(client_of(alice), url_of(box, "change"), fullname="Joseph Smith")
    colleague = make_user("dora", Role.ACCOUNT_ADMIN, account)

    assert "7011 Joseph Smith</a>" in client_of(alice).get("/admin/").content.decode()
    assert "Joseph Smith" not in client_of(colleague).get("/admin/").content.decode()


@pytest.mark.parametrize("path", ["/nothing/secret-word/", "/admin/nothing/secret-word/"])
def test_a_missing_page_does_not_repeat_its_address(alice: User, path: str) -> None:
    response = client_of(alice).get(path)

    assert response.status_code == 404
    assert "This page does not exist" in response.content.decode()
    assert "secret-word" not in response.content.decode()


def test_a_page_for_staff_refuses_others_in_the_sites_look(alice: User) -> None:
    response = client_of(alice).get("/admin/axes/accessattempt/")

    assert response.status_code == 403
    assert "This is not for you to see" in response.content.decode()


def test_a_form_without_its_token_is_refused_in_the_sites_look(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "alice"})

    assert response.status_code == 403
    assert "This form is no longer valid" in response.content.decode()


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_a_page_of_an_error_needs_neither_a_request_nor_collected_files(
    name: str, settings: Any, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }

    assert "/static/voicemail_site/theme.css" in render_to_string(f"{name}.html")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.name))
def test_no_template_holds_a_script_a_style_or_another_host(template: Path) -> None:
    text = template.read_text()

    assert INLINE.findall(text) == []
    assert HOST.findall(text) == []


@pytest.mark.parametrize("style", STYLES, ids=lambda path: str(path.name))
def test_no_style_comes_from_another_host(style: Path) -> None:
    assert HOST.findall(style.read_text()) == []
    assert "@import" not in style.read_text()
