"""The way back from a whole Change, be it one edit or an import.

What it added is deleted, what it deleted is brought back, and what it edited gets its former
values, each through the services. An object that was changed again since stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any, Protocol

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Subquery
from django.utils import timezone

from accounts import services
from accounts.history import because
from accounts.integrity import reporting_taken
from accounts.models import Account, Change, Organization, TimestampedModel, User
from accounts.versions import object_of, rows_visible_to

_AT_ONCE = 1000
_TOLD_AT_MOST = 100
# They follow from the other values.
_FOLLOWING = frozenset({"modified", "contact_modified"})


class PutBack(Protocol):
    """Gives an object the values of a row of its history, or brings a deleted one back."""

    def __call__(self, row: Any, present: Any | None, *, reason: str, actor: User) -> Any:
        """Store it, and give it. Raises ValidationError."""


@dataclass(frozen=True)
class Reversal:
    """How the objects of a model go back, through its services."""

    model: type[TimestampedModel]
    put_back: PutBack
    # It is told the Change that added the object.
    delete: Callable[[Any, Change], None]
    # Deletes many at once, with a reason, where none of them can be refused.
    delete_many: Callable[[Sequence[Any], str], None] | None = None


class Effect(models.TextChoices):
    """What undoing does to an object."""

    DELETED = "deleted"
    BROUGHT_BACK = "brought back"
    CHANGED = "changed"


@dataclass(frozen=True)
class Undone:
    """An object that went back, and how."""

    effect: Effect
    model: type[TimestampedModel]
    pk: int
    name: str


class UndoRefusedError(ValidationError):
    """Raised where something stands in the way of undoing; tells all of it."""


_reversals: list[Reversal] = []


def register(reversal: Reversal) -> None:
    """Let the changes of a model be undone; what a model belongs to is registered before it."""
    if reversal not in _reversals:
        _reversals.append(reversal)


def historic_models() -> list[type[TimestampedModel]]:
    """Give the models whose changes are recorded, each after those that it belongs to."""
    return [each.model for each in _reversals]


def undo_change(change: Change, *, actor: User) -> Iterator[Undone]:
    """Undo a Change, inside ``record_change``, and tell of each object that went back.

    Raises UndoRefusedError at the end, with everything that stood in the way.
    """
    obstacles: list[str] = []
    for delete_many, objects in groupby(_objects(change, actor), key=lambda each: each.delete_many):
        if delete_many is not None:
            yield from _delete_many(delete_many, objects, change)
            continue
        for each in objects:
            try:
                with transaction.atomic():
                    undone = each.undo()
            except ValidationError as exc:
                obstacles.append(f"{each}: {' '.join(exc.messages)}")
            else:
                yield from [] if undone is None else [undone]
    if obstacles:
        raise UndoRefusedError(_limited(obstacles))


def _delete_many(
    delete: Callable[[Sequence[Any], str], None], objects: Iterator[_Object], change: Change
) -> Iterator[Undone]:
    while some := list(islice(objects, _AT_ONCE)):
        undone = [each.told(each.present, Effect.DELETED) for each in some]
        delete([each.present for each in some], _reason(change))
        yield from undone


def _reason(change: Change) -> str:
    return f"Undone: change {change.pk}"


def _limited(obstacles: list[str]) -> list[str]:
    more = len(obstacles) - _TOLD_AT_MOST
    return [*obstacles[:_TOLD_AT_MOST], *([f"And {more:,} more."] if more > 0 else [])]


def _objects(change: Change, actor: User) -> Iterator[_Object]:
    """Give each object of a Change, those that were written last first."""
    of_each = [_objects_of(reversal, change, actor) for reversal in _reversals]
    # Of objects of one time, those that belong to others come first.
    yield from merge(*reversed(of_each), key=lambda each: each.row.history_date, reverse=True)


def _objects_of(reversal: Reversal, change: Change, actor: User) -> Iterator[_Object]:
    rows = rows_visible_to(reversal.model, actor)
    of_change = rows.filter(change=change)
    later = of_change.filter(id=OuterRef("id"), history_id__gt=OuterRef("history_id")).order_by()
    of_object, ids = rows.filter(id=OuterRef("id")), {}
    ids["newest_id"] = of_object
    ids["first_id"] = of_object.filter(change=change).order_by("history_id")
    ids["former_id"] = of_object.filter(history_id__lt=OuterRef("history_id")).exclude(
        change=change
    )
    last_ones = of_change.filter(~Exists(later)).annotate(
        **{name: Subquery(found.values("history_id")[:1]) for name, found in ids.items()}
    )
    batch = list(last_ones[:_AT_ONCE])
    while batch:
        yield from _with_facts(reversal, batch, change, actor)
        batch = list(last_ones.filter(history_id__lt=batch[-1].history_id)[:_AT_ONCE])


def _with_facts(
    reversal: Reversal, batch: list[Any], change: Change, actor: User
) -> Iterator[_Object]:
    """Hold the objects of some rows, and give them with the rows around these."""
    objects: Any = reversal.model.objects  # type: ignore[attr-defined]  # Each has it.
    held = objects.visible_to(actor).select_for_update().filter(pk__in=[row.id for row in batch])
    present = {obj.pk: obj for obj in held.order_by("pk")}
    known = {row.history_id: row for row in batch}
    around = {pk for row in batch for pk in (row.newest_id, row.first_id, row.former_id)}
    rows = rows_visible_to(reversal.model, actor)
    known |= rows.in_bulk(around - known.keys() - {None}, field_name="history_id")
    for row in batch:
        yield _Object(
            reversal=reversal,
            row=row,
            newest=known[row.newest_id],
            first=known[row.first_id],
            former=known.get(row.former_id),
            present=present.get(row.id),
            change=change,
            actor=actor,
        )


@dataclass(frozen=True)
class _Object:
    """One object of a Change, as it is, held, and the rows of its history that matter.

    ``first`` and ``row`` are the first and the last one that the Change wrote, ``former`` is the
    one before, and ``newest`` the last of all.
    """

    reversal: Reversal
    row: Any
    newest: Any
    first: Any
    former: Any | None
    present: Any | None
    change: Change
    actor: User

    def __str__(self) -> str:
        return f"{self.reversal.model._meta.verbose_name} {self.row.id} ({object_of(self.row)})"

    @property
    def delete_many(self) -> Callable[[Sequence[Any], str], None] | None:
        """Give the way to delete it with others, if it goes and nothing is in the way."""
        goes = self.present is not None and not self._obstacle and self._state_before() is None
        return self.reversal.delete_many if goes else None

    def undo(self) -> Undone | None:
        """Take back what the Change did to the object. Raises ValidationError."""
        if self._obstacle:
            raise ValidationError(self._obstacle)
        before = self._state_before()
        if before is None:
            return self._delete()
        if self.present is None:
            return self._put_back(before, Effect.BROUGHT_BACK)
        if _are_equal(before, self.row):
            return None
        return self._put_back(before, Effect.CHANGED)

    def told(self, obj: Any, effect: Effect) -> Undone:
        """Tell what became of the object."""
        return Undone(effect, self.reversal.model, obj.pk, str(obj))

    @property
    def _obstacle(self) -> str:
        is_gone, was_gone = (row.history_type == "-" for row in (self.newest, self.row))
        if is_gone != was_gone or not _are_equal(self.newest, self.row):
            return f"It was changed again since, last by change {self.newest.change_id}."
        if self.former is None and self.first.history_type == "~":
            return "Its former values are no longer kept."
        return ""

    def _state_before(self) -> Any | None:
        """Give the row that tells the state before, None where the object was not there."""
        if self.former is None:
            return self.first if self.first.history_type == "-" else None
        return None if self.former.history_type == "-" else self.former

    def _delete(self) -> Undone | None:
        if self.present is None:
            return None
        undone = self.told(self.present, Effect.DELETED)
        with because(self.present, _reason(self.change)):
            self.reversal.delete(self.present, self.change)
        return undone

    def _put_back(self, before: Any, effect: Effect) -> Undone:
        reason = _reason(self.change)
        stored = self.reversal.put_back(before, self.present, reason=reason, actor=self.actor)
        return self.told(stored, effect)


def _are_equal(one: Any, other: Any) -> bool:
    names = (each.attname for each in one.tracked_fields if each.name not in _FOLLOWING)
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _return(obj: Any, reason: str) -> Any:
    """Store a deleted object again, with its id."""
    obj.modified = timezone.now()
    try:
        obj.full_clean()
    except (Account.DoesNotExist, Organization.DoesNotExist) as exc:
        raise ValidationError("What it belonged to no longer exists.", code="deleted") from exc
    with because(obj, reason), reporting_taken(type(obj)):
        obj.save(force_insert=True)
    return obj


def _put_back_account(row: Any, present: Any | None, *, reason: str, actor: User) -> Account:
    if present is None:
        return _return(object_of(row), reason)  # type: ignore[no-any-return]  # of the row's model
    account: Account = services.as_in(row, present, services.ACCOUNT_FIELDS)
    with because(account, reason):
        services.edit_account(account)
    return account


def _put_back_organization(
    row: Any, present: Any | None, *, reason: str, actor: User
) -> Organization:
    if present is None:
        return _return(object_of(row), reason)  # type: ignore[no-any-return]  # of the row's model
    organization: Organization = services.as_in(row, present, services.ORGANIZATION_FIELDS)
    with because(organization, reason):
        services.edit_organization(organization)
    return organization


def _put_back_user(row: Any, present: Any | None, *, reason: str, actor: User) -> User:
    """Give a user the names, the role and the state of a row; one who returns has no password."""
    if present is None:
        user: User = object_of(row)
        user.set_unusable_password()
        return _return(user, reason)  # type: ignore[no-any-return]  # of the row's model
    user = services.as_in(row, present, services.USER_FIELDS)
    with because(user, reason):
        services.edit_user(user)
        if user.is_active != row.is_active:
            services.set_active(user, is_active=row.is_active)
        if user.role != row.role:
            services.change_role(user, role=row.role, actor=actor)
    return user


def _delete_account(account: Account, change: Change) -> None:
    """Delete an account that has nothing, as when it was added. Raises ValidationError."""
    if account.organizations.exists() or account.users.exists():
        raise ValidationError(
            "This account has organizations or users that were added since.", code="in_use"
        )
    services.delete_account(account)


def _delete_organization(organization: Organization, change: Change) -> None:
    services.delete_organization(organization)


def _delete_user(user: User, change: Change) -> None:
    """Delete a user, the last admin only of an account that goes as well."""
    added = Account.history.filter(id=user.account_id, change=change, history_type="+")
    if user.account_id and added.exists():
        user.delete()
    else:
        services.delete_user(user)


register(Reversal(Account, _put_back_account, _delete_account))
register(Reversal(Organization, _put_back_organization, _delete_organization))
register(Reversal(User, _put_back_user, _delete_user))
