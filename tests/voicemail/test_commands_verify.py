"""manage.py verify: what should not be is found, told, and mended where that is safe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.guards import install_guards, missing_guards, remove_triggers
from accounts.models import Account, Organization, User
from tests.asterisk.pbx import make_pbx
from tests.commands import refused, run
from tests.database import write
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail import verification
from voicemail.models import MailboxTally, SpoolOrder, Voicemailbox
from voicemail.services import delete_voicemailbox

ONLY_SQLITE = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own way.")
ONLY_POSTGRESQL = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's.")


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, fullname="Joe", password="8675309")


def found(*scope: Any) -> list[dict[str, str]]:
    """Run the command, which must end with the number of its findings, and give these."""
    out = StringIO()
    words = map(str, ("verify", *(scope or ("--all-accounts",)), "--format", "json"))
    with pytest.raises(CommandError) as caught:
        call_command(*words, stdout=out, stderr=StringIO())
    findings: list[dict[str, str]] = json.loads(out.getvalue())
    assert str(caught.value) == f"Findings: {len(findings)}."
    return findings


def problems(*scope: Any) -> list[tuple[str, str, str]]:
    return [(each["kind"], each["about"], each["problem"]) for each in found(*scope)]


def alter(*statements: str) -> None:
    """Alter the schema within a test's transaction: PostgreSQL checks what is deferred first."""
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def unchecked(box: Voicemailbox) -> Iterator[None]:
    """Let the database take rows that it would refuse, for the time of a test."""
    if connection.vendor == "postgresql":
        names = ("fullname_is_1_to_128_characters", "email_is_given_when_notified")
        alter(*(f"ALTER TABLE voicemail_voicemailbox DROP CONSTRAINT {name}" for name in names))
        yield
        return
    alter("PRAGMA ignore_check_constraints = ON")
    yield
    alter("PRAGMA ignore_check_constraints = OFF")


def test_a_sound_database_has_no_findings(box: Voicemailbox, alice: User, settings: Any) -> None:
    settings.SPOOL_ORDERS = True
    make_pbx(organizations=[box.organization])
    for scope in (
        ("--all-accounts",),
        ("--account", box.account_id),
        ("--organization", box.organization_id),
    ):
        printed = run("verify", *scope)
        assert (printed.out, printed.err) == ("", "Nothing was found.\n")


def test_a_scope_is_needed(db: None) -> None:
    assert "--all-accounts is required" in refused("verify")


@pytest.mark.parametrize(
    ("pin", "is_strict"), [("7011", False), ("1111111", False), ("98765", False), ("2580", True)]
)
def test_a_trivial_pin_is_found_and_never_told(
    box: Voicemailbox, settings: Any, pin: str, is_strict: bool
) -> None:
    settings.PIN_STRICT = is_strict
    write(box, password=pin)
    (finding,) = found()
    assert finding == {
        "kind": "trivial_pin",
        "about": f"mailbox {box.pk} (7011 Joe)",
        "problem": "Its PIN is easily guessed.",
        "remedy": "voicemailboxes reset-pin",
    }


def test_a_person_reads_findings_in_a_table(box: Voicemailbox) -> None:
    write(box, password="1111111")
    out = StringIO()
    with pytest.raises(CommandError, match=r"^Findings: 1\.$"):
        call_command("verify", "--all-accounts", stdout=out)
    heading, line = out.getvalue().splitlines()
    assert heading.split() == ["KIND", "ABOUT", "PROBLEM", "REMEDY"]
    assert line.startswith(f"trivial_pin  mailbox {box.pk} (7011 Joe)  Its PIN is easily guessed.")


def test_findings_are_those_of_the_scope(
    box: Voicemailbox, other_organization: Organization
) -> None:
    other = make_voicemailbox(other_organization, password="8675309")
    write(other, password="1111")
    assert run("verify", "--account", box.account_id).out == ""
    assert run("verify", "--organization", box.organization_id).out == ""
    assert len(found("--account", other.account_id)) == 1
    assert len(found("--organization", "globex.example.com")) == 1


@pytest.mark.usefixtures("unchecked")
def test_a_value_that_xml_or_the_pbx_can_not_carry_is_found(box: Voicemailbox) -> None:
    write(box, fullname="Joe\x1b\rSmith")
    *_, (kind, about, problem) = problems()
    assert (kind, problem) == (
        "invalid_value",
        "fullname: Value must not contain control characters.",
    )
    assert about.startswith(f"mailbox {box.pk} (7011 Joe")


@pytest.mark.usefixtures("unchecked")
def test_a_notification_without_its_address_is_found(box: Voicemailbox) -> None:
    write(box, notify_email="yes")
    assert problems() == [
        *(
            [
                ("missing_constraint", name, "Table voicemail_voicemailbox lacks this constraint.")
                for name in ("fullname_is_1_to_128_characters", "email_is_given_when_notified")
            ]
            if connection.vendor == "postgresql"
            else []
        ),
        ("invalid_value", f"mailbox {box.pk} (7011 Joe)", "email: This value is required."),
    ]


def test_an_order_that_a_pbx_does_not_carry_out_is_found(box: Voicemailbox, settings: Any) -> None:
    settings.SPOOL_ORDERS = True
    make_pbx("edge1")
    with arranging():
        delete_voicemailbox(box)
    assert run("verify", "--all-accounts").out == ""
    long_ago = timezone.now() - timedelta(days=2)
    SpoolOrder.unscoped.update(created=long_ago)
    order = SpoolOrder.unscoped.get()
    told = f"PBX edge1 has not carried it out since {long_ago:%Y-%m-%d %H:%M}."
    about = f"spool order {order.pk} (remove 7011@acme.example.com)"
    assert problems() == [("stale_order", about, told)]


def test_every_batch_is_worked_through(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_AT_ONCE", 2)
    for _ in range(5):
        write(make_voicemailbox(organization), password="1111111")
    assert len(found()) == 5


# What only a damaged database has


def drop_guards() -> None:
    if connection.vendor == "sqlite":
        remove_triggers(connection)
        return
    alter(
        "ALTER TABLE voicemail_voicemailbox "
        "DROP CONSTRAINT voicemailbox_is_of_its_organizations_account"
    )


@pytest.fixture
def damaged(db: None) -> Iterator[None]:
    """Take the guards away, and make them again after the test."""
    drop_guards()
    yield
    with arranging():
        Voicemailbox.unscoped.all().delete()
    alter()
    install_guards(connection)


@pytest.mark.usefixtures("damaged")
def test_missing_guards_are_found(box: Voicemailbox) -> None:
    names = missing_guards(connection)
    told = "The database lacks this guard."
    about_guards = [each for each in problems() if each[0] == "missing_guard"]
    assert about_guards == [("missing_guard", name, told) for name in names]
    assert "voicemailbox_is_of_its_organizations_account" in names[-1]


@pytest.mark.usefixtures("damaged")
def test_missing_guards_are_made_again(box: Voicemailbox) -> None:
    number = len(missing_guards(connection))
    # A box that came without triggers was not tallied.
    number += any(kind == "wrong_tally" for kind, _, _ in problems())
    alter()
    printed = run("verify", "--all-accounts", "--fix")
    assert printed.err == f"Guards, indexes and tallies made: {number}.\nNothing was found.\n"
    assert missing_guards(connection) == []


@pytest.mark.usefixtures("damaged")
def test_a_box_of_another_account_than_its_organizations_is_found_and_left(
    box: Voicemailbox, other_account: Account
) -> None:
    write(box, account_id=other_account.pk)
    problem = (
        f"It is of account {other_account.pk}, but its organization acme.example.com is of "
        f"account {box.account_id}."
    )
    alter()
    finding = ("account_disagrees", f"mailbox {box.pk} (7011 Joe)", problem)
    assert finding in problems()
    assert finding in problems("--all-accounts", "--fix")
    assert Voicemailbox.unscoped.get().account_id == other_account.pk


@pytest.mark.django_db(transaction=True)
def test_a_missing_index_is_found_and_made_again() -> None:
    alter("DROP INDEX voicemailbox_by_age")
    assert problems() == [
        ("missing_index", "voicemailbox_by_age", "The database lacks this index.")
    ]
    printed = run("verify", "--all-accounts", "--fix")
    assert printed.err == "Guards, indexes and tallies made: 1.\nNothing was found.\n"


@ONLY_POSTGRESQL  # SQLite drops no constraint of a table.
def test_numbers_and_addresses_that_two_boxes_have_are_found(box: Voicemailbox) -> None:
    alter(
        "ALTER TABLE voicemail_voicemailbox DROP CONSTRAINT unique_mailbox_per_organization",
        "DROP INDEX unique_address_per_organization",
    )
    twin = make_voicemailbox(box.organization)
    write(twin, mailbox=7011, username=box.username.upper())
    told = [each for each in problems() if each[0] == "duplicate"]
    assert told == [
        ("duplicate", "7011@acme.example.com", "2 mailboxes have this number."),
        ("duplicate", f"{box.username}@acme.example.com", "2 mailboxes have this address."),
    ]


@ONLY_POSTGRESQL
def test_the_index_of_the_search_is_missed(db: None) -> None:
    alter("DROP INDEX voicemailbox_search")
    assert problems() == [
        (
            "missing_index",
            "voicemailbox_search",
            "The database lacks the index of the search over mailboxes.",
        )
    ]


@ONLY_POSTGRESQL
def test_an_index_whose_making_failed_is_found(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false "
            "WHERE indexrelid = 'voicemailbox_by_age'::regclass"
        )
    ((kind, about, _),) = problems()
    assert (kind, about) == ("invalid_index", "voicemailbox_by_age")


@ONLY_SQLITE
@pytest.mark.django_db(transaction=True)
def test_a_row_whose_parent_is_gone_is_found() -> None:
    make_voicemailbox(make_organization(make_account()), password="8675309")
    row = Voicemailbox.history.get()
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_change WHERE id = %s", [row.change_id])
    assert problems() == [
        (
            "orphan",
            f"historical voicemailbox {row.pk}",
            f"Its change {row.change_id} does not exist.",
        )
    ]
    Voicemailbox.history.all().delete()


def test_a_wrong_tally_is_found_and_mended(box: Voicemailbox) -> None:
    MailboxTally.unscoped.update(number=41)
    about = f"organization {box.organization_id} acme.example.com"
    told = "It has 1 mailboxes, and Found says 41."
    assert problems() == [("wrong_tally", about, told)]

    assert "Guards, indexes and tallies made: 1." in run("verify", "--all-accounts", "--fix").err
    assert MailboxTally.unscoped.get().number == 1
