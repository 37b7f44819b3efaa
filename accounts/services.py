"""What can be done to accounts, organizations, users and sessions, and by what rules.

Every function that writes to an object with a history runs inside ``record_change``.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.utils import timezone

from accounts.history import record_event
from accounts.integrity import reporting_taken
from accounts.models import (
    Account,
    Change,
    Organization,
    Role,
    Session,
    TimestampedModel,
    User,
)

# Sent inside the transaction with ``organization`` and ``domain``, the one that it had.
organization_renamed = Signal()

SESSION_ID_LENGTH = 32
_SESSION_ID_ALPHABET = string.ascii_letters + string.digits

RESTORED = "Restored"

Historic = TypeVar("Historic", bound=TimestampedModel)


def editable_fields(model: type[TimestampedModel], *fixed: str) -> tuple[str, ...]:
    """Name the fields that a former version gives back: those that an edit may change."""
    fields = model._meta.concrete_fields
    return tuple(each.name for each in fields if each.editable and each.name not in {"id", *fixed})


ACCOUNT_FIELDS = editable_fields(Account)
ORGANIZATION_FIELDS = editable_fields(Organization, "account")
# What a user may do, and whether they may log in, is nothing that going back in time decides.
USER_FIELDS = ("auth_username", "organization", "username", "email")


def add_account(account: Account) -> Account:
    """Store a new account. Raises ValidationError."""
    account.full_clean()
    account.save(force_insert=True)
    return account


def add_organization(organization: Organization) -> Organization:
    """Store a new organization. Raises ValidationError, also for a domain that is taken."""
    organization.full_clean()
    with reporting_taken(Organization):
        organization.save(force_insert=True)
    return organization


def edit_account(account: Account) -> bool:
    """Store what was changed of an account, and tell whether anything was.

    The sessions of a disabled account are refused as long as it is disabled. Raises
    ValidationError.
    """
    account.full_clean()
    return account.save_changed()


def edit_organization(organization: Organization) -> bool:
    """Store what was changed of an organization, and tell whether anything was.

    Its account never changes. Raises ValidationError, also for a domain that is taken.
    """
    if "account_id" in organization.changed_fields():
        raise ValidationError({"account": "An organization's account never changes."})
    organization.full_clean()
    former = organization.loaded("domain")
    with reporting_taken(Organization):
        is_changed = organization.save_changed()
    if former != organization.domain:
        organization_renamed.send(Organization, organization=organization, domain=former)
    return is_changed


def delete_account(account: Account) -> None:
    """Delete an account with its users, their sessions and its empty organizations.

    Raises ValidationError as long as it has a voicemail box.
    """
    try:
        account.delete()
    except IntegrityError as exc:  # Django's refusal, and the database's where a box came late.
        raise ValidationError(
            "This account still has voicemailboxes. Delete them first.", code="in_use"
        ) from exc


def delete_organization(organization: Organization) -> None:
    """Delete an organization.

    Raises ValidationError as long as it has a voicemail box or a user's address.
    """
    try:
        organization.delete()
    except IntegrityError as exc:  # Django's refusal, and the database's where a box came late.
        raise ValidationError(
            "This organization still has voicemailboxes or users' addresses. Delete them first.",
            code="in_use",
        ) from exc


def add_user(  # noqa: PLR0913  # They are the user's own columns.
    *,
    auth_username: str,
    role: str,
    password: str | None,
    account: Account | None = None,
    organization: Organization | None = None,
    username: str = "",
    email: str = "",
) -> User:
    """Create a user; without a password nobody can log in as them yet. Raises ValidationError."""
    user = User(
        auth_username=auth_username,
        role=role,
        account=account,
        organization=organization,
        username=username,
        email=email,
    )
    user.set_password(password)
    user.full_clean()
    with reporting_taken(User):
        user.save(force_insert=True)
    return user


def edit_user(user: User) -> bool:
    """Store what was changed of a user's names and e-mail, and tell whether anything was.

    Role, account, password and state have services of their own. Raises ValidationError.
    """
    beyond = {"role", "account_id", "is_active", "password"} & set(user.changed_fields())
    if beyond:
        raise ValidationError(f"Not to be edited here: {', '.join(sorted(beyond))}.")
    user.full_clean()
    with reporting_taken(User):
        return user.save_changed()


def change_role(user: User, *, role: str, actor: User) -> None:
    """Give a user another role within the account; ends the user's sessions.

    An account's admin may change others of the account, never themselves, and nobody of an
    account becomes provider staff. Raises ValidationError.
    """
    is_own_admin = actor.is_account_admin and actor.account_id == user.account_id
    if not actor.is_system_admin and (not is_own_admin or actor.pk == user.pk):
        raise ValidationError({"role": "You may not change this user's role."})
    if user.role == Role.ACCOUNT_ADMIN and role != Role.ACCOUNT_ADMIN:
        _keep_last_admin(user)
    user.role = role
    user.full_clean(exclude=["password"])
    if user.save_changed():
        end_sessions_of(user)


def set_password(user: User, password: str) -> None:
    """Give a user a new password; ends the user's sessions, and any password link."""
    user.set_password(password)
    user.password_link_made = None
    user.save(update_fields=["password", "password_link_made"])
    record_event(user, "Password changed")
    end_sessions_of(user)


def open_password_link(user: User) -> None:
    """Let one new link set a user's password; a link that was made before opens no more.

    Raises ValidationError for a disabled user.
    """
    if not user.is_active:
        raise ValidationError("This user is disabled. Enable the user first.", code="disabled")
    user.password_link_made = timezone.now()
    user.save(update_fields=["password_link_made"])
    record_event(user, "Password link made")


def set_active(user: User, *, is_active: bool) -> None:
    """Enable or disable a user; a disabled one's sessions and password link end.

    Raises ValidationError.
    """
    if not is_active and user.role == Role.ACCOUNT_ADMIN:
        _keep_last_admin(user)
    user.is_active = is_active
    if not is_active:
        user.password_link_made = None
    if user.save_changed() and not is_active:
        end_sessions_of(user)


def delete_user(user: User) -> None:
    """Delete a user with the user's sessions.

    Raises ValidationError for an account's last admin.
    """
    if user.role == Role.ACCOUNT_ADMIN:
        _keep_last_admin(user)
    user.delete()


def _keep_last_admin(user: User) -> None:
    """Refuse to take away the last enabled admin of an account.

    The account's row is locked, so that two admins can't take away each other at once.
    """
    account = Account.unscoped.select_for_update().filter(users=user).get()
    admins = account.users.filter(role=Role.ACCOUNT_ADMIN, is_active=True)
    others = admins.exclude(pk=user.pk)
    if not others.exists():
        raise ValidationError("An account keeps its last admin.", code="last_admin")


def as_in(row: Any, present: Historic, fields: Iterable[str]) -> Historic:
    """Give an object the values that these fields have in a row of its history, unsaved.

    Raises ValidationError where they can't be stored any more.
    """
    for name in fields:
        column = present._meta.get_field(name).attname  # type: ignore[union-attr]  # no relation back
        setattr(present, column, getattr(row, column))
    try:
        present.full_clean()
    except Organization.DoesNotExist as exc:
        gone = ValidationError("This organization no longer exists.", code="deleted")
        raise ValidationError({"organization": gone}) from exc
    return present


def restore_account(row: Any) -> Account:
    """Give an account the values of a row of its history. Raises ValidationError."""
    return _restore(row, _held(Account, row), ACCOUNT_FIELDS, edit_account)


def restore_organization(row: Any) -> Organization:
    """Give an organization the values of a row of its history. Raises ValidationError."""
    return _restore(row, _held(Organization, row), ORGANIZATION_FIELDS, edit_organization)


def restore_user(row: Any) -> User:
    """Give a user the names and addresses of a row of the user's history.

    Role, password and state stay as they are. Raises ValidationError.
    """
    return _restore(row, _held(User, row), USER_FIELDS, edit_user)


def _held(model: type[Historic], row: Any) -> Historic:
    """Lock the object of a row, which its holder has looked up within the scope."""
    found: Historic | None = model.unscoped.select_for_update().filter(pk=row.id).first()  # type: ignore[attr-defined]  # each has it
    if found is None:
        raise ValidationError(f"This {model._meta.verbose_name} no longer exists.", code="deleted")
    return found


def _restore(
    row: Any, present: Historic, fields: Iterable[str], edit: Callable[[Historic], bool]
) -> Historic:
    restored = as_in(row, present, fields)
    restored._change_reason = RESTORED  # type: ignore[attr-defined]  # simple-history's
    edit(restored)
    return restored


def digest_of(session_id: str) -> str:
    """Give the digest under which a session is stored.

    A plain hash is enough: a SessionId has 190 bits, unlike a password.
    """
    return hashlib.sha256(session_id.encode()).hexdigest()


def open_session(
    user: User, *, now: datetime, client_address: str | None, user_agent: str
) -> tuple[str, Session]:
    """Log a user in to the API and give the SessionId, which is stored nowhere."""
    session_id = "".join(secrets.choice(_SESSION_ID_ALPHABET) for _ in range(SESSION_ID_LENGTH))
    session = Session.unscoped.create(
        digest=digest_of(session_id),
        user=user,
        created=now,
        last_used=now,
        expires=now + settings.API_SESSION_AGE,
        client_address=client_address or None,
        user_agent=user_agent.replace("\0", "")[:255],
    )
    return session_id, session


def touch_session(pk: int, last_used: datetime, *, now: datetime) -> None:
    """Note that a session is in use, at most once a minute."""
    idle_since = now - Session.TOUCH_INTERVAL
    if last_used <= idle_since:
        Session.unscoped.filter(pk=pk, last_used__lte=idle_since).update(last_used=now)


def end_session(session_id: str) -> None:
    """End one session; it is no error if it has ended already."""
    Session.unscoped.filter(digest=digest_of(session_id)).delete()


def end_sessions(sessions: QuerySet[Session]) -> int:
    """End these API sessions, and count them; the next call with one is refused."""
    count, _ = sessions.delete()
    return count


def end_sessions_of(user: User) -> int:
    """End every API session of a user, and count them.

    The admin logins end with the rights that they hash.
    """
    with transaction.atomic():
        return end_sessions(user.sessions.all())


def purge_changes(*, before: datetime, batch: int, dry_run: bool = False) -> int:
    """Delete the changes made before a time, with their history rows, and count them.

    Each batch is a transaction of its own, so that others are not kept waiting.
    """
    old = Change.unscoped.filter(created__lt=before).order_by("id")
    if dry_run:
        return old.count()
    count = 0
    while ids := list(old.values_list("pk", flat=True)[:batch]):
        Change.unscoped.filter(pk__in=ids).delete()
        count += len(ids)
    return count


def purge_sessions(*, now: datetime, batch: int, dry_run: bool = False) -> int:
    """Delete the API sessions that have ended by a given time, and count them.

    Each batch is a transaction of its own, so that others are not kept waiting.
    """
    ended = Session.unscoped.ended_at(now).order_by("pk")
    if dry_run:
        return ended.count()
    count = last = 0
    while ids := list(ended.filter(pk__gt=last).values_list("pk", flat=True)[:batch]):
        Session.unscoped.filter(pk__in=ids).delete()
        count, last = count + len(ids), ids[-1]
    return count
