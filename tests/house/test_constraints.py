"""Checks that PostgreSQL reads once a connection (voicemail_site.constraints)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import CheckConstraint

from voicemail.models import Voicemailbox

pytestmark = [
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite compiles no check of a table."
    ),
    pytest.mark.django_db,
]

# PostgreSQL reads it in some 10 us.
SHORT = 3_000


def rows_of(sql: str, *arguments: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return [row for (row,) in cursor.fetchall()]


def definition_of(name: str) -> list[str]:
    return rows_of("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", name)


def functions(name: str) -> list[str]:
    return rows_of("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = %s", name)


def check(name: str) -> CheckConstraint:
    return next(each for each in Voicemailbox._meta.constraints if each.name == name)  # type: ignore[return-value]  # It is one.


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("mwi_is_a_user_address", "mwi"),
        ("voicemailbox_options_are_known", "status, timezone, notify_email, notify_pager"),
    ],
)
def test_a_compiled_check_calls_the_function_of_its_name(name: str, columns: str) -> None:
    assert definition_of(name) == [f"CHECK ({name}({columns}))"]


def test_a_compiled_check_takes_its_function_with_it() -> None:
    name = "email_is_one_address"
    with connection.schema_editor() as editor:
        editor.remove_constraint(Voicemailbox, check(name))
        assert (definition_of(name), functions(name)) == ([], [])
        editor.add_constraint(Voicemailbox, check(name))
    assert definition_of(name) == [f"CHECK ({name}(email))"]
    assert functions(name) == [f"{name}(character varying)"]


def test_no_check_of_a_box_takes_long_to_read() -> None:
    table = Voicemailbox._meta.db_table
    long_ones = rows_of(
        "SELECT conname FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'c' AND length(conbin::text) > %s",
        table,
        SHORT,
    )
    assert long_ones == []
