"""What every test runs in, and the cast: alice, bob and charlie, and the provider's staff."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from accounts.models import Account, Organization, Role, User
from accounts.services import open_session
from tests.api import ApiClient
from tests.factories import make_account, make_organization, make_user


@pytest.fixture(scope="session", autouse=True)
def _quick_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hash passwords quickly, need no collected static files, and see each statement's own text."""
    staticfiles = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        DATABASE_PREPARE=False,
        STATIC_ROOT=tmp_path_factory.mktemp("static"),
        STORAGES=settings.STORAGES | {"staticfiles": staticfiles},
    ):
        yield


@pytest.fixture
def account(db: None) -> Account:
    """Give the account of alice and bob."""
    return make_account(contact_organization="Acme")


@pytest.fixture
def organization(account: Account) -> Organization:
    """Give an organization of alice's account."""
    return make_organization(account, domain="acme.example.com")


@pytest.fixture
def other_account(db: None) -> Account:
    """Give the account of charlie."""
    return make_account(contact_organization="Globex")


@pytest.fixture
def other_organization(other_account: Account) -> Organization:
    """Give an organization of charlie's account."""
    return make_organization(other_account, domain="globex.example.com")


@pytest.fixture
def alice(account: Account) -> User:
    """Give an admin of the account."""
    return make_user("alice", Role.ACCOUNT_ADMIN, account)


@pytest.fixture
def bob(account: Account) -> User:
    """Give a plain user of the account."""
    return make_user("bob", Role.USER, account)


@pytest.fixture
def charlie(other_account: Account) -> User:
    """Give an admin of another account."""
    return make_user("charlie", Role.ACCOUNT_ADMIN, other_account)


@pytest.fixture
def staff(db: None) -> User:
    """Give a user of the provider's staff."""
    return make_user("staff", Role.SYSTEM_ADMIN)


@pytest.fixture
def api() -> ApiClient:
    """Give a client without a session."""
    return ApiClient()


def _logged_in(user: User) -> ApiClient:
    session_id, _ = open_session(
        user, now=timezone.now(), client_address="127.0.0.1", user_agent="test"
    )
    return ApiClient(session_id)


@pytest.fixture
def as_alice(alice: User) -> ApiClient:
    return _logged_in(alice)


@pytest.fixture
def as_bob(bob: User) -> ApiClient:
    return _logged_in(bob)


@pytest.fixture
def as_charlie(charlie: User) -> ApiClient:
    return _logged_in(charlie)


@pytest.fixture
def as_staff(staff: User) -> ApiClient:
    return _logged_in(staff)
