"""The web server's configuration, and the look for a free port before it starts."""

from __future__ import annotations

import runpy
import socket
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command

CONFIGURATION = Path(project.BASE_DIR) / "voicemail_site" / "gunicorn_conf.py"


@pytest.fixture(autouse=True)
def _var(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("host", "bind"),
    [("127.0.0.1", "127.0.0.1:9000"), ("::1", "[::1]:9000"), ("[::1]", "[::1]:9000")],
)
def test_the_server_listens_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, host: str, bind: str
) -> None:
    monkeypatch.setenv("HOST", host)
    monkeypatch.setenv("PORT", "9000")

    assert runpy.run_path(str(CONFIGURATION))["bind"] == [bind]


def test_the_server_writes_no_access_line_and_believes_no_header() -> None:
    configuration = runpy.run_path(str(CONFIGURATION))

    assert configuration["accesslog"] is None
    assert configuration["forwarded_allow_ips"] == ""


def test_the_number_of_workers_and_threads_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    monkeypatch.setenv("WEB_THREADS", "3")

    configuration = runpy.run_path(str(CONFIGURATION))

    assert (configuration["workers"], configuration["threads"]) == (7, 3)


def test_a_port_in_use_is_told_with_a_way_out(settings: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings.HOST, settings.PORT = listener.getsockname()

        with pytest.raises(CommandError, match=r"is in use\. Choose another one: PORT=9000"):
            call_command("check_port")


def test_a_free_port_is_fine(settings: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings.HOST, settings.PORT = listener.getsockname()

    call_command("check_port")


def test_an_address_of_another_machine_is_told(settings: Any) -> None:
    settings.HOST = "192.0.2.1"

    with pytest.raises(CommandError, match=r"192\.0\.2\.1:8000 can't be listened on"):
        call_command("check_port")
