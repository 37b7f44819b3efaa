"""The mailbox form: how it is laid out, what it suggests, and what it says afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Organization, User
from tests.admin_pages import (
    client_of,
    errors_of,
    fill_in,
    form_of,
    notes_of,
    url_of,
    values_of,
)
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Voicemailbox

ADD = "/admin/voicemail/voicemailbox/add/"
SUGGEST = "/admin/voicemail/voicemailbox/suggest/"


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="vm7011", fullname="Joe Smith", password="482915"
    )


def text_of(response: Any) -> str:
    return str(response.content.decode())


def groups_of(response: Any) -> dict[str, list[str]]:
    """Give the names of the fields of a form by the headings of their groups."""
    return {
        group.name: [
            field.field["name"] if field.is_readonly else field.field.name
            for line in group
            for field in line
        ]
        for group in response.context["adminform"]
    }


# The layout

NOTIFICATIONS = ["notify_email", "email", "notify_pager", "pager"]
PLAYBACK = ["timezone", "say_caller_id", "say_duration", "say_datetime"]


def test_a_new_boxs_fields_are_grouped(client: Client, organization: Organization) -> None:
    assert groups_of(client.get(ADD)) == {
        "Mailbox": ["organization", "mailbox", "fullname", "username", "password", "status"],
        "Notifications": NOTIFICATIONS,
        "Playback": PLAYBACK,
        "Message waiting": ["mwi"],
    }


def test_a_boxs_fields_are_grouped_and_it_has_a_history(client: Client, box: Voicemailbox) -> None:
    response = client.get(url_of(box, "change"))
    assert groups_of(response) == {
        "Mailbox": [
            *("organization", "mailbox", "fullname", "username", "pin", "password", "status"),
        ],
        "Notifications": NOTIFICATIONS,
        "Playback": PLAYBACK,
        "Message waiting": ["mwi"],
        "History": ["created", "modified", "all_changes"],
    }
    for page in ("history", "reset_pin", "show_pin"):
        assert f'href="{url_of(box, page)}"' in text_of(response)


@pytest.mark.parametrize(("is_strict", "form"), [(False, "1 to 7 digits"), (True, "6 or 7 digits")])
def test_the_form_says_what_a_pin_is(
    client: Client, organization: Organization, is_strict: bool, form: str
) -> None:
    with override_settings(PIN_STRICT=is_strict):
        assert form in form_of(client.get(ADD)).fields["password"].help_text


@pytest.mark.parametrize(("number", "widget"), [(20, "select"), (21, "autocomplete")])
def test_many_organizations_are_looked_up_by_typing(
    client: Client, account: Account, number: int, widget: str
) -> None:
    for _ in range(number):
        make_organization(account)
    has_search = "admin-autocomplete" in str(form_of(client.get(ADD))["organization"])
    assert has_search is (widget == "autocomplete")


@pytest.mark.parametrize(("name", "number"), [("add", 7), ("change", 13)])
def test_a_form_needs_as_many_queries_however_many_boxes_there_are(
    client: Client, box: Voicemailbox, name: str, number: int
) -> None:
    url = ADD if name == "add" else url_of(box, "change")
    client.get(url)  # Django asks for its content types only once.
    counts = []
    for more in (0, 45):
        for _ in range(more):
            make_voicemailbox(box.organization)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))
    assert counts == [number, number]


# Suggestions


def shown_of(client: Client, **query: Any) -> dict[str, Any]:
    """Give what a new form begins with."""
    values = values_of(client.get(ADD, query))
    return {name: values.get(name) for name in ("organization", "mailbox", "username")}


def test_the_only_organization_is_chosen_with_its_free_number(
    client: Client, box: Voicemailbox, other_organization: Organization
) -> None:
    chosen = {"organization": str(box.organization_id), "mailbox": "7012", "username": "vm7012"}
    assert shown_of(client) == chosen


def test_of_several_organizations_none_is_chosen(client: Client, box: Voicemailbox) -> None:
    make_organization(box.organization.account)
    assert shown_of(client) == {"organization": "", "mailbox": "", "username": ""}


def test_the_organization_in_the_address_is_chosen(client: Client, box: Voicemailbox) -> None:
    second = make_organization(box.organization.account)
    chosen = {"organization": str(second.pk), "mailbox": "1001", "username": "vm1001"}
    assert shown_of(client, organization=second.pk) == chosen


def test_a_foreign_organization_is_never_chosen(
    client: Client, box: Voicemailbox, other_organization: Organization
) -> None:
    make_organization(box.organization.account)
    for pk in (other_organization.pk, 10**12, 10**30, "abc", "\0"):
        shown = shown_of(client, organization=pk)
        assert shown == {"organization": "", "mailbox": "", "username": ""}


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ({}, {"mailbox": 7012, "username": "vm7012"}),
        ({"fullname": "Zoë Müller"}, {"mailbox": 7012, "username": "zoe.muller"}),
        ({"mailbox": "7050"}, {"mailbox": 7012, "username": "vm7050"}),
        ({"mailbox": "7050", "fullname": "Zoë"}, {"mailbox": 7012, "username": "zoe"}),
        ({"mailbox": "07"}, {"mailbox": 7012, "username": "vm7012"}),
        ({"mailbox": "12345678"}, {"mailbox": 7012, "username": "vm7012"}),
    ],
)
def test_a_number_and_an_address_are_suggested_for_what_was_typed(
    client: Client, box: Voicemailbox, typed: dict[str, str], suggested: dict[str, Any]
) -> None:
    response = client.get(SUGGEST, {"organization": str(box.organization_id)} | typed)
    assert response.json() == suggested


def test_nothing_is_suggested_for_an_organization_that_is_foreign_or_missing(
    client: Client, box: Voicemailbox, other_organization: Organization
) -> None:
    for pk in (other_organization.pk, 10**12, 10**30, "abc", "-1", "", "\0"):
        response = client.get(SUGGEST, {"organization": pk})
        assert (response.status_code, response.content) == (404, b"{}"), pk
    assert client.get(SUGGEST).status_code == 404


def test_staff_get_a_suggestion_for_any_organization(
    staff: User, organization: Organization
) -> None:
    response = client_of(staff).get(SUGGEST, {"organization": organization.pk})
    assert response.json() == {"mailbox": 1001, "username": "vm1001"}


# What is refused


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"mailbox": ""}, "mailbox", "This value is required."),
        ({"username": ""}, "username", "This value is required."),
        ({"organization": ""}, "organization", "This value is required."),
        ({"mailbox": "0"}, "mailbox", "Value may be no less than 1"),
        ({"mailbox": "-1"}, "mailbox", "Value may be no less than 1"),
        ({"mailbox": "10000000"}, "mailbox", "Value may be no more than 9999999"),
        ({"mailbox": "07011"}, "mailbox", "Value must be an integer from 1 to 9999999."),
        ({"mailbox": "7011.0"}, "mailbox", "Value must be an integer from 1 to 9999999."),
        ({"mailbox": "٧"}, "mailbox", "Value must be an integer from 1 to 9999999."),
        ({"mailbox": "7" * 5000}, "mailbox", "Value must be an integer from 1 to 9999999."),
        ({"fullname": "x" * 129}, "fullname", "Value may be no more than 128 characters."),
        ({"password": "1" * 8}, "password", "Value may be no more than 7 characters."),
    ],
)
def test_what_breaks_a_rule_is_refused_in_the_words_of_the_api(
    client: Client, organization: Organization, values: dict[str, str], field: str, message: str
) -> None:
    response = fill_in(client, ADD, **{"fullname": "Jim Smith"} | values)
    assert errors_of(response) == {field: [message]}
    assert not Voicemailbox.unscoped.exists()


def test_an_address_that_is_not_needed_may_be_empty(
    client: Client, organization: Organization
) -> None:
    fill_in(client, ADD, fullname="Jim Smith", notify_email="no", email="")
    assert Voicemailbox.unscoped.get().email == ""


# What is said afterwards


def test_a_change_is_told_by_its_fields(client: Client, box: Voicemailbox) -> None:
    values = {"email": "joe@example.com", "fullname": "Joseph Smith", "password": "583026"}
    response = fill_in(client, url_of(box, "change"), **values)
    assert notes_of(response) == [
        "Mailbox 7011 of Joseph Smith was changed: Full name, New PIN, E-mail."
    ]
    message = LogEntry.objects.get().get_change_message()
    assert message == "Changed Full name, New PIN and E-mail."


def test_what_was_only_typed_again_is_no_change(client: Client, box: Voicemailbox) -> None:
    typed = {"password": box.password, "fullname": " Joe Smith "}
    response = fill_in(client, url_of(box, "change"), **typed)
    assert notes_of(response) == ["Nothing was changed."]
    assert not LogEntry.objects.exists()
    assert Voicemailbox.history.count() == 1


def test_an_addition_is_told_by_number_and_name(client: Client, organization: Organization) -> None:
    response = fill_in(client, ADD, fullname="Jim Smith", password="482915")
    assert notes_of(response) == ["Mailbox 1001 of Jim Smith was added."]
    assert LogEntry.objects.get().get_change_message() == "Added."


def test_a_refused_change_says_nothing_of_success(client: Client, box: Voicemailbox) -> None:
    response = fill_in(client, url_of(box, "change"), fullname="")
    assert notes_of(response) == []
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("button", "next_page"),
    [
        ("_save", "/admin/voicemail/voicemailbox/?q=joe"),
        ("_addanother", f"{ADD}?_changelist_filters=q%3Djoe"),
    ],
)
def test_a_button_leads_on_and_the_lists_filter_is_kept(
    client: Client, box: Voicemailbox, button: str, next_page: str
) -> None:
    url = f"{url_of(box, 'change')}?_changelist_filters=q%3Djoe"
    response = fill_in(client, url, fullname="Joseph Smith", **{button: "1"})
    assert response.headers["Location"] == next_page


def test_going_on_with_an_edit_leads_back_to_the_form(client: Client, box: Voicemailbox) -> None:
    url = url_of(box, "change")
    assert fill_in(client, url, fullname="J", _continue="1").headers["Location"] == url


# Deleting


def test_before_deleting_it_is_said_what_goes_and_what_stays(
    client: Client, box: Voicemailbox
) -> None:
    page = text_of(client.get(url_of(box, "delete")))
    for text in ("7011", "Joe Smith", "vm7011@acme.example.com"):
        assert f"<dd>{text}</dd>" in page
    assert "Recordings that are on the PBX stay there" in page


def test_after_deleting_the_restore_of_the_box_is_offered(
    client: Client, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=7011, fullname="Joe <b>Smith</b>")
    response = client.post(url_of(box, "delete"), {"post": "yes"})
    row = Voicemailbox.history.get(history_type="-")
    undo = f"/admin/voicemail/voicemailbox/restore/{row.pk}/"
    assert notes_of(response) == [
        f'Mailbox 7011 of Joe &lt;b&gt;Smith&lt;/b&gt; was deleted. <a href="{undo}">Undo</a>'
    ]
    assert client.get(undo).status_code == 200
