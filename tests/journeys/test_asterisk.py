"""A PBX asks the running service, over a connection for each call."""

from __future__ import annotations

import pytest

from tests.asterisk.pbx import ASKS_ABOVE, Asterisk, Endpoint
from tests.journeys.service import Place, Service
from voicemail.services import digest_of_credential

pytestmark = pytest.mark.journey

CREDENTIAL = "the-credential-of-the-journeys-pbx"
ADD_PBX = f"""
from voicemail.models import Pbx
Pbx.unscoped.update_or_create(
    name="journey", defaults={{"credential_digest": {digest_of_credential(CREDENTIAL)!r}}}
)
"""


@pytest.fixture(scope="module")
def asterisk(place: Place, service: Service) -> Asterisk:
    place.manage("shell", "--command", ADD_PBX)
    return Asterisk("journey", CREDENTIAL, Endpoint(service.port))


@pytest.fixture
def box(place: Place) -> dict[str, str]:
    """Give the keys of an enabled box of the demonstration."""
    columns = "b.mailbox, o.domain"
    tables = "voicemail_voicemailbox b JOIN accounts_organization o ON o.id = b.organization_id"
    mailbox, domain = place.database.rows(columns, tables, "b.status = 'enabled'")[0]
    return {"mailbox": str(mailbox), "context": domain}


def test_a_box_is_found_and_its_pin_changed_by_phone(
    asterisk: Asterisk, box: dict[str, str]
) -> None:
    pin = "4711" if pin_of(asterisk, box) != "4711" else "4712"

    assert asterisk.require() == "0"
    assert asterisk.change_pin(box["context"], box["mailbox"], pin) == "1"
    assert pin_of(asterisk, box) == pin


def pin_of(asterisk: Asterisk, box: dict[str, str]) -> str:
    found = asterisk.single(**box)
    assert found is not None
    return found["password"]


def test_a_context_is_listed(asterisk: Asterisk, box: dict[str, str]) -> None:
    listed = asterisk.multi(context=box["context"], mailbox_LIKE="%")

    assert box["mailbox"] in [each["mailbox"] for each in listed]


@pytest.mark.parametrize("target", ["single", "single/../single", "nowhere", "%00"])
def test_what_is_no_box_is_an_empty_body(asterisk: Asterisk, target: str) -> None:
    assert asterisk.ask(target, "mailbox=1&context=nowhere.example.com").body == b""


def test_a_body_that_libcurl_asks_about_first_is_answered(asterisk: Asterisk) -> None:
    answer = asterisk.ask("single", b"x" * (ASKS_ABOVE + 1))

    assert answer.body == b""


def test_a_stranger_gets_an_empty_body(asterisk: Asterisk, box: dict[str, str]) -> None:
    stranger = Asterisk("journey", "wrong", asterisk.endpoint)

    assert stranger.single(**box) is None
