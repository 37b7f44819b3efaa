"""Secrets that are sent on every path, and then looked for wherever they must not be."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import lxml.html
import pytest

from tests.api import FORM, Reply, read_reply
from tests.journeys.service import (
    IS_POSTGRESQL,
    Answer,
    Database,
    Place,
    Service,
    at_once,
    serving,
)

pytestmark = pytest.mark.journey

WRONG_PASSWORD = "canary-wrong-password"
CONFIRMATION = "canary-confirmation"
WRONG_SESSION = "canary0wrong0session000000000000"
NO_PIN = "canaryp"
PIN = "7395182"
ADMINS_PIN = "8261947"
DATABASE_PASSWORD = "canary-database-password"
BASIC = b64encode(f"alice:{WRONG_PASSWORD}".encode()).decode()

SENT_SECRETS = {
    "wrong password": WRONG_PASSWORD,
    "confirmation": CONFIRMATION,
    "wrong session": WRONG_SESSION,
    "sent pin": PIN,
    "refused pin": PIN[::-1],
    "no pin": NO_PIN,
    "admin's pin": ADMINS_PIN,
    "database's password": DATABASE_PASSWORD,
    "basic": BASIC,
}

# What breaks the database while the PIN stands in the row that is refused.
BREAKING = "Break the constraint"


@dataclass(frozen=True)
class Sent:
    """A request that carries secrets, and the status that it is answered with."""

    status: int
    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] | None = None

    def to(self, service: Service) -> Answer:
        return service.request(self.method, self.target, self.body, self.headers)


@dataclass(frozen=True)
class Journey:
    """All that was sent, what came back, and what was written meanwhile."""

    secrets: Mapping[str, str]
    answers: list[tuple[Sent, Answer]]
    raw_answers: list[bytes]
    admin_pages: list[tuple[str, int, Answer]]
    unreachable: list[Answer]
    log: str

    @property
    def documents(self) -> list[Reply]:
        """The validated answers of the API."""
        answers = [answer for sent, answer in self.answers if sent.target.startswith("/webapi")]
        return [read_reply(answer) for answer in answers]

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.log.splitlines()]


def transports(parameters: Mapping[str, Any], status: int = 200) -> Iterator[Sent]:
    """Send parameters in each way that there is."""
    query = urlencode(parameters)
    yield Sent(status, "GET", f"/webapi?{query}")
    yield Sent(status, "GET", f"/webapi?{query}&Output=json&Callback=show")
    yield Sent(status, "POST", "/webapi", query.encode(), {"Content-Type": FORM})
    yield Sent(status, "POST", "/webapi", *as_json(parameters))
    yield Sent(status, "POST", "/webapi", *as_parts(parameters))


def as_json(parameters: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    return json.dumps(parameters).encode(), {"Content-Type": "application/json"}


def as_parts(parameters: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parameters.items()
    ]
    body = "".join([*parts, "--limit--\r\n"]).encode()
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


def calls(secrets: Mapping[str, str], box: Any) -> Iterator[Sent]:
    """Call actions in vain and with success, in each transport."""
    stranger = {
        "Password": WRONG_PASSWORD,
        "PasswordConfirm": CONFIRMATION,
        "SessionId": WRONG_SESSION,
    }
    known = stranger | {"SessionId": secrets["session"]}
    edit = known | {"Action": "VoicemailboxEdit", "VoicemailboxId": box["VoicemailboxId"]}
    yield from transports({"Action": "SessionCreate", "Username": "canary"} | stranger)
    yield from transports({"Action": "VoicemailboxRead", "VoicemailboxId": "1"} | stranger)
    yield from transports({"Action": "NoOp"} | known)
    yield from transports({"Action": "Nonsense"} | known)
    yield from transports(edit | {"Password": PIN, "Timezone": "nowhere"})
    yield from transports(edit | {"Password": NO_PIN})
    yield from transports(edit | {"Password": PIN, "Mailbox": "1001"})
    yield from transports(edit | {"Password": PIN})
    yield from transports(edit | {"Password": PIN[::-1], "Fullname": BREAKING}, status=500)


def other_requests(secrets: Mapping[str, str]) -> Iterator[Sent]:
    """Send the secrets where the API does not take them."""
    sent = {"Action": "NoOp", "Password": WRONG_PASSWORD, "SessionId": secrets["session"]}
    query = urlencode(sent)
    many = query + "&x=y" * 1000
    broken = {"Content-Type": "application/json"}
    yield Sent(405, "PUT", f"/webapi?{query}", query.encode())
    yield Sent(413, "POST", f"/webapi?{query}", many.encode(), {"Content-Type": FORM})
    yield Sent(200, "POST", f"/webapi?{query}", json.dumps(sent).encode()[:-1], broken)
    yield Sent(400, "GET", f"/webapi?{query}", headers={"Host": "elsewhere.example.com"})
    yield Sent(200, "GET", f"/webapi?{query}", headers={"Authorization": f"Basic {BASIC}"})
    yield Sent(200, "GET", "/webapi?Action=NoOp", headers={"Referer": f"http://h/?{query}"})
    yield Sent(404, "GET", f"/nowhere?{query}")
    yield Sent(404, "GET", f"/static/nowhere.css?{query}")
    yield Sent(302, "GET", f"/admin/?{query}")
    yield Sent(200, "GET", f"/admin/login/?{query}")
    yield Sent(403, "POST", "/admin/login/", query.encode(), {"Content-Type": FORM})


def broken_requests() -> Iterator[bytes]:
    """Speak broken HTTP."""
    query = f"/webapi?Password={WRONG_PASSWORD}"
    host = "Host: localhost\r\n"
    for text in (
        f"GET {query}\r\n\r\n",
        f"GET {query} HTTP/9.9\r\n\r\n",
        f"GET {query} and more HTTP/1.1\r\n{host}\r\n",
        f"get {query} HTTP/1.1\r\n{host}\r\n",
        f"Password={WRONG_PASSWORD}\r\n\r\n",
        f"\x16\x03\x01\x02{WRONG_PASSWORD}\r\n\r\n",
        f"GET {query}&Padding={'x' * 8190} HTTP/1.1\r\n{host}\r\n",
        f"GET {query} HTTP/1.1\r\n{host}Password={WRONG_PASSWORD}\r\n\r\n",
        f"GET {query} HTTP/1.1\r\n{host}Password({WRONG_PASSWORD}): x\r\n\r\n",
        f"GET {query} HTTP/1.1\r\n{host}X: {'x' * 8190}{WRONG_PASSWORD}\r\n\r\n",
        f"POST {query} HTTP/1.1\r\n{host}Content-Length: {WRONG_PASSWORD}\r\n\r\n",
        f"POST {query} HTTP/1.1\r\n{host}Transfer-Encoding: {WRONG_PASSWORD}\r\n\r\n",
        f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{WRONG_PASSWORD}\r\n\r\n",
    ):
        yield text.encode()


def add(service: Service, session_id: str, organization: Any, **values: Any) -> Answer:
    given = {"OrganizationId": organization["id"], "Domain": organization["domain"]}
    return service.post(
        "VoicemailboxAdd", SessionId=session_id, Fullname="Joe Smith", **given | values
    )


def race_for_a_number(service: Service, session_id: str, boxes: list[Any]) -> None:
    """Give boxes one number at the same moment, so that the database refuses all but one."""
    sent = {"SessionId": session_id, "Mailbox": "9100003", "Password": PIN}
    edits = [
        partial(service.post, "VoicemailboxEdit", VoicemailboxId=box["VoicemailboxId"], **sent)
        for box in boxes
    ]
    at_once(edits)


def visit_the_admin(service: Service, alice: Any, box: Any) -> Iterator[tuple[str, int, Answer]]:
    """Log in, in vain and then with success, and change a PIN in vain and with success."""
    wrong = alice | {"password": WRONG_PASSWORD}
    yield "a wrong password", 200, service.log_in_to_the_admin(wrong)
    login = service.log_in_to_the_admin(alice)
    yield "the right password", 302, login
    path = f"/admin/voicemail/voicemailbox/{box['VoicemailboxId']}/change/"
    jar = "; ".join(f"{name}={value}" for name, value in login.cookies.items())
    page = service.request("GET", path, headers={"Cookie": jar})
    yield "the form of a box", 200, page
    forms = lxml.html.fromstring(page.content).forms
    (form,) = [dict(each.form_values()) for each in forms if "fullname" in each.fields]
    for what, status, changes in (
        ("a number that is none", 200, {"password": ADMINS_PIN, "mailbox": "0"}),
        ("a refusal by the database", 500, {"password": ADMINS_PIN, "fullname": BREAKING}),
        ("a new PIN", 302, {"password": ADMINS_PIN}),
    ):
        yield what, status, service.submit(path, form | changes, page, login.cookies)


@contextmanager
def breakable(database: Database) -> Iterator[None]:
    """Let the database refuse a name; PostgreSQL's error then quotes the whole row."""
    table = "voicemail_voicemailbox"
    if IS_POSTGRESQL:
        made = f"ALTER TABLE {table} ADD CONSTRAINT canary CHECK (fullname <> '{BREAKING}')"
        undone = f"ALTER TABLE {table} DROP CONSTRAINT canary"
    else:
        made = f"""CREATE TRIGGER canary BEFORE UPDATE ON {table}
            WHEN NEW.fullname = '{BREAKING}' BEGIN SELECT RAISE(ABORT, 'canary'); END"""
        undone = "DROP TRIGGER canary"
    database.execute(made)
    try:
        yield
    finally:
        database.execute(undone)


def ask_without_a_database(place: Place, session_id: str) -> Iterator[Answer | str]:
    """Give what a service answers that can't reach its database, and then its log."""
    url = f"postgres://canary:{DATABASE_PASSWORD}@127.0.0.1:1/none"
    with serving(place, "/healthz", DATABASE_URL=url, LOG_LEVEL="DEBUG") as service:
        yield service.request("GET", f"/readyz?SessionId={session_id}")
        yield service.post("SessionCreate", Username="canary", Password=WRONG_PASSWORD)
        yield service.post("AccountRead", SessionId=session_id, AccountId=1)
    yield service.written()


@pytest.fixture(scope="module")
def journey(place: Place, alice: Any) -> Journey:
    """Send everything once. With 7 digits no PIN looks like the microseconds of a time."""
    variables = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json", "PIN_LENGTH": "7"}
    organization = alice["organizations"][0]
    with breakable(place.database), serving(place, **variables) as service:
        session_id = service.log_in(alice)
        added = partial(add, service, session_id, organization)
        box, other = (
            read_reply(added(Username=name, Mailbox=number)).result["Voicemailbox"]
            for name, number in (("canary", "9100001"), ("other", "9100002"))
        )
        secrets = {"session": session_id, "password": alice["password"], "pin": box["Password"]}
        requests = [*calls(secrets, box), *other_requests(secrets)]
        answers = [(sent, sent.to(service)) for sent in requests]
        race_for_a_number(service, session_id, [box, other])
        raw = [service.raw(data) for data in broken_requests()]
        pages = list(visit_the_admin(service, alice, other))
    *unreachable, log = ask_without_a_database(place, session_id)
    assert isinstance(log, str)
    return Journey(
        secrets | {"another pin": other["Password"]},
        answers,
        raw,
        pages,
        [answer for answer in unreachable if isinstance(answer, Answer)],
        service.written() + log,
    )


def holds(text: str, secret: str) -> bool:
    """Tell whether a secret stands in a text; a PIN is no part of a longer number."""
    return re.search(rf"(?<![0-9]){re.escape(secret)}(?![0-9])", text) is not None


@pytest.fixture
def secrets(journey: Journey) -> dict[str, str]:
    return {**journey.secrets, **SENT_SECRETS}


def test_every_path_was_taken(journey: Journey) -> None:
    taken = [(sent.target[:40], answer.status_code) for sent, answer in journey.answers]
    assert taken == [(sent.target[:40], sent.status) for sent, _ in journey.answers]
    pages = [(what, page.status_code) for what, _, page in journey.admin_pages]
    assert pages == [(what, status) for what, status, _ in journey.admin_pages]
    assert [answer.status_code for answer in journey.unreachable] == [503] * 3
    refused = re.compile(rb"HTTP/1\.1 (400|414|431|501) ")
    assert [raw[:60] for raw in journey.raw_answers if not refused.match(raw)] == []


def test_no_line_of_the_log_holds_a_secret(journey: Journey, secrets: dict[str, str]) -> None:
    lines = journey.log.splitlines()
    found = [(name, line) for name, text in secrets.items() for line in lines if holds(line, text)]

    assert len(lines) > 100
    assert found == []


def test_every_line_of_the_log_is_an_object_with_its_facts_first(journey: Journey) -> None:
    facts = ["time", "level", "logger", "message", "request_id"]

    assert [line for line in journey.lines if list(line)[:5] != facts] == []


def test_every_call_leaves_a_line_that_tells_who_did_what(journey: Journey, alice: Any) -> None:
    requests = [each for each in journey.lines if each["logger"] == "voicemail_site.request"]
    answered = [each for each in requests if "action" in each]
    told = {"action", "user_id", "outcome", "codes", "duration_ms", "client", "status"}

    assert len(requests) > len(journey.answers)
    assert [line for line in answered if not told <= set(line) or not line["request_id"]] == []
    (edit,) = {
        (line["outcome"], line["user_id"], *line["codes"])
        for line in answered
        if line["action"] == "VoicemailboxEdit" and "Mailbox.Unavailable" in line["codes"]
    }
    assert edit == ("refused", user_id(journey), "Mailbox.Unavailable")


def user_id(journey: Journey) -> int:
    sessions = [reply.tree.get("Response", {}) for reply in journey.documents]
    (number,) = {
        tree["Context"]["Session"]["UserId"]
        for tree in sessions
        if tree and tree["Context"]["Session"]["IsEstablished"] == "true"
    }
    return int(number)


def test_no_answer_holds_a_password(journey: Journey, secrets: dict[str, str]) -> None:
    names = {"password", "wrong password", "confirmation", "no pin", "database's password"}
    answers = [answer for _, _, answer in journey.admin_pages] + journey.unreachable
    answers += [reply.http for reply in journey.documents]
    texts = [answer.content.decode() for answer in answers]

    found = [(name, text) for name in names for text in texts if holds(text, secrets[name])]

    assert found == []


def test_the_echo_masks_every_password(journey: Journey) -> None:
    documents = [reply for reply in journey.documents if "Response" in reply.tree]
    echoed = {
        value
        for reply in documents
        for name, value in reply.echo
        if name in ("Password", "PasswordConfirm")
    }

    assert echoed == {"******"}


def test_no_message_and_no_exception_holds_a_secret(
    journey: Journey, secrets: dict[str, str]
) -> None:
    texts = [
        reply.tree["Exception"] if "Exception" in reply.tree else " ".join(reply.messages)
        for reply in journey.documents
    ]
    failed = [page.content.decode() for _, status, page in journey.admin_pages if status >= 400]

    found = [
        (name, text)
        for name, secret in secrets.items()
        for text in [*texts, *failed]
        if holds(text, secret)
    ]

    assert found == []


def test_the_admin_shows_no_pin(journey: Journey, secrets: dict[str, str]) -> None:
    pages = [page.content.decode() for _, _, page in journey.admin_pages]

    for name in ("another pin", "admin's pin"):
        assert not any(holds(page, secrets[name]) for page in pages)


def columns(database: Database) -> Iterator[tuple[str, str]]:
    """Give every value of the database as text, with the name of its column."""
    tables = database.rows("name", "sqlite_master", "type = 'table'") if not IS_POSTGRESQL else []
    if IS_POSTGRESQL:
        tables = database.rows("tablename", "pg_tables", "schemaname = 'public'")
    with database.cursor() as cursor:
        for (table,) in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # The database's own names.
            names = [f"{table}.{column[0]}" for column in cursor.description]
            for row in cursor.fetchall():
                yield from zip(names, map(str, row), strict=True)


def test_the_database_holds_pins_in_the_boxes_and_no_other_secret(
    place: Place, journey: Journey, secrets: dict[str, str]
) -> None:
    found: dict[str, set[str]] = {}
    for column, value in columns(place.database):
        for name, secret in secrets.items():
            if holds(value, secret):
                found.setdefault(name, set()).add(column)

    box, history = "voicemail_voicemailbox.password", "voicemail_historicalvoicemailbox.password"
    assert found == {
        "pin": {history},
        "another pin": {history},
        "sent pin": {box, history},
        "admin's pin": {box, history},
    }


def test_of_a_session_only_a_digest_is_stored(place: Place, journey: Journey) -> None:
    digest = sha256(journey.secrets["session"].encode()).hexdigest()

    assert [column for column, value in columns(place.database) if value == digest] == [
        "accounts_session.digest"
    ]
