"""Constraints that PostgreSQL checks quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.migrations.operations.base import Operation


class CompiledCheck(models.CheckConstraint):
    """A check that PostgreSQL reads once a connection, as a function of the check's name.

    It reads the condition of any other check anew for each statement that writes, which for a long
    one takes 20 us and is the most of what the check costs. Elsewhere this is a check like others.
    """

    def _get_check_sql(self, model: type[models.Model], schema_editor: Any) -> str:
        condition = str(super()._get_check_sql(model, schema_editor))  # type: ignore[misc]  # not in the stubs
        if not _is_postgresql(schema_editor):
            return condition
        schema_editor.execute(
            f"CREATE OR REPLACE FUNCTION {self._function(model, schema_editor)} "
            "RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE "
            f"AS $check$ BEGIN RETURN {condition}; END $check$",
            params=None,
        )
        columns = [schema_editor.quote_name(field.column) for field in self._fields(model)]
        return f"{schema_editor.quote_name(self.name)}({', '.join(columns)})"

    def remove_sql(self, model: type[models.Model] | None, schema_editor: Any) -> str:
        """Write how the check is removed, its function included."""
        sql = str(super().remove_sql(model, schema_editor))
        if model is None or not _is_postgresql(schema_editor):
            return sql
        return f"{sql}; DROP FUNCTION {self._function(model, schema_editor)}"

    def _function(self, model: type[models.Model], schema_editor: Any) -> str:
        """Name the function, with what it takes: columns by their names."""
        takes = []
        for field in self._fields(model):
            kind, _, _ = field.db_type(schema_editor.connection).partition("(")
            takes.append(f"{schema_editor.quote_name(field.column)} {kind}")
        return f"{schema_editor.quote_name(self.name)}({', '.join(takes)})"

    def _fields(self, model: type[models.Model]) -> list[Any]:
        names = self.condition.referenced_base_fields  # type: ignore[union-attr]  # of a Q
        return [field for field in model._meta.concrete_fields if field.name in names]


class CompileChecks(Operation):
    """Make compiled checks of a model's checks of these names; on SQLite nothing is to be done."""

    def __init__(self, model_name: str, names: Sequence[str]) -> None:
        self.model_name = model_name
        self.names = names

    def state_forwards(self, app_label: str, state: Any) -> None:
        key = app_label, self.model_name.lower()
        options = state.models[key].options
        options["constraints"] = [
            CompiledCheck(name=each.name, condition=each.condition)
            if each.name in self.names
            else each
            for each in options["constraints"]
        ]
        state.reload_model(*key, delay=True)

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if not _is_postgresql(schema_editor):
            return
        for state, change in (
            (from_state, schema_editor.remove_constraint),
            (to_state, schema_editor.add_constraint),
        ):
            model = state.apps.get_model(app_label, self.model_name)
            for each in model._meta.constraints:
                if each.name in self.names:
                    change(model, each)

    # Each way the one state's checks give way to the other's.
    database_backwards = database_forwards

    def describe(self) -> str:
        return f"Compile checks of {self.model_name}"


def _is_postgresql(schema_editor: Any) -> bool:
    return bool(schema_editor.connection.vendor == "postgresql")
