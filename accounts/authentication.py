"""Who somebody is: by name and password, or by the SessionId of an API call."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.backends import BaseBackend
from django.db import DEFAULT_DB_ALIAS, Error, IntegrityError
from django.db.models.base import ModelState
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import lockout
from accounts.models import Role, Session, Status, User
from accounts.scoping import LookUp, ScopedStatement
from accounts.services import digest_of, touch_session
from voicemail_site.statements import Following, Param, Statement
from voicemail_site.webapi.action import EstablishedSession

logger = logging.getLogger(__name__)

_SESSION_ID = re.compile(r"[A-Za-z0-9]{26,64}")

# What a request needs to know of its user.
_OF_USER = ("id", "auth_username", "role", "account_id", "is_active")
LIVE_SESSION = Statement(
    lambda: Session.unscoped.found_by(
        digest=Param.of(Session, "digest"),
        now=Param.of(Session, "expires", "now"),
        idle_since=Param.of(Session, "last_used", "idle_since"),
        of_user=_OF_USER,
    )
)


def find_user(name: str) -> User | None:
    """Find a user by authentication name or ``user@domain``, in any case."""
    users = User.unscoped.select_related("account")
    username, at, domain = name.rpartition("@")
    if not at:
        return users.filter(auth_username=name).first()
    with_address = users.annotate(folded=Lower("username"))
    return with_address.filter(folded=username.lower(), organization__domain=domain).first()


def may_log_in(user: User) -> bool:
    """Tell whether a user, and the user's account, are enabled."""
    return user.is_active and (user.account is None or user.account.status == Status.ENABLED)


class UserBackend(BaseBackend):
    """Check a password, at the same cost whether or not the user exists or may log in."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if username is None or password is None:
            return None
        user = find_user(username)
        if user is None:
            User().set_password(password)
            return None
        if not user.check_password(password) or not may_log_in(user):
            return None
        return user

    def get_user(self, user_id: int) -> User | None:
        user = User.unscoped.select_related("account").filter(pk=user_id).first()
        return user if user is not None and may_log_in(user) else None


class LoginRefusedError(Exception):
    """A login that failed; ``is_locked`` where the password did not count any more."""

    def __init__(self, *, is_locked: bool) -> None:
        self.is_locked = is_locked
        super().__init__("locked" if is_locked else "failed")


def log_in(request: HttpRequest, *, username: str, password: str) -> User:
    """Check a name and a password for the API, and count the failures.

    Raises LoginRefusedError. It must not run inside a transaction that the refusal rolls back.
    """
    user = authenticate(request, username=username, password=password)
    is_locked = getattr(request, "axes_locked_out", False)
    # The library's middleware would turn the answer into its own page.
    request.axes_locked_out = False  # type: ignore[attr-defined]
    if not isinstance(user, User):
        raise LoginRefusedError(is_locked=is_locked)
    if not lockout.clear_failures(user):
        raise LoginRefusedError(is_locked=True)
    return user


def roles_of(user: User) -> tuple[str, ...]:
    """Give the names of a user's roles on the wire."""
    return (Role(user.role).label,)


class SessionIdAuthentication(BaseAuthentication):
    """Find the live session that the SessionId parameter names; a cookie is never looked at."""

    def authenticate(self, request: Request) -> tuple[User, EstablishedSession] | None:
        view = request.parser_context["view"]
        session_id = view.parameters.get("SessionId")
        if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
            return None
        now = timezone.now()
        key = {"digest": digest_of(session_id), "idle_since": now - settings.API_SESSION_IDLE}
        user = _find_user(view, now=now, **key)
        if user is None:
            return None
        return user, EstablishedSession(session_id, user.pk, roles_of(user))


def _find_user(view: Any, *, now: datetime, **key: Any) -> User | None:
    """Find who a session belongs to; what the request can write at once is written."""
    attempt = view.attempt() if Following.is_possible() else None
    if attempt is not None:
        # What others wrote meanwhile is told by the second way.
        with suppress(IntegrityError):
            found = attempt.carry_out(now=now, **key)
            if found is None:
                return None
            row, rows = found
            if not rows:
                return _user_of(row, now)
            view.written = attempt.tell(rows)
            try:
                _note_use(row, now)
            except Error:  # What is written stays written all the same.
                logger.warning("The use of a session was not noted.", exc_info=True)
            return _user(row)
    return _find_user_of_session(view.first_look_up(), now=now, **key)


def _find_user_of_session(look_up: LookUp | None, *, now: datetime, **key: Any) -> User | None:
    """Find who a session belongs to, and in the same round what the request looks up first.

    The session's use is noted.
    """
    if look_up is None or not Following.is_possible():
        for row in LIVE_SESSION.fetch(now=now, **key):
            return _user_of(row, now)
        return None
    statement, values = look_up
    for row, rows in _session_and(statement).fetch(now=now, **key, **values):
        user = _user_of(row, now)
        statement.keep(user, rows, **values)
        return user
    return None


def _user_of(row: Sequence[Any], now: datetime) -> User:
    _note_use(row, now)
    return _user(row)


def _note_use(row: Sequence[Any], now: datetime) -> None:
    session_pk, last_used, *_ = row
    touch_session(session_pk, last_used, now=now)


def _user(row: Sequence[Any]) -> User:
    """Make the user of a session's row, as of a pickle.

    ``from_db`` looks at each field that is not here, which takes 10 us more.
    """
    user = User.__new__(User)
    user._state = ModelState()
    user._state.adding, user._state.db = False, DEFAULT_DB_ALIAS
    vars(user).update(zip(_OF_USER, row[2:], strict=True))
    return user


@cache
def _session_and(statement: ScopedStatement) -> Following:
    return statement.after(LIVE_SESSION, User._meta.get_field("account"))
