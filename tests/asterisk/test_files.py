"""The files of a PBX, as the command prints them (docs/asterisk.md)."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.asterisk.pbx import make_pbx

pytestmark = pytest.mark.django_db


def printed(name: str, *options: str) -> dict[str, str]:
    """Give what the command prints, by the path of each file."""
    out = StringIO()
    call_command("asterisk_files", name, *options, stdout=out)
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
    assert "userpwd=edge1:CREDENTIAL" in files["/etc/asterisk/res_curl.conf"]


def test_the_command_never_prints_a_credential() -> None:
    pbx, credential = make_pbx("edge1")
    text = "".join(printed("edge1").values())

    assert credential not in text
    assert pbx.credential_digest not in text


def test_an_unknown_pbx_is_refused_with_those_that_there_are() -> None:
    make_pbx("edge1")

    with pytest.raises(CommandError, match=r"no PBX named edge2\. Known: edge1\."):
        printed("edge2")
