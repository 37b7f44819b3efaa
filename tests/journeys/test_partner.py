"""A partner's software at the running service: its day, its connections, and its proxies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from hashlib import sha256
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api import FORM, children, read_reply
from tests.journeys.service import Answer, Place, Service, serving

pytestmark = pytest.mark.journey

MIB = 1024 * 1024
LONGEST_LINE = 8190


@pytest.mark.parametrize("output", [{}, {"Output": "json"}], ids=["xml", "json"])
def test_a_partner_gets_through_a_day(service: Service, alice: Any, output: Any) -> None:
    login = {"Username": alice["username"], "Password": alice["password"]}
    session = service.call("SessionCreate", **login, **output).context["Session"]
    call = partial(service.call, SessionId=session["SessionId"], **output)
    page = call("OrganizationBrowse", AccountId=alice["account_id"]).result["Organizations"]
    organization = children(page, "Organization")[0]
    number = organization["OrganizationId"]
    assert call("OrganizationRead", OrganizationId=number).result["Organization"] == organization
    account = call("AccountRead", AccountId=organization["AccountId"]).result["Account"]
    assert account["AccountId"] == organization["AccountId"]

    box = call(
        "VoicemailboxAdd",
        OrganizationId=number,
        Username="partner",
        Domain=organization["Domain"],
        Mailbox="9999999",
        Fullname="Zoë Müller",
    ).result["Voicemailbox"]

    one = partial(call, VoicemailboxId=box["VoicemailboxId"])
    assert one("VoicemailboxRead").result["Voicemailbox"] == box
    boxes = call("VoicemailboxBrowse", OrganizationId=number, OrderBy="Mailbox Desc", Limit=1)
    assert boxes.result["Voicemailboxes"]["Voicemailbox"] == box
    edited = one("VoicemailboxEdit", Fullname="Joe Smith", Password="4242")
    assert edited.result["Voicemailbox"]["Fullname"] == "Joe Smith"
    assert one("VoicemailboxDelete").is_completed
    assert one("VoicemailboxRead").errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert call("SessionDestroy").is_completed
    assert call("SessionDestroy").errors == [("SessionId", "Session.Authentication")]


def test_one_connection_serves_many_calls(service: Service) -> None:
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        sockets = []
        for path in ("/webapi?Action=NoOp", "/api/?Action=Nonsense", "/restapi?Action=Echo"):
            connection.request("GET", path)
            read_reply(Answer.of(connection.getresponse()))
            sockets.append(connection.sock)

    assert sockets[0] is not None
    assert sockets == [sockets[0]] * 3


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_another_method_is_answered_by_an_exception(service: Service, method: str) -> None:
    answer = service.request(method, "/webapi?Action=NoOp", b"x" * 4 * MIB)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"
    assert read_reply(answer).tree["Exception"].startswith("Only GET and POST are answered here.")


def test_head_is_refused_without_a_document(service: Service) -> None:
    answer = service.request("HEAD", "/webapi?Action=NoOp")

    assert (answer.status_code, answer.content) == (405, b"")


def padded(length: int) -> str:
    """Give a target whose request line has this many bytes."""
    target = "/webapi?Action=Echo&Padding="
    return target + "x" * (length - len(f"GET {target} HTTP/1.1"))


def test_a_request_line_may_be_as_long_as_the_documents_say(service: Service) -> None:
    reply = read_reply(service.request("GET", padded(LONGEST_LINE)))

    assert reply.is_completed


def test_a_longer_request_line_is_refused_by_the_server(service: Service) -> None:
    answer = service.request("GET", padded(LONGEST_LINE + 1))

    assert answer.status_code == 414
    assert b"Traceback" not in answer.content


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_too_large_a_body_is_answered_although_the_client_is_still_sending(
    service: Service, connection: str
) -> None:
    body = b"Action=NoOp&Padding=" + b"x" * 32 * MIB
    headers = {"Content-Type": FORM, "Connection": connection}

    answer = service.request("POST", "/webapi", body, headers)

    assert answer.status_code == 413
    assert read_reply(answer).tree["Exception"].startswith("The request is too large:")


def send_in_chunks(service: Service, chunks: Iterator[bytes]) -> Answer:
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        connection.request("POST", "/webapi", chunks, {"Content-Type": FORM})
        return Answer.of(connection.getresponse())


def test_a_body_may_come_in_chunks_without_a_length(service: Service) -> None:
    reply = read_reply(send_in_chunks(service, iter([b"Action=Ec", b"ho&Color=r", b"ed"])))

    assert reply.is_completed
    assert reply.echo == [("Action", "Echo"), ("Color", "red")]


def test_a_body_in_chunks_has_the_same_limit(service: Service) -> None:
    answer = send_in_chunks(service, iter([b"Action=Echo&Padding=", *[b"x" * MIB] * 4]))

    assert answer.status_code == 413
    assert read_reply(answer).tree["Exception"].startswith("The request is too large:")


def log_in_behind_a_proxy(service: Service, alice: Any) -> str:
    """Log in as from 192.0.2.7, and give the digest under which the session is stored."""
    login = {"Username": alice["username"], "Password": alice["password"]}
    answer = service.request(
        "POST",
        "/webapi",
        urlencode({"Action": "SessionCreate"} | login).encode(),
        {"Content-Type": FORM, "X-Forwarded-For": "198.51.100.1, 192.0.2.7"},
    )
    session_id = read_reply(answer).context["Session"]["SessionId"]
    return sha256(session_id.encode()).hexdigest()


def client_address(place: Place, digest: str) -> str:
    where = f"digest = '{digest}'"
    ((address,),) = place.database.rows("client_address", "accounts_session", where)
    return str(address)


def test_a_trusted_proxy_tells_who_the_client_is(place: Place, alice: Any) -> None:
    with serving(place, TRUSTED_PROXIES="127.0.0.0/8") as service:
        digest = log_in_behind_a_proxy(service, alice)
        log = list(map(json.loads, service.written().splitlines()))

    assert client_address(place, digest) == "192.0.2.7"
    assert [line["client"] for line in log if line.get("action")] == ["192.0.2.7"]


def test_a_stranger_can_not_claim_another_address(
    place: Place, service: Service, alice: Any
) -> None:
    digest = log_in_behind_a_proxy(service, alice)

    assert client_address(place, digest) == "127.0.0.1"
