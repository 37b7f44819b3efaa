"""Proxies: whose headers are believed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from voicemail_site.middleware import FORWARDED_HEADERS, TrustedProxyMiddleware

PROXY = "10.0.0.1"
TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.fixture(autouse=True)
def _trusted(settings: Any) -> None:
    settings.TRUSTED_PROXIES = TRUSTED


def seen(remote: str, **headers: str) -> HttpRequest:
    """Give the request as the code behind the middleware sees it."""
    request = RequestFactory().get("/", REMOTE_ADDR=remote, **headers)  # type: ignore[arg-type]  # WSGI's names
    TrustedProxyMiddleware(lambda _: HttpResponse())(request)
    return request


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.9, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.9, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("2001:db8::7, fd00::2", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_behind_proxies_the_client_is_the_last_stranger(forwarded: str, client: str) -> None:
    assert seen(PROXY, HTTP_X_FORWARDED_FOR=forwarded).META["REMOTE_ADDR"] == client


@pytest.mark.parametrize("forwarded", ["", "unknown", "192.0.2.7, unknown", "192.0.2.7,", "1.2.3"])
def test_garbage_and_what_stands_before_it_prove_nothing(forwarded: str) -> None:
    assert seen(PROXY, HTTP_X_FORWARDED_FOR=forwarded).META["REMOTE_ADDR"] == PROXY


def test_an_ipv4_proxy_is_known_on_a_socket_of_both_families() -> None:
    request = seen("::ffff:10.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7")

    assert request.META["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("remote", ["192.0.2.1", ""])
def test_a_strangers_headers_are_removed(remote: str) -> None:
    request = seen(remote, **dict.fromkeys(FORWARDED_HEADERS, "198.51.100.9"))

    assert request.META["REMOTE_ADDR"] == remote
    assert not set(FORWARDED_HEADERS) & set(request.META)


def test_a_trusted_proxy_tells_of_tls() -> None:
    assert seen(PROXY, HTTP_X_FORWARDED_PROTO="https").is_secure()


def test_a_stranger_can_not_claim_tls() -> None:
    assert not seen("192.0.2.1", HTTP_X_FORWARDED_PROTO="https").is_secure()


def test_nobody_is_trusted_by_default(settings: Any) -> None:
    settings.TRUSTED_PROXIES = []

    request = seen("127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7")

    assert request.META["REMOTE_ADDR"] == "127.0.0.1"


def test_a_trusted_proxy_may_give_the_request_its_id(client: Client) -> None:
    response = client.get("/healthz", REMOTE_ADDR=PROXY, HTTP_X_REQUEST_ID="edge-0123456789")

    assert response["X-Request-ID"] == "edge-0123456789"


@pytest.mark.parametrize(
    ("remote", "proposed"),
    [
        ("192.0.2.1", "edge-0123456789"),
        (PROXY, "short"),
        (PROXY, "x" * 65),
        (PROXY, "with space"),
        (PROXY, "new-line-\n"),
    ],
)
def test_any_other_id_is_replaced_by_a_fresh_one(
    client: Client, remote: str, proposed: str
) -> None:
    response = client.get("/healthz", REMOTE_ADDR=remote, HTTP_X_REQUEST_ID=proposed)

    assert response["X-Request-ID"] != proposed
    assert len(response["X-Request-ID"]) == 32
