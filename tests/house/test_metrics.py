"""Metrics: what is counted, and who may read it (docs/operations.md, Metrics)."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias
from unittest.mock import Mock, patch
from urllib.parse import urlencode

import pytest
from django.conf import settings as project
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Organization, User
from tests.api import FORM, ApiClient
from tests.asterisk.pbx import make_pbx
from tests.factories import PASSWORD, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail_site import metrics

SOURCES = Path(project.BASE_DIR) / "voicemail_site"
TOKEN = "a-token-of-thirty-two-characters"
BEARER = f"Bearer {TOKEN}"
MIDDLEWARE = "voicemail_site.metrics.MetricsMiddleware"

Get: TypeAlias = Callable[..., tuple[str, bytes]]


@pytest.fixture(autouse=True)
def _counting(settings: Any) -> None:
    """Have every client of a test counted."""
    first = project.MIDDLEWARE[:2]
    settings.MIDDLEWARE = [*first, MIDDLEWARE, *project.MIDDLEWARE[2:]]


def samples() -> dict[str, float]:
    """Read the page as Prometheus does; bounds of buckets are left out."""
    families = text_string_to_metric_families(metrics.written().decode())
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


class Grown:
    """What has grown by how much since a block began."""

    def __enter__(self) -> Grown:
        self.before = samples()
        return self

    def __exit__(self, *args: Any) -> None:
        self.by = {
            name: value - self.before.get(name, 0)
            for name, value in samples().items()
            if value != self.before.get(name, 0) and "_sum" not in name
        }


@pytest.fixture
def grown() -> Grown:
    return Grown()


def test_a_completed_request_is_counted_and_timed_by_its_action(
    grown: Grown, as_alice: ApiClient, organization: Organization
) -> None:
    with grown:
        as_alice.call("OrganizationRead", Domain=organization.domain)

    assert grown.by == {"voicemail_api_request_seconds_count['OrganizationRead', 'none']": 1}


def test_a_refused_request_is_counted_once_by_its_first_code_and_each_error_by_its_own(
    grown: Grown, as_alice: ApiClient
) -> None:
    with grown:
        as_alice.call("OrganizationRead", OrganizationId="x")
        as_alice.call("VoicemailboxAdd", OrganizationId="x", Mailbox="0")

    errors = {name: number for name, number in grown.by.items() if "api_errors" in name}
    assert grown.by["voicemail_api_request_seconds_count['Integer.Invalid', 'OrganizationRead']"]
    assert errors["voicemail_api_errors_total['Integer.Invalid', 'VoicemailboxAdd']"] == 1
    assert errors["voicemail_api_errors_total['Value.Required', 'VoicemailboxAdd']"] > 1


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["", "Made up", "OrganizationRead\n", "x" * 5000])
def test_what_a_client_calls_an_action_never_becomes_a_label(
    grown: Grown, api: ApiClient, action: str
) -> None:
    with grown:
        api.call(action)

    assert {name.partition("[")[2].split(", ")[1] for name in grown.by} == {"'unknown']"}


def test_a_failure_is_counted_as_one(grown: Grown, as_alice: ApiClient) -> None:
    with grown, patch("accounts.actions.OrganizationRead.perform", side_effect=OperationalError):
        reply = as_alice.call("OrganizationRead", OrganizationId="1")

    assert reply.http.status_code == 503
    assert grown.by == {"voicemail_api_request_seconds_count['OrganizationRead', 'failed']": 1}


@pytest.mark.parametrize("login", ["api", "admin"])
def test_login_failures_and_the_lock_are_counted(
    grown: Grown, api: ApiClient, alice: User, settings: Any, login: str
) -> None:
    settings.LOGIN_FAILURE_LIMIT = settings.AXES_FAILURE_LIMIT = 2

    def log_in(password: str) -> None:
        if login == "api":
            api.call("SessionCreate", Username="alice", Password=password)
        else:
            api.http.post("/admin/login/", {"username": "alice", "password": password})

    with grown:
        for password in ("wrong", "wrong", PASSWORD):
            log_in(password)

    assert grown.by["voicemail_login_failures_total['wrong']"] == 2
    assert grown.by["voicemail_login_failures_total['locked']"] == 1
    assert grown.by["voicemail_locks_total[]"] == 1
    assert grown.by["voicemail_users_locked[]"] == 1


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=1001)


@pytest.fixture
def ask(db: None) -> Callable[..., Any]:
    """Ask as a PBX that may ask for every organization."""
    _, credential = make_pbx()

    def post(path: str, **keys: str) -> Any:
        headers = {"Authorization": f"Bearer {credential}"}
        return Client().post(
            f"/asterisk/{path}", urlencode(keys), content_type=FORM, headers=headers
        )

    return post


@pytest.mark.parametrize(
    ("path", "mailbox", "labels"),
    [
        ("voicemail/single", "1001", "'found', 'single'"),
        ("voicemail/single", "9", "'missed', 'single'"),
        ("voicemail/multi", "1001", "'found', 'multi'"),
        ("voicemail/multi", "9", "'missed', 'multi'"),
        ("voicemail/update", "1001", "'missed', 'update'"),
        ("voicemail/require", "1001", "'answered', 'require'"),
        ("voicemail/joe", "1001", "'unknown', 'unknown'"),
        ("voicemail/spool-joe", "1001", "'unknown', 'unknown'"),
        ("pin-check", "9", "'missed', 'pin-check'"),
        ("spool-orders", "9", "'answered', 'spool-orders'"),
    ],
)
def test_a_pbxs_requests_are_counted_by_operation_and_outcome(
    grown: Grown, ask: Any, box: Voicemailbox, path: str, mailbox: str, labels: str
) -> None:
    keys = {"mailbox": mailbox, "context": box.organization.domain}

    with grown:
        ask(path, **keys)

    assert grown.by == {f"voicemail_pbx_request_seconds_count[{labels}]": 1}


def test_a_pbx_without_a_credential_and_one_that_is_failed_are_counted(
    grown: Grown, ask: Any, client: Client
) -> None:
    with grown:
        client.post("/asterisk/voicemail/single")
        with patch("voicemail.asterisk.views.find_row", side_effect=OperationalError):
            ask("voicemail/single", mailbox="1", context="acme.example.com")

    assert grown.by == {
        "voicemail_pbx_request_seconds_count['refused', 'single']": 1,
        "voicemail_pbx_request_seconds_count['failed', 'single']": 1,
    }


@pytest.mark.django_db
def test_pages_are_counted_by_area_and_class_of_status(grown: Grown, client: Client) -> None:
    with grown:
        client.get("/admin/")
        client.get("/healthz")
        client.get("/nowhere")

    assert grown.by == {
        "voicemail_page_seconds_count['3xx', 'admin']": 1,
        "voicemail_page_seconds_count['2xx', 'other']": 1,
        "voicemail_page_seconds_count['4xx', 'other']": 1,
    }


@pytest.mark.django_db
def test_a_long_answer_is_timed_until_it_was_sent(grown: Grown, rf: RequestFactory) -> None:
    request: Any = rf.get("/webapi")
    request.resolver_match = SimpleNamespace(view_name="webapi")
    request.log_fields = {"action": "VoicemailboxBrowse", "codes": []}
    response = metrics.MetricsMiddleware(lambda _: StreamingHttpResponse([b"x"]))(request)

    assert samples()["voicemail_api_long_answers[]"] == 1
    with grown:
        response.close()

    assert grown.by["voicemail_api_request_seconds_count['VoicemailboxBrowse', 'none']"] == 1
    assert samples()["voicemail_api_long_answers[]"] == 0


@pytest.mark.django_db
def test_the_state_of_the_database_is_told(as_alice: ApiClient) -> None:
    told = samples()

    assert told["voicemail_database_up[]"] == 1
    assert told["voicemail_api_sessions[]"] == 1
    assert told["voicemail_spool_tasks_open[]"] == 0
    if connection.vendor == "postgresql":
        assert told["voicemail_database_connections['active']"] >= 1
        assert told["voicemail_database_max_connections[]"] >= 10


@pytest.mark.django_db
def test_a_silent_database_is_told_and_what_was_counted_as_well() -> None:
    with patch.object(connection, "cursor", side_effect=OperationalError):
        told = samples()

    assert told["voicemail_database_up[]"] == 0
    assert "voicemail_api_sessions[]" not in told
    assert "voicemail_locks_total[]" in told


@pytest.mark.django_db
def test_what_runs_is_told() -> None:
    (build,) = [name for name in samples() if name.startswith("voicemail_build_info")]

    assert "5.2" in build


class Listener:
    """The address at which a connection came in."""

    def __init__(self, port: int) -> None:
        self.port = port

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)


@pytest.fixture
def get(db: None, settings: Any) -> Get:
    """Ask for the page on a port, with an Authorization header."""

    def service(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b"Django's answer"]

    page = metrics.MetricsPage(service)

    def answer(path: str = "/metrics", *, port: int = 8000, **environ: str) -> tuple[str, bytes]:
        start_response = Mock()
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "gunicorn.socket": Listener(port)}
        # It would end the test's own transaction.
        with patch("voicemail_site.metrics.close_old_connections"):
            body = b"".join(page(asked | environ, start_response))
        return start_response.call_args.args[0], body

    return answer


DJANGO = ("404 Not Found", b"Django's answer")


def is_page(answer: tuple[str, bytes]) -> bool:
    return answer[0] == "200 OK" and answer[1].startswith(b"# HELP voicemail_")


@pytest.fixture
def _behind_a_token(settings: Any) -> None:
    settings.METRICS_TOKEN, settings.METRICS_BIND, settings.METRICS_PORT = TOKEN, "", 0


@pytest.mark.usefixtures("_behind_a_token")
def test_the_token_opens_the_page(get: Get) -> None:
    assert is_page(get(HTTP_AUTHORIZATION=BEARER))


@pytest.mark.usefixtures("_behind_a_token")
@pytest.mark.parametrize("header", ["", TOKEN, f"{BEARER}x", BEARER[:-1], "Bearer ", "Bearer \xff"])
def test_without_the_token_there_is_no_such_page(get: Get, header: str) -> None:
    assert get(HTTP_AUTHORIZATION=header) == DJANGO
    assert get() == DJANGO


@pytest.mark.usefixtures("_behind_a_token")
def test_the_page_is_only_read(get: Get) -> None:
    assert get(HTTP_AUTHORIZATION=BEARER, REQUEST_METHOD="POST") == DJANGO


def test_its_own_address_has_the_page_and_nothing_else(get: Get, settings: Any) -> None:
    settings.METRICS_BIND, settings.METRICS_PORT = "10.0.0.5:9100", 9100
    settings.METRICS_TOKEN = ""

    assert is_page(get(port=9100))
    assert get("/admin/", port=9100) == ("404 Not Found", b"Not found.\n")
    assert get(HTTP_HOST="10.0.0.5:9100", SERVER_PORT="9100") == DJANGO


def test_with_both_the_token_is_needed_on_its_own_address(get: Get, settings: Any) -> None:
    settings.METRICS_BIND, settings.METRICS_PORT = "10.0.0.5:9100", 9100
    settings.METRICS_TOKEN = TOKEN

    assert is_page(get(port=9100, HTTP_AUTHORIZATION=BEARER))
    assert get(port=9100) == ("404 Not Found", b"Not found.\n")
    assert get(HTTP_AUTHORIZATION=BEARER) == DJANGO


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Load a module of the configuration with these variables."""
    with patch.dict(os.environ):
        monkeypatch.setenv("VAR_DIR", str(tmp_path))

        def with_variables(module: str, **variables: str) -> Any:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            return runpy.run_path(str(SOURCES / module))

        yield with_variables


def test_nothing_is_counted_unless_it_is_asked_for(load: Any) -> None:
    loaded = load("settings.py")
    server = load("gunicorn_conf.py")

    assert not loaded["HAS_METRICS"]
    assert MIDDLEWARE not in loaded["MIDDLEWARE"]
    assert "child_exit" not in server


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("METRICS_BIND", "9100", "must be an address and a port other than PORT"),
        ("METRICS_BIND", "10.0.0.5:0", "must be an address and a port other than PORT"),
        ("METRICS_BIND", "10.0.0.5:70000", "must be an address and a port other than PORT"),
        ("METRICS_BIND", "::1:9100", "must be an address and a port other than PORT"),
        ("METRICS_BIND", "10.0.0.5:8000", "must be an address and a port other than PORT"),
        ("METRICS_TOKEN", "short", "must be random and at least 32 characters long"),
        ("METRICS_TOKEN", f"{TOKEN} x", "must be random and at least 32 characters long"),
    ],
)
def test_a_setting_that_could_not_work_is_refused(
    load: Any, variable: str, value: str, expected: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load("settings.py", **{variable: value})

    assert f"{variable}: {expected}" in str(refusal.value)
    assert TOKEN not in str(refusal.value)


def test_the_server_listens_on_the_metrics_address_too(load: Any) -> None:
    server = load("gunicorn_conf.py", METRICS_BIND="[::1]:9100")

    assert server["bind"] == ["127.0.0.1:8000", "[::1]:9100"]


def test_a_start_forgets_what_an_earlier_one_counted(load: Any, tmp_path: Path) -> None:
    server = load("gunicorn_conf.py", METRICS_TOKEN=TOKEN)
    old = tmp_path / "metrics" / "8000" / "counter_1.db"
    old.parent.mkdir(parents=True)
    old.touch()

    server["on_starting"](None)

    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(old.parent)
    assert old.parent.is_dir()
    assert not old.exists()


def test_what_a_worker_that_ended_was_doing_is_forgotten(load: Any, tmp_path: Path) -> None:
    server = load("gunicorn_conf.py", METRICS_TOKEN=TOKEN)
    server["on_starting"](None)
    directory = tmp_path / "metrics" / "8000"
    for name in ("gauge_livesum_7.db", "counter_7.db", "gauge_livesum_8.db"):
        (directory / name).touch()

    server["child_exit"](None, SimpleNamespace(pid=7))

    assert sorted(each.name for each in directory.iterdir()) == [
        "counter_7.db",
        "gauge_livesum_8.db",
    ]
