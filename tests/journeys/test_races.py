"""Requests that come at the same moment: the database decides, and nobody gets a 5xx."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.api import Reply, read_reply
from tests.journeys.service import Answer, Place, Service, at_once

pytestmark = pytest.mark.journey

COMPLETED: tuple[Any, ...] = ((), ())


@pytest.fixture(autouse=True)
def _nothing_failed(service: Service) -> Iterator[None]:
    """Every race ends without an error in the log, such as one of a locked database."""
    before = len(service.written())
    yield
    lines = map(json.loads, service.written()[before:].splitlines())
    assert [line for line in lines if line["level"] in ("ERROR", "CRITICAL")] == []


@pytest.fixture
def organization(alice: Any) -> Any:
    return alice["organizations"][0]


@pytest.fixture
def added(session_id: str, organization: Any) -> dict[str, Any]:
    """Give the parameters of an Add but for the number and the user name."""
    return {
        "SessionId": session_id,
        "OrganizationId": organization["id"],
        "Domain": organization["domain"],
        "Fullname": "Joe Smith",
    }


def outcomes(answers: Iterable[Answer]) -> Counter[Any]:
    """Count the answers by their errors and messages; the reading of one fails for a 5xx."""
    return Counter(outcome(read_reply(answer)) for answer in answers)


def outcome(reply: Reply) -> tuple[Any, ...]:
    assert reply.is_completed == (not reply.errors)
    return tuple(reply.errors), tuple(reply.messages)


def refused(parameter: str, code: str, message: str) -> tuple[Any, ...]:
    return ((parameter, code),), (message,)


MAILBOX_TAKEN = refused(
    "Mailbox", "Mailbox.Unavailable", "This mailbox is already in use in this organization."
)
ADDRESS_TAKEN = refused(
    "Username",
    "Address.Unavailable",
    "This address is already in use, is reserved, or is otherwise unavailable for use.",
)
UNRECOGNIZED = refused(
    "VoicemailboxId",
    "Voicemailbox.Unrecognized",
    "This voicemailbox is not recognized by the system.",
)
FAILED = refused("Action", "Accessor.LoginFailed", "The username or password is incorrect.")
LOCKED = refused(
    "Action",
    "Accessor.LoginLocked",
    "You have failed to log in too many times. Please wait 10 minutes then try again.",
)


def boxes(place: Place, condition: str) -> list[tuple[Any, ...]]:
    return place.database.rows("id, mailbox, fullname", "voicemail_voicemailbox", condition)


def test_of_fifty_simultaneous_adds_of_one_number_one_succeeds(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    answers = at_once(
        [
            partial(service.post, "VoicemailboxAdd", **added, Mailbox=20001, Username=f"number{n}")
            for n in range(50)
        ]
    )

    assert outcomes(answers) == {COMPLETED: 1, MAILBOX_TAKEN: 49}
    assert len(boxes(place, "mailbox = 20001")) == 1


def test_of_fifty_simultaneous_adds_of_one_address_one_succeeds(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    names = ["Same.Name" if number % 2 else "same.name" for number in range(50)]
    answers = at_once(
        [
            partial(service.post, "VoicemailboxAdd", **added, Mailbox=21000 + n, Username=name)
            for n, name in enumerate(names)
        ]
    )

    assert outcomes(answers) == {COMPLETED: 1, ADDRESS_TAKEN: 49}
    assert len(boxes(place, "lower(username) = 'same.name'")) == 1


def test_fifty_simultaneous_adds_of_different_boxes_all_succeed(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    answers = at_once(
        [
            partial(service.post, "VoicemailboxAdd", **added, Mailbox=n, Username=f"box{n}")
            for n in range(22000, 22050)
        ]
    )

    assert outcomes(answers) == {COMPLETED: 50}
    assert len(boxes(place, "mailbox BETWEEN 22000 AND 22049")) == 50


def test_of_fifty_simultaneous_wrong_passwords_five_fail_and_lock_the_user(
    place: Place, service: Service
) -> None:
    bob = next(user for user in place.facts["users"] if user["username"] == "bob")
    log_in = partial(service.post, "SessionCreate", Username="bob")

    answers = at_once([partial(log_in, Password=f"wrong {number}") for number in range(50)])

    assert outcomes(answers) == {FAILED: 5, LOCKED: 45}
    assert outcomes([log_in(Password=bob["password"])]) == {LOCKED: 1}
    count = place.database.rows("failures_since_start", "axes_accessattempt", "username = 'bob'")
    assert count == [(5,)]


def test_simultaneous_edits_of_one_box_all_succeed_and_leave_a_row_of_history_each(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    box = service.call("VoicemailboxAdd", **added, Mailbox=23001, Username="edited").result
    number = box["Voicemailbox"]["VoicemailboxId"]
    edit = partial(
        service.post,
        "VoicemailboxEdit",
        SessionId=added["SessionId"],
        VoicemailboxId=number,
    )
    names = {f"Name {n}" for n in range(30)}

    answers = at_once([partial(edit, Fullname=name) for name in names])

    assert outcomes(answers) == {COMPLETED: 30}
    history = place.database.rows(
        "fullname",
        "voicemail_historicalvoicemailbox",
        f"id = {int(number)} AND history_type = '~' ORDER BY history_id",
    )
    assert {name for (name,) in history} == names
    assert len(history) == 30
    assert boxes(place, f"id = {int(number)}") == [(int(number), 23001, history[-1][0])]


def test_of_simultaneous_deletes_of_one_box_one_succeeds(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    box = service.call("VoicemailboxAdd", **added, Mailbox=24001, Username="deleted").result
    delete = partial(
        service.post,
        "VoicemailboxDelete",
        SessionId=added["SessionId"],
        VoicemailboxId=box["Voicemailbox"]["VoicemailboxId"],
    )

    answers = at_once([delete] * 20)

    assert outcomes(answers) == {COMPLETED: 1, UNRECOGNIZED: 19}
    assert boxes(place, "mailbox = 24001") == []


def test_adds_of_what_is_deleted_at_the_same_moment_succeed_or_find_it_taken(
    place: Place, service: Service, added: dict[str, Any]
) -> None:
    numbers = range(25000, 25025)
    add = partial(service.post, "VoicemailboxAdd", **added)
    before = [read_reply(add(Mailbox=n, Username=f"box{n}")).result for n in numbers]
    ids = [each["Voicemailbox"]["VoicemailboxId"] for each in before]
    delete = partial(service.post, "VoicemailboxDelete", SessionId=added["SessionId"])

    answers = at_once(
        [
            *(partial(delete, VoicemailboxId=number) for number in ids),
            *(partial(add, Mailbox=n, Username=f"box{n}") for n in numbers),
        ]
    )

    assert outcomes(answers[:25]) == {COMPLETED: 25}
    adds = [outcome(read_reply(answer)) for answer in answers[25:]]
    both_taken = (*MAILBOX_TAKEN[0], *ADDRESS_TAKEN[0]), (*MAILBOX_TAKEN[1], *ADDRESS_TAKEN[1])
    assert set(adds) <= {COMPLETED, MAILBOX_TAKEN, ADDRESS_TAKEN, both_taken}
    assert len(boxes(place, "mailbox BETWEEN 25000 AND 25024")) == adds.count(COMPLETED)
