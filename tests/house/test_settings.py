"""Settings: what the environment may say, and what is refused (README, Configuration)."""

from __future__ import annotations

import os
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SOURCE = Path(settings.BASE_DIR) / "voicemail_site" / "settings.py"
KEY = "kX9wq-Zr3T_vB7mLpD2sYhJ6uGfN8cQeA1oKi4Wx5RtE0zVbMnS"
PRODUCTION = {
    "HOST": "0.0.0.0",  # noqa: S104  # Nothing is bound here.
    "ALLOWED_HOSTS": "voicemail.example.com",
    "PUBLIC_URL": "https://voicemail.example.com",
    "SECRET_KEY": KEY,
    "TRUSTED_PROXIES": "10.0.0.0/8",
}
NAMES = (
    *("DATABASE_STATEMENT_TIMEOUT", "DATABASE_URL", "DEBUG", "EMAIL_HOST", "HOST", "PORT"),
    *("PUBLIC_URL", "SECRET_KEY"),
)

Load: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings from these variables, and no others of the service."""

    def with_variables(**variables: str) -> dict[str, Any]:
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"VAR_DIR": str(tmp_path / "var")} | variables).items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(SOURCE))

    return with_variables


def problems_of(load: Load, **variables: str) -> list[str]:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(**variables)
    return [line.strip() for line in str(refusal.value).splitlines()[1:]]


def test_no_variable_is_needed_on_a_loopback_address(load: Load) -> None:
    loaded = load()

    assert (loaded["HOST"], loaded["PORT"], loaded["DEBUG"]) == ("127.0.0.1", 8000, False)
    assert loaded["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]


def test_the_default_database_is_a_file_under_var(load: Load, tmp_path: Path) -> None:
    database = load()["DATABASES"]["default"]

    assert database["ENGINE"] == "django.db.backends.sqlite3"
    assert database["NAME"] == str(tmp_path / "var" / "db.sqlite3")


def test_sqlite_waits_for_locks_and_lets_readers_read(load: Load) -> None:
    options = load()["DATABASES"]["default"]["OPTIONS"]

    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_keeps_connections_and_checks_their_health(load: Load) -> None:
    database = load(DATABASE_URL="postgres://joe:secret@db.example.com:5433/mail")["DATABASES"][
        "default"
    ]

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == (
        "db.example.com",
        5433,
        "mail",
    )
    assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (600, True)


NOT_COMPILED = "-c jit=off"


def test_a_statement_timeout_joins_the_options_of_the_url(load: Load) -> None:
    url = "postgres://db.example.com/mail?sslmode=require&options=-c%20search_path%3Dvm"

    options = load(DATABASE_URL=url, DATABASE_STATEMENT_TIMEOUT="5000")["DATABASES"]["default"][
        "OPTIONS"
    ]

    assert options == {
        "sslmode": "require",
        "options": f"-c search_path=vm {NOT_COMPILED} -c statement_timeout=5000",
    }


def test_commands_have_no_statement_timeout(load: Load) -> None:
    assert load(DATABASE_URL="postgres://db/mail")["DATABASES"]["default"]["OPTIONS"] == {
        "options": NOT_COMPILED
    }


def test_the_web_server_sets_a_statement_timeout_of_5_seconds() -> None:
    script = "import voicemail_site.wsgi, os; print(os.environ['DATABASE_STATEMENT_TIMEOUT'])"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in os.environ.items() if name not in NAMES},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "5000\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_runs_without_the_streams_that_are_closed(closed: str) -> None:
    run = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" manage.py help migrate {closed}'],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )

    assert (run.returncode, run.stderr) == (0, "")


def test_a_local_service_makes_a_key_that_only_its_owner_reads(load: Load, tmp_path: Path) -> None:
    key = load()["SECRET_KEY"]

    assert len(key) >= 50
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_a_generated_key_is_kept(load: Load) -> None:
    assert load()["SECRET_KEY"] == load()["SECRET_KEY"]


def test_processes_that_start_at_once_agree_on_a_key(load: Load, tmp_path: Path) -> None:
    keep = load()["_kept_secret_key"]
    path = tmp_path / "another_key"

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(keep, [path] * 64))

    assert keys == {path.read_text()}
    assert [each.name for each in tmp_path.glob("another_key*")] == ["another_key"]


def test_a_given_key_is_used_and_none_is_made(load: Load, tmp_path: Path) -> None:
    assert load(SECRET_KEY=KEY)["SECRET_KEY"] == KEY
    assert not (tmp_path / "var" / "secret_key").exists()


@pytest.mark.parametrize(
    "variables",
    [{"HOST": "192.0.2.1"}, {"ALLOWED_HOSTS": "voicemail.example.com"}, {"ALLOWED_HOSTS": "*"}],
)
def test_a_service_that_others_reach_needs_a_key(load: Load, variables: dict[str, str]) -> None:
    variables |= {"TRUSTED_PROXIES": "10.0.0.1", "PUBLIC_URL": "https://voicemail.example.com"}
    problems = problems_of(load, **variables)

    assert [problem.partition(":")[0] for problem in problems] == ["SECRET_KEY"]


@pytest.mark.parametrize("key", ["short", "a" * 60])
def test_a_weak_key_is_refused(load: Load, key: str) -> None:
    (problem,) = problems_of(load, SECRET_KEY=key)

    assert problem.startswith("SECRET_KEY: must be random and at least 50 characters long")


def test_every_problem_is_named_at_once(load: Load) -> None:
    problems = problems_of(
        load,
        HOST="192.0.2.1",
        PORT="eighty",
        DEBUG="perhaps",
        DATABASE_URL="oracle://joe:hidden@db/mail",
        DATABASE_CONN_MAX_AGE="-1",
        TRUSTED_PROXIES="10.0.0.1,proxy",
        CSRF_TRUSTED_ORIGINS="voicemail.example.com",
        LOG_FORMAT="xml",
        LOG_LEVEL="loud",
        PIN_LENGTH="8",
        EMAIL_HOST="mail.example.com",
        EMAIL_PORT="0",
        EMAIL_SECURITY="ssl",
    )

    assert {problem.partition(":")[0] for problem in problems} == {
        "PORT",
        "DEBUG",
        "DATABASE_URL",
        "DATABASE_CONN_MAX_AGE",
        "TRUSTED_PROXIES",
        "CSRF_TRUSTED_ORIGINS",
        "SECRET_KEY",
        "SECURE_SSL_REDIRECT",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "PIN_LENGTH",
        "PUBLIC_URL",
        "EMAIL_FROM",
        "EMAIL_PORT",
        "EMAIL_SECURITY",
    }


def test_a_refusal_never_tells_a_value(load: Load) -> None:
    problems = problems_of(load, DATABASE_URL="oracle://joe:hidden@db/mail", PORT="hidden")

    assert "hidden" not in " ".join(problems)


def test_a_bad_setting_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"PORT": "0", "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert run.stderr == "The settings can't be used:\n  PORT: must be 1 to 65535.\n"


def test_a_port_that_is_no_number_is_named_once(load: Load) -> None:
    assert problems_of(load, PORT="x") == ["PORT: must be a whole number, 1 to 65535."]


def test_a_var_directory_that_can_not_be_made_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    problems = problems_of(load, VAR_DIR=str(tmp_path / "file" / "var"))

    assert problems == ["VAR_DIR: must be a directory that can be written to."]


def test_debug_is_refused_where_others_reach_the_service(load: Load) -> None:
    (problem,) = problems_of(load, **PRODUCTION, DEBUG="true")

    assert problem.startswith("DEBUG: must be off")


def test_an_idle_time_beyond_the_absolute_age_is_refused(load: Load) -> None:
    (problem,) = problems_of(load, API_SESSION_IDLE_MINUTES="61", API_SESSION_AGE_HOURS="1")

    assert problem.startswith("API_SESSION_IDLE_MINUTES: must not be more than")


def test_strict_pins_are_not_generated_too_short(load: Load) -> None:
    (problem,) = problems_of(load, PIN_STRICT="true", PIN_LENGTH="5")

    assert problem.startswith("PIN_LENGTH: must be at least 6")


def test_a_redirect_to_tls_needs_a_proxy_that_ends_it(load: Load) -> None:
    (problem,) = problems_of(load, **PRODUCTION | {"TRUSTED_PROXIES": ""})

    assert problem.startswith("SECURE_SSL_REDIRECT: needs TRUSTED_PROXIES")


def test_a_service_that_others_reach_insists_on_tls(load: Load) -> None:
    loaded = load(**PRODUCTION)

    assert loaded["SECURE_SSL_REDIRECT"]
    assert loaded["SESSION_COOKIE_SECURE"]
    assert loaded["CSRF_COOKIE_SECURE"]
    assert loaded["SECURE_HSTS_SECONDS"] > 0


def test_a_local_service_speaks_plain_http(load: Load) -> None:
    loaded = load()

    assert not loaded["SECURE_SSL_REDIRECT"]
    assert not loaded["SESSION_COOKIE_SECURE"]
    assert loaded["SECURE_HSTS_SECONDS"] == 0


def test_tls_can_be_left_to_others(load: Load) -> None:
    variables = PRODUCTION | {"TRUSTED_PROXIES": "", "SECURE_SSL_REDIRECT": "false"}

    loaded = load(**variables, SECURE_COOKIES="false", SECURE_HSTS_SECONDS="0")

    assert not loaded["SECURE_SSL_REDIRECT"]
    assert not loaded["CSRF_COOKIE_SECURE"]


def test_limits_of_logins_and_sessions_are_settings(load: Load) -> None:
    loaded = load(
        API_SESSION_IDLE_MINUTES="5",
        API_SESSION_AGE_HOURS="2",
        LOGIN_FAILURE_LIMIT="3",
        LOGIN_LOCK_MINUTES="20",
        LOGIN_FAILURES_PER_ADDRESS="7",
    )

    assert loaded["API_SESSION_IDLE"] == timedelta(minutes=5)
    assert loaded["API_SESSION_AGE"] == timedelta(hours=2)
    assert loaded["AXES_FAILURE_LIMIT"] == loaded["LOGIN_FAILURE_LIMIT"] == 3
    assert loaded["AXES_COOLOFF_TIME"] == loaded["LOGIN_LOCK"] == timedelta(minutes=20)
    assert loaded["LOGIN_FAILURES_PER_ADDRESS"] == 7


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("localhost", "http://localhost:9000"),
        ("::1", "http://[::1]:9000"),
    ],
)
def test_links_of_a_local_service_begin_with_where_it_listens(
    load: Load, host: str, url: str
) -> None:
    assert load(HOST=host, PORT="9000")["PUBLIC_URL"] == url


def test_links_begin_with_the_address_that_was_given(load: Load) -> None:
    given = {"PUBLIC_URL": "https://voicemail.example.com:8443/"}

    assert load(**given)["PUBLIC_URL"] == "https://voicemail.example.com:8443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "voicemail.example.com",
        "ftp://voicemail.example.com",
        "https://voicemail.example.com/admin",
        "https://voicemail.example.com?a=b",
        "https://joe@voicemail.example.com",
        "https://voicemail.example.com:x",
        "https://",
    ],
)
def test_an_address_that_links_can_not_begin_with_is_refused(load: Load, url: str) -> None:
    (problem,) = problems_of(load, **PRODUCTION | {"PUBLIC_URL": url})

    assert problem.startswith("PUBLIC_URL: must be the address at which people reach the service")


def test_links_go_over_tls_where_pages_do(load: Load) -> None:
    (problem,) = problems_of(load, **PRODUCTION | {"PUBLIC_URL": "http://voicemail.example.com"})

    assert problem.startswith("PUBLIC_URL: must begin with https://")


def test_no_mail_is_sent_unless_a_server_is_named(load: Load) -> None:
    assert load()["EMAIL_HOST"] == ""


@pytest.mark.parametrize(
    ("security", "expected"),
    [("starttls", (True, False)), ("tls", (False, True)), ("none", (False, False))],
)
def test_mail_goes_over_tls_unless_that_is_switched_off(
    load: Load, security: str, expected: tuple[bool, bool]
) -> None:
    mail = {"EMAIL_HOST": "mail.example.com", "EMAIL_FROM": "Voicemail <vm@example.com>"}

    loaded = load(**mail, EMAIL_SECURITY=security)

    assert (loaded["EMAIL_USE_TLS"], loaded["EMAIL_USE_SSL"]) == expected
    assert loaded["DEFAULT_FROM_EMAIL"] == "Voicemail <vm@example.com>"


@pytest.mark.parametrize("sender", ["", "voicemail", "a@example.com, b@example.com", "a\n<b@c.d>"])
def test_mail_needs_a_sender(load: Load, sender: str) -> None:
    (problem,) = problems_of(load, EMAIL_HOST="mail.example.com", EMAIL_FROM=sender)

    assert problem.startswith("EMAIL_FROM: must be an address")


def check_deployment(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env=kept | PRODUCTION | {"VAR_DIR": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_of_a_deployment_finds_nothing_in_production_settings(tmp_path: Path) -> None:
    run = check_deployment(tmp_path, PIN_STRICT="true")

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("System check identified no issues")


def test_the_check_of_a_deployment_tells_that_strict_pins_are_off(tmp_path: Path) -> None:
    run = check_deployment(tmp_path)

    assert run.returncode == 0
    assert "The strict PIN policy is off" in run.stderr
