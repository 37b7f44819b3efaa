"""The history read back: what was changed of an object, by whom, when and by which way.

Rows are reached through ``rows_visible_to`` alone. Secrets are never told, only that they changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Case, Count, F, Min, OuterRef, Q, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.utils.text import capfirst

from accounts.models import Change, Organization, User

PROVIDER_STAFF = "Provider staff"

SECRET = frozenset({"password"})
CHANGED = "changed"

# They follow from what else is told, or are the same in every version.
_NOT_TOLD = frozenset({"id", "account", "created", "modified", "contact_modified"})

Names = Mapping[int, str]


@dataclass(frozen=True)
class Difference:
    """One field with its value before and after, in the words of the forms."""

    label: str
    old: str
    new: str
    is_secret: bool = False


@dataclass(frozen=True)
class Version:
    """One state of an object, and how it differs from the one before."""

    row: Any
    previous: Any | None
    organizations: Names

    @property
    def what(self) -> str:
        """Tell what happened to the object."""
        if self.row.history_change_reason:
            return str(self.row.history_change_reason)
        return {"+": "Added", "~": "Changed", "-": "Deleted"}[self.row.history_type]

    @property
    def name(self) -> str:
        """Give the object's name of that time."""
        return str(object_of(self.row))

    @property
    def is_deletion(self) -> bool:
        return bool(self.row.history_type == "-")

    @property
    def is_addition(self) -> bool:
        return bool(self.previous is None and self.row.history_type == "+")

    @property
    def organization(self) -> str:
        """Give the domain of the object's organization."""
        return _told(self.row._meta.get_field("organization"), self.row, self.organizations)

    @property
    def is_first_kept(self) -> bool:
        """Tell whether the version before was purged, so that nothing can be compared."""
        return bool(self.previous is None and self.row.history_type == "~")

    @property
    def differences(self) -> Sequence[Difference]:
        """List what was changed; of a new object what it began with."""
        if self.is_deletion or self.is_first_kept:
            return []
        return differences(self.previous, self.row, self.organizations)


def rows_visible_to(model: type[models.Model], viewer: Any) -> models.QuerySet[Any]:
    """Give the history rows of a model that a viewer may see, the newest first."""
    rows: models.QuerySet[Any] = model.history.model.objects.order_by("-history_id")  # type: ignore[attr-defined]  # simple-history's
    if not viewer.is_active:
        return rows.none()
    if viewer.is_system_admin:
        return rows
    return rows.filter(account_id=viewer.account_id) if viewer.is_account_admin else rows.none()


def author_as_seen_by(viewer: Any, change: str = "") -> Combinable:
    """Give an author's name; to an account's admin the provider's staff have no names.

    ``change`` leads from the rows to their Change, such as ``change__``.
    """
    actor = F(f"{change}actor")
    return actor if viewer.is_system_admin else _name_or_staff(change, actor)


def _name_or_staff(change: str, actor: F) -> Combinable:
    is_staff = When(is_by_staff(change), then=Value(PROVIDER_STAFF))
    return Case(is_staff, default=actor)


def is_by_staff(change: str = "") -> Q:
    """Ask for changes whose author is of no account; the users of deleted ones are known still."""
    of_accounts = User.history.filter(history_type="-", account__isnull=False).values("id")
    known = Q((f"{change}user__account__isnull", False)) | Q((f"{change}user_id__in", of_accounts))
    return ~known & Q((f"{change}user__isnull", False))


def versions_of(rows: models.QuerySet[Any], viewer: Any) -> list[Version]:
    """Give these rows with the ones before them, in three statements however many there are."""
    earlier = rows.model.objects.filter(
        id=OuterRef("id"), history_id__lt=OuterRef("history_id")
    ).order_by("-history_id")
    found = list(
        rows.select_related("change").annotate(
            author=author_as_seen_by(viewer, "change__"),
            previous_id=Subquery(earlier.values("history_id")[:1]),
        )
    )
    previous: Mapping[int, Any] = rows.model.objects.in_bulk(
        [row.previous_id for row in found if row.previous_id], field_name="history_id"
    )
    names = organization_names([*found, *previous.values()], viewer)
    return [Version(row, previous.get(row.previous_id), names) for row in found]


def organization_names(rows: Iterable[Any], viewer: Any) -> Names:
    """Give the domains of the organizations that these rows name, as far as they still exist."""
    ids: set[Any] = {getattr(row, "organization_id", None) for row in rows} - {None}
    if not ids:
        return {}
    found = Organization.objects.visible_to(viewer).filter(pk__in=ids)
    return dict(found.values_list("pk", "domain"))


def object_of(row: Any) -> Any:
    """Give the object as it was, unsaved, with the columns that its history keeps."""
    columns = (field.attname for field in type(row).tracked_fields)
    return row.instance_type(**{name: getattr(row, name) for name in columns})


def differences(
    old: Any | None, new: Any, organizations: Names, fields: Iterable[str] | None = None
) -> list[Difference]:
    """Compare two states of an object, rows of its history or itself, in these fields or in all.

    ``old`` is None for a new object: then what it begins with is told.
    """
    wanted = None if fields is None else set(fields)
    tracked = new.tracked_fields if hasattr(new, "tracked_fields") else new._meta.fields
    told = [
        field
        for field in tracked
        if field.name not in _NOT_TOLD and (wanted is None or field.name in wanted)
    ]
    return list(_differences(old, new, told, organizations))


def _differences(
    old: Any | None, new: Any, fields: Iterable[Any], organizations: Names
) -> Iterator[Difference]:
    for field in fields:
        before = getattr(old, field.attname) if old is not None else None
        after = getattr(new, field.attname)
        if before == after or (old is None and after in (None, "", False)):
            continue
        label = capfirst(str(field.verbose_name))
        if field.name not in SECRET:
            before_told = "" if old is None else _told(field, old, organizations)
            yield Difference(label, before_told, _told(field, new, organizations))
        elif old is not None:
            yield Difference(label, "", CHANGED, is_secret=True)


def _told(field: Any, row: Any, organizations: Names) -> str:
    """Write a value as the forms do."""
    value = getattr(row, field.attname)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.name == "organization":
        return organizations.get(value, f"organization {value}, since deleted")
    return str(getattr(row, f"get_{field.name}_display")() if field.choices else value)


@dataclass(frozen=True)
class Touched:
    """What a Change did to the objects of one model: the first of them, and their number."""

    row: Any
    number: int

    @property
    def name(self) -> str:
        return str(object_of(self.row))


def touched_by(
    changes: Iterable[Change], model: type[models.Model], viewer: Any
) -> dict[int, Touched]:
    """Give what these changes touched of a model, by the change's id, in two statements."""
    rows = rows_visible_to(model, viewer)
    grouped = rows.filter(change__in=[change.pk for change in changes]).order_by().values("change")
    counted = list(grouped.annotate(first=Min("history_id"), number=Count("history_id")))
    first = rows.in_bulk([each["first"] for each in counted], field_name="history_id")
    return {each["change"]: Touched(first[each["first"]], each["number"]) for each in counted}
