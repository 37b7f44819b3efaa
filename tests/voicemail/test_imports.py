"""What an import does: every row is judged first, then all are written, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from accounts.history import record_change
from accounts.models import Change, Channel, Organization
from tests.factories import arranging, make_organization, make_voicemailbox
from tests.voicemail.bulk import brought_in, csv_of, csv_of_dicts, importing, judged
from voicemail.bulk import checking, imports, staging
from voicemail.bulk.files import Format
from voicemail.bulk.imports import Counts
from voicemail.bulk.staging import MEANWHILE
from voicemail.models import ADDRESS_UNAVAILABLE, RefusedPin, SpoolOrder, Voicemailbox
from voicemail.services import (
    add_voicemailbox,
    delete_voicemailbox,
    edit_voicemailbox,
)
from voicemail.validators import is_trivial_pin

DOMAIN = "acme.example.com"
USERNAME_FORM = (
    "Value must be 1 to 64 letters, digits, dots, underscores or hyphens, with no dot at either "
    "end and no two dots in a row."
)
NEW: dict[str, Any] = {
    "domain": DOMAIN,
    "mailbox": "1001",
    "username": "joe",
    "fullname": "Joe Smith",
}
FULL = NEW | {
    "password": "0042",
    "status": "disabled",
    "timezone": "us_pacific",
    "say_caller_id": "true",
    "say_duration": "TRUE",
    "say_datetime": "false",
    "notify_email": "attach",
    "email": "joe@example.com",
    "notify_pager": "yes",
    "pager": "pager@example.com",
    "mwi": "joe@phone.example.com",
}


def boxes_without(*left_out: str) -> list[dict[str, Any]]:
    rows = Voicemailbox.unscoped.order_by("organization", "mailbox").values()
    return [{k: v for k, v in row.items() if k not in left_out} for row in rows]


def test_a_row_adds_a_box_with_every_value(organization: Organization) -> None:
    assert brought_in(csv_of_dicts(FULL)) == Counts(1, 0, 0, 0, 0)

    (box,) = boxes_without()
    expected = FULL | {
        "mailbox": 1001,
        "say_caller_id": True,
        "say_duration": True,
        "say_datetime": False,
        "organization_id": organization.pk,
        "account_id": organization.account_id,
    }
    del expected["domain"]
    assert {name: box[name] for name in expected} == expected
    assert box["created"] == box["modified"]


def test_a_box_without_a_pin_gets_one_that_nobody_guesses(organization: Organization) -> None:
    brought_in(csv_of_dicts(NEW))

    box = Voicemailbox.unscoped.get()
    assert len(box.password) == 6
    assert not is_trivial_pin(box.password, box.mailbox)


def test_the_same_file_again_changes_nothing(organization: Organization) -> None:
    text = csv_of_dicts(FULL, NEW | {"mailbox": "1002", "username": "ann"})
    brought_in(text)
    before, changes = boxes_without(), Change.unscoped.count()

    assert brought_in(text) == Counts(0, 0, 0, 2, 0)

    assert (boxes_without(), Change.unscoped.count()) == (before, changes)
    assert Voicemailbox.history.count() == 2


def test_a_row_changes_what_it_names_and_leaves_the_rest(organization: Organization) -> None:
    brought_in(csv_of_dicts(FULL))
    (before,) = boxes_without("modified", "fullname")

    counts = brought_in(csv_of((DOMAIN, 1001, "Ann"), columns=("domain", "mailbox", "fullname")))

    assert counts == Counts(0, 1, 0, 0, 0)
    assert boxes_without("modified", "fullname") == [before]
    box = Voicemailbox.unscoped.get()
    assert box.fullname == "Ann"
    assert box.modified > box.created


def test_an_empty_cell_empties_an_address_and_leaves_anything_else(
    organization: Organization,
) -> None:
    brought_in(csv_of_dicts(FULL))
    emptied = dict.fromkeys(FULL, "") | {
        "domain": DOMAIN,
        "mailbox": "1001",
        "pager": "p@example.com",
    }

    brought_in(csv_of_dicts(emptied | {"notify_email": "no"}))

    box = Voicemailbox.unscoped.get()
    assert (box.email, box.mwi, box.pager) == ("", "", "p@example.com")
    assert (box.password, box.timezone, box.status) == ("0042", "us_pacific", "disabled")


def test_a_row_deletes_only_if_it_says_so(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001)
    make_voicemailbox(organization, mailbox=1002)
    text = csv_of(("delete", DOMAIN, 1001), columns=("action", "domain", "mailbox"))

    assert brought_in(text) == Counts(0, 0, 1, 0, 0)
    assert brought_in(text) == Counts(0, 0, 0, 1, 0)

    assert [box.mailbox for box in Voicemailbox.unscoped.all()] == [1002]


def test_an_id_names_a_box_whose_number_changes(organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    text = csv_of((box.pk, 2002), columns=("voicemailbox_id", "mailbox"))

    assert brought_in(text) == Counts(0, 1, 0, 0, 0)
    assert brought_in(text) == Counts(0, 0, 0, 1, 0)

    assert Voicemailbox.unscoped.get(pk=box.pk).mailbox == 2002


def test_ids_follow_the_order_of_the_lines(organization: Organization) -> None:
    brought_in(csv_of(*((DOMAIN, n, f"vm{n}", "Joe") for n in (3, 1, 2))))

    assert [box.mailbox for box in Voicemailbox.unscoped.order_by("pk")] == [3, 1, 2]


def test_adding_what_is_there_already_changes_nothing(organization: Organization) -> None:
    text = csv_of_dicts(NEW | {"action": "add"})

    assert brought_in(text).added == 1
    assert brought_in(text) == Counts(0, 0, 0, 1, 0)


def test_an_id_and_a_domain_must_name_the_same_organization(organization: Organization) -> None:
    other = make_organization(organization.account)

    _, told = judged(csv_of_dicts(NEW | {"organization_id": other.pk}))

    assert told == {2: ["domain: This organization is not recognized."]}


def test_a_number_is_free_if_the_file_deletes_its_box(organization: Organization) -> None:
    leaving = make_voicemailbox(organization, mailbox=1001, username="joe")
    moving = make_voicemailbox(organization, mailbox=1002)
    columns = ("action", "voicemailbox_id", "mailbox", "username")

    brought_in(
        csv_of(("delete", leaving.pk, "", ""), ("", moving.pk, 1001, "Joe"), columns=columns)
    )

    assert [box.mailbox for box in Voicemailbox.unscoped.all()] == [1001]


def test_rows_without_a_domain_go_to_the_organization_in_hand(organization: Organization) -> None:
    text = csv_of((1001, "joe", "Joe"), columns=("mailbox", "username", "fullname"))

    brought_in(text, organization=organization)

    assert Voicemailbox.unscoped.get().organization_id == organization.pk


def test_very_many_organizations_are_not_all_remembered(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_KEPT_ORGANIZATIONS", 1)
    monkeypatch.setattr(imports, "_AT_ONCE", 2)
    other = make_organization(organization.account, domain="west.example.com")
    both = {"organization_id": other.pk, "domain": other.domain}
    rows = [NEW | both | {"mailbox": 7}, NEW | {"organization_id": ""}] * 2
    for number, row in enumerate(rows):
        rows[number] = row | {"username": f"u{number}", "mailbox": 7 + number}

    assert brought_in(csv_of_dicts(*rows)).added == 4

    assert other.voicemailboxes.count() == 2


def test_json_lines_carry_their_own_kinds_of_values(organization: Organization) -> None:
    line = (
        '{"domain": "ACME.example.com", "mailbox": 1001, "username": "joe", "fullname": " Zoë ", '
        '"say_datetime": true, "notify_email": false, "email": null, "password": null}\n\n'
    )

    brought_in(line, Format.JSONL)

    box = Voicemailbox.unscoped.get()
    assert (box.fullname, box.say_datetime, box.notify_email, box.email) == ("Zoë", True, "no", "")


# Refusals


@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        ({"mailbox": "0100"}, ["mailbox: Value must be 1 to 7 digits and must not start with 0."]),
        ({"mailbox": ""}, ["mailbox: This value is required."]),
        ({"mailbox": "١٢"}, ["mailbox: Value must be 1 to 7 digits and must not start with 0."]),
        ({"username": ""}, ["username: This value is required."]),
        (
            {"username": ".joe"},
            [f"username: {USERNAME_FORM}"],
        ),
        ({"fullname": "  "}, ["fullname: This field cannot be blank."]),
        ({"fullname": "a\tb"}, ["fullname: Value must not contain control characters."]),
        ({"domain": ""}, ["domain: This value is required."]),
        ({"domain": "nobodys.example.com"}, ["domain: This organization is not recognized."]),
        ({"domain": "globex.example.com"}, ["domain: This organization is not recognized."]),
        ({"password": "0000"}, ["password: Value must be 1 to 7 digits, not all of them zero."]),
        ({"status": "Enabled"}, ["status: Value must be one of enabled, disabled."]),
        (
            {"timezone": "us_eastern "},
            ["timezone: Value must be one of us_eastern, us_central, us_mountain, us_pacific."],
        ),
        ({"say_duration": "yes"}, ["say_duration: Value must be true or false."]),
        ({"notify_email": "yes"}, ["email: This value is required."]),
        ({"notify_pager": "yes"}, ["pager: This value is required."]),
        (
            {"notify_email": "yes", "email": "joe"},
            ["email: Value must be one e-mail address such as joe@example.com."],
        ),
        (
            {"mwi": "sip:joe@example.com"},
            ["mwi: Value must be a SIP user address such as joe@example.com, without sip:."],
        ),
        (
            {"action": "remove", "fullname": ""},
            ["action: Value must be add, change, delete, or empty."],
        ),
        ({"action": "change"}, ["mailbox: There is no such mailbox."]),
        ({"voicemailbox_id": "7"}, ["voicemailbox_id: There is no such mailbox."]),
        (
            {"voicemailbox_id": "9" * 19},
            ["voicemailbox_id: Value must be an id, a positive integer."],
        ),
        ({"voicemailbox_id": "x"}, ["voicemailbox_id: Value must be an id, a positive integer."]),
        ({"organization_id": "99"}, ["organization_id: This organization is not recognized."]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_row_is_refused_for(
    organization: Organization,
    other_organization: Organization,
    wrong: dict[str, str],
    reasons: list[str],
) -> None:
    own = Organization.unscoped.filter(pk=organization.pk)

    counts, told = judged(csv_of_dicts(NEW | wrong), organizations=own)

    assert (counts.refused, told) == (1, {2: reasons})


def test_every_row_is_told_every_reason(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1003, username="ann")
    text = csv_of_dicts(
        NEW,
        NEW | {"mailbox": "1002", "username": "JOE", "email": "x", "status": "x"},
        NEW | {"mailbox": "1001", "username": "ann", "action": "add"},
        NEW | {"mailbox": "1003", "username": "ann", "action": "add", "fullname": "Ann"},
        NEW | {"mailbox": "1004", "username": "eve"},
    )

    counts, told = judged(text)

    assert counts.refused == 3
    assert told == {
        3: [
            "email: Value must be one e-mail address such as joe@example.com.",
            "status: Value must be one of enabled, disabled.",
            "username: Line 2 has the same address.",
        ],
        4: [
            "mailbox: Line 2 has the same number.",
            f"username: {ADDRESS_UNAVAILABLE}",
        ],
        5: [
            "mailbox: This mailbox is already in use in this organization.",
            "username: Line 4 has the same address.",
        ],
    }
    assert Voicemailbox.unscoped.count() == 1


def test_a_box_is_named_once(organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    columns = ("voicemailbox_id", "domain", "mailbox", "fullname")

    _, told = judged(csv_of((box.pk, "", "", "A"), ("", DOMAIN, 1001, "B"), columns=columns))

    assert told == {3: ["mailbox: Line 2 means the same box."]}


def test_a_number_is_taken_until_its_box_has_moved(organization: Organization) -> None:
    first = make_voicemailbox(organization, mailbox=1001)
    second = make_voicemailbox(organization, mailbox=1002)
    text = csv_of((first.pk, 1002), (second.pk, 1003), columns=("voicemailbox_id", "mailbox"))

    _, told = judged(text)

    assert told == {2: ["mailbox: This mailbox is already in use in this organization."]}


def test_a_foreign_box_is_as_good_as_none(
    organization: Organization, other_organization: Organization
) -> None:
    foreign = make_voicemailbox(other_organization, mailbox=1001)
    own = Organization.unscoped.filter(pk=organization.pk)
    text = csv_of((foreign.pk, "Eve"), (10**9, "Eve"), columns=("voicemailbox_id", "fullname"))

    _, told = judged(text, organizations=own)

    assert told == {number: ["voicemailbox_id: There is no such mailbox."] for number in (2, 3)}


def test_a_box_stays_in_its_organization(organization: Organization) -> None:
    other = make_organization(organization.account, domain="west.example.com")
    box = make_voicemailbox(organization)

    _, told = judged(csv_of((box.pk, other.domain), columns=("voicemailbox_id", "domain")))

    assert told == {2: ["domain: A mailbox stays in its organization."]}


def test_the_strict_policy_holds_for_new_pins_alone(organization: Organization) -> None:
    brought_in(csv_of_dicts(NEW | {"password": "1234"}))
    kept = NEW | {"password": "1234", "fullname": "Ann"}
    with override_settings(PIN_STRICT=True):
        counts, told = judged(
            csv_of_dicts(kept, NEW | {"mailbox": 7, "username": "x", "password": "4321"})
        )

    assert counts.changed == 1
    assert [*told] == [3]
    assert told[3][0].startswith("password: Value must be 6 or 7 digits")


def test_what_would_follow_from_a_wrong_value_is_not_told(organization: Organization) -> None:
    _, told = judged(csv_of_dicts(NEW | {"notify_email": "loud", "email": ""}))

    assert told == {2: ["notify_email: Value must be one of no, yes, attach, delete."]}


# The history, and what else the services do


def _one_by_one(organization: Organization) -> None:
    with record_change(by=None, channel=Channel.COMMAND, actor="test"):
        boxes = {box.mailbox: box for box in Voicemailbox.unscoped.select_related("organization")}
        delete_voicemailbox(boxes[1001])
        boxes[1002].fullname, boxes[1002].mailbox = "Changed", 2002
        edit_voicemailbox(boxes[1002])
        boxes[1003].fullname = "Not moved"
        edit_voicemailbox(boxes[1003])
        added = {"mailbox": 1004, "username": "new", "fullname": "New", "password": "4711"}
        add_voicemailbox(Voicemailbox(organization=organization, **added))


def _at_once(organization: Organization) -> None:
    ids = dict(Voicemailbox.unscoped.values_list("mailbox", "pk"))
    columns = ("action", "voicemailbox_id", "domain", "mailbox", "username", "fullname", "password")
    brought_in(
        csv_of(
            ("delete", ids[1001], "", "", "", "", ""),
            ("", ids[1002], "", 2002, "", "Changed", ""),
            ("", "", DOMAIN, 1004, "new", "New", 4711),
            ("", "", DOMAIN, 1003, "", "Not moved", ""),
            columns=columns,
        )
    )


@pytest.mark.parametrize("orders", [False, True])
def test_all_at_once_writes_what_one_by_one_writes(
    organization: Organization, settings: Any, orders: bool
) -> None:
    settings.SPOOL_ORDERS = orders
    written = []
    for way in (_one_by_one, _at_once):
        for mailbox in (1001, 1002, 1003):
            make_voicemailbox(
                organization, mailbox=mailbox, username=f"vm{mailbox}", password="111999"
            )
        written.append(_tables(way, organization))
        with arranging():
            for box in Voicemailbox.unscoped.select_related("organization"):
                delete_voicemailbox(box)
        SpoolOrder.unscoped.all().delete()

    assert written[0] == written[1]


def _tables(way: Any, organization: Organization) -> list[Any]:
    first = min(Voicemailbox.unscoped.values_list("pk", flat=True))
    last = Voicemailbox.history.order_by("-history_id").first().history_id
    SpoolOrder.unscoped.all().delete()
    began = Change.unscoped.count()
    way(organization)
    history = Voicemailbox.history.filter(history_id__gt=last).order_by("history_id")
    change = {row.change_id for row in history}
    assert len(change) == 1
    assert Change.unscoped.count() == began + 1
    return [
        [_comparable(row, first) for row in rows.values()]
        for rows in (
            Voicemailbox.unscoped.order_by("pk"),
            history,
            SpoolOrder.unscoped.order_by("pk"),
            Change.unscoped.filter(pk__in=change),
        )
    ]


def _comparable(row: Mapping[str, Any], first: int) -> dict[str, Any]:
    """Leave out what no two runs share, and count ids from the first box on."""
    kept = {
        name: value
        for name, value in row.items()
        if name not in ("created", "modified", "history_id", "history_date", "change_id", "id")
    }
    for name in ("id", "voicemailbox_id"):
        if name in row and "mailbox" in row and not (name == "id" and "voicemailbox_id" in row):
            kept[name] = row[name] - first
    return kept


def test_a_deleted_box_takes_its_refused_pins_along(organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    RefusedPin.unscoped.create(account_id=box.account_id, voicemailbox=box, pbx="x", reason="y")

    brought_in(csv_of(("delete", DOMAIN, 1001), columns=("action", "domain", "mailbox")))

    assert not RefusedPin.unscoped.exists()


def test_a_change_of_several_accounts_belongs_to_none(
    organization: Organization, other_organization: Organization
) -> None:
    brought_in(csv_of_dicts(NEW))
    assert Change.unscoped.latest("pk").account_id == organization.account_id
    two = [
        NEW | {"mailbox": 7, "username": "x", "domain": d} for d in (DOMAIN, "globex.example.com")
    ]

    brought_in(csv_of_dicts(*two))

    assert Change.unscoped.latest("pk").account_id is None
    assert len({row.change_id for row in Voicemailbox.history.filter(mailbox=7)}) == 1


def _edit_meanwhile(organization: Organization) -> None:
    with arranging():
        box = Voicemailbox.unscoped.get(mailbox=1001)
        box.fullname = "Meanwhile"
        box.save_changed()


def _take_meanwhile(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1002)


def _delete_meanwhile(organization: Organization) -> None:
    with arranging():
        Voicemailbox.unscoped.get(mailbox=1001).delete()


@pytest.mark.parametrize("meanwhile", [_edit_meanwhile, _take_meanwhile, _delete_meanwhile])
def test_what_changed_meanwhile_stops_the_import(
    organization: Organization, meanwhile: Any
) -> None:
    make_voicemailbox(organization, mailbox=1001)
    text = csv_of((DOMAIN, 1001, "one", "Changed"), (DOMAIN, 1002, "two", "New"))
    with importing(text) as job:
        assert job.judge(lambda _: None) == Counts(1, 1, 0, 0, 0)
        meanwhile(organization)
        before = boxes_without()
        with (
            pytest.raises(ValidationError) as caught,
            record_change(by=None, channel=Channel.COMMAND, actor="test"),
        ):
            job.write()

    assert (caught.value.code, caught.value.messages) == ("meanwhile", [MEANWHILE])
    assert boxes_without() == before


def test_the_number_of_statements_does_not_grow_with_the_rows(organization: Organization) -> None:
    counted = []
    for first, number in ((1000, 2), (2000, 200)):
        text = csv_of(*((DOMAIN, n, f"vm{n}", "Joe") for n in range(first, first + number)))
        with CaptureQueriesContext(connection) as queries:
            brought_in(text)
        counted.append(len(queries))

    assert counted[0] == counted[1]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans without statistics.")
@pytest.mark.parametrize(("least", "is_told"), [(2, True), (3, False)])
def test_postgresql_learns_of_very_many_rows_at_once(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, least: int, is_told: bool
) -> None:
    monkeypatch.setattr(staging, "_VERY_MANY", least)
    with CaptureQueriesContext(connection) as captured:
        brought_in(csv_of_dicts(NEW, NEW | {"mailbox": "1002", "username": "ann"}))
    told = {query["sql"] for query in captured.captured_queries}

    assert ("ANALYZE voicemail_voicemailbox" in told) is is_told
    assert ("ANALYZE voicemail_historicalvoicemailbox" in told) is is_told
