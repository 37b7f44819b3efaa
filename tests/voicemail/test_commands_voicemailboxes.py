"""manage.py voicemailboxes: one box by its name, or all that a scope and filters leave."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest

from accounts.models import Change, Organization
from tests.asterisk.pbx import make_pbx
from tests.commands import last_change, records, refused, run
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.management import boxes
from voicemail.models import SpoolOrder, Voicemailbox
from voicemail.services import delete_voicemailbox

NAME = "7011@acme.example.com"
NAMES = "id, or number and domain such as 1001@acme.example.com"


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe.vm", fullname="Joe Smith", password="8675309"
    )


@pytest.fixture
def other_box(other_organization: Organization) -> Voicemailbox:
    return make_voicemailbox(other_organization, mailbox=7012, fullname="Hank Scorpio")


def listed(*words: Any) -> list[int]:
    return [each["id"] for each in records("voicemailboxes", "list", *words)]


def stored(box: Voicemailbox) -> Voicemailbox:
    return Voicemailbox.unscoped.get(pk=box.pk)


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(text))


# Add


def test_a_new_box_gets_an_address_from_its_name_and_a_pin_that_is_told(
    organization: Organization,
) -> None:
    printed = run("voicemailboxes", "add", NAME, "--fullname", "Joe Smith")
    box = Voicemailbox.unscoped.get()
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was added.\nPIN: {box.password}\n"
    assert re.fullmatch(r"[1-9][0-9]{5}", box.password)
    assert (box.username, box.organization, box.mailbox) == ("joe.smith", organization, 7011)
    assert last_change()[0] == "command"


def test_a_program_gets_the_record_of_a_new_box_with_its_pin(organization: Organization) -> None:
    (added,) = records("voicemailboxes", "add", NAME, "--fullname", "Joe Smith")
    box = Voicemailbox.unscoped.get()
    (shown,) = records("voicemailboxes", "show", box.pk)
    assert added == {"outcome": "added", "password": box.password, **shown}


def test_a_pin_can_be_given_by_standard_input_and_is_not_told(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "0042\n")
    printed = run("voicemailboxes", "add", NAME, "--fullname", "Joe Smith", "--pin-stdin")
    assert Voicemailbox.unscoped.get().password == "0042"
    assert "0042" not in printed.out


@pytest.mark.parametrize("is_dry", [False, True])
@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        (NAME, ("--fullname", " "), "fullname: This field cannot be blank."),
        (
            NAME,
            ("--fullname", "Joe", "--notify-email", "yes"),
            "email: This value is required.",
        ),
        ("7011", ("--fullname", "Joe"), "A new mailbox is named like 1001@acme.example.com."),
        ("12345678@acme.example.com", (), "A new mailbox is named like 1001@acme.example.com."),
        ("07@acme.example.com", (), "A new mailbox is named like 1001@acme.example.com."),
        (
            "7@acme.example.org",
            (),
            "There is no organization acme.example.org. Accepted: id or domain.",
        ),
    ],
)
def test_a_box_that_the_rules_forbid_is_refused(
    organization: Organization, is_dry: bool, name: str, words: tuple[str, ...], message: str
) -> None:
    dry = ["--dry-run"] if is_dry else []
    assert refused("voicemailboxes", "add", name, *words, *dry) == message
    assert not Voicemailbox.unscoped.exists()


def test_a_taken_number_is_refused(box: Voicemailbox) -> None:
    assert refused("voicemailboxes", "add", NAME, "--fullname", "Jim") == (
        "mailbox: This mailbox is already in use in this organization."
    )
    assert Voicemailbox.unscoped.get() == box


def test_a_dry_run_adds_nothing_and_tells_no_pin(organization: Organization) -> None:
    printed = run("voicemailboxes", "add", NAME, "--fullname", "Joe Smith", "--dry-run")
    assert printed.out == "Mailbox 7011 Joe Smith would be added.\n"
    assert not Voicemailbox.unscoped.exists()


def test_a_number_that_another_box_had_is_warned_of(box: Voicemailbox) -> None:
    make_pbx()
    with arranging():
        delete_voicemailbox(box)
    printed = run("voicemailboxes", "add", NAME, "--fullname", "Jim")
    assert "Number 7011 belonged to another mailbox before." in printed.err


# Show


def test_a_box_is_shown_without_its_pin(box: Voicemailbox) -> None:
    lines = run("voicemailboxes", "show", NAME).out.splitlines()
    assert "fullname:        Joe Smith" in lines
    assert "8675309" not in "".join(lines)
    (shown,) = records("voicemailboxes", "show", box.pk)
    assert tuple(shown) == boxes.BOXES.columns
    assert (shown["id"], shown["domain"], shown["mailbox"]) == (box.pk, "acme.example.com", 7011)


def test_showing_the_pin_is_recorded_with_the_operator(box: Voicemailbox) -> None:
    (shown,) = records("voicemailboxes", "show", NAME, "--with-pin", "--operator", "anna")
    assert shown["password"] == "8675309"
    newest = Voicemailbox.history.latest("history_id")
    assert newest.history_change_reason == "PIN shown"
    assert last_change() == ("command", "anna")


@pytest.mark.parametrize("name", ["7011@globex.example.com", "7012@acme.example.com", "99", "x"])
def test_a_missing_box_is_refused_with_what_is_accepted(
    box: Voicemailbox, other_box: Voicemailbox, name: str
) -> None:
    message = f"There is no mailbox {name}. Accepted: {NAMES}."
    assert refused("voicemailboxes", "show", name) == message


def test_a_box_outside_the_scope_is_missing(
    box: Voicemailbox, other_box: Voicemailbox, organization: Organization
) -> None:
    scope = f" in account {organization.account_id} (Acme)"
    words = ("voicemailboxes", "show", other_box.pk, "--account", organization.account_id)
    assert refused(*words) == f"There is no mailbox {other_box.pk}{scope}. Accepted: {NAMES}."


# List


def test_the_list_has_the_boxes_of_its_scope_and_no_pin(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    assert listed("--account", box.account_id) == [box.pk]
    assert listed("--organization", "globex.example.com") == [other_box.pk]
    assert listed("--all-accounts") == [box.pk, other_box.pk]
    for form in ("table", "json", "csv"):
        assert (
            "8675309" not in run("voicemailboxes", "list", "--all-accounts", "--format", form).out
        )


def test_a_list_needs_a_scope(db: None) -> None:
    assert refused("voicemailboxes", "list") == (
        "Error: one of the arguments --account --organization --all-accounts is required"
    )


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("--status", "disabled"), {"status": "disabled"}),
        (("--timezone", "us_pacific"), {"timezone": "us_pacific"}),
        (("--notify-email", "yes"), {"notify_email": "yes", "email": "j@example.com"}),
        (("--notify-pager", "yes"), {"notify_pager": "yes", "pager": "p@example.com"}),
        (("--mwi", "yes"), {"mwi": "joe@acme.example.com"}),
        (("--mwi", "unserved"), {"mwi": "joe@elsewhere.example.com"}),
        (("--search", "jim acme"), {"fullname": "Jim Beam"}),
    ],
)
def test_the_list_has_each_filter_of_the_admin(
    box: Voicemailbox, words: tuple[str, ...], values: dict[str, str]
) -> None:
    found = make_voicemailbox(box.organization, **values)
    assert listed("--all-accounts", *words) == [found.pk]


def test_the_list_can_be_narrowed_by_domain_and_by_time(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    Voicemailbox.unscoped.filter(pk=box.pk).update(modified="2020-01-01T00:00Z")
    assert listed("--all-accounts", "--domain", "globex") == [other_box.pk]
    assert listed("--all-accounts", "--domain", "acme.example.com") == [box.pk]
    assert listed("--all-accounts", "--modified", "month") == [other_box.pk]
    assert listed("--all-accounts", "--mwi", "no") == [box.pk, other_box.pk]


def test_a_list_takes_one_statement_however_long_it_is(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    for _ in range(12):
        make_voicemailbox(organization)
    with django_assert_num_queries(1):
        run("voicemailboxes", "list", "--all-accounts")


# Edit, enable and disable


def test_an_edit_changes_what_is_named_and_nothing_else(box: Voicemailbox) -> None:
    words = ("--notify-email", "attach", "--email", "joe@example.com", "--say-duration")
    printed = run("voicemailboxes", "edit", NAME, *words)
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was changed.\n"
    (edited,) = records("voicemailboxes", "show", box.pk)
    (row,) = Voicemailbox.history.filter(id=box.pk, history_type="~")
    assert (edited["notify_email"], edited["email"]) == ("attach", "joe@example.com")
    assert edited["say_duration"]
    assert (row.username, row.password, row.mailbox) == ("joe.vm", "8675309", 7011)


def test_an_edit_that_changes_nothing_leaves_no_trace(box: Voicemailbox) -> None:
    number = Change.unscoped.count()
    printed = run("voicemailboxes", "edit", NAME, "--fullname", "Joe Smith")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was left unchanged.\n"
    assert Change.unscoped.count() == number


def test_a_pin_is_edited_by_standard_input_alone(
    box: Voicemailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "0042\n")
    printed = run("voicemailboxes", "edit", NAME, "--pin-stdin")
    assert stored(box).password == "0042"
    assert "0042" not in printed.out


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ("000", "password: Value must be 1 to 7 digits, not all of them zero."),
        ("", "Standard input has no PIN: its first line must be 1 to 7 digits."),
    ],
)
def test_a_pin_that_is_none_is_refused(
    box: Voicemailbox, monkeypatch: pytest.MonkeyPatch, pin: str, message: str
) -> None:
    type_in(monkeypatch, pin)
    assert refused("voicemailboxes", "edit", NAME, "--pin-stdin").endswith(message)
    assert stored(box).password == "8675309"


def test_one_pin_is_not_given_to_several(box: Voicemailbox) -> None:
    words = ("voicemailboxes", "edit", "--all-accounts", "--pin-stdin")
    assert refused(*words) == "--pin-stdin takes exactly one mailbox, which is named."


def test_all_that_scope_and_filters_leave_are_edited_and_only_counted(
    organization: Organization, other_box: Voicemailbox
) -> None:
    mine = [make_voicemailbox(organization, say_duration=number == 0) for number in range(3)]
    words = ("voicemailboxes", "edit", "--account", organization.account_id, "--say-duration")
    printed = run(*words, "--where-status", "enabled")
    assert printed.err == "3 mailboxes found.\n"
    assert printed.out == "2 mailboxes were changed.\n1 mailbox was left unchanged.\n"
    assert all(stored(each).say_duration for each in mine)
    assert not stored(other_box).say_duration


def test_an_edit_of_many_is_one_change(organization: Organization) -> None:
    for _ in range(3):
        make_voicemailbox(organization)
    number = Change.unscoped.count()
    run("voicemailboxes", "edit", "--all-accounts", "--timezone", "us_central")
    assert Change.unscoped.count() == number + 1
    assert Voicemailbox.history.filter(change=Change.unscoped.latest("id")).count() == 3


def test_every_batch_is_worked_through(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "_AT_ONCE", 2)
    for _ in range(5):
        make_voicemailbox(organization)
    # Whatever was disabled falls out of the filter before the next batch.
    printed = run("voicemailboxes", "disable", "--all-accounts", "--status", "enabled")
    assert printed.out == "5 mailboxes were changed.\n"


def test_of_many_the_one_that_is_in_the_way_is_named_and_none_is_changed(
    box: Voicemailbox,
) -> None:
    make_voicemailbox(box.organization, email="jim@example.com")
    words = ("voicemailboxes", "edit", "--all-accounts", "--notify-email", "yes")
    assert refused(*words) == (
        f"Nothing was changed, because of mailbox {box.pk} ({NAME}):\n"
        "email: This value is required."
    )
    assert set(Voicemailbox.unscoped.values_list("notify_email", flat=True)) == {"no"}


def test_a_verb_about_many_needs_names_or_a_scope(db: None) -> None:
    assert refused("voicemailboxes", "disable") == (
        f"Name mailboxes, by {NAMES}; or give a scope: --account, --organization or --all-accounts."
    )


def test_names_and_filters_do_not_go_together(box: Voicemailbox) -> None:
    assert refused("voicemailboxes", "disable", NAME, "--search", "joe") == (
        "Name mailboxes, or choose them by filters, but not both."
    )


def test_an_edit_without_a_value_is_refused(box: Voicemailbox) -> None:
    assert refused("voicemailboxes", "edit", NAME) == (
        "Name at least one option with what is to change; --help has them."
    )


def test_boxes_are_disabled_and_enabled(box: Voicemailbox, other_box: Voicemailbox) -> None:
    run("voicemailboxes", "disable", NAME, other_box.pk)
    assert {stored(each).status for each in (box, other_box)} == {"disabled"}
    printed = run("voicemailboxes", "enable", NAME, box.pk)
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was changed.\n"
    assert stored(box).status == "enabled"
    assert stored(other_box).status == "disabled"


def test_a_dry_run_of_many_changes_nothing(box: Voicemailbox) -> None:
    printed = run("voicemailboxes", "disable", "--all-accounts", "--dry-run")
    assert printed.out == "1 mailbox would be changed.\n"
    assert stored(box).status == "enabled"


def test_a_program_gets_a_record_of_each_of_many(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    disabled = records("voicemailboxes", "disable", "--all-accounts")
    assert [(each["outcome"], each["id"], each["status"]) for each in disabled] == [
        ("changed", box.pk, "disabled"),
        ("changed", other_box.pk, "disabled"),
    ]


# Delete and restore


def test_a_deletion_wants_a_yes(box: Voicemailbox) -> None:
    ask = "Add --yes: there is no terminal to ask on."
    assert refused("voicemailboxes", "delete", NAME) == f"Delete {NAME} (Joe Smith)? {ask}"
    assert refused("voicemailboxes", "delete", "--all-accounts") == f"Delete 1 mailbox? {ask}"
    assert Voicemailbox.unscoped.get() == box


def test_boxes_are_deleted_and_restored_as_they_were(box: Voicemailbox) -> None:
    before = Voicemailbox.unscoped.values().get()
    printed = run("voicemailboxes", "delete", NAME, "--yes")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was deleted.\n"
    assert not Voicemailbox.unscoped.exists()
    printed = run("voicemailboxes", "restore", NAME)
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was restored.\n"
    after = Voicemailbox.unscoped.values().get()
    assert after == before | {"modified": after["modified"]}


def test_only_the_boxes_of_the_scope_are_deleted(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    words = ("voicemailboxes", "delete", "--organization", "acme.example.com", "--yes")
    assert run(*words).out == "1 mailbox was deleted.\n"
    assert Voicemailbox.unscoped.get() == other_box


def test_a_dry_run_deletes_and_restores_nothing(box: Voicemailbox) -> None:
    run("voicemailboxes", "delete", NAME, "--dry-run")
    assert Voicemailbox.unscoped.get() == box
    run("voicemailboxes", "delete", NAME, "--yes")
    printed = run("voicemailboxes", "restore", box.pk, "--dry-run")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) would be restored.\n"
    assert not Voicemailbox.unscoped.exists()


def test_of_several_deleted_under_a_number_the_last_one_is_restored(
    organization: Organization,
) -> None:
    first, second = "Joe", "Jim"
    for fullname in (first, second):
        make_voicemailbox(organization, mailbox=7011, fullname=fullname)
        run("voicemailboxes", "delete", NAME, "--yes")
    run("voicemailboxes", "restore", NAME)
    assert Voicemailbox.unscoped.get().fullname == second


def test_what_stands_in_the_way_of_a_restoration_is_told(box: Voicemailbox) -> None:
    run("voicemailboxes", "delete", NAME, "--yes")
    new = make_voicemailbox(box.organization, mailbox=7011)
    assert refused("voicemailboxes", "restore", box.pk) == (
        f"Nothing was changed, because of mailbox {box.pk}:\n"
        "mailbox: This mailbox is already in use in this organization."
    )
    assert Voicemailbox.unscoped.get() == new


def test_a_box_goes_back_to_a_version_that_the_history_tells(box: Voicemailbox) -> None:
    run("voicemailboxes", "edit", NAME, "--fullname", "Jim", "--mailbox", 7012)
    (first,) = records("history", "show", Change.unscoped.latest("id").pk - 1)
    words = ("voicemailboxes", "restore", "7012@acme.example.com", "--to-version")
    printed = run(*words, first["version"])
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was restored.\n"
    assert (stored(box).fullname, stored(box).mailbox) == ("Joe Smith", 7011)
    again = run("voicemailboxes", "restore", box.pk, "--to-version", first["version"])
    assert again.out == f"Mailbox {box.pk} (7011 Joe Smith) was left unchanged.\n"


def test_a_version_of_another_box_is_refused(box: Voicemailbox, other_box: Voicemailbox) -> None:
    version = Voicemailbox.history.get(id=other_box.pk).history_id
    assert refused("voicemailboxes", "restore", NAME, "--to-version", version) == (
        f"Mailbox {NAME} has no version {version}. Accepted: one that history show tells."
    )
    words = ("voicemailboxes", "restore", other_box.pk, "--to-version", version)
    assert "has no version" in refused(*words, "--account", box.account_id)
    assert refused("voicemailboxes", "restore", NAME, other_box.pk, "--to-version", version) == (
        "--to-version takes exactly one mailbox."
    )


@pytest.mark.parametrize("name", [NAME, "99"])
def test_what_was_not_deleted_can_not_be_restored(box: Voicemailbox, name: str) -> None:
    assert refused("voicemailboxes", "restore", name) == (
        f"There is no deleted mailbox {name}. Accepted: {NAMES}."
    )


def test_a_restored_box_is_no_deleted_one(box: Voicemailbox) -> None:
    run("voicemailboxes", "delete", NAME, "--yes")
    run("voicemailboxes", "restore", NAME)
    assert refused("voicemailboxes", "restore", NAME).startswith("There is no deleted mailbox")


def test_a_deleted_box_is_found_by_the_number_that_it_had_last(box: Voicemailbox) -> None:
    run("voicemailboxes", "edit", NAME, "--mailbox", 7012)
    run("voicemailboxes", "delete", box.pk, "--yes")
    assert refused("voicemailboxes", "restore", NAME).startswith("There is no deleted mailbox")
    run("voicemailboxes", "restore", "7012@acme.example.com")
    assert stored(box).mailbox == 7012


def test_a_deleted_box_outside_the_scope_is_missing(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    run("voicemailboxes", "delete", other_box.pk, "--yes")
    words = ("voicemailboxes", "restore", other_box.pk, "--account", box.account_id)
    assert refused(*words).startswith(f"There is no deleted mailbox {other_box.pk} in account")
    assert not Voicemailbox.unscoped.filter(pk=other_box.pk).exists()


def test_a_deletion_gives_the_spool_orders_that_follow(box: Voicemailbox, settings: Any) -> None:
    settings.SPOOL_ORDERS = True
    run("voicemailboxes", "delete", NAME, "--yes")
    assert [str(each) for each in SpoolOrder.unscoped.all()] == [f"remove {NAME}"]


# PINs, and free numbers


def test_a_reset_pin_is_told_and_recorded(box: Voicemailbox) -> None:
    printed = run("voicemailboxes", "reset-pin", NAME)
    pin = stored(box).password
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was changed.\nPIN: {pin}\n"
    assert pin != "8675309"
    assert Voicemailbox.history.latest("history_id").history_change_reason == "PIN reset"


def test_the_pins_of_many_are_reset_after_a_yes_and_each_is_told(
    box: Voicemailbox, other_box: Voicemailbox
) -> None:
    words = ("voicemailboxes", "reset-pin", "--all-accounts")
    assert refused(*words).startswith("Give 2 mailboxes new PINs?")
    assert stored(box).password == "8675309"
    told = {each["id"]: each["password"] for each in records(*words, "--yes")}
    assert told == dict(Voicemailbox.unscoped.values_list("pk", "password"))


def test_a_dry_run_resets_no_pin_and_tells_none(box: Voicemailbox) -> None:
    printed = run("voicemailboxes", "reset-pin", NAME, "--dry-run")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) would be changed.\n"
    assert stored(box).password == "8675309"


def test_the_next_free_number_is_told_alone(box: Voicemailbox) -> None:
    assert run("voicemailboxes", "next-free", "acme.example.com").out == "7012\n"
    assert records("voicemailboxes", "next-free", box.organization_id) == [
        {"organization_id": box.organization_id, "domain": "acme.example.com", "mailbox": 7012}
    ]


def test_an_organization_without_a_free_number_is_told_so(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=9_999_999)
    assert refused("voicemailboxes", "next-free", "acme.example.com") == (
        "Every number of acme.example.com above its lowest one is taken."
    )


def test_the_next_free_number_of_another_account_is_not_told(
    other_organization: Organization, organization: Organization
) -> None:
    words = ("voicemailboxes", "next-free", "globex.example.com")
    assert refused(*words, "--account", organization.account_id).startswith(
        "There is no organization globex.example.com in account"
    )


def test_a_number_of_two_organizations_is_named_with_its_domain(
    box: Voicemailbox, account: Any
) -> None:
    west = make_organization(account, domain="west.example.com")
    twin = make_voicemailbox(west, mailbox=7011)
    run("voicemailboxes", "disable", "7011@west.example.com")
    assert (stored(box).status, stored(twin).status) == ("enabled", "disabled")
