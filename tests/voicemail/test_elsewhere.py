"""What becomes of the mailboxes of other systems (docs/import.md, From other systems)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from accounts.models import Organization
from tests.voicemail.bulk import run
from voicemail.bulk.elsewhere import Origin, taken_from
from voicemail.bulk.files import UnreadableFileError
from voicemail.models import Voicemailbox

CONF = r"""
; Written by hand.
[general]
format=wav49|gsm|wav
attach=yes            ; by default
tz=eastern
[zonemessages]
eastern=America/New_York|'vm-received' Q 'digits/at' IMp
central24=America/Chicago|'vm-received' q 'digits/at' H N 'hours'
european=Europe/Copenhagen|'vm-received' a d b 'digits/at' HM

[default]
1001 => 4711,Joe Smith,joe@example.com,pager@example.com,attach=no|saycid=yes|tz=central24
1002 => -12345678,Ann\; Lee,ann@example.com|bob@example.com,,delete=yes|envelope=no
1003 = 0042,,,,tz=european|delete=yes|forcename=yes
1004 => 5555,Eve,eve,
"""

JOE = {
    "mailbox": "1001",
    "username": "vm1001",
    "password": "4711",
    "fullname": "Joe Smith",
    "email": "joe@example.com",
    "notify_email": "yes",
    "pager": "pager@example.com",
    "notify_pager": "yes",
    "say_caller_id": True,
    "say_duration": True,
    "say_datetime": True,
    "timezone": "us_central",
}


def taken(text: str, origin: Origin = Origin.ASTERISK, **kwargs: Any) -> list[Any]:
    return list(taken_from(origin, text.splitlines(keepends=True), **kwargs))


def test_a_box_of_a_voicemail_conf_becomes_a_row() -> None:
    (first, *_) = taken(CONF)

    assert first.row == JOE
    assert first.notes == []


def test_what_a_voicemail_conf_has_without_counterpart_is_told() -> None:
    _, ann, third, eve = taken(CONF)

    assert (ann.row["fullname"], ann.row["password"], ann.row["say_datetime"]) == (
        "Ann; Lee",
        "",
        False,
    )
    assert (ann.row["email"], ann.row["notify_email"]) == ("ann@example.com", "delete")
    assert ann.notes == [
        "1002: that the PIN can't be changed by phone has no counterpart.",
        "1002: its PIN is not allowed here; it gets a new one.",
        "1002: email can be one address only; the first is kept.",
    ]
    assert (third.row["fullname"], third.row["password"]) == ("Mailbox 1003", "0042")
    assert third.row["timezone"] == "us_eastern"
    assert third.notes == [
        "1003: messages are not deleted after a mail, as there is no address.",
        "1003: the zone european has no counterpart; it gets us_eastern.",
        "1003: the option forcename=yes has no counterpart.",
    ]
    assert (eve.row["email"], eve.row["notify_email"]) == ("", "no")
    assert eve.notes == ["1004: email is no address that is allowed here; it is left out."]


def test_the_strict_policy_replaces_pins(settings: Any) -> None:
    settings.PIN_STRICT = True

    (first, *_) = taken(CONF)

    assert first.row["password"] == ""
    assert first.notes == ["1001: its PIN is not allowed here; it gets a new one."]


def test_of_several_contexts_one_is_named() -> None:
    text = f"{CONF}\n[other]\n7 => 4711,Seven\n"

    with pytest.raises(UnreadableFileError) as caught:
        taken(text)

    assert caught.value.messages == ["Name one context by --context. The file has: default, other."]
    assert [each.row["mailbox"] for each in taken(text, context="other")] == ["7"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("#include a", "Line 2: other files are not read; put their lines here: #include a"),
        ("nonsense", "Line 2 is no setting of a voicemail.conf."),
    ],
)
def test_a_voicemail_conf_that_can_not_be_read_is_refused_with(line: str, message: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        taken(f"[default]\n{line}\n")

    assert caught.value.messages == [message]


FUSIONPBX = (
    "domain_uuid,voicemail_id,voicemail_password,greeting_id,voicemail_mail_to,voicemail_file,"
    "voicemail_local_after_email,voicemail_enabled,voicemail_description,voicemail_tutorial,"
    "voicemail_transcription_enabled\n"
    "1b4e28ba,201,4711,,joe@example.com,attach,true,true,Joe Smith,false,false\n"
    "1b4e28ba,202,123456789,2,ann@example.com,,false,false,,true,true\n"
)


def test_a_row_of_fusionpbx_becomes_a_row() -> None:
    first, second = taken(FUSIONPBX, Origin.FUSIONPBX)

    assert first.row == {
        "mailbox": "201",
        "username": "vm201",
        "password": "4711",
        "fullname": "Joe Smith",
        "email": "joe@example.com",
        "notify_email": "attach",
        "pager": "",
        "notify_pager": "no",
    }
    assert first.notes == []
    assert (second.row["notify_email"], second.row["status"]) == ("delete", "disabled")
    assert second.row["fullname"] == "Mailbox 202"
    assert second.notes == [
        "202: its PIN is not allowed here; it gets a new one.",
        "202: voicemail_transcription_enabled=true has no counterpart.",
        "202: voicemail_tutorial=true has no counterpart.",
        "202: greeting 2 is a recording; copy it to the PBX by hand.",
    ]


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("voicemail_id\n1\n", "", "There must be columns voicemail_id and voicemail_password."),
        (FUSIONPBX, "x", "A CSV of FusionPBX has no contexts; leave --context out."),
        ('voicemail_id,voicemail_password\n"1\n', "", "Line 2 is no CSV: unexpected end of data."),
    ],
)
def test_a_csv_of_fusionpbx_that_can_not_be_read_is_refused_with(
    text: str, named: str, message: str
) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        taken(text, Origin.FUSIONPBX, context=named)

    assert caught.value.messages == [message]


# At the shell


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "voicemail.conf"
    path.write_text(CONF)
    return path


def migrate(path: Path, *options: str) -> tuple[str, str]:
    return run("migrate", path, "--from", "asterisk", *options)


def test_migrate_brings_the_boxes_into_an_organization(
    organization: Organization, conf: Path
) -> None:
    out, noted = migrate(conf, "--organization", organization.domain)

    assert out == "4 added, 0 changed, 0 deleted, 0 left unchanged.\n"
    assert "1003: the option forcename=yes has no counterpart.\n" in noted
    box = Voicemailbox.unscoped.get(mailbox=1001)
    assert (box.organization_id, box.timezone, box.password) == (
        organization.pk,
        "us_central",
        "4711",
    )
    assert len(Voicemailbox.unscoped.get(mailbox=1002).password) == 6
    again, _ = migrate(conf, "--organization", organization.domain)
    assert again == "0 added, 0 changed, 0 deleted, 4 left unchanged.\n"


def test_a_dry_run_of_migrate_tells_what_is_lost(organization: Organization, conf: Path) -> None:
    out, noted = migrate(conf, "--organization", organization.domain, "--dry-run")

    assert out.startswith("4 would be added")
    assert len(noted.splitlines()) == 7
    assert not Voicemailbox.unscoped.exists()


def test_migrate_wants_one_organization(organization: Organization, conf: Path) -> None:
    with pytest.raises(CommandError) as caught:
        migrate(conf, "--all-accounts")

    assert str(caught.value) == ("Name the organization that gets the mailboxes by --organization.")


def test_boxes_that_can_not_be_taken_over_are_written_to_be_mended(
    organization: Organization, conf: Path
) -> None:
    conf.write_text("[default]\n0100 => 4711,Joe\n1001 => 4711,Ann\n")

    with pytest.raises(CommandError, match="1 rows can't be taken"):
        migrate(conf, "--organization", organization.domain)

    refused = conf.with_name("voicemail.refused.jsonl")
    refused.write_text(refused.read_text().replace('"0100"', '"1000"'))
    run("import", refused, "--organization", organization.domain)
    assert [box.mailbox for box in Voicemailbox.unscoped.all()] == [1000]
