"""``objects`` gives rows to a named caller alone; Django's own machinery goes on as ever."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.manager import BaseManager
from django.test import Client
from simple_history.models import HistoricalChanges

from accounts.models import Account, Change, Organization, Role, Session, User
from accounts.scoped_admin import ScopedAdmin
from accounts.scoping import ScopedManager, StaffManager, UnscopedQueryError
from accounts.services import set_active
from tests.api import ApiClient
from tests.asterisk.pbx import make_pbx
from tests.factories import arranging, make_user, make_voicemailbox
from voicemail.models import Pbx, SpoolOrder, SpoolTask, Voicemailbox
from voicemail.services import change_pin_by_phone, delete_voicemailbox
from voicemail.spool import confirm

OURS: list[Any] = [
    model
    for label in ("accounts", "voicemail")
    for model in apps.get_app_config(label).get_models()
]
HISTORIES = [model for model in OURS if issubclass(model, HistoricalChanges)]
SCOPED = [model for model in OURS if model not in HISTORIES]

EACH_SCOPED_MODEL = pytest.mark.parametrize("model", SCOPED, ids=lambda model: model.__name__)

# Whatever a manager takes over from a queryset, and the two that it has of its own.
QUERIES = [
    name
    for name in dir(models.QuerySet)
    if callable(getattr(models.Manager, name, None)) and not hasattr(BaseManager, name)
] + ["all", "get_queryset"]


def belongs_to_an_account(model: Any) -> bool:
    """Tell whether foreign keys lead from a model to an account."""
    targets = {field.related_model for field in model._meta.fields if field.many_to_one}
    return model is Account or any(belongs_to_an_account(target) for target in targets - {model})


def account_of(row: Any) -> int | None:
    """Give the id of the account that a row belongs to; the provider's own rows have none."""
    if isinstance(row, Account):
        return row.pk
    if isinstance(row, Pbx | SpoolTask):
        return None
    found: int | None = row.account_id if hasattr(row, "account_id") else row.user.account_id
    return found


@pytest.fixture
def _rows_of_both_accounts(
    organization: Organization,
    other_organization: Organization,
    as_alice: ApiClient,
    as_bob: ApiClient,
    as_charlie: ApiClient,
    as_staff: ApiClient,
    settings: Any,
) -> None:
    """Make rows of every model for each account, and of those that the provider has."""
    settings.SPOOL_ORDERS = True
    pbx, _ = make_pbx()
    for each in (organization, other_organization):
        box = make_voicemailbox(each)
        change_pin_by_phone(box, "0", pbx=pbx.name)
        with arranging():
            delete_voicemailbox(make_voicemailbox(each))
    confirm(pbx, SpoolOrder.unscoped.values_list("pk", flat=True))


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_model_that_belongs_to_an_account_is_scoped(model: Any) -> None:
    assert belongs_to_an_account(model) or isinstance(model.objects, StaffManager)
    assert isinstance(model.objects, ScopedManager) or model in HISTORIES


def test_a_history_belongs_to_a_scoped_model() -> None:
    """Histories have plain managers: test_escape_hatch knows every use of them."""
    assert [history for history in HISTORIES if history.instance_type not in SCOPED] == []


@EACH_SCOPED_MODEL
def test_djangos_own_manager_is_the_unscoped_one(model: Any) -> None:
    assert model._default_manager is not model.objects
    assert model._default_manager == model.unscoped
    assert not isinstance(model._base_manager, ScopedManager)


def is_refused(model: Any, query: str) -> bool:
    """Tell whether a query is refused before it even looks at its arguments."""
    try:
        getattr(model.objects, query)()
    except UnscopedQueryError as error:
        return str(error) == f"{model.__name__}.objects answers only through visible_to(caller)."
    except TypeError:
        pass
    return False


@EACH_SCOPED_MODEL
def test_a_query_that_names_no_caller_raises(model: Any) -> None:
    assert {"all", "filter", "get", "count", "create", "values", "raw"} <= set(QUERIES)
    assert [query for query in QUERIES if not is_refused(model, query)] == []


def test_naming_the_database_is_no_way_round() -> None:
    with pytest.raises(UnscopedQueryError):
        Voicemailbox.objects.db_manager("default").all()


@EACH_SCOPED_MODEL
@pytest.mark.usefixtures("_rows_of_both_accounts")
def test_an_accounts_admin_sees_the_rows_of_the_account(model: Any, account: Account) -> None:
    alice = User.unscoped.get(auth_username="alice")
    every_row = list(model._base_manager.all())
    own = {row.pk for row in every_row if account_of(row) == account.pk}
    assert len(own) < len(every_row)
    assert bool(own) != isinstance(model.objects, StaffManager)
    assert {row.pk for row in model.objects.visible_to(alice)} == own


@EACH_SCOPED_MODEL
@pytest.mark.usefixtures("_rows_of_both_accounts")
def test_staff_see_every_row(model: Any, staff: User) -> None:
    assert set(model.objects.visible_to(staff)) == set(model._base_manager.all())


@EACH_SCOPED_MODEL
@pytest.mark.usefixtures("_rows_of_both_accounts")
def test_a_plain_user_sees_no_row(model: Any, bob: User) -> None:
    assert not model.objects.visible_to(bob).exists()


@EACH_SCOPED_MODEL
@pytest.mark.usefixtures("_rows_of_both_accounts")
@pytest.mark.parametrize("name", ["alice", "staff"])
def test_a_disabled_admin_sees_no_row(model: Any, account: Account, name: str) -> None:
    make_user("deputy", Role.ACCOUNT_ADMIN, account)
    caller = User.unscoped.get(auth_username=name)
    with arranging():
        set_active(caller, is_active=False)
    assert not model.objects.visible_to(caller).exists()


@EACH_SCOPED_MODEL
@pytest.mark.usefixtures("_rows_of_both_accounts")
@pytest.mark.parametrize("caller", [AnonymousUser(), None], ids=["anonymous", "none"])
def test_nobody_sees_no_row(model: Any, caller: Any) -> None:
    assert not model.objects.visible_to(caller).exists()


def test_the_providers_staff_are_invisible_to_an_accounts_admin(alice: User, staff: User) -> None:
    assert staff not in User.objects.visible_to(alice)


def test_a_narrower_query_stays_within_the_scope(
    alice: User, other_organization: Organization
) -> None:
    foreign = make_voicemailbox(other_organization)
    boxes = Voicemailbox.objects.visible_to(alice)
    assert not boxes.filter(pk=foreign.pk).exists()
    assert not boxes.filter(organization=other_organization).exists()


def test_every_admin_page_of_our_models_is_scoped() -> None:
    pages = {model: page for model, page in admin.site._registry.items() if model in OURS}
    assert [page for page in pages.values() if not isinstance(page, ScopedAdmin)] == []
    assert pages.keys() >= {Account, Organization, User, Session, Change, Voicemailbox}


# What Django does by itself is not scoped, or it would overlook rows of other accounts.


def test_full_clean_refuses_a_domain_of_another_account(
    account: Account, other_organization: Organization
) -> None:
    duplicate = Organization(account=account, domain=other_organization.domain)
    with pytest.raises(ValidationError) as raised:
        duplicate.full_clean()
    assert raised.value.messages == ["This domain is already in use."]


def test_full_clean_refuses_an_authentication_name_of_another_account(
    account: Account, charlie: User
) -> None:
    duplicate = User(auth_username=charlie.auth_username, account=account, role=Role.USER)
    duplicate.set_password("whatever it is")
    with pytest.raises(ValidationError) as raised:
        duplicate.full_clean()
    assert raised.value.messages == ["This authentication name is already in use."]


def test_full_clean_refuses_a_number_and_an_address_that_are_taken(
    organization: Organization,
) -> None:
    make_voicemailbox(organization, mailbox=7011, username="joe.vm")
    duplicate = Voicemailbox(
        account_id=organization.account_id,
        organization=organization,
        mailbox=7011,
        username="Joe.VM",
        password="4711",
        fullname="Joe Smith",
    )
    with pytest.raises(ValidationError) as raised:
        duplicate.full_clean()
    assert raised.value.message_dict == {
        "mailbox": ["This mailbox is already in use in this organization."],
        "username": [
            "This address is already in use, is reserved, or is otherwise unavailable for use."
        ],
    }


def test_full_clean_finds_the_account_that_a_foreign_key_names(account: Account) -> None:
    unknown = Organization(account_id=account.pk + 1000, domain="new.example.com")
    with pytest.raises(ValidationError) as raised:
        unknown.full_clean()
    assert list(raised.value.message_dict) == ["account"]


def test_relations_lead_in_both_directions(organization: Organization) -> None:
    box = make_voicemailbox(organization)
    again = Voicemailbox.unscoped.get(pk=box.pk)
    assert again.organization == organization
    assert list(organization.voicemailboxes.all()) == [box]
    assert list(organization.account.organizations.all()) == [organization]


def test_a_row_reads_itself_again(organization: Organization) -> None:
    box = make_voicemailbox(organization)
    box.fullname = "Somebody Else"
    box.refresh_from_db()
    assert box.fullname == "Joe Smith"


def test_the_admin_knows_who_is_logged_in(alice: User) -> None:
    client = Client()
    client.force_login(alice)
    response = client.get("/admin/")
    assert response.status_code == 200
    assert response.wsgi_request.user == alice


def test_django_finds_a_user_by_the_name_to_log_in_with(alice: User) -> None:
    manager: Any = get_user_model()._default_manager
    assert manager.get_by_natural_key("alice") == alice
