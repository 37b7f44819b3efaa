"""Long answers are sent by pieces, few at once; short ones as a whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import StreamingHttpResponse

from accounts.models import Organization
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail_site.webapi import paging, streaming
from voicemail_site.webapi.streaming import BusyError, Stream
from voicemail_site.webapi.views import BUSY


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let three boxes make a long list, and nobody wait long for a seat."""
    monkeypatch.setattr(paging, "PIECE", 2)
    monkeypatch.setattr(streaming, "WAIT_SECONDS", 0.01)
    yield
    assert streaming._seats._value == streaming.AT_ONCE


def nothing() -> Generator[Any, None, None]:
    yield from ()


@pytest.fixture
def _boxes(organization: Organization) -> None:
    for number in range(1001, 1006):
        make_voicemailbox(organization, mailbox=number, fullname="Sales & Support")


def browse(client: ApiClient, organization: Organization, **options: Any) -> Any:
    return client.call("VoicemailboxBrowse", OrganizationId=organization.pk, **options)


@pytest.mark.usefixtures("_boxes")
@pytest.mark.parametrize("output", ["xml", "json"])
@pytest.mark.parametrize("limit", [3, 4, 5, 6])
def test_a_long_list_is_the_same_document(
    as_alice: ApiClient,
    organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    limit: int,
) -> None:
    options = {"Limit": limit, "Output": output, "OrderBy": "Mailbox Desc"}
    by_pieces = browse(as_alice, organization, **options)
    monkeypatch.setattr(paging, "PIECE", 1_000)
    whole = browse(as_alice, organization, **options)

    assert isinstance(by_pieces.http, StreamingHttpResponse)
    assert by_pieces.result == whole.result
    assert by_pieces.http.headers["Content-Type"] == whole.http.headers["Content-Type"]
    assert by_pieces.http.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("_boxes")
@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_short_list_is_sent_as_a_whole(
    as_alice: ApiClient, organization: Organization, limit: int
) -> None:
    reply = browse(as_alice, organization, Limit=limit)

    assert not reply.http.streaming
    assert reply.http.headers["Content-Length"] == str(len(reply.content))


@pytest.mark.usefixtures("_boxes")
def test_a_list_that_ends_within_its_first_piece_is_sent_as_a_whole(
    as_alice: ApiClient, organization: Organization
) -> None:
    assert not browse(as_alice, organization, Limit=3, Offset=4).http.streaming


@pytest.mark.usefixtures("_boxes")
def test_beyond_those_that_are_sent_at_once_a_long_list_is_refused(
    as_alice: ApiClient, organization: Organization
) -> None:
    taken = [Stream(iter(()), nothing(), None) for _ in range(streaming.AT_ONCE)]
    try:
        reply = browse(as_alice, organization, Limit=5)
    finally:
        for each in taken:
            each.close()

    assert reply.http.status_code == 503
    assert BUSY in reply.tree["Exception"]
    assert reply.http.headers["Retry-After"] == "5"


def test_one_waits_for_a_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WAIT_SECONDS", 20)
    first, second = (Stream(iter(()), nothing(), None) for _ in range(streaming.AT_ONCE))
    threading.Timer(0.05, first.close).start()
    Stream(iter(()), nothing(), None).close()
    second.close()


def test_no_more_than_one_waits() -> None:
    taken = [Stream(iter(()), nothing(), None) for _ in range(streaming.AT_ONCE)]
    with streaming._waiting_room, pytest.raises(BusyError):
        Stream(iter(()), nothing(), None)
    for each in taken:
        each.close()


def test_a_seat_is_given_back_once() -> None:
    stream = Stream(iter((b"a",)), nothing(), None)
    list(stream)
    stream.close()
    stream.close()


def test_a_client_that_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LONGEST_SECONDS", 0)
    stream = Stream(iter((b"a",)), nothing(), None)
    with pytest.raises(TimeoutError):
        list(stream)
    stream.close()


def test_the_clients_connection_has_only_the_time_that_is_left() -> None:
    client, far = socket.socketpair()
    with client, far:
        stream = Stream(iter((b"a",)), nothing(), client)
        next(iter(stream))
        assert 0 < (client.gettimeout() or 0) <= streaming.LONGEST_SECONDS
        stream.close()
        assert client.gettimeout() is None


@pytest.mark.usefixtures("_boxes")
def test_a_failure_in_its_midst_breaks_the_answer_off(
    as_alice: ApiClient, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        yield b"<Response>"
        raise OperationalError

    monkeypatch.setattr("voicemail_site.webapi.renderers.XMLRenderer.pieces", broken)

    with pytest.raises(OperationalError):
        browse(as_alice, organization, Limit=5)


def post(client: ApiClient, organization: Organization, **options: Any) -> Any:
    """Ask for a list, and leave it to the test to read the answer."""
    sent = {"Action": "VoicemailboxBrowse", "SessionId": client.session_id, **options}
    return client.http.post("/webapi", sent | {"OrganizationId": organization.pk})


@pytest.mark.usefixtures("_boxes")
@pytest.mark.parametrize("output", ["xml", "json"])
@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_client_that_leaves_takes_cursor_and_transaction_with_it(
    as_alice: ApiClient,
    organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    pieces: int,
) -> None:
    before = len(connection.savepoint_ids)
    response = post(as_alice, organization, Limit=6, Output=output)
    assert len(connection.savepoint_ids) == before + (connection.vendor == "postgresql")
    read = iter(response)
    for _ in range(pieces):
        next(read)
    # The connection is the test's.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    response.close()

    assert len(connection.savepoint_ids) == before
    assert browse(as_alice, organization, Limit=1).is_completed


@pytest.mark.usefixtures("_boxes")
def test_a_refused_list_leaves_no_cursor(as_alice: ApiClient, organization: Organization) -> None:
    before = len(connection.savepoint_ids)
    taken = [Stream(iter(()), nothing(), None) for _ in range(streaming.AT_ONCE)]
    browse(as_alice, organization, Limit=5)
    for each in taken:
        each.close()

    assert len(connection.savepoint_ids) == before
