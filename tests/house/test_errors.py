"""Errors outside the API's view: its paths never answer Django's pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client

from tests.webapi.rng import assert_valid
from voicemail_site.middleware import ApiErrorMiddleware

API_PATHS = pytest.mark.parametrize("path", ["/webapi", "/webapi/", "/restapi", "/api/"])


@API_PATHS
@pytest.mark.parametrize("debug", [False, True])
def test_a_foreign_host_gets_an_exception_document(
    client: Client, settings: Any, path: str, debug: bool
) -> None:
    settings.DEBUG = debug

    response = client.post(path, {"Action": "NoOp"}, headers={"host": "elsewhere.example.com"})

    assert response.status_code == 400
    assert response["Content-Type"] == "text/xml; charset=utf-8"
    assert_valid(response.content)
    assert response["X-Request-ID"] in response.content.decode()


def test_a_foreign_host_gets_json_where_json_was_asked_for(client: Client) -> None:
    response = client.get("/webapi", {"Output": "json"}, headers={"host": "elsewhere.example.com"})

    assert response.status_code == 400
    assert set(response.json()) == {"Exception"}


@API_PATHS
def test_a_broken_answer_becomes_an_exception_document(rf: Any, path: str) -> None:
    def break_down(request: HttpRequest) -> HttpResponse:
        return HttpResponse("<h1>Server Error</h1>", status=500)

    response: Any = ApiErrorMiddleware(break_down)(rf.get(path))

    assert response.status_code == 500
    assert b"Server Error" not in response.content
    assert_valid(response.content)


def test_pages_elsewhere_stay_pages(client: Client) -> None:
    response = client.get("/nowhere")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_tls_is_not_insisted_on_where_a_redirect_would_lose_the_request(
    client: Client, settings: Any, db: None
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/admin/").status_code == 301
    for path in ("/webapi", "/restapi/", "/api", "/healthz", "/readyz", "/rng/jnctn.rng"):
        assert client.get(path).status_code == 200


def test_the_landing_page_leads_to_the_admin_and_the_grammar(client: Client) -> None:
    page = client.get("/").content.decode()

    for path in ("/webapi", "/rng/jnctn.rng", "/admin/", "/healthz", "/readyz"):
        assert path in page
