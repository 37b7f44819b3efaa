"""A walk through every page of the admin, as everybody, to own, foreign and missing rows.

The pages are taken from the site itself: a model that is registered is walked through, and a
view that is new to the site fails until SITE tells how to reach it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test import Client
from django.urls import URLPattern, resolve

from accounts.models import Account, Change, Organization, Role, Session, User
from tests.admin_pages import client_of, fill_in, notes_of, run_action, url_of
from tests.api import ApiClient
from tests.asterisk.pbx import make_pbx
from tests.factories import PASSWORD, arranging, make_user, make_voicemailbox
from voicemail.models import Pbx, RefusedPin, SpoolOrder, Voicemailbox
from voicemail.services import change_pin_by_phone, delete_voicemailbox

MISSING = 10**12
LOGIN = "/admin/login/"

# The site's own pages; the names in braces are filled from the row in question.
SITE = {
    "index": "/admin/",
    "login": LOGIN,
    "logout": "/admin/logout/",
    "password_change": "/admin/password_change/",
    "password_change_done": "/admin/password_change/done/",
    "autocomplete": "/admin/autocomplete/",
    "jsi18n": "/admin/jsi18n/",
    "view_on_site": "/admin/r/{content_type}/{pk}/",
    "app_list": "/admin/accounts/",
    None: "/admin/nothing/here/",
}

# Ways to look at a list: in search of something, in another order, as the picker of a pop-up ...
LISTS = (
    *("?q=e", "?q=0", "?o=1.-2.3.-4.5.6.7.8.x", "?p=999", "?p=x", "?all=", "?e=1", "?_facets=True"),
    *("?_popup=1&_to_field=id", "?_to_field=password", "?unknown=1", "?id__in=1,2,3"),
)

# Whatever the forms have, and what they do not have.
FORGED = {
    "post": "yes",
    "_save": "Save",
    "status": "disabled",
    "domain": "forged.example.com",
    "contact_name": "forged",
    "auth_username": "forged",
    "email": "forged@example.com",
    "is_active": "",
    "new_password": "staple battery horse",
    "role": "system_admin",
    "fullname": "forged",
    "mailbox": "1",
    "password": "1",
    "timezone": "us_pacific",
    "notify_email": "no",
    "notify_pager": "no",
}

MODELS: list[Any] = sorted(admin.site._registry, key=lambda model: model._meta.label)
FOR_STAFF = (AccessAttempt, AccessFailureLog, Pbx, SpoolOrder)
OURS = [model for model in MODELS if model not in FOR_STAFF]


@dataclass(frozen=True)
class World:
    """The rows of both accounts, and the texts that must not be read."""

    own: dict[Any, models.Model]
    foreign: dict[Any, models.Model]
    secrets: frozenset[str]


FOREIGN_TEXTS = ("globex", "charlie", "7654321", "operator9")


@pytest.fixture
def world(
    alice: User,
    charlie: User,
    organization: Organization,
    other_organization: Organization,
    as_alice: ApiClient,
    as_charlie: ApiClient,
    settings: Any,
) -> World:
    """Arrange a row of every model in both accounts, and what staff did to them."""
    box = make_voicemailbox(organization, fullname="Joe Smith", password="8675309")
    box_there = make_voicemailbox(
        other_organization,
        mailbox=7654321,
        username="globex.vm",
        fullname="Globex Desk",
        password="9035768",
        email="desk@globex.example.com",
        mwi="phone@globex.example.com",
    )
    make_pbx("mallory-pbx")
    settings.SPOOL_ORDERS = True
    for former in map(make_voicemailbox, (organization, other_organization)):
        with arranging():
            delete_voicemailbox(former)
    for each_box in (box, box_there):
        change_pin_by_phone(each_box, "0", pbx="pbx")
    operator = make_user("operator9", Role.SYSTEM_ADMIN)
    for each in (organization, other_organization, box, box_there):
        fill_in(client_of(operator), url_of(each, "change"), contact_name="x", fullname="x y")
    Client().post(LOGIN, {"username": "mallory", "password": "8675309"})
    return World(
        own=_rows_of(alice, organization, box),
        foreign=_rows_of(charlie, other_organization, box_there),
        secrets=frozenset(_secrets()),
    )


def _rows_of(user: User, organization: Organization, box: Voicemailbox) -> dict[Any, models.Model]:
    rows: dict[Any, Any] = {
        Account: organization.account,
        Organization: organization,
        User: user,
        Session: user.sessions.get(),
        Change: Change.unscoped.filter(account=organization.account).latest("id"),
        Voicemailbox: box,
        RefusedPin: box.refused_pins.get(),
        Pbx: Pbx.unscoped.get(),
        SpoolOrder: SpoolOrder.unscoped.get(account=organization.account_id),
    }
    return rows | {model: model.objects.first() for model in (AccessAttempt, AccessFailureLog)}


def _secrets() -> Iterator[str]:
    """Give what no page may show, to nobody: PINs, digests and hashes."""
    yield from Pbx.unscoped.values_list("credential_digest", flat=True)
    yield from Voicemailbox.unscoped.values_list("password", flat=True)
    yield from User.unscoped.values_list("password", flat=True)
    yield from Session.unscoped.values_list("digest", flat=True)
    yield PASSWORD


def client_named(name: str) -> Client:
    user = User.unscoped.filter(auth_username=name).first()
    return client_of(user) if user else Client()


def object_pages(model: Any, pk: object) -> Iterator[str]:
    """Give the addresses of every page of a row."""
    for pattern in admin.site._registry[model].urls:
        if "object_id" in str(pattern.pattern):
            route = str(pattern.pattern).replace("<path:object_id>", str(pk))
            yield f"{url_of(model)}{route}"
    content_type = ContentType.objects.get_for_model(model).pk
    yield SITE["view_on_site"].format(content_type=content_type, pk=pk)


def model_pages(model: Any) -> Iterator[str]:
    """Give the addresses of every page of a model that is no page of a row."""
    for pattern in admin.site._registry[model].urls:
        if "object_id" not in str(pattern.pattern):
            yield f"{url_of(model)}{pattern.pattern}"
    for query in LISTS:
        yield f"{url_of(model)}{query}"
    for each in admin.site._registry[model].list_filter:
        field = each[0] if isinstance(each, tuple) else each
        yield f"{url_of(model)}?{getattr(each, 'parameter_name', f'{field}__exact')}=enabled"


def site_pages() -> Iterator[str]:
    yield from (page for page in SITE.values() if "{" not in page)
    for label in sorted({model._meta.app_label for model in MODELS}):
        yield f"/admin/{label}/"
    for model in apps.get_models():
        for field in model._meta.get_fields():
            source = f"app_label={model._meta.app_label}&model_name={model._meta.model_name}"
            if field.is_relation and field.concrete:
                for term in ("", "e", "o%00"):
                    yield f"{SITE['autocomplete']}?{source}&field_name={field.name}&term={term}"


def every_page(model: Any, pk: object) -> list[str]:
    return [*model_pages(model), *object_pages(model, pk)]


def text_of(response: Any) -> str:
    """Give the text of a page without what only repeats the address."""
    text = unescape(response.content.decode())
    same = r'<svg.*?</svg>|(href|action)="[^"]*"|name="csrfmiddlewaretoken" value="\w+"'
    return re.sub(same, "", text, flags=re.DOTALL)


def answer_to(client: Client, page: str, pk: object, method: str) -> tuple[Any, ...]:
    """Give all that can be told of an answer, without the id that was asked for."""
    client.cookies.pop("messages", None)
    response = getattr(client, method)(page, FORGED if method == "post" else {})
    parts = [response.headers.get("Location", ""), *notes_of(response), text_of(response)]
    return (response.status_code, *(re.sub(rf"\b{pk}\b", "(id)", part) for part in parts))


def database() -> dict[Any, list[Any]]:
    """Give every row there is, but for cookies' sessions."""
    watched: list[Any] = [*apps.get_app_config("accounts").get_models(), LogEntry]
    watched += apps.get_app_config("voicemail").get_models()
    return {model: list(model._base_manager.order_by("pk").values()) for model in watched}


def test_the_walk_knows_every_view_of_the_site() -> None:
    names = {each.name for each in admin.site.get_urls() if isinstance(each, URLPattern)}
    assert names == set(SITE)
    filled = {name: page.format(content_type=1, pk=1) for name, page in SITE.items()}
    assert {name: resolve(page).url_name for name, page in filled.items()} == {
        name: name for name in SITE
    }


def test_the_walk_has_a_row_of_every_model(world: World) -> None:
    assert set(MODELS) == {model for model, row in world.own.items() if row is not None}
    assert set(MODELS) == {model for model, row in world.foreign.items() if row is not None}


@pytest.mark.parametrize("name", ["nobody", "bob"])
def test_who_is_no_admin_gets_the_login_instead_of_any_page(
    world: World, bob: User, name: str
) -> None:
    client = client_named(name)
    pages = [page for model in MODELS for page in every_page(model, world.own[model].pk)]
    for page in {*pages, *site_pages()} - {LOGIN, SITE["logout"]}:
        response = client.get(page)
        assert response.headers["Location"].startswith(f"{LOGIN}?next="), page


@pytest.mark.parametrize("name", ["alice", "staff"])
def test_no_page_breaks_or_shows_what_is_secret_or_foreign(
    world: World, staff: User, name: str
) -> None:
    hidden = {*world.secrets, *(FOREIGN_TEXTS if name == "alice" else ())}
    client = client_named(name)
    for page in (page for model in MODELS for page in every_page(model, world.own[model].pk)):
        response = client.get(page)
        assert response.status_code in (200, 302, 400, 403, 404), page
        shown = text_of(response).lower()
        assert [text for text in hidden if text.lower() in shown] == [], page


def test_no_page_of_the_site_breaks_or_shows_a_foreign_text(world: World) -> None:
    client = client_named("alice")
    for page in {*site_pages()} - {LOGIN}:
        response = client.get(page)
        assert response.status_code in (200, 302, 403, 404, 405), page
        shown = text_of(response).lower()
        assert [text for text in FOREIGN_TEXTS if text in shown] == [], page


@pytest.mark.parametrize("name", ["alice", "charlie", "staff"])
def test_an_admin_opens_each_list_and_the_own_rows(world: World, staff: User, name: str) -> None:
    client = client_named(name)
    rows = world.foreign if name == "charlie" else world.own
    for model in OURS:
        row = rows[model]
        for page in (url_of(model), url_of(row, "change"), url_of(row, "history")):
            assert client.get(page).status_code == 200, page


def test_a_picker_finds_what_is_the_accounts_own(world: World) -> None:
    query = {"app_label": "voicemail", "model_name": "voicemailbox", "field_name": "organization"}
    found = client_named("alice").get(SITE["autocomplete"], query).json()["results"]
    assert found == [{"id": str(world.own[Organization].pk), "text": "acme.example.com"}]


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_row_answers_as_a_missing_one_and_stays_as_it_is(
    world: World, method: str
) -> None:
    client, before = client_named("alice"), database()
    for model in OURS:
        foreign = world.foreign[model].pk
        pairs = zip(object_pages(model, foreign), object_pages(model, MISSING), strict=True)
        for foreign_page, missing_page in pairs:
            there = answer_to(client, foreign_page, foreign, method)
            nowhere = answer_to(client, missing_page, MISSING, method)
            assert there == nowhere, foreign_page
            assert there[0] in (302, 403, 404), foreign_page
    assert database() == before


ACTIONS = sorted(
    {
        str(getattr(action, "__name__", action))
        for each in MODELS
        for action in admin.site._registry[each].actions or ()
    }
    | {"delete_selected"}
)


def test_the_walk_tries_the_actions_that_matter_most() -> None:
    assert {"delete_selected", "unlock", "enable", "disable", "end_selected"} <= set(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_on_foreign_rows_changes_nothing(world: World, action: str) -> None:
    client, before = client_named("alice"), database()
    for model in MODELS:
        run_action(client, model, action, world.foreign[model].pk)
    assert database() == before
    assert AccessAttempt.objects.exists()


def test_what_is_no_id_answers_without_breaking(world: World, staff: User) -> None:
    client = client_of(staff)
    for model in MODELS:
        for garbage in ("abc", "0", "-1", "9" * 30, "%00", "1%2F..", "_5F"):
            for page in object_pages(model, garbage):
                assert client.get(page).status_code in (302, 400, 403, 404), page


@pytest.mark.parametrize("model", FOR_STAFF)
def test_what_is_the_providers_is_for_staff_alone(world: World, staff: User, model: Any) -> None:
    pages = [url_of(model), url_of(world.own[model], "change")]
    assert [client_named("alice").get(page).status_code for page in pages] == [403, 403]
    assert [client_named("staff").get(page).status_code for page in pages] == [200, 200]
    assert client_named("alice").get("/admin/axes/").status_code == 404
    assert "mallory" in text_of(client_named("staff").get(url_of(model)))
