"""Voicemail boxes in the admin."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client, override_settings

from accounts.models import Change, Channel, Organization, User
from tests.admin_pages import (
    client_of,
    errors_of,
    fill_in,
    form_of,
    notes_of,
    rows_of,
    run_action,
    url_of,
    values_of,
)
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Voicemailbox

PIN = "8675309"
ADD = "/admin/voicemail/voicemailbox/add/"


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization,
        mailbox=7011,
        username="joe.vm",
        password=PIN,
        fullname="Zoë Müller",
        email="zoe@mail.example.com",
        notify_email="yes",
    )


@pytest.fixture
def foreign(other_organization: Organization) -> Voicemailbox:
    return make_voicemailbox(other_organization, mailbox=7011, username="joe.vm")


def add(client: Client, organization: Organization, **values: Any) -> Any:
    new = {"mailbox": "7012", "username": "jim.vm", "fullname": "Jim Smith"}
    return fill_in(client, ADD, organization=str(organization.pk), **new | values)


def stored(box: Voicemailbox) -> dict[str, Any]:
    return dict(Voicemailbox.unscoped.values().get(pk=box.pk))


# Adding


def test_a_new_box_belongs_to_its_organizations_account(
    client: Client, organization: Organization
) -> None:
    add(client, organization)
    box = Voicemailbox.unscoped.get()
    assert (box.mailbox, box.username, box.fullname) == (7012, "jim.vm", "Jim Smith")
    assert (box.organization, box.account_id) == (organization, organization.account_id)


def test_a_new_box_gets_a_pin_made_up(client: Client, organization: Organization) -> None:
    add(client, organization)
    pin = Voicemailbox.unscoped.get().password
    assert len(pin) == 6
    assert pin.isdigit()


def test_a_new_box_gets_the_pin_that_was_entered(
    client: Client, organization: Organization
) -> None:
    add(client, organization, password="0042")
    assert Voicemailbox.unscoped.get().password == "0042"


def test_a_change_names_its_author_and_the_web(
    client: Client, alice: User, organization: Organization
) -> None:
    add(client, organization)
    change = Change.unscoped.latest("id")
    assert (change.user, change.actor, change.channel) == (alice, "alice", Channel.WEB)
    assert change.account_id == alice.account_id
    assert Voicemailbox.history.get().change == change


def test_only_the_accounts_own_organizations_are_offered(
    client: Client, organization: Organization, other_organization: Organization
) -> None:
    offered = form_of(client.get(ADD)).fields["organization"].queryset
    assert list(offered) == [organization]


def test_a_foreign_organization_is_refused_as_a_missing_one(
    client: Client, organization: Organization, other_organization: Organization
) -> None:
    answers = [
        errors_of(fill_in(client, ADD, organization=str(pk), mailbox="1", username="a"))
        for pk in (other_organization.pk, 10**9)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["organization"] == [
        "Select a valid choice. That choice is not one of the available choices."
    ]
    assert not Voicemailbox.unscoped.exists()


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"mailbox": "7011"}, "mailbox", "This mailbox is already in use in this organization."),
        (
            {"username": "JOE.vm"},
            "username",
            "This address is already in use, is reserved, or is otherwise unavailable for use.",
        ),
        ({"notify_email": "attach"}, "email", "This value is required."),
        ({"notify_pager": "yes"}, "pager", "This value is required."),
        (
            {"email": "a@example.com|b@example.com"},
            "email",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        ({"password": "0000"}, "password", "Value must be 1 to 7 digits, not all of them zero."),
        ({"fullname": "  "}, "fullname", "This value is required."),
    ],
)
def test_a_broken_rule_is_told_beside_its_field(
    client: Client,
    organization: Organization,
    box: Voicemailbox,
    values: dict[str, str],
    field: str,
    message: str,
) -> None:
    response = add(client, organization, **values)
    assert errors_of(response) == {field: [message]}
    assert Voicemailbox.unscoped.get() == box


@pytest.mark.parametrize(
    ("taken", "field"),
    [({"mailbox": "7011"}, "mailbox"), ({"username": "joe.vm"}, "username")],
)
def test_a_lost_race_is_told_beside_its_field_and_keeps_what_was_entered(
    client: Client,
    organization: Organization,
    box: Voicemailbox,
    taken: dict[str, str],
    field: str,
) -> None:
    with patch.object(Voicemailbox, "taken_errors", return_value={}):
        response = add(client, organization, **taken)
    assert list(errors_of(response)) == [field]
    assert values_of(response)["fullname"] == "Jim Smith"
    assert Voicemailbox.unscoped.get() == box
    assert not LogEntry.objects.exists()


# PINs


@override_settings(PIN_STRICT=True)
def test_the_strict_policy_is_told_beside_the_pin(client: Client, box: Voicemailbox) -> None:
    response = fill_in(client, url_of(box, "change"), password="123456", fullname="Zoë")
    (message,) = errors_of(response).pop("password")
    assert message.startswith("Value must be 6 or 7 digits")
    assert stored(box)["password"] == PIN
    assert stored(box)["fullname"] == "Zoë Müller"


@override_settings(PIN_STRICT=True)
def test_a_pin_from_before_the_strict_policy_stays(
    client: Client, organization: Organization
) -> None:
    box = make_voicemailbox(organization, password="11")
    fill_in(client, url_of(box, "change"), fullname="Zoë")
    assert stored(box)["fullname"] == "Zoë"
    assert stored(box)["password"] == "11"


def test_a_trivial_pin_is_stored_with_a_warning(client: Client, box: Voicemailbox) -> None:
    response = fill_in(client, url_of(box, "change"), password="7011")
    assert stored(box)["password"] == "7011"
    assert "This PIN is easy to guess." in notes_of(response)


def test_no_other_pin_is_warned_of(client: Client, box: Voicemailbox) -> None:
    response = fill_in(client, url_of(box, "change"), password="482915")
    assert stored(box)["password"] == "482915"
    assert "This PIN is easy to guess." not in notes_of(response)


def test_an_empty_pin_keeps_the_present_one(client: Client, box: Voicemailbox) -> None:
    fill_in(client, url_of(box, "change"), fullname="Zoë")
    assert stored(box)["password"] == PIN
    assert LogEntry.objects.get().get_change_message() == "Changed Full name."


def test_a_new_pin_is_shown_only_as_changed(client: Client, box: Voicemailbox) -> None:
    fill_in(client, url_of(box, "change"), password="482915")
    assert LogEntry.objects.get().get_change_message() == "Changed New PIN."
    page = client.get(url_of(box, "history")).content.decode()
    assert "482915" not in page
    assert PIN not in page


def test_a_page_never_holds_a_pin(client: Client, box: Voicemailbox) -> None:
    refused = fill_in(client, url_of(box, "change"), password="482915", fullname="")
    pages = [
        refused,
        client.get(url_of(box, "change")),
        client.get(url_of(box, "delete")),
        client.get(url_of(Voicemailbox)),
        client.get(ADD, {"password": "482915"}),
    ]
    text = "".join(page.content.decode() for page in pages)
    assert errors_of(refused) == {"fullname": ["This value is required."]}
    assert PIN not in text
    assert "482915" not in text


@pytest.mark.parametrize(
    "lookup",
    [
        "password",
        "password__startswith",
        "organization__voicemailboxes__password__startswith",
        "account__users__password__startswith",
        "account__users__sessions__digest__startswith",
    ],
)
def test_a_list_can_not_be_filtered_by_a_secret(
    client: Client, box: Voicemailbox, lookup: str
) -> None:
    assert client.get(url_of(Voicemailbox), {lookup: "8"}).status_code == 400


def test_a_search_finds_no_pin(client: Client, box: Voicemailbox) -> None:
    assert rows_of(client.get(url_of(Voicemailbox), {"q": PIN})) == []


# Lists


def test_a_list_has_the_accounts_own_boxes(
    client: Client, box: Voicemailbox, foreign: Voicemailbox
) -> None:
    assert rows_of(client.get(url_of(Voicemailbox))) == [box]


def test_staff_see_every_box(staff: User, box: Voicemailbox, foreign: Voicemailbox) -> None:
    assert set(rows_of(client_of(staff).get(url_of(Voicemailbox)))) == {box, foreign}


@pytest.mark.parametrize(
    "term", ["7011", "701", "müller", "zoe@mail.example.com", "acme.example", "joe.vm", "ZO mail"]
)
def test_a_box_is_found_by_number_name_email_address_and_domain(
    client: Client, organization: Organization, box: Voicemailbox, term: str
) -> None:
    elsewhere = make_organization(organization.account, domain="west.example.com")
    make_voicemailbox(elsewhere, mailbox=9999, username="other.vm", fullname="Jim Smith")
    folded = term if term != "müller" else "Müller"  # SQLite folds the case of ASCII alone.
    assert rows_of(client.get(url_of(Voicemailbox), {"q": folded})) == [box]


def test_a_foreign_box_is_not_found(client: Client, foreign: Voicemailbox) -> None:
    for term in ("7011", "joe.vm", "globex.example.com"):
        assert rows_of(client.get(url_of(Voicemailbox), {"q": term})) == []


def test_boxes_come_in_the_order_of_their_numbers(
    client: Client, organization: Organization
) -> None:
    boxes = [make_voicemailbox(organization, mailbox=number) for number in (200, 10000, 30)]
    assert rows_of(client.get(url_of(Voicemailbox))) == [boxes[2], boxes[0], boxes[1]]


def test_a_list_is_filtered_by_status(
    client: Client, organization: Organization, box: Voicemailbox
) -> None:
    disabled = make_voicemailbox(organization, status="disabled")
    found = rows_of(client.get(url_of(Voicemailbox), {"status__exact": "disabled"}))
    assert found == [disabled]


def test_a_null_character_finds_nothing_and_breaks_nothing(
    client: Client, box: Voicemailbox
) -> None:
    url = url_of(Voicemailbox)
    assert client.get(url, {"q": "Zo\0"}).status_code == 200
    assert client.get(url, {"status__exact": ["\0", "enabled"]}).status_code == 400


# Editing


def test_an_edit_stores_what_was_changed(client: Client, box: Voicemailbox) -> None:
    before = stored(box)
    fill_in(
        client, url_of(box, "change"), fullname="Zoë Smith", mailbox="7020", timezone="us_pacific"
    )
    changes = {"fullname": "Zoë Smith", "mailbox": 7020, "timezone": "us_pacific"}
    assert stored(box) == before | changes | {"modified": stored(box)["modified"]}
    assert stored(box)["modified"] > before["modified"]


def test_saving_without_a_change_leaves_no_history(client: Client, box: Voicemailbox) -> None:
    before, changes = stored(box), Change.unscoped.count()
    fill_in(client, url_of(box, "change"))
    assert stored(box) == before
    assert Change.unscoped.count() == changes


def test_what_is_fixed_can_not_be_forged(
    client: Client, box: Voicemailbox, other_organization: Organization
) -> None:
    before = stored(box)
    fill_in(
        client,
        url_of(box, "change"),
        username="forged.vm",
        organization=str(other_organization.pk),
        account=str(other_organization.account_id),
    )
    assert stored(box) == before


@pytest.mark.parametrize("view", ["change", "delete"])
def test_a_foreign_box_can_not_be_changed_or_deleted(
    client: Client, box: Voicemailbox, foreign: Voicemailbox, view: str
) -> None:
    before = stored(foreign)
    forged = values_of(client.get(url_of(box, "change"))) | {"password": "1", "post": "yes"}
    response = client.post(url_of(foreign, view), forged)
    assert notes_of(response) == [
        f"mailbox with ID “{foreign.pk}” doesn’t exist. Perhaps it was deleted?"
    ]
    assert stored(foreign) == before
    assert not LogEntry.objects.exists()


# Deleting


def test_deleting_removes_the_box_and_keeps_its_history(client: Client, box: Voicemailbox) -> None:
    client.post(url_of(box, "delete"), {"post": "yes"})
    assert not Voicemailbox.unscoped.exists()
    last = Voicemailbox.history.latest("history_id")
    assert (last.history_type, last.id, last.change.actor) == ("-", box.pk, "alice")


def test_selected_boxes_are_deleted_as_one_change(
    client: Client, organization: Organization, box: Voicemailbox
) -> None:
    second, third = (make_voicemailbox(organization) for _ in range(2))
    run_action(client, Voicemailbox, "delete_selected", box.pk, second.pk)
    assert Voicemailbox.unscoped.get() == third
    deletions = Voicemailbox.history.filter(history_type="-")
    assert {row.id for row in deletions} == {box.pk, second.pk}
    assert len({row.change_id for row in deletions}) == 1


def test_a_foreign_box_among_the_selected_stays(
    client: Client, box: Voicemailbox, foreign: Voicemailbox
) -> None:
    run_action(client, Voicemailbox, "delete_selected", foreign.pk, box.pk)
    assert Voicemailbox.unscoped.get() == foreign


def test_selecting_every_box_stays_within_the_account(
    client: Client, box: Voicemailbox, foreign: Voicemailbox
) -> None:
    run_action(client, Voicemailbox, "delete_selected", box.pk, select_across="1")
    assert Voicemailbox.unscoped.get() == foreign


@pytest.mark.parametrize("forged", ["abc", "1 OR 1=1", "-1", "99999999999999999999", "٣"])
def test_selecting_what_is_no_id_is_a_bad_request(
    client: Client, box: Voicemailbox, forged: str
) -> None:
    response = run_action(client, Voicemailbox, "delete_selected", forged)
    assert response.status_code == 400
    assert Voicemailbox.unscoped.get() == box
