"""The metrics of a running service: one page for all its processes, at an address of its own."""

from __future__ import annotations

import os
import re
import signal
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.journeys.service import Place, Service, at_once, free_port, serving, wait_until

pytestmark = pytest.mark.journey

COUNT = 'voicemail_api_request_seconds_count{action="NoOp",code="none"}'


def page(port: int, path: str = "/metrics") -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def counted(port: int) -> int:
    found = re.search(rf"^{re.escape(COUNT)} (\d+)", page(port)[1], re.MULTILINE)
    return int(found[1]) if found else 0


def no_op(service: Service) -> Any:
    return service.call("NoOp")


def test_what_all_processes_count_is_on_one_page_and_survives_one_of_them(place: Place) -> None:
    port = free_port()
    with serving(place, METRICS_BIND=f"127.0.0.1:{port}", LOG_LEVEL="INFO") as service:
        at_once([partial(no_op, service)] * 30)
        before = counted(port)
        worker = re.findall(r"Booting worker with pid: (\d+)", service.written())[0]
        os.kill(int(worker), signal.SIGKILL)
        wait_until(lambda: service.written().count("Booting worker") == 3)
        at_once([partial(no_op, service)] * 10)
        after = counted(port)
        others = page(port, "/admin/login/"), page(service.port)

    assert (before, after) == (30, 40)
    assert [status for status, _ in others] == [404, 404]


def test_without_a_setting_nothing_is_told(service: Service) -> None:
    assert page(service.port)[0] == 404
