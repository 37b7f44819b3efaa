"""The files of a PBX, as the command prints them (docs/asterisk.md)."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command

from accounts.models import Organization
from tests.asterisk.pbx import make_pbx
from tests.factories import make_voicemailbox
from voicemail.asterisk.configuration import MAILBOXES_A_LINE, message_waiting

pytestmark = pytest.mark.django_db

GUIDE = Path(project.BASE_DIR) / "docs" / "asterisk.md"
JOE = "joe@acme.example.com"


def printed(name: str, *options: str) -> dict[str, str]:
    """Give what the command prints, by the path of each file."""
    out = StringIO()
    call_command("pbxs", "files", name, *options, stdout=out)
    parts = re.split(r"^==> (\S+) <==\n", out.getvalue(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_file_of_asterisk_begins_with_a_section() -> None:
    make_pbx("edge1")
    files = printed("edge1")

    for name in ("extconfig", "res_curl", "modules", "voicemail", "extensions"):
        lines = files[f"/etc/asterisk/{name}.conf"].splitlines()
        settings = [line for line in lines if line and not line.startswith(";")]
        assert re.fullmatch(r"\[[a-z-]+\]", settings[0]), name


def test_the_files_name_the_service_and_the_pbx() -> None:
    make_pbx("edge1")
    files = printed("edge1", "--url", "https://voicemail.example.com/")

    realtime = "voicemail => curl,https://voicemail.example.com/asterisk/voicemail\n"
    assert realtime in files["/etc/asterisk/extconfig.conf"]
    assert "userpwd=edge1:YOUR-CREDENTIAL" in files["/etc/asterisk/res_curl.conf"]


def test_the_command_never_prints_a_credential() -> None:
    pbx, credential = make_pbx("edge1")
    text = "".join(printed("edge1").values())

    assert credential not in text
    assert pbx.credential_digest not in text


def test_an_unknown_pbx_is_refused_with_those_that_there_are() -> None:
    make_pbx("edge1")

    with pytest.raises(CommandError, match=r"no PBX edge2\. Accepted: id or name; known: edge1\."):
        printed("edge2")


def test_the_dialplan_means_the_first_organization_that_the_pbx_may_ask_for(
    organization: Organization, other_organization: Organization
) -> None:
    make_voicemailbox(organization)
    make_voicemailbox(other_organization)
    make_pbx("edge1", organizations=[other_organization])
    make_pbx("edge2")

    assert "\nDOMAIN = globex.example.com\n" in printed("edge1")["/etc/asterisk/extensions.conf"]
    assert "\nDOMAIN = acme.example.com\n" in printed("edge2")["/etc/asterisk/extensions.conf"]


def test_without_a_box_the_dialplan_has_a_domain_to_replace() -> None:
    make_pbx("edge1")

    assert "\nDOMAIN = example.com\n" in printed("edge1")["/etc/asterisk/extensions.conf"]


def test_the_guide_shows_each_file_as_it_is_printed(organization: Organization) -> None:
    make_voicemailbox(organization)
    make_pbx("pbx1")

    shown = re.findall(r"^`(/etc/\S+)`\n\n```\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    assert dict(shown) == printed("pbx1", "--url", "https://voicemail.example.com")


def waiting(name: str = "edge1") -> dict[str, list[str]]:
    """Give what the file about message waiting says, by the address that is told."""
    out = StringIO()
    call_command("pbxs", "files", name, "--mwi", stdout=out)
    sections: dict[str, list[str]] = {}
    for header, text in re.findall(r"^\[([^]]+)\]\n(.*?)\n\n", out.getvalue(), re.M | re.S):
        lines = [line for line in text.splitlines() if not line.startswith(";")]
        sections.setdefault(header, []).extend(lines)
    return sections


def test_each_phone_is_told_of_all_its_boxes(
    organization: Organization, other_organization: Organization
) -> None:
    make_pbx("edge1")
    make_voicemailbox(organization, mailbox=1002, mwi="Joe@acme.example.com")
    make_voicemailbox(organization, mailbox=1001, mwi=JOE)
    make_voicemailbox(other_organization, mailbox=7, mwi=JOE)
    make_voicemailbox(organization, mailbox=1003)

    assert waiting() == {
        f"mwi-{JOE}": [
            "type = endpoint",
            "identify_by = ip",
            f"aors = mwi-{JOE}",
            "mailboxes = 1001@acme.example.com,1002@acme.example.com,7@globex.example.com",
            "type = aor",
            f"contact = sip:{JOE}",
        ]
    }


def test_nobody_is_told_of_a_box_that_the_pbx_may_not_ask_for(
    organization: Organization, other_organization: Organization
) -> None:
    make_pbx("edge1", organizations=[organization])
    make_voicemailbox(organization, mailbox=1001, mwi=JOE, status="disabled")
    make_voicemailbox(other_organization, mailbox=1001, mwi=JOE)

    assert waiting() == {}


def test_a_phone_with_many_boxes_has_them_on_several_lines(organization: Organization) -> None:
    make_pbx("edge1")
    numbers = range(1001, 1001 + MAILBOXES_A_LINE + 1)
    for number in numbers:
        make_voicemailbox(organization, mailbox=number, mwi=JOE)

    lines = [line for line in waiting()[f"mwi-{JOE}"] if line.startswith("mailboxes")]
    assert len(lines) == 2
    assert lines[0].startswith("mailboxes = 1001@acme.example.com,1002@")
    assert lines[1] == f"mailboxes += ,{numbers[-1]}@acme.example.com"


def test_message_waiting_is_one_query(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    pbx, _ = make_pbx("edge1")
    for number in (1001, 1002, 1003):
        make_voicemailbox(organization, mailbox=number, mwi=f"phone{number}@acme.example.com")

    with django_assert_num_queries(1):
        assert len(list(message_waiting(pbx))) == 3
