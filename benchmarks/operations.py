"""What the benchmark of the Web API asks for, of ours, of stock and of floor."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from benchmarks.dataset import MIDDLE_DOMAIN, PASSWORD, run_sql
from benchmarks.facts import BOX_FACTS, PBX, Facts
from benchmarks.load import Calls
from benchmarks.servers import WebServer

# Higher numbers than any box of the data set has: of those that are added, and of those that are
# there to be deleted, so many at a time.
ADDED = 5_000_000
DOOMED = 4_000
_numbers = itertools.count(ADDED)
_doomed = itertools.count(7_000_000, DOOMED)

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Target:
    """A web server, and what is known of its database."""

    name: str
    server: WebServer
    facts: Facts


Make = Callable[[Target], Calls]


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    ``least`` and ``aim`` are of stock's requests a second, ``of_floor`` is of floor's. An answer of
    the same size with any number of boxes is ``flat``.
    """

    name: str
    ours: Make
    stock: Make | None = None
    least: float | None = None
    aim: float | None = None
    of_floor: float | None = None
    floor: Make | None = None
    is_flat: bool = True
    is_write: bool = False


# The wire.


def http(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Spell a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def call(target: Target, action: str, **parameters: Any) -> bytes:
    """Spell a call of an action, as a partner's software sends it."""
    pairs = {"Action": action, "SessionId": target.facts.session_id} | parameters
    return http("POST", "/webapi", {"Content-Type": FORM}, urlencode(pairs).encode())


def rest(target: Target, method: str, path: str, body: Any = None, output: str = "xml") -> bytes:
    """Spell a request to stock."""
    headers = {
        "Authorization": f"Token {target.facts.token}",
        "Accept": f"application/{output}",
    }
    if body is None:
        return http(method, path, headers)
    headers["Content-Type"] = "application/json"
    return http(method, path, headers, json.dumps(body).encode())


def done(requests: Iterable[bytes], output: str = "xml", **kwargs: Any) -> Calls:
    """Give calls of ours, each of which must be completed."""
    text = b'"IsCompleted":"true"' if output == "json" else b"<IsCompleted>true<"
    return Calls(iter(requests), text, **kwargs)


def ok(requests: Iterable[bytes], status: int = 200, **kwargs: Any) -> Calls:
    """Give requests to a reference, each of which must have this status."""
    return Calls(iter(requests), b"HTTP/1.1 %d" % status, **kwargs)


def constant(target: Target) -> Calls:
    """Ask floor."""
    return ok(itertools.repeat(http("GET", "/", {})))


# Read, Add, Edit and Delete.


def read(output: str) -> Operation:
    """Give the operation that reads boxes of the first account, in turn."""

    def ours(target: Target) -> Calls:
        more = {"Output": output} if output == "json" else {}
        boxes = target.facts.boxes
        calls = [call(target, "VoicemailboxRead", VoicemailboxId=box, **more) for box in boxes]
        return done(itertools.cycle(calls), output)

    def stock(target: Target) -> Calls:
        boxes = target.facts.boxes
        calls = [rest(target, "GET", f"/boxes/{box}/", output=output) for box in boxes]
        return ok(itertools.cycle(calls))

    return Operation(f"Read, {output.upper()}", ours, stock, 2.5, 3.5, 0.25)


def _add_ours(target: Target) -> Calls:
    middle = target.facts.middle

    def calls() -> Iterator[bytes]:
        for number in _numbers:
            yield call(
                target,
                "VoicemailboxAdd",
                OrganizationId=middle,
                Domain=MIDDLE_DOMAIN,
                Mailbox=number,
                Username=f"new{number}",
                Fullname=f"Joe Smith {number}",
                NotifyEmail="yes",
                Email=f"new{number}@mail.example.org",
            )

    return done(calls())


def _add_stock(target: Target) -> Calls:
    def calls() -> Iterator[bytes]:
        for number in _numbers:
            body = {
                "organization": target.facts.middle,
                "mailbox": number,
                "username": f"new{number}",
                "password": "271828",
                "fullname": f"Joe Smith {number}",
                "notify_email": "yes",
                "email": f"new{number}@mail.example.org",
            }
            yield rest(target, "POST", "/boxes/", body)

    return ok(calls(), 201)


def _edit_ours(target: Target) -> Calls:
    def calls() -> Iterator[bytes]:
        for box in itertools.cycle(target.facts.boxes):
            name = f"Joe Smith {next(_numbers)}"
            yield call(target, "VoicemailboxEdit", VoicemailboxId=box, Fullname=name)

    return done(calls())


def _edit_stock(target: Target) -> Calls:
    def calls() -> Iterator[bytes]:
        for box in itertools.cycle(target.facts.boxes):
            name = f"Joe Smith {next(_numbers)}"
            yield rest(target, "PATCH", f"/boxes/{box}/", {"fullname": name})

    return ok(calls())


def _delete_ours(target: Target) -> Calls:
    boxes = doomed(target, "voicemail_voicemailbox", BOX_FACTS)
    return done(call(target, "VoicemailboxDelete", VoicemailboxId=box) for box in boxes)


def _delete_stock(target: Target) -> Calls:
    boxes = doomed(target, "stock_box", f"domain, {BOX_FACTS}")
    return ok((rest(target, "DELETE", f"/boxes/{box}/") for box in boxes), 204)


def doomed(target: Target, table: str, columns: str) -> list[int]:
    """Put boxes into the database that are there to be deleted, and give their ids."""
    first = next(_doomed)
    changed = {"mailbox": f"{first} + n", "username": f"'doomed' || {first} + n"}
    values = ", ".join(changed.get(name, name) for name in columns.split(", "))
    rows = run_sql(
        target.server.database_url,
        f"INSERT INTO {table} (account_id, organization_id, {columns}) "
        f"SELECT account_id, organization_id, {values} "
        f"FROM {table}, generate_series(1, {DOOMED}) n "
        f"WHERE id = {target.facts.boxes[0]} RETURNING id",
    )
    return [box for (box,) in rows]


def clean(url: str) -> None:
    """Take away what was added, and vacuum what the next operation reads."""
    for table in ("voicemail_voicemailbox", "stock_box"):
        run_sql(url, f"DELETE FROM {table} WHERE mailbox >= {ADDED}")
        run_sql(url, f"VACUUM ANALYZE {table}")


# Browse.


def browse(  # noqa: PLR0913  # They are the columns of a row of the table.
    name: str,
    place: str,
    limit: int,
    *,
    output: str = "xml",
    offset: int = 0,
    clients: int = 8,
    is_counted: bool = True,
    **kwargs: Any,
) -> Operation:
    """Give an operation that lists boxes of the ``big`` or the ``middle`` organization."""

    def ours(target: Target) -> Calls:
        parameters: dict[str, Any] = {"OrganizationId": getattr(target.facts, place)}
        parameters |= {"Limit": limit, "Offset": offset, "Output": output}
        parameters |= {} if is_counted else {"CalcFound": "false"}
        wanted = call(target, "VoicemailboxBrowse", **parameters)
        return done(itertools.repeat(wanted), output, clients=clients)

    def stock(target: Target) -> Calls:
        query = {"organization": getattr(target.facts, place), "limit": limit, "offset": offset}
        wanted = rest(target, "GET", f"/boxes/?{urlencode(query)}", output=output)
        return ok(itertools.repeat(wanted), clients=clients)

    return Operation(name, ours, stock, **kwargs)


def browse_account(order: str) -> Operation:
    """Give an operation by which staff list the first page of a whole account."""

    def ours(target: Target) -> Calls:
        wanted = call(
            target,
            "VoicemailboxBrowse",
            SessionId=target.facts.staff_session_id,
            AccountId=target.facts.account,
            CalcFound="false",
            OrderBy=order,
        )
        return done(itertools.repeat(wanted))

    return Operation(f"First page by {order}", ours)


# A PBX, which makes a connection for each call.


def _single_ours(target: Target) -> Calls:
    return _single(target, b"uniqueid=")


def _single_floor(target: Target) -> Calls:
    return _single(target, b"A constant.")


def _single(target: Target, expected: bytes) -> Calls:
    login = base64.b64encode(f"{PBX}:{target.facts.credential}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Accept": "*/*", "Content-Type": FORM}
    calls = [
        http(
            "POST",
            "/asterisk/voicemail/single",
            headers,
            urlencode({"mailbox": mailbox, "context": domain}).encode(),
        )
        for mailbox, domain in target.facts.names
    ]
    return Calls(itertools.cycle(calls), expected, is_kept=False)


# Logins.


def logins(target: Target) -> Calls:
    """Let four clients log in again and again."""
    pairs = {"Action": "SessionCreate", "Username": "alice", "Password": PASSWORD}
    wanted = http("POST", "/webapi", {"Content-Type": FORM}, urlencode(pairs).encode())
    return done(itertools.repeat(wanted), clients=4, of="logins")


READ = read("xml")
BROWSE = browse("Browse 20, organization of 1,000", "middle", 20, least=2, aim=3, of_floor=0.15)
ADD = Operation("Add", _add_ours, _add_stock, 2, 3.5, 0.15, is_write=True)
LONG_ONES = (
    browse("Browse 25,000, XML", "big", 25_000, clients=1, least=6, aim=8, is_flat=False),
    browse(
        "Browse 25,000, JSON",
        "big",
        25_000,
        output="json",
        clients=1,
        least=5,
        aim=6,
        is_flat=False,
    ),
)
OPERATIONS = (
    Operation("single of Asterisk", _single_ours, of_floor=0.5, floor=_single_floor),
    READ,
    read("json"),
    BROWSE,
    browse("Browse 20, CalcFound=false", "middle", 20, is_counted=False, of_floor=0.25),
    browse("Browse 1,000, XML", "middle", 1_000, least=3, aim=5),
    browse("Browse 1,000, JSON", "middle", 1_000, output="json", least=2.5, aim=4),
    browse("Browse 20, organization of 100,000", "big", 20, least=2, aim=6, is_flat=False),
    browse("Browse 20 at Offset 90,000", "big", 20, offset=90_000, least=1.5, aim=4, is_flat=False),
    *LONG_ONES,
    ADD,
    Operation("Edit", _edit_ours, _edit_stock, 2.5, 4, 0.15, is_write=True),
    Operation("Delete", _delete_ours, _delete_stock, 2, 2.7, 0.15, is_write=True),
)
TRIAL = (READ, BROWSE, ADD)
ORDERS = tuple(map(browse_account, ("VoicemailboxId", "OrganizationId", "Mailbox")))
