"""The endpoint as HTTP: paths, methods, where parameters come from, limits, and failures."""

from __future__ import annotations

import gc
import json
import re
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any
from unittest.mock import Mock, patch
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Organization, Session, User
from tests.api import FORM, HEADERS, ApiClient, Reply, read_reply
from tests.factories import PASSWORD, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import delete_voicemailbox
from voicemail_site.logs import JSONFormatter
from voicemail_site.requests import Request
from voicemail_site.webapi.views import WebApiView

JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=limit"

CANARY = "canary-7f3a"  # Stands for what an exception's text could give away.

MIB = 1024 * 1024

# What Django's and the email package's own readers of the header fail on.
BROKEN_TYPES = [
    "application/x-www-form-urlencoded; charset*=a; charset*0=b",
    "multipart/form-data; boundary=limit; charset*=nonsense''x",
    "application/json; charset*0*=%ff'''",
]


def part(name: str, value: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    return f"--limit\r\n{disposition}\r\n\r\n{value}\r\n".encode()


# Paths and methods.


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/webapi", "/restapi", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_answers_with_and_without_a_slash(
    api: ApiClient, path: str, slash: str, method: str
) -> None:
    reply = api.send_bytes(query=b"Action=NoOp", method=method, path=path + slash)
    assert reply.http.status_code == 200
    assert reply.is_completed


@pytest.mark.parametrize("path", ["/webapi/", "/restapi", "/api/"])
def test_no_path_loses_a_posted_body(api: ApiClient, path: str) -> None:
    assert api.send_bytes(b"Action=Echo&a=1", path=path).echo == [("Action", "Echo"), ("a", "1")]


def test_a_post_may_carry_its_parameters_in_the_query_alone(api: ApiClient) -> None:
    reply = api.send_bytes(query=b"Action=Echo&a=1", content_type="")
    assert reply.echo == [("Action", "Echo"), ("a", "1")]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_query_comes_first_and_the_body_counts(api: ApiClient, method: str) -> None:
    reply = api.send_bytes(b"b=2&a=3", query=b"a=1&Action=Echo", method=method)
    assert reply.echo == [("a", "3"), ("Action", "Echo"), ("b", "2")]


@pytest.mark.parametrize("content_type", [JSON, MULTIPART, FORM, "text/plain; charset=utf-16"])
def test_a_get_that_announces_a_body_but_has_none_is_an_ordinary_get(
    api: ApiClient, content_type: str
) -> None:
    reply = api.send_bytes(query=b"Action=NoOp", content_type=content_type, method="GET")
    assert reply.is_completed


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FROB"])
def test_another_method_is_not_allowed(api: ApiClient, method: str) -> None:
    reply = api.send_bytes(b"Action=NoOp", method=method)
    assert reply.http.status_code == 405
    assert reply.http.headers["Allow"] == "GET, POST"
    assert reply.tree["Exception"].startswith("Only GET and POST are answered here. Reference: ")


def test_head_is_not_allowed_and_has_the_headers_of_every_answer(api: ApiClient) -> None:
    response: Any = api.http.head("/webapi?Action=NoOp")
    assert response.status_code == 405
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.content == b""


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_a_method_that_is_not_allowed_does_nothing(as_alice: ApiClient, method: str) -> None:
    query = f"Action=SessionDestroy&SessionId={as_alice.session_id}"
    as_alice.http.generic(method, "/webapi", QUERY_STRING=query)
    assert Session.unscoped.exists()


def test_the_answer_to_another_method_is_in_json_where_json_was_asked_for(api: ApiClient) -> None:
    reply = api.send_bytes(query=b"Action=NoOp&Output=json", method="DELETE")
    assert reply.http.status_code == 405
    assert list(json.loads(reply.content)) == ["Exception"]


# Where parameters come from.


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, b"Action=Echo&Fullname=Zo%C3%AB"),
        (FORM + "; charset=utf-8", "Action=Echo&Fullname=Zoë".encode()),
        ("Application/X-WWW-Form-URLEncoded", b"Action=Echo&Fullname=Zo%C3%AB"),
        (MULTIPART, part("Action", "Echo") + part("Fullname", "Zoë") + b"--limit--\r\n"),
        (JSON, b'{"Action": "Echo", "Fullname": "Zo\\u00eb"}'),
        (" application/JSON ;charset=utf-8", '{"Action": "Echo", "Fullname": "Zoë"}'.encode()),
        ("text/plain", b"Action=Echo&Fullname=Zo%C3%AB"),
        ("application/jsonp", b"Action=Echo&Fullname=Zo%C3%AB"),
        ("nonsense", b"Action=Echo&Fullname=Zo%C3%AB"),
        ("", b"Action=Echo&Fullname=Zo%C3%AB"),
    ],
)
def test_a_body_is_read_as_its_type_says_and_as_a_form_otherwise(
    api: ApiClient, content_type: str, body: bytes
) -> None:
    reply = api.send_bytes(body, content_type=content_type)
    assert reply.echo == [("Action", "Echo"), ("Fullname", "Zoë")]


@pytest.mark.parametrize("name", ["action", "ACTION", " Action", "Action "])
def test_names_are_case_sensitive_and_not_trimmed(api: ApiClient, name: str) -> None:
    reply = api.send({name: "NoOp"})
    assert reply.errors == [("Action", "Value.Required")]


def test_a_session_id_under_another_name_is_no_session(as_alice: ApiClient) -> None:
    reply = as_alice.send({"Action": "SessionDestroy", "sessionid": as_alice.session_id})
    assert reply.errors == [("SessionId", "Session.Authentication")]
    assert Session.unscoped.exists()


def test_the_last_action_that_is_sent_counts(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo", query=b"Action=SessionDestroy&Action=NoOp")
    assert list(reply.tree["Response"]["Result"]) == ["Echo"]
    assert reply.echo == [("Action", "Echo")]


def test_words_without_an_equals_sign_are_ignored(api: ApiClient) -> None:
    reply = api.send_bytes(b"lonely&Action=Echo&&words", query=b"more")
    assert reply.echo == [("Action", "Echo")]


@pytest.mark.parametrize("action", ["NoOp ", " NoOp", "NoOp\n"])
def test_values_are_not_trimmed(api: ApiClient, action: str) -> None:
    assert api.send({"Action": action}).errors == [("Action", "Action.Unrecognized")]


def test_a_form_that_is_not_utf_8_is_stored_as_iso_8859_1_means_it(
    as_alice: ApiClient, organization: Organization
) -> None:
    body = (
        f"Action=VoicemailboxAdd&SessionId={as_alice.session_id}&OrganizationId={organization.pk}"
        "&Username=zoe&Domain=acme.example.com&Mailbox=7011&Fullname=Zo%EB+M%FCller"
    )
    reply = as_alice.send_bytes(body.encode())
    assert reply.result["Voicemailbox"]["Fullname"] == "Zoë Müller"
    assert Voicemailbox.unscoped.get().fullname == "Zoë Müller"


def test_a_declared_charset_is_honoured(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&a=%80", content_type=FORM + "; charset=windows-1252")
    assert reply.echo[1] == ("a", "€")


def test_a_query_that_is_not_utf_8_is_an_invalid_value(api: ApiClient) -> None:
    reply = api.send_bytes(query=b"Action=Echo&a=%E9", method="GET")
    assert reply.errors == [("a", "Value.Invalid")]
    assert reply.messages == ["Value must not contain control characters, and must be valid UTF-8."]
    assert reply.echo == [("Action", "Echo"), ("a", "\ufffd")]


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (JSON, b"{", "A JSON body must be one object in UTF-8"),
        (JSON, b'["Action"]', "A JSON body must be one object in UTF-8"),
        (JSON, b'{"Action": "\xe9"}', "A JSON body must be one object in UTF-8"),
        (MULTIPART, b"Action=Echo", "A multipart body must consist of parts"),
        (MULTIPART, part("Action", "Echo"), "A multipart body must consist of parts"),
        (FORM + "; charset=nonsense", b"a=1", "The charset of a body must be a text encoding"),
        (FORM + "; charset=ascii", b"a=%E9", "A body must be valid in the charset"),
    ],
)
def test_a_body_that_can_not_be_read_is_an_error_of_the_body(
    api: ApiClient, content_type: str, body: bytes, message: str
) -> None:
    reply = api.send_bytes(body, query=b"Action=Echo&a=1", content_type=content_type)
    assert reply.errors == [("Body", "Value.Invalid")]
    assert reply.messages[0].startswith(message)
    assert not reply.is_valid
    assert reply.echo == [("Action", "Echo"), ("a", "1")]


@pytest.mark.parametrize("content_type", BROKEN_TYPES)
def test_a_content_type_that_can_not_be_read_is_an_error_of_the_body(
    api: ApiClient, content_type: str
) -> None:
    reply = api.send_bytes(b"Action=NoOp", content_type=content_type)
    assert reply.errors == [("Body", "Value.Invalid")]
    assert reply.messages == [
        "The Content-Type of a body must be well formed, with each option once."
    ]


@pytest.mark.parametrize("content_type", BROKEN_TYPES)
def test_without_a_body_its_content_type_means_nothing(api: ApiClient, content_type: str) -> None:
    reply = api.send_bytes(query=b"Action=NoOp", content_type=content_type, method="GET")
    assert reply.is_completed


@pytest.mark.parametrize(
    ("query", "charset", "status"),
    [
        (b"Action=NoOp", "hex", 200),
        (b"a=%FF&Action=NoOp", "utf-7", 200),
        (b"a=1&" * 1001, "ascii", 413),
    ],
)
def test_a_bodys_charset_has_no_say_in_how_the_query_is_read(
    api: ApiClient, query: bytes, charset: str, status: int
) -> None:
    content_type = f"{FORM}; charset={charset}"
    reply = api.send_bytes(query=query, content_type=content_type, method="GET")
    assert reply.http.status_code == status


def test_the_web_servers_entry_survives_a_content_type_that_can_not_be_read(
    monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    # The module sets the variable for good, and sets Django up once more.
    monkeypatch.setenv("DATABASE_STATEMENT_TIMEOUT", "0")
    monkeypatch.setattr("django.setup", Mock())
    from voicemail_site.wsgi import application

    environ = {"PATH_INFO": "/webapi", "QUERY_STRING": "Action=NoOp", "HTTP_HOST": "testserver"}
    environ["CONTENT_TYPE"] = BROKEN_TYPES[0]
    setup_testing_defaults(environ)
    answer = BytesIO()
    SimpleHandler(BytesIO(), answer, StringIO(), environ).run(application)

    assert b"200 OK" in answer.getvalue()
    assert b"<Result><NoOp/></Result>" in answer.getvalue()


def test_a_content_type_that_can_be_read_is_left_to_django() -> None:
    environ: dict[str, Any] = {"CONTENT_TYPE": "text/html; charset=latin-1"}
    setup_testing_defaults(environ)
    request = Request(environ)
    assert (request.content_type, request.content_params) == ("text/html", {"charset": "latin-1"})


# Limits.


@pytest.mark.parametrize(
    ("query", "body", "content_type"),
    [
        (b"", b"a=" + b"x" * (MIB - 1), FORM),
        (b"a=" + b"x" * (MIB - 1), b"", FORM),
        (b"a=1&" * 1001, b"", FORM),
        (b"a=1&" * 500, b"a=1&" * 501, FORM),
        (b"", b'{"a":' + b"9" * MIB + b"}", JSON),
        (b"a[][][][][][]=1", b"", FORM),
        (b"", b'{"a": [[[[[[1]]]]]]}', JSON),
        (b"", b"[" * 100_000, JSON),
        (b"", part("a", "1") * 1001 + b"--limit--\r\n", MULTIPART),
    ],
)
def test_a_request_past_a_limit_is_too_large(
    api: ApiClient, query: bytes, body: bytes, content_type: str
) -> None:
    reply = api.send_bytes(body, query=query, content_type=content_type)
    assert reply.http.status_code == 413
    assert reply.tree["Exception"].startswith(
        "The request is too large: a body or query may have 1 MiB, 1,000 parameters "
        "and 5 levels of nesting. Reference: "
    )


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (b"", b"Action=NoOp&a=" + b"x" * (MIB - 14)),
        (b"Action=NoOp&a=" + b"x" * (MIB - 14), b""),
        (b"Action=NoOp&" + b"a=1&" * 499, b"a=1&" * 500),
        (b"Action=NoOp&a[][][][][]=1", b""),
    ],
)
def test_a_request_of_exactly_a_limit_is_answered(
    api: ApiClient, query: bytes, body: bytes
) -> None:
    assert api.send_bytes(body, query=query).is_completed


def test_a_request_past_a_limit_does_nothing(as_alice: ApiClient) -> None:
    query = f"Action=SessionDestroy&SessionId={as_alice.session_id}".encode()
    assert as_alice.send_bytes(b"a=1&" * 1001, query=query).http.status_code == 413
    assert Session.unscoped.exists()


def test_a_body_past_a_limit_is_answered_in_json_where_the_query_asks_for_it(
    api: ApiClient,
) -> None:
    reply = api.send_bytes(b"a=1&" * 1001, query=b"Output=json")
    assert reply.http.status_code == 413
    assert list(json.loads(reply.content)) == ["Exception"]


# What HTTP says of an answer.


@pytest.mark.parametrize(
    ("output", "content_type"),
    [
        ("json", "application/json; charset=utf-8"),
        ("JSON", "text/xml; charset=utf-8"),
        ("json ", "text/xml; charset=utf-8"),
        ("jsonp", "text/xml; charset=utf-8"),
        ("xml", "text/xml; charset=utf-8"),
        ("", "text/xml; charset=utf-8"),
    ],
)
def test_json_is_answered_where_output_says_exactly_that(
    api: ApiClient, output: str, content_type: str
) -> None:
    reply = api.call("NoOp", Output=output)
    assert reply.is_completed
    assert reply.http.headers["Content-Type"] == content_type


def test_an_output_that_is_a_list_is_answered_in_xml(api: ApiClient) -> None:
    reply = api.send({"Action": "NoOp", "Output[]": "json"})
    assert reply.http.headers["Content-Type"] == "text/xml; charset=utf-8"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "image/png", "nonsense", ""])
def test_the_accept_header_decides_nothing(api: ApiClient, accept: str) -> None:
    reply = api.send_bytes(b"Action=NoOp", HTTP_ACCEPT=accept)
    assert reply.http.headers["Content-Type"] == "text/xml; charset=utf-8"


@pytest.mark.parametrize("query", ["", "format=json", "format=api"])
def test_no_parameter_of_the_framework_decides_anything(api: ApiClient, query: str) -> None:
    reply = api.send_bytes(b"Action=NoOp", query=query.encode())
    assert reply.http.headers["Content-Type"] == "text/xml; charset=utf-8"


@pytest.mark.parametrize("action", ["", "Unknown", "SessionDestroy", "SessionCreate"])
def test_a_refused_request_has_status_200(api: ApiClient, db: None, action: str) -> None:
    reply = api.call(action)
    assert reply.http.status_code == 200
    assert not reply.is_completed


def test_a_login_to_the_admin_is_not_reported_as_a_session(api: ApiClient, alice: User) -> None:
    api.http.force_login(alice, backend="accounts.authentication.UserBackend")
    assert api.call("NoOp").context["Session"] == {"IsEstablished": "false"}


@pytest.mark.parametrize("is_logged_in", [False, True])
def test_no_answer_sets_a_cookie(api: ApiClient, alice: User, is_logged_in: bool) -> None:
    if is_logged_in:
        api.http.force_login(alice, backend="accounts.authentication.UserBackend")
    for reply in (
        api.call("NoOp"),
        api.call("SessionCreate", Username="alice", Password=PASSWORD),
        api.call("SessionCreate", Username="alice", Password="wrong"),
        api.call("SessionDestroy"),
    ):
        assert not reply.http.cookies


@pytest.mark.parametrize("is_logged_in", [False, True])
def test_a_post_needs_no_csrf_token(alice: User, is_logged_in: bool) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    if is_logged_in:
        client.force_login(alice, backend="accounts.authentication.UserBackend")
    response = client.post(
        "/webapi",
        {"Action": "SessionCreate", "Username": "alice", "Password": PASSWORD},
        headers={"origin": "https://elsewhere.example.com"},
    )
    assert read_reply(response).is_completed


# The document.


def document(reply: Reply) -> str:
    """Give an answer as text, its times replaced."""
    text = reply.content.decode()
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "TIME", text)
    return re.sub(r'(<Duration>|"Duration":")\d+', r"\1MS", text)


def test_a_completed_request_in_xml_byte_for_byte(as_alice: ApiClient, alice: User) -> None:
    assert document(as_alice.call("NoOp")) == (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Response xmlns="http://www.jnctn.net/ns/rest/2006-01"><Context>'
        "<Action><IsCompleted>true</IsCompleted></Action>"
        "<Request><IsValid>true</IsValid><DateTime>TIME</DateTime><Duration>MS</Duration>"
        "<Parameters><Parameter><Name>Action</Name><Value>NoOp</Value></Parameter>"
        f"<Parameter><Name>SessionId</Name><Value>{as_alice.session_id}</Value></Parameter>"
        "</Parameters></Request>"
        f"<Session><IsEstablished>true</IsEstablished><SessionId>{as_alice.session_id}</SessionId>"
        f"<UserId>{alice.pk}</UserId><Roles><Role><Name>Account Admin</Name></Role></Roles>"
        "</Session></Context><Result><NoOp/></Result></Response>"
    )


def test_a_completed_request_in_json_byte_for_byte(as_alice: ApiClient, alice: User) -> None:
    assert document(as_alice.call("NoOp", Output="json")) == (
        '{"Response":{"Context":{"Action":{"IsCompleted":"true"},'
        '"Request":{"IsValid":"true","DateTime":"TIME","Duration":"MS",'
        '"Parameters":{"Parameter":[{"Name":"Action","Value":"NoOp"},'
        f'{{"Name":"SessionId","Value":"{as_alice.session_id}"}},'
        '{"Name":"Output","Value":"json"}]}},'
        f'"Session":{{"IsEstablished":"true","SessionId":"{as_alice.session_id}",'
        f'"UserId":"{alice.pk}","Roles":{{"Role":{{"Name":"Account Admin"}}}}}}}},'
        '"Result":{"NoOp":{}}}}'
    )


def test_an_error_of_the_request_in_xml_byte_for_byte(api: ApiClient) -> None:
    assert document(api.call("Unknown")) == (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Response xmlns="http://www.jnctn.net/ns/rest/2006-01"><Context>'
        "<Action><IsCompleted>false</IsCompleted></Action>"
        "<Request><IsValid>false</IsValid><DateTime>TIME</DateTime><Duration>MS</Duration>"
        "<Parameters><Parameter><Name>Action</Name><Value>Unknown</Value></Parameter></Parameters>"
        "<Errors><Error><Parameter>Action</Parameter><Code>Action.Unrecognized</Code>"
        "<Message>This action is not recognized by the system.</Message></Error></Errors>"
        "</Request><Session><IsEstablished>false</IsEstablished></Session></Context></Response>"
    )


def test_an_error_of_the_action_stands_behind_iscompleted(as_bob: ApiClient) -> None:
    text = document(as_bob.call("VoicemailboxDelete"))
    assert (
        "<Context><Action><IsCompleted>false</IsCompleted><Errors><Error>"
        "<Code>AccountAuthorization.Required</Code>"
        "<Message>Permission to perform the requested action has not been granted.</Message>"
        "</Error></Errors></Action><Request><IsValid>true</IsValid>"
    ) in text
    assert text.endswith("</Session></Context></Response>")


def test_a_request_without_parameters_has_no_parameters_element(api: ApiClient) -> None:
    for reply in (api.send_bytes(), api.send_bytes(b"1=not+echoed")):
        assert list(reply.context["Request"]) == ["IsValid", "DateTime", "Duration", "Errors"]


def test_a_request_without_errors_has_no_errors_element(api: ApiClient) -> None:
    reply = api.call("NoOp")
    assert list(reply.context["Action"]) == ["IsCompleted"]
    assert list(reply.context["Request"]) == ["IsValid", "DateTime", "Duration", "Parameters"]


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 11, 23, 7, 42, 11, 999_999, tzinfo=UTC),
        datetime.fromisoformat("2026-11-23T02:42:11-05:00"),
    ],
)
def test_datetime_is_in_utc_with_an_offset_and_without_a_fraction(
    api: ApiClient, now: datetime
) -> None:
    with patch.object(timezone, "now", return_value=now):
        reply = api.call("NoOp")
    assert reply.context["Request"]["DateTime"] == "2026-11-23T07:42:11+00:00"


def test_datetime_is_the_present(api: ApiClient) -> None:
    told = datetime.fromisoformat(api.call("NoOp").context["Request"]["DateTime"])
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=1)


def test_duration_is_in_whole_milliseconds(api: ApiClient) -> None:
    def rest(*args: object) -> str:
        time.sleep(0.02)
        return ""

    with patch("voicemail_site.webapi.actions.NoOp.run", rest):
        duration = api.call("NoOp").context["Request"]["Duration"]
    assert re.fullmatch(r"[1-9][0-9]*", duration)
    assert 20 <= int(duration) < 10_000


# Failures.


@contextmanager
def broken_action() -> Iterator[None]:
    with patch(
        "voicemail_site.webapi.actions.NoOp.run", side_effect=RuntimeError(f"Password={CANARY}")
    ):
        yield


@contextmanager
def broken_database(error: type[Exception] = OperationalError) -> Iterator[None]:
    def fail(*args: object) -> Any:
        raise error(f'connection to server at "{CANARY}" failed')

    with connection.execute_wrapper(fail):
        yield


def numbered(reply: Reply, status: int, sentence: str) -> str:
    """Check an Exception document and give its reference."""
    assert reply.http.status_code == status
    text, _, number = str(reply.tree["Exception"]).partition(" Reference: ")
    assert text == sentence
    assert re.fullmatch(r"[A-Za-z0-9-]{8,64}", number)
    return number


BROKEN = "Something went wrong on our side."
UNREACHABLE = "The service can't reach its database at the moment. Please try again."


@pytest.mark.parametrize("output", ["xml", "json"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_is_an_exception_that_tells_nothing_internal(
    api: ApiClient, settings: Any, output: str, debug: bool
) -> None:
    settings.DEBUG = debug
    with broken_action():
        reply = api.call("NoOp", Output=output)
    numbered(reply, 500, BROKEN)
    assert CANARY.encode() not in reply.content
    assert b"RuntimeError" not in reply.content


def test_a_failure_is_in_xml_a_cdata_section(api: ApiClient) -> None:
    with broken_action():
        reply = api.call("NoOp")
    assert re.fullmatch(
        rb'<\?xml version="1.0" encoding="utf-8"\?>\n'
        rb'<Exception xmlns="http://www.jnctn.net/ns/rest/2006-01"><!\[CDATA\[[^<>]+\]\]>'
        rb"</Exception>",
        reply.content,
    )


def test_a_failures_reference_is_in_the_log_and_the_exceptions_text_is_not(
    api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(JSONFormatter())
    with broken_action():
        number = numbered(api.call("NoOp"), 500, BROKEN)
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (told,) = [line for line in lines if line["message"] == "An answer failed."]
    assert told["request_id"] == number
    assert told["exception"][0] == "builtins.RuntimeError"
    assert CANARY not in caplog.text


def test_two_failures_have_two_references(api: ApiClient) -> None:
    with broken_action():
        numbers = {numbered(api.call("NoOp"), 500, BROKEN) for _ in range(2)}
    assert len(numbers) == 2


def test_a_failure_undoes_what_was_done(
    as_alice: ApiClient, organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True  # Then there is more to it than one statement.

    def delete_and_fail(box: Voicemailbox) -> None:
        delete_voicemailbox(box)
        raise RuntimeError(CANARY)

    box = make_voicemailbox(organization)
    with patch("voicemail.actions.delete_voicemailbox", delete_and_fail):
        reply = as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    numbered(reply, 500, BROKEN)
    assert Voicemailbox.unscoped.get() == box


def test_an_answer_that_can_not_be_written_is_a_failure(api: ApiClient) -> None:
    with patch("voicemail_site.webapi.views.document", return_value={"Response": "\0"}):
        numbered(api.call("NoOp"), 500, BROKEN)


def test_a_host_that_was_served_is_refused_once_it_is_not(settings: Any) -> None:
    environ: dict[str, Any] = {"HTTP_HOST": "voicemail.example.com"}
    setup_testing_defaults(environ)
    settings.ALLOWED_HOSTS = ["voicemail.example.com"]
    hosts = [Request(environ).get_host() for _ in range(2)]
    settings.ALLOWED_HOSTS = ["other.example.com"]

    assert hosts == ["voicemail.example.com"] * 2
    with pytest.raises(DisallowedHost):
        Request(environ).get_host()


@pytest.mark.parametrize("action", ["NoOp", "VoicemailboxBrowse", "Nonsense"])
def test_an_answered_request_leaves_nothing_for_the_garbage_collector(
    as_alice: ApiClient, account: Account, action: str
) -> None:
    views = []
    own = WebApiView.setup

    def setup(view: WebApiView, *args: Any) -> None:
        views.append(weakref.ref(view))
        own(view, *args)

    gc.disable()
    try:
        with patch.object(WebApiView, "setup", setup):
            as_alice.call(action, AccountId=account.pk)
        (view,) = views
        assert view() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("output", ["xml", "json"])
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_out_of_reach_is_unavailable(
    as_alice: ApiClient, error: type[Exception], output: str
) -> None:
    with broken_database(error):
        reply = as_alice.call("NoOp", Output=output)
    numbered(reply, 503, UNREACHABLE)
    assert CANARY.encode() not in reply.content


def test_a_database_out_of_reach_in_the_midst_of_an_action_is_unavailable(api: ApiClient) -> None:
    with patch("voicemail_site.webapi.actions.NoOp.run", side_effect=OperationalError(CANARY)):
        numbered(api.call("NoOp"), 503, UNREACHABLE)


def test_an_unavailable_databases_reference_is_in_the_log(
    as_alice: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(JSONFormatter())
    with broken_database():
        number = numbered(as_alice.call("NoOp"), 503, UNREACHABLE)
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (told,) = [line for line in lines if line["message"] == "The database can't be reached."]
    assert told["request_id"] == number
    assert CANARY not in caplog.text
