"""Every code of the catalogue, with its message and its place (docs/protocol.md, Errors)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Change, Organization, Session, User
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail_site.webapi.errors import Code

NOT_GRANTED = "Permission to perform the requested action has not been granted."


@dataclass(frozen=True)
class Case:
    """A request and its one error; ``parameter`` is None for an error of the action.

    ``sent`` names objects in braces; ``failures`` is how often it was tried before.
    """

    code: str
    parameter: str | None
    message: str
    action: str
    sent: dict[str, str] = field(default_factory=dict)
    has_session: bool = True
    is_valid: bool = False
    failures: int = 0

    def __str__(self) -> str:
        return f"{self.code}-{self.parameter}-{self.action}"


def login(code: str, message: str, failures: int) -> Case:
    wrong = {"Username": "alice", "Password": "wrong"}
    return Case(code, "Action", message, "SessionCreate", wrong, False, True, failures)


def of_add(code: str, parameter: str, value: str, message: str) -> Case:
    right = {"OrganizationId": "{organization}", "Domain": "acme.example.com", "Fullname": "Joe"}
    right |= {"Username": "new", "Mailbox": "7012"}
    return Case(code, parameter, message, "VoicemailboxAdd", right | {parameter: value})


CASES = [
    Case("Value.Required", "AccountId", "This value is required.", "AccountRead"),
    Case(
        "Session.Authentication",
        "SessionId",
        "An authenticated session is required for this request.",
        "AccountRead",
        has_session=False,
    ),
    Case(
        "Domain.Unrecognized",
        "Domain",
        "This domain is not recognized by the system.",
        "OrganizationRead",
        {"Domain": "nowhere.example.com"},
    ),
    of_add(
        "Address.Unavailable",
        "Username",
        "joe",
        "This address is already in use, is reserved, or is otherwise unavailable for use.",
    ),
    Case(
        "Integer.TooBig",
        "Limit",
        "Value may be no more than 25000",
        "OrganizationBrowse",
        {"AccountId": "{account}", "Limit": "25001"},
    ),
    of_add("Integer.TooBig", "Mailbox", "10000000", "Value may be no more than 9999999"),
    login(
        "Accessor.LoginLocked",
        "You have failed to log in too many times. Please wait 10 minutes then try again.",
        failures=5,
    ),
    Case(
        "AccountAuthorization.Required",
        None,
        NOT_GRANTED,
        "AccountRead",
        {"AccountId": "{other_account}"},
        is_valid=True,
    ),
    Case(
        "OrganizationAuthorization.Required",
        None,
        NOT_GRANTED,
        "OrganizationRead",
        {"OrganizationId": "{other_organization}"},
        is_valid=True,
    ),
    Case(
        "Voicemailbox.Unrecognized",
        "VoicemailboxId",
        "This voicemailbox is not recognized by the system.",
        "VoicemailboxRead",
        {"VoicemailboxId": "{other_voicemailbox}"},
    ),
    login("Accessor.LoginFailed", "The username or password is incorrect.", failures=0),
    Case(
        "Action.Unrecognized",
        "Action",
        "This action is not recognized by the system.",
        "VoicemailboxErase",
    ),
    of_add(
        "Mailbox.Unavailable",
        "Mailbox",
        "7011",
        "This mailbox is already in use in this organization.",
    ),
    Case(
        "Value.Exclusive",
        "OrganizationId",
        "One and only one of AccountId and OrganizationId may be supplied.",
        "VoicemailboxBrowse",
        {"AccountId": "{account}", "OrganizationId": "{organization}"},
    ),
    Case(
        "Value.Exclusive",
        "Domain",
        "One and only one of OrganizationId and Domain may be supplied.",
        "OrganizationRead",
        {"OrganizationId": "{organization}", "Domain": "acme.example.com"},
    ),
    Case(
        "Integer.Invalid",
        "AccountId",
        "Value must be a positive integer.",
        "AccountRead",
        {"AccountId": "{account}.0"},
    ),
    of_add("Integer.Invalid", "Mailbox", "07012", "Value must be an integer from 1 to 9999999."),
    Case(
        "Integer.TooSmall",
        "Offset",
        "Value may be no less than 0",
        "OrganizationBrowse",
        {"AccountId": "{account}", "Offset": "-1"},
    ),
    of_add("Integer.TooSmall", "Mailbox", "0", "Value may be no less than 1"),
    of_add("Boolean.Invalid", "SayCallerId", "1", "Value must be true or false."),
    of_add(
        "Value.Unrecognized",
        "Timezone",
        "Europe/Berlin",
        "Value must be one of us_eastern, us_central, us_mountain, us_pacific.",
    ),
    Case(
        "Value.Unrecognized",
        "OrderBy",
        "Value must be one of OrganizationId, OrganizationId Desc, Domain, Domain Desc.",
        "OrganizationBrowse",
        {"AccountId": "{account}", "OrderBy": "Status"},
    ),
    of_add("Value.TooLong", "Fullname", "x" * 129, "Value may be no more than 128 characters."),
    of_add("Value.Invalid", "Fullname", "J\toe", "Value must not contain control characters."),
    of_add(
        "Value.Invalid",
        "Fullname",
        "J\x01oe",
        "Value must not contain control characters, and must be valid UTF-8.",
    ),
    Case(
        "Value.Invalid",
        "Password",
        "Value must be 1 to 7 digits, not all of them zero.",
        "VoicemailboxEdit",
        {"VoicemailboxId": "{voicemailbox}", "Password": "000"},
    ),
    of_add(
        "Email.Invalid", "Email", "joe", "Value must be one e-mail address such as joe@example.com."
    ),
    of_add(
        "Email.Invalid", "Pager", "joe", "Value must be one e-mail address such as joe@example.com."
    ),
    of_add(
        "Address.Invalid",
        "Username",
        "joe..smith",
        "Value must be 1 to 64 letters, digits, dots, underscores or hyphens, "
        "with no dot at either end and no two dots in a row.",
    ),
    of_add(
        "Address.Invalid",
        "Mwi",
        "sip:joe@acme.example.com",
        "Value must be a SIP user address such as joe@example.com, without sip:.",
    ),
]


@pytest.fixture
def ids(
    alice: User, organization: Organization, other_organization: Organization
) -> dict[str, int]:
    """Give the ids of what the cases name."""
    return {
        "account": organization.account_id,
        "organization": organization.pk,
        "voicemailbox": make_voicemailbox(organization, mailbox=7011, username="joe").pk,
        "other_account": other_organization.account_id,
        "other_organization": other_organization.pk,
        "other_voicemailbox": make_voicemailbox(other_organization).pk,
    }


def written() -> list[Any]:
    """Give what a refused request must leave as it is."""
    return [list(model.unscoped.values()) for model in (Voicemailbox, Change, Session)]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("output", ["xml", "json"])
def test_an_error_has_its_code_its_message_and_its_place_and_nothing_is_written(
    api: ApiClient, as_alice: ApiClient, ids: dict[str, int], case: Case, output: str
) -> None:
    client = as_alice if case.has_session else api
    sent = {name: value.format(**ids) for name, value in case.sent.items()}
    for _ in range(case.failures):
        client.call(case.action, **sent)
    before = written()

    reply = client.call(case.action, Output=output, **sent)

    error = (case.code,) if case.parameter is None else (case.parameter, case.code)
    assert reply.errors == [error]
    assert reply.messages == [case.message]
    assert reply.is_valid == case.is_valid
    assert not reply.is_completed
    assert "Result" not in reply.tree["Response"]
    assert written() == before


def test_every_code_of_the_catalogue_has_a_case() -> None:
    assert {case.code for case in CASES} == {code.value for code in Code}


def test_every_code_is_two_words_with_a_dot_between() -> None:
    assert [code for code in Code if not re.fullmatch(r"[A-Z]\w+\.[A-Z]\w+", code)] == []


def documented() -> list[tuple[str, str]]:
    """Read (code, message) from the table of docs/protocol.md."""
    text = (Path(settings.BASE_DIR) / "docs" / "protocol.md").read_text()
    section = text.split("\n## Errors\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    assert rows[0] == ["Code", "Message", "Reported as"]
    return [(code, message) for code, message, _ in rows[1:]]


def test_the_documentation_names_exactly_the_codes_of_the_catalogue() -> None:
    assert sorted(code for code, _ in documented()) == sorted(code.value for code in Code)


def test_the_documentation_has_the_messages_that_are_answered() -> None:
    answered = {(case.code, case.message) for case in CASES}
    fixed = [row for row in documented() if not re.search("what is accepted|, with every", row[1])]
    assert len(fixed) == 15
    assert [row for row in fixed if row not in answered] == []


def test_the_minutes_of_a_lock_follow_the_setting(
    api: ApiClient, alice: User, settings: Any
) -> None:
    settings.LOGIN_LOCK = timedelta(minutes=3)
    wrong = {"Username": "alice", "Password": "wrong"}
    replies = [api.call("SessionCreate", **wrong) for _ in range(6)]
    assert replies[5].messages == [
        "You have failed to log in too many times. Please wait 3 minutes then try again."
    ]
