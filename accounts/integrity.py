"""The database's refusals, told as the models' own errors: it decides every race."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models

if TYPE_CHECKING:
    from accounts.models import TimestampedModel


def violated_constraint(exc: IntegrityError, model: type[models.Model]) -> str:
    """Name the unique constraint or the guard that was violated, or give an empty text.

    PostgreSQL tells the name; SQLite tells it for a guard and an index on expressions, and the
    columns else.
    """
    diagnostics: Any = getattr(exc.__cause__, "diag", None)
    if diagnostics is not None:
        return str(diagnostics.constraint_name or "")
    told = str(exc).removeprefix("UNIQUE constraint failed: ")
    for constraint in model._meta.constraints:
        fields = getattr(constraint, "fields", ())
        columns = [model._meta.get_field(name).column for name in fields]  # type: ignore[union-attr]
        spelled = ", ".join(f"{model._meta.db_table}.{column}" for column in columns)
        if told in (spelled, f"index '{constraint.name}'"):
            return str(constraint.name)
    return told if told.isidentifier() else ""


@contextmanager
def reporting_taken(model: type[TimestampedModel]) -> Iterator[None]:
    """Turn the violation of a unique constraint into the error of a field.

    The model's ``taken_fields`` tell which; raises ValidationError with the constraint's message
    and the code ``unavailable``. Any other violation passes.
    """
    try:
        yield
    except IntegrityError as exc:
        name = violated_constraint(exc, model)
        if name not in model.taken_fields:
            raise
        (message,) = (
            each.get_violation_error_message()
            for each in model._meta.constraints
            if each.name == name
        )
        taken = ValidationError(message, code="unavailable")
        raise ValidationError({model.taken_fields[name]: taken}) from exc
