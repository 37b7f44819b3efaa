"""The history in the admin: an object's page, restoring, and the page of all changes."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.history import record_change
from accounts.models import Account, Change, Channel, Organization, Role, User
from accounts.services import (
    change_role,
    delete_organization,
    edit_account,
    edit_organization,
    edit_user,
)
from tests.admin_pages import client_of, notes_of, rows_of, run_action, url_of
from tests.factories import arranging, make_organization, make_user, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox, show_pin

PIN = "8675309"
DELETED = "/admin/voicemail/voicemailbox/deleted/"
MISSING = 10**12


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe.vm", fullname="Joe Smith", password=PIN
    )


@pytest.fixture
def foreign(other_organization: Organization) -> Voicemailbox:
    return make_voicemailbox(other_organization, mailbox=7011, fullname="Globex Desk")


def edit(box: Voicemailbox, by: User, **values: Any) -> None:
    for name, value in values.items():
        setattr(box, name, value)
    with record_change(by=by, channel=Channel.WEB):
        edit_voicemailbox(box)


def delete(*boxes: Voicemailbox, by: User) -> None:
    """Delete boxes as one change; their ids stay in hand."""
    with record_change(by=by, channel=Channel.API):
        for box in boxes:
            pk = box.pk
            delete_voicemailbox(box)
            box.pk = pk


def rows_about(row: Any) -> list[Any]:
    """Give the rows of an object's history, the first one first."""
    return list(type(row).history.filter(id=row.pk).order_by("history_id"))


def restore_url(model: type[Any], history_id: object) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_restore"
    return reverse(name, args=(history_id,))


def text_of(response: Any) -> str:
    """Give the words of a page."""
    text = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


# An object's history


def test_a_history_tells_who_changed_what_and_how(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    edit(box, alice, fullname="Jim")
    page = text_of(client.get(url_of(box, "history")))
    assert "History of mailbox 7011 Jim" in page
    assert "alice Web Changed Full name : Joe Smith → Jim" in page
    assert "test Command Added" in page
    assert page.index("alice Web") < page.index("test Command")


def test_a_history_holds_no_pin(client: Client, alice: User, box: Voicemailbox) -> None:
    edit(box, alice, password="482915")
    page = text_of(client.get(url_of(box, "history")))
    assert "PIN : changed" in page
    assert PIN not in page
    assert "482915" not in page


def test_looking_at_a_pin_is_in_the_history(client: Client, alice: User, box: Voicemailbox) -> None:
    with record_change(by=alice, channel=Channel.WEB):
        show_pin(box)
    assert "alice Web PIN shown" in text_of(client.get(url_of(box, "history")))


def test_the_history_of_a_deleted_box_is_still_there(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    delete(box, by=alice)
    page = client.get(url_of(box, "history"))
    assert page.status_code == 200
    assert "Mailbox 7011 Joe Smith was deleted." in text_of(page)
    assert "alice API Deleted" in text_of(page)


def test_a_box_whose_history_was_purged_has_an_empty_one(client: Client, box: Voicemailbox) -> None:
    Voicemailbox.history.all().delete()
    page = client.get(url_of(box, "history"))
    assert page.status_code == 200
    assert "No changes are kept" in text_of(page)


def test_only_a_version_that_differs_is_offered(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    edit(box, alice, fullname="Jim")
    with record_change(by=alice, channel=Channel.WEB):
        show_pin(box)
    page = client.get(url_of(box, "history")).content.decode()
    first, second, third = rows_about(box)
    assert restore_url(Voicemailbox, first.pk) in page
    assert restore_url(Voicemailbox, second.pk) not in page
    assert restore_url(Voicemailbox, third.pk) not in page


def test_what_an_admin_may_not_change_is_not_offered(
    client: Client, staff: User, organization: Organization
) -> None:
    organization.caller_id = "Acme"
    with arranging():
        edit_organization(organization)
    first, _ = rows_about(organization)
    url = restore_url(Organization, first.pk)
    assert url not in client.get(url_of(organization, "history")).content.decode()
    assert url in client_of(staff).get(url_of(organization, "history")).content.decode()


def test_a_long_history_comes_in_pages(client: Client, alice: User, box: Voicemailbox) -> None:
    for number in range(120):
        edit(box, alice, fullname=f"Name {number}")
    first = client.get(url_of(box, "history"))
    assert len(first.context["versions"]) == 100
    before = first.context["page"].before
    assert f'href="?before={before}"' in first.content.decode()
    second = client.get(url_of(box, "history"), {"before": before})
    assert [each.row.history_id for each, _ in second.context["versions"]] == [
        row.history_id for row in reversed(rows_about(box)[:21])
    ]
    assert "Older" not in text_of(second)


@pytest.mark.parametrize("before", ["x", "-1", "0", "9" * 30, "%00"])
def test_what_is_no_place_in_a_history_is_its_beginning(
    client: Client, box: Voicemailbox, before: str
) -> None:
    page = client.get(f"{url_of(box, 'history')}?before={before}")
    assert len(page.context["versions"]) == 1


def test_a_history_needs_as_many_queries_for_5_versions_as_for_50(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    counts = []
    for more in (5, 45):
        for number in range(more):
            edit(box, alice, fullname=f"Name {more} {number}")
        with CaptureQueriesContext(connection) as queries:
            client.get(url_of(box, "history"))
        counts.append(len(queries))
    assert counts == [8, 8]


# Restoring


def test_restoring_asks_first_and_shows_what_would_change(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    edit(box, alice, fullname="Jim", password="482915")
    first, _ = rows_about(box)
    page = client.get(restore_url(Voicemailbox, first.pk))
    assert "PIN the present one the one of that time" in text_of(page)
    assert "Full name Jim Joe Smith" in text_of(page)
    assert PIN not in text_of(page)
    assert "482915" not in text_of(page)
    assert Voicemailbox.unscoped.get().fullname == "Jim"


def test_restoring_brings_a_former_version_back_as_one_change(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    edit(box, alice, fullname="Jim")
    first, _ = rows_about(box)
    response = client.post(restore_url(Voicemailbox, first.pk))
    assert response.headers["Location"] == url_of(box, "change")
    assert notes_of(response) == ["Mailbox 7011 of Joe Smith was restored."]
    assert Voicemailbox.unscoped.get().fullname == "Joe Smith"
    newest = rows_about(box)[-1]
    assert newest.history_change_reason == "Restored"
    assert (newest.change.user, newest.change.channel) == (alice, Channel.WEB)
    assert LogEntry.objects.get().get_change_message() == "Restored."


def test_restoring_what_is_there_already_changes_nothing(client: Client, box: Voicemailbox) -> None:
    (first,) = rows_about(box)
    assert "There is nothing to restore." in text_of(
        client.get(restore_url(Voicemailbox, first.pk))
    )
    response = client.post(restore_url(Voicemailbox, first.pk))
    assert notes_of(response) == ["Nothing was changed: these are the present values."]
    assert len(rows_about(box)) == 1
    assert not LogEntry.objects.exists()


def test_restoring_brings_a_deleted_box_back(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    delete(box, by=alice)
    url = restore_url(Voicemailbox, rows_about(box)[-1].pk)
    assert "This brings it back with its number, address and PIN" in text_of(client.get(url))
    response = client.post(url)
    assert notes_of(response) == ["Mailbox 7011 of Joe Smith was restored."]
    found = Voicemailbox.unscoped.get()
    assert (found.pk, found.mailbox, found.password) == (box.pk, 7011, PIN)


def test_restoring_twice_is_refused_the_second_time(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    delete(box, by=alice)
    url = restore_url(Voicemailbox, rows_about(box)[-1].pk)
    client.post(url)
    again = client.post(url)
    assert again.status_code == 200
    assert "This mailbox exists: it has been restored already." in text_of(again)
    assert len(rows_about(box)) == 3


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_stands_in_the_way_is_said_with_its_field(
    client: Client, alice: User, organization: Organization, box: Voicemailbox, method: str
) -> None:
    delete(box, by=alice)
    taken = make_voicemailbox(organization, mailbox=7011)
    page = getattr(client, method)(restore_url(Voicemailbox, rows_about(box)[-1].pk))
    assert page.status_code == 200
    assert "Mailbox: This mailbox is already in use in this organization." in text_of(page)
    assert not page.context["can_restore"]
    assert Voicemailbox.unscoped.get() == taken


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_version_answers_as_a_missing_one(
    client: Client, charlie: User, foreign: Voicemailbox, method: str
) -> None:
    edit(foreign, charlie, fullname="Other Desk")
    first, _ = rows_about(foreign)
    answers = [getattr(client, method)(restore_url(Voicemailbox, pk)) for pk in (first.pk, MISSING)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert Voicemailbox.unscoped.get().fullname == "Other Desk"


@pytest.mark.parametrize("garbage", ["x", "0", "-1", "9" * 30, "1 OR 1=1"])
def test_what_is_no_version_is_missing(client: Client, garbage: str) -> None:
    assert client.get(restore_url(Voicemailbox, garbage)).status_code == 404


def test_a_foreign_history_answers_as_a_missing_one_although_its_box_is_gone(
    client: Client, charlie: User, foreign: Voicemailbox
) -> None:
    delete(foreign, by=charlie)
    there = client.get(url_of(foreign, "history"))
    note = notes_of(there)
    assert there.status_code == 302
    assert note == [f"mailbox with ID “{foreign.pk}” doesn’t exist. Perhaps it was deleted?"]


@pytest.mark.parametrize("name", ["account", "organization"])
def test_an_accounts_admin_restores_nothing_that_only_staff_change(
    request: pytest.FixtureRequest, client: Client, organization: Organization, name: str
) -> None:
    row = request.getfixturevalue(name)
    row.contact_city = "Springfield"
    with arranging():
        (edit_account if name == "account" else edit_organization)(row)
    response = client.post(restore_url(type(row), rows_about(row)[0].pk))
    assert response.status_code == 403
    assert type(row).unscoped.get(pk=row.pk).contact_city == "Springfield"


def test_staff_restore_an_account(staff: User, account: Account) -> None:
    account.contact_city, account.balance = "Springfield", 5
    with arranging():
        edit_account(account)
    client_of(staff).post(restore_url(Account, rows_about(account)[0].pk))
    account.refresh_from_db()
    assert account.contact_city == ""
    assert not account.balance
    assert rows_about(account)[-1].history_change_reason == "Restored"


def test_staff_restore_an_organizations_domain(staff: User, organization: Organization) -> None:
    organization.domain = "west.example.com"
    with arranging():
        edit_organization(organization)
    client_of(staff).post(restore_url(Organization, rows_about(organization)[0].pk))
    organization.refresh_from_db()
    assert organization.domain == "acme.example.com"


def test_a_domain_that_is_taken_stands_in_the_way(
    staff: User, account: Account, organization: Organization
) -> None:
    organization.domain = "west.example.com"
    with arranging():
        edit_organization(organization)
    make_organization(account, domain="acme.example.com")
    page = client_of(staff).post(restore_url(Organization, rows_about(organization)[0].pk))
    assert "Domain: This domain is already in use." in text_of(page)
    organization.refresh_from_db()
    assert organization.domain == "west.example.com"


def test_a_deleted_organization_is_not_brought_back(
    staff: User, organization: Organization
) -> None:
    pk = organization.pk
    with arranging():
        delete_organization(organization)
    organization.pk = pk
    page = client_of(staff).get(url_of(organization, "history"))
    assert "was deleted" in text_of(page)
    assert "/restore/" not in page.content.decode()
    response = client_of(staff).post(restore_url(Organization, rows_about(organization)[0].pk))
    assert response.status_code == 403
    assert not Organization.unscoped.exists()


def test_restoring_a_user_brings_names_and_never_rights(
    staff: User, alice: User, bob: User
) -> None:
    before = User.unscoped.get(pk=bob.pk).password
    with arranging():
        change_role(bob, role=Role.ACCOUNT_ADMIN, actor=staff)
    bob.refresh_from_db()
    with arranging():
        bob.auth_username = "robert"
        edit_user(bob)
        change_role(bob, role=Role.USER, actor=staff)
    as_admin = rows_about(bob)[1]
    assert (as_admin.role, as_admin.auth_username) == (Role.ACCOUNT_ADMIN, "bob")
    client_of(staff).post(restore_url(User, as_admin.pk))
    bob.refresh_from_db()
    assert (bob.auth_username, bob.role, bob.password) == ("bob", Role.USER, before)


def test_a_users_organization_that_is_gone_stands_in_the_way(staff: User, account: Account) -> None:
    gone = make_organization(account)
    dora = make_user("dora", Role.USER, account, organization=gone, username="dora")
    with arranging():
        dora.organization, dora.username = None, ""
        edit_user(dora)
        gone.delete()
    page = client_of(staff).post(restore_url(User, rows_about(dora)[0].pk))
    assert page.status_code == 200
    assert "This organization no longer exists." in text_of(page)
    dora.refresh_from_db()
    assert dora.organization is None


# Deleted mailboxes


def test_deleted_boxes_are_listed_until_they_are_restored(
    client: Client, alice: User, organization: Organization, box: Voicemailbox
) -> None:
    second = make_voicemailbox(organization, mailbox=7012, fullname="Jim Smith")
    make_voicemailbox(organization, mailbox=7013, fullname="Jack Smith")
    delete(box, by=alice)
    delete(second, by=alice)
    page = text_of(client.get(DELETED))
    assert "7012 Jim Smith acme.example.com alice" in page
    assert page.index("7012") < page.index("7011")
    assert "7013" not in page
    client.post(restore_url(Voicemailbox, rows_about(second)[-1].pk))
    client.get("/admin/")  # The message that names it is read there.
    page = text_of(client.get(DELETED))
    assert "7012" not in page
    assert "7011" in page


def test_a_box_that_was_deleted_twice_is_listed_once(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    delete(box, by=alice)
    client.post(restore_url(Voicemailbox, rows_about(box)[-1].pk))
    delete(Voicemailbox.unscoped.get(), by=alice)
    (version,) = client.get(DELETED).context["page"].versions
    assert version.row == rows_about(box)[-1]


def test_deleted_boxes_of_another_account_are_not_listed(
    client: Client, staff: User, charlie: User, foreign: Voicemailbox
) -> None:
    delete(foreign, by=charlie)
    assert "No deleted mailboxes" in text_of(client.get(DELETED))
    assert "Globex Desk" in text_of(client_of(staff).get(DELETED))


def test_the_list_leads_to_the_deleted_boxes(client: Client) -> None:
    assert f'href="{DELETED}"' in client.get(url_of(Voicemailbox)).content.decode()


def test_deleted_boxes_need_as_many_queries_for_5_as_for_50(
    client: Client, alice: User, organization: Organization
) -> None:
    counts = []
    for more in (5, 45):
        delete(*[make_voicemailbox(organization) for _ in range(more)], by=alice)
        with CaptureQueriesContext(connection) as queries:
            client.get(DELETED)
        counts.append(len(queries))
    assert counts == [5, 5]


# All changes


def found(client: Client, **query: str) -> list[Any]:
    """Give the authors of the listed changes, the newest first."""
    return [row.author for row in rows_of(client.get(url_of(Change), query))]


@pytest.fixture
def _changes(alice: User, bob: User, staff: User, box: Voicemailbox) -> None:
    """Let alice, bob and the staff each change something in their own way."""
    edit(box, alice, fullname="Jim")
    with record_change(by=bob, channel=Channel.API):
        bob.auth_username = "robert"
        edit_user(bob)
    edit(box, staff, fullname="Jack")


def test_a_change_names_what_it_touched(
    client: Client, alice: User, organization: Organization, box: Voicemailbox
) -> None:
    edit(box, alice, fullname="Jim")
    delete(box, *[make_voicemailbox(organization) for _ in range(3)], by=alice)
    page = text_of(client.get(url_of(Change)))
    assert "Mailbox 7011 Jim, +3 more" in page
    assert "alice Web Mailbox 7011 Jim" in page


@pytest.mark.usefixtures("_changes")
def test_changes_are_filtered_by_person(client: Client, alice: User, bob: User) -> None:
    assert set(found(client, person=str(alice.pk))) == {"alice"}
    assert found(client, person=str(bob.pk)) == ["bob"]
    assert found(client, person="staff") == ["Provider staff"]


@pytest.mark.usefixtures("_changes")
def test_staff_are_not_found_one_by_one(client: Client, staff: User) -> None:
    assert found(client, person=str(staff.pk)) == []
    assert found(client, q="staff") == []
    page = client.get(url_of(Change)).content.decode()
    assert "person=staff" in page
    assert not re.search(rf"person={staff.pk}\b", page)


@pytest.mark.usefixtures("_changes")
def test_staff_find_each_other(staff: User) -> None:
    assert found(client_of(staff), person=str(staff.pk)) == ["staff"]
    assert found(client_of(staff), q="taf") == ["staff"]


@pytest.mark.usefixtures("_changes")
def test_changes_are_filtered_by_channel(client: Client) -> None:
    assert found(client, channel="api") == ["bob"]
    assert found(client, channel="phone") == []


@pytest.mark.usefixtures("_changes")
def test_changes_are_filtered_by_the_kind_of_object(client: Client) -> None:
    assert found(client, kind="voicemailbox") == ["Provider staff", "alice", "test"]
    assert found(client, kind="user")[0] == "bob"
    assert set(found(client, kind="user")) == {"bob", "test"}


def test_changes_are_filtered_by_time(client: Client, alice: User, box: Voicemailbox) -> None:
    Change.unscoped.update(created=timezone.now() - timedelta(days=10))
    edit(box, alice, fullname="Jim")
    assert found(client, days="7") == ["alice"]
    assert len(found(client, days="30")) == Change.unscoped.count()


@pytest.mark.parametrize("name", ["person", "channel", "kind", "days"])
@pytest.mark.parametrize("garbage", ["x", "0", "-1", "9" * 30])
def test_a_filter_that_does_not_exist_breaks_nothing(
    client: Client, box: Voicemailbox, name: str, garbage: str
) -> None:
    assert client.get(url_of(Change), {name: garbage}).status_code in (200, 302)
    assert found(client, **{name: garbage}) == []


@pytest.mark.usefixtures("_changes")
def test_a_filter_stays_within_the_account(
    charlie: User, alice: User, foreign: Voicemailbox
) -> None:
    client = client_of(charlie)
    edit(foreign, charlie, fullname="Other")
    assert set(found(client, kind="voicemailbox")) == {"charlie", "test"}
    assert found(client, person=str(alice.pk)) == []


def test_only_staff_see_the_column_of_accounts(client: Client, staff: User) -> None:
    assert "account" not in client.get(url_of(Change)).context["cl"].list_display
    assert "account" in client_of(staff).get(url_of(Change)).context["cl"].list_display


def test_a_change_lists_everything_it_touched(
    client: Client, alice: User, organization: Organization, box: Voicemailbox
) -> None:
    second = make_voicemailbox(organization, mailbox=7012, fullname="Jim Smith")
    with record_change(by=alice, channel=Channel.WEB):
        box.fullname = "Jack"
        edit_voicemailbox(box)
        delete_voicemailbox(second)
    page = client.get(url_of(Change.unscoped.latest("id"), "change"))
    assert "Mailbox 7011 Jack Changed Full name : Joe Smith → Jack" in text_of(page)
    assert "Mailbox 7012 Jim Smith Deleted" in text_of(page)
    assert url_of(box, "change") in page.content.decode()


def test_each_box_of_a_bulk_deletion_can_be_restored(
    client: Client, organization: Organization
) -> None:
    boxes = [make_voicemailbox(organization) for _ in range(3)]
    run_action(client, Voicemailbox, "delete_selected", *[box.pk for box in boxes])
    page = client.get(url_of(Change.unscoped.latest("id"), "change")).content.decode()
    for box in boxes:
        url = restore_url(Voicemailbox, rows_about(box)[-1].pk)
        assert f'href="{url}"' in page
        client.post(url)
    assert set(Voicemailbox.unscoped.all()) == set(boxes)
    page = client.get(url_of(Change.unscoped.earliest("-id"), "change")).content.decode()
    assert "/restore/" not in page


def test_the_rows_of_a_big_change_come_in_pages(
    client: Client, alice: User, organization: Organization, bob: User
) -> None:
    boxes = [make_voicemailbox(organization) for _ in range(150)]
    with record_change(by=alice, channel=Channel.IMPORT):
        bob.auth_username = "robert"
        edit_user(bob)
        for box in boxes:
            box.fullname = "Jim"
            edit_voicemailbox(box)
    url = url_of(Change.unscoped.latest("id"), "change")
    first, second = (client.get(url, {"p": page}).context["touched"] for page in ("1", "2"))
    assert (len(first), len(second)) == (100, 51)
    assert first[0]["name"] == "User robert"
    assert [each["version"].row.id for each in (*first[1:], *second)] == [b.pk for b in boxes]


def test_a_change_needs_as_many_queries_for_5_objects_as_for_50(
    client: Client, alice: User, organization: Organization
) -> None:
    counts = []
    for number in (5, 50):
        delete(*[make_voicemailbox(organization) for _ in range(number)], by=alice)
        url = url_of(Change.unscoped.latest("id"), "change")
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 25
