"""Locking a user after too many wrong passwords, and slowing down an address that guesses.

django-axes keeps the counts. Its own handler keeps one for each address and client, and decides
before the password is checked; here there is one count for each user, whatever the spelling, and
it is settled under a row lock when the check is over. So of any number of simultaneous wrong
passwords exactly as many are counted as the limit allows (docs/protocol.md, Lock-out).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt, AccessFailureLog
from axes.signals import user_locked_out
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User

# One row a user: the library's key has an address and a client as well.
_ANY_CLIENT = {"ip_address": "0.0.0.0", "user_agent": ""}  # noqa: S104  # No address is bound.
_ADDRESS_WINDOW = timedelta(minutes=1)
_FORGOTTEN_AT_ONCE = 100


def canonical_username(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Give the one name under which all spellings of a user are counted.

    A name that nobody has counts like any other.
    """
    from accounts.authentication import find_user

    credentials = credentials or {}
    name = str(credentials.get("username") or credentials.get(User.USERNAME_FIELD) or "")
    user = find_user(name)
    return user.auth_username if user else name.lower()[:255]


def client_address(request: HttpRequest) -> str | None:
    """Give the client's address; trusted proxies have been seen through by now."""
    return request.META.get("REMOTE_ADDR") or None


def is_locked_at(attempt: AccessAttempt | None, now: datetime) -> bool:
    """Tell whether a user's failures lock the user at a given time."""
    return (
        attempt is not None
        and attempt.failures_since_start >= settings.LOGIN_FAILURE_LIMIT
        and bool(attempt.attempt_time > now - settings.LOGIN_LOCK)
    )


def locks_at(now: datetime) -> QuerySet[Any]:
    """Give the counts that lock a user at a given time, each under the authentication name."""
    locks: QuerySet[Any] = AccessAttempt.objects.filter(
        **_ANY_CLIENT,
        failures_since_start__gte=settings.LOGIN_FAILURE_LIMIT,
        attempt_time__gt=now - settings.LOGIN_LOCK,
    )
    return locks


def is_guessing(address: str | None, now: datetime) -> bool:
    """Tell whether too many logins failed from this address in the last minute."""
    recent = AccessFailureLog.objects.filter(
        ip_address=address, attempt_time__gt=now - _ADDRESS_WINDOW
    )
    return bool(recent.count() >= settings.LOGIN_FAILURES_PER_ADDRESS)


def clear_failures(user: User) -> bool:
    """Forget a user's failures after a right password; tell whether the login may go on.

    It may not where simultaneous wrong ones have locked the user meanwhile.
    """
    with transaction.atomic():
        attempt = _attempts(user.auth_username).select_for_update().first()
        if attempt is None:
            return True
        if is_locked_at(attempt, timezone.now()):
            return False
        attempt.delete()
    return True


def unlock(user: User) -> bool:
    """Let a locked user log in again at once; tell whether the user was locked."""
    attempt = _attempts(user.auth_username).first()
    _attempts(user.auth_username).delete()
    return is_locked_at(attempt, timezone.now())


def locked_message() -> str:
    """Say to somebody who is locked how long to wait (docs/protocol.md, Errors)."""
    minutes = int(settings.LOGIN_LOCK.total_seconds() // 60)
    return (
        f"You have failed to log in too many times. Please wait {minutes} minutes then try again."
    )


def _attempts(username: str) -> QuerySet[Any]:
    attempts: QuerySet[Any] = AccessAttempt.objects.filter(username=username, **_ANY_CLIENT)
    return attempts


def _forget(model: type[AccessAttempt | AccessFailureLog], before: datetime) -> None:
    """Delete what counts no more, so that the tables stay as small as the guessing is slow.

    Rows that another failure holds are left to it: to wait for them could become a deadlock.
    """
    old = model.objects.filter(attempt_time__lte=before).select_for_update(skip_locked=True)
    model.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])
    ).delete()


def _held_attempt(username: str) -> AccessAttempt:
    """Give the one row of a user, made if there is none, and held until the transaction ends.

    To look first would lose against a success that deletes the row in between.
    """
    AccessAttempt.objects.bulk_create(
        [AccessAttempt(username=username, **_ANY_CLIENT, failures_since_start=0)],
        update_conflicts=True,
        unique_fields=["username", *_ANY_CLIENT],
        update_fields=["username"],
    )
    return _attempts(username).get()


class UserLockoutHandler(AxesDatabaseHandler):  # type: ignore[misc]  # axes is untyped
    """The library's handler with one count a user, settled after the check."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Tell whether the user is locked, or the address guesses."""
        now = timezone.now()
        attempt = _attempts(canonical_username(request, credentials)).first()
        return is_locked_at(attempt, now) or is_guessing(request.axes_ip_address, now)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any
    ) -> None:
        """Count a failure, unless the user is locked by now: a lock is never prolonged."""
        if request is None or request.axes_locked_out:
            return
        username = canonical_username(request, credentials)
        with transaction.atomic():
            attempt = _held_attempt(username)
            if is_locked_at(attempt, timezone.now()):
                request.axes_locked_out = True
                return
            self._count(attempt, request)

    def _count(self, attempt: AccessAttempt, request: Any) -> None:
        now = timezone.now()
        if attempt.attempt_time <= now - settings.LOGIN_LOCK:
            attempt.failures_since_start = 0
        attempt.failures_since_start += 1
        attempt.attempt_time = now
        attempt.save(update_fields=["failures_since_start", "attempt_time"])
        if attempt.failures_since_start == settings.LOGIN_FAILURE_LIMIT:
            user_locked_out.send(
                "axes",
                request=request,
                username=attempt.username,
                ip_address=request.axes_ip_address,
            )
        AccessFailureLog.objects.create(
            username=attempt.username,
            ip_address=request.axes_ip_address,
            user_agent=request.axes_user_agent,
            path_info=request.axes_path_info,
            http_accept=request.axes_http_accept,
        )
        _forget(AccessAttempt, now - settings.LOGIN_LOCK)
        _forget(AccessFailureLog, now - _ADDRESS_WINDOW)

    def user_logged_in(self, sender: Any, request: Any, user: User, **kwargs: Any) -> None:
        """Forget the failures of a user who logged in to the admin."""
        clear_failures(user)

    def user_logged_out(self, sender: Any, request: Any, user: User, **kwargs: Any) -> None:
        """Nothing is kept of a logout."""
