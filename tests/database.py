"""What the database itself accepts and refuses, past every check in Python."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models, transaction
from django.db.models import Value

from accounts.integrity import violated_constraint


def write(row: models.Model, **columns: Any) -> None:
    """Store columns exactly as they are given: no validator, no signal, no folding of case."""
    raw = {
        name: Value(value) if isinstance(value, str) else value for name, value in columns.items()
    }
    type(row)._base_manager.filter(pk=row.pk).update(**raw)


def is_accepted(row: models.Model, **columns: Any) -> bool:
    """Tell whether the database stores columns as they are given."""
    try:
        with transaction.atomic():
            write(row, **columns)
    except (DatabaseError, ValueError):  # psycopg itself refuses NUL, by a ValueError.
        return False
    return True


def verdicts(row: models.Model, name: str, value: str) -> tuple[bool, bool]:
    """Tell whether Python, and whether the database accepts a value for a column.

    Where Python accepts it, the database is asked about the value that would be stored.
    """
    column: Any = row._meta.get_field(name)
    try:
        cleaned = column.clean(value, row)
    except ValidationError:
        return False, is_accepted(row, **{name: value})
    return True, is_accepted(row, **{name: cleaned})


def assert_refused(name: str, row: models.Model, **columns: Any) -> None:
    """Demand that the database refuses columns, and by the constraint or guard of that name."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write(row, **columns)
    error = caught.value
    assert name in str(error) or name == violated_constraint(error, type(row))
