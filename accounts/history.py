"""Who changed what: one Change for each request, and a history row for each object it touched."""

from __future__ import annotations

import getpass
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection, models, transaction
from django.utils import timezone
from simple_history.models import HistoricalRecords

from voicemail_site.writes import CompiledModel, insertion, own_fields, prepared, run

if TYPE_CHECKING:
    from accounts.models import Account, Change, User


@dataclass
class OpenChange:
    """What the Change will say, and its id once a history row needed it."""

    facts: dict[str, Any]
    pk: int | None = None

    @property
    def user_id(self) -> int | None:
        user = self.facts["user"]
        return user.pk if user else None

    def values(self, account_id: int | None) -> dict[str, Any]:
        """Give the columns of the Change about this account; given another one it is of none."""
        account = self.facts["account"]
        is_other = account is not None and account.pk != account_id
        own = {"user_id": self.user_id, "account_id": None if is_other else account_id}
        named = {name: self.facts[name] for name in ("actor", "channel", "request_id", "created")}
        return named | own


_open_change: ContextVar[OpenChange | None] = ContextVar("open_change", default=None)


def open_change() -> OpenChange:
    """Give what the open Change will say. Raises ChangeRequiredError where none is open."""
    opened = _open_change.get()
    if opened is None:
        raise ChangeRequiredError
    return opened


class ChangeRequiredError(RuntimeError):
    """Raised when something is written outside ``record_change``: nobody would be its author."""

    def __init__(self) -> None:
        super().__init__("Every write belongs into a record_change block.")


@contextmanager
def record_change(
    *,
    by: User | None,
    channel: str,
    account: Account | None = None,
    actor: str = "",
    request_id: str = "",
) -> Iterator[None]:
    """Run one transaction whose history rows all name this author.

    The Change is stored with the first history row, so an edit that changes nothing leaves none.
    ``actor`` names who acted where no user of ours did, such as an operator at a shell.
    """
    facts = {
        "user": by,
        "actor": actor or (by.get_username() if by else ""),
        "channel": channel,
        "account": account,
        "request_id": request_id,
        "created": timezone.now(),
    }
    with transaction.atomic():
        token = _open_change.set(OpenChange(facts))
        try:
            yield
        finally:
            _open_change.reset(token)


def operator_name() -> str:
    """Give the name of who works at the shell, behind sudo as well."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        return f"uid {os.getuid()}"


def current_change(account_id: int | None) -> Change:
    """Give the open Change, stored; it has the account of the rows that it touches, if it is one.

    Raises ChangeRequiredError outside ``record_change``.
    """
    from accounts.models import Change

    opened = open_change()
    # A savepoint that was rolled back has taken the stored Change with it.
    change = Change.unscoped.filter(pk=opened.pk).first() if opened.pk else None
    if change is None:
        change = Change(**opened.values(account_id))
        change.save(force_insert=True)
        opened.pk = change.pk
    if change.account_id not in (None, account_id):
        change.account_id = None
        change.save(update_fields=["account"])
    return change


@contextmanager
def because(instance: models.Model, reason: str) -> Iterator[None]:
    """Let the history rows of an object's writes in this block tell their reason."""
    instance._change_reason = reason  # type: ignore[attr-defined]  # simple-history reads it.
    try:
        yield
    finally:
        del instance._change_reason  # type: ignore[attr-defined]  # as above


class ChangedRow(CompiledModel):
    """What every history row carries beside the library's columns: its Change."""

    change = models.ForeignKey("accounts.Change", on_delete=models.CASCADE, related_name="+")

    class Meta:
        abstract = True


class AccountChangedRow(ChangedRow):
    """The history row of an Account, whose account is itself."""

    account = models.ForeignKey(
        "accounts.Account",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        abstract = True


class History(HistoricalRecords):  # type: ignore[misc]  # The library has no types.
    """django-simple-history's records with 64-bit ids, a Change, and two indexes.

    The indexes serve "this account's changes, newest first" and "this object's".
    """

    def __init__(
        self,
        *,
        bases: tuple[type[models.Model], ...] = (ChangedRow,),
        indexes: Sequence[models.Index] = (),
        **kwargs: Any,
    ) -> None:
        self.further_indexes = indexes
        super().__init__(
            bases=bases,
            history_id_field=models.BigAutoField(),
            history_user_id_field=models.BigIntegerField(null=True),
            no_db_index=["id", "account", "organization"],
            **kwargs,
        )

    def get_meta_options(self, model: type[models.Model]) -> dict[str, Any]:
        """Add the two indexes, and those of this model's own, to the library's options."""
        name = model._meta.model_name
        indexes = [
            models.Index(fields=["account", "-history_id"], name=f"{name}_history_account"),
            models.Index(fields=["id", "-history_id"], name=f"{name}_history_object"),
            *self.further_indexes,
        ]
        return {**super().get_meta_options(model), "indexes": indexes}

    def finalize(self, sender: type[models.Model], **kwargs: Any) -> None:
        """Look for the author before a row is written: outside a transaction it would stay."""
        super().finalize(sender, **kwargs)
        if sender is self.cls:
            self._rows = sender.history.model
            models.signals.pre_save.connect(self.pre_save, sender=sender, weak=False)
            models.signals.pre_delete.connect(self.pre_delete, sender=sender, weak=False)

    def pre_save(self, raw: bool, update_fields: Collection[str] | None, **kwargs: Any) -> None:
        if not raw and self._is_recorded(update_fields):
            open_change()

    def pre_delete(self, **kwargs: Any) -> None:
        open_change()

    def post_save(self, instance: models.Model, created: bool, **kwargs: Any) -> None:
        """Record a save, except one that writes only columns the history leaves out."""
        if self._is_recorded(kwargs.get("update_fields")):
            super().post_save(instance, created, **kwargs)

    def create_historical_record(
        self, instance: models.Model, history_type: str, using: str | None = None
    ) -> None:
        """Store a row; the library would make and save objects of it and of its Change."""
        _store_row(
            self._rows,
            instance,
            self.fields_included(instance),
            history_type=history_type,
            history_change_reason=self.get_change_reason_for_object(instance, history_type, using),
        )

    def _is_recorded(self, written: Collection[str] | None) -> bool:
        return written is None or not set(written) <= set(self.excluded_fields)


def record_event(instance: Any, what: str) -> None:
    """Note in the history what was done with an object whose recorded values stay as they are.

    It is told as the row's reason, such as "Password changed".
    """
    rows = instance._meta.model.history.model  # The instance may be a lazy stand-in.
    _store_row(rows, instance, rows.tracked_fields, history_type="~", history_change_reason=what)


def _store_row(rows: Any, instance: Any, tracked: Iterable[Any], **facts: Any) -> None:
    """Store a row of an object's history, without an object of it."""
    values = {field.attname: getattr(instance, field.attname) for field in tracked} | facts
    values.setdefault("account_id", instance.pk)  # An account is its own.
    values |= {"history_date": timezone.now(), "history_user_id": open_change().user_id}
    values["change_id"] = current_change(values["account_id"]).pk
    fields = own_fields(rows)
    row = prepared(connection.alias, [(field, values[field.attname]) for field in fields])
    run(connection.alias, insertion(rows, fields), row, is_answered=False)


def record_deletions(objects: Sequence[Any], *, reason: str | None) -> None:
    """Note in the history, by one statement, that objects of one model are deleted."""
    for account_id in {obj.account_id for obj in objects}:
        change = current_change(account_id)
    rows = objects[0]._meta.model.history.model
    common = {
        "history_type": "-",
        "history_date": timezone.now(),
        "history_change_reason": reason,
        "history_user_id": change.user_id,
        "change": change,
    }
    names = [field.attname for field in rows.tracked_fields]
    rows.objects.bulk_create(
        rows(**common, **{name: getattr(obj, name) for name in names}) for obj in objects
    )
