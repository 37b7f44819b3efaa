"""How many boxes an organization has, known without counting them.

Every statement that adds or deletes boxes notes by how many, in a row of its own, so that nobody
waits for anybody; the number is the sum of an organization's rows, and from time to time one who
adds makes a single row of them. Triggers do it: the number is right whoever writes, and in every
snapshot (docs/performance.md, Found).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, F, Func, QuerySet

_BOXES = "voicemail_voicemailbox"
_MOVE = "UPDATE OF account_id, organization_id"
_KEEP_OUT_WRITERS = f"LOCK TABLE {_BOXES} IN SHARE ROW EXCLUSIVE MODE"

# One in so many makes a single row of all that there are.
_FOLDED_EACH = 64


class _SumOf(Func):
    template = "CAST(COALESCE(SUM(%(expressions)s), 0) AS bigint)"
    output_field = BigIntegerField()


def total_of(tallies: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Give the one number that these rows stand for."""
    return tallies.order_by().values_list(_SumOf(F("number")))


def recount() -> None:
    """Count all boxes anew, while nobody adds any."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_KEEP_OUT_WRITERS)
        for statement in Tallied().recounting:
            cursor.execute(statement)


@dataclass(frozen=True)
class Tallied:
    """The rows of the tally agree with the boxes that there are."""

    table: str = "voicemail_mailboxtally"
    name: str = "mailboxes_are_tallied"
    # Its further triggers on PostgreSQL.
    also: tuple[str, ...] = (
        "mailboxes_are_tallied_delete",
        "mailboxes_are_tallied_move",
        "mailboxes_are_tallied_truncate",
    )

    @property
    def recounting(self) -> list[str]:
        """Give the statements that count all boxes anew."""
        count = f"SELECT account_id, organization_id, COUNT(*) FROM {_BOXES} GROUP BY 1, 2"  # noqa: S608
        return [
            f"DELETE FROM {self.table}",  # noqa: S608  # A name of ours.
            f"INSERT INTO {self.table} (account_id, organization_id, number) {count}",
        ]

    def sqlite(self) -> dict[str, str]:
        """Give the triggers; one writer at a time needs no more than one row."""
        return {
            f"{self.name}_insert": self._sqlite_trigger("INSERT", "NEW", 1),
            f"{self.name}_delete": self._sqlite_trigger("DELETE", "OLD", -1),
            f"{self.name}_leave": self._sqlite_trigger(_MOVE, "OLD", -1),
            f"{self.name}_join": self._sqlite_trigger(_MOVE, "NEW", 1),
        }

    def _sqlite_trigger(self, event: str, row: str, change: int) -> str:
        same = f"account_id = {row}.account_id AND organization_id = {row}.organization_id"
        return f"""AFTER {event} ON {_BOXES} BEGIN
            INSERT INTO {self.table} (account_id, organization_id, number)
                SELECT {row}.account_id, {row}.organization_id, 0 WHERE NOT EXISTS
                (SELECT 1 FROM {self.table} WHERE {same});
            UPDATE {self.table} SET number = number + {change} WHERE {same};
            END"""  # noqa: S608  # Names of ours.

    def sqlite_start(self) -> list[str]:
        """Count anew: while a table was rebuilt there was no trigger."""
        return self.recounting

    def postgresql(self) -> str:
        """Count once, while nobody writes, and begin to note what changes."""
        move, truncate = f"{self.name}_move", f"{self.name}_truncate"
        statements = [
            _KEEP_OUT_WRITERS,
            *self.recounting,
            _function(self.name, self._note_many),
            _trigger(self.name, "INSERT", _each_statement("NEW"), self.name),
            _trigger(f"{self.name}_delete", "DELETE", _each_statement("OLD"), self.name),
            _function(move, self._note_move),
            _trigger(move, _MOVE, _EACH_MOVED_ROW, move),
            _function(truncate, f"BEGIN DELETE FROM {self.table}; RETURN NULL; END"),  # noqa: S608
            _trigger(truncate, "TRUNCATE", "FOR EACH STATEMENT", truncate),
        ]
        return ";\n".join(statements)

    @property
    def _note_many(self) -> str:
        """Note what a statement added or deleted, and now and then make one row of all."""
        return f"""
            DECLARE
                one record;
            BEGIN
                INSERT INTO {self.table} (account_id, organization_id, number)
                    SELECT account_id, organization_id,
                        CASE TG_OP WHEN 'INSERT' THEN COUNT(*) ELSE -COUNT(*) END
                    FROM changed GROUP BY 1, 2;
                IF random() * {_FOLDED_EACH} < 1 THEN
                    SELECT account_id AS account, organization_id AS organization
                        INTO one FROM changed LIMIT 1;
                    -- One at a time; whoever does it already is enough.
                    IF pg_try_advisory_xact_lock(
                        hashtextextended('{self.table}', one.organization)
                    ) THEN
                        WITH folded AS (DELETE FROM {self.table}
                            WHERE account_id = one.account AND organization_id = one.organization
                            RETURNING account_id, organization_id, number)
                        INSERT INTO {self.table} (account_id, organization_id, number)
                            SELECT account_id, organization_id, SUM(number)
                            FROM folded GROUP BY 1, 2;
                    END IF;
                END IF;
                RETURN NULL;
            END"""  # noqa: S608  # Names of ours.

    @property
    def _note_move(self) -> str:
        return f"""
            BEGIN
                INSERT INTO {self.table} (account_id, organization_id, number) VALUES
                    (OLD.account_id, OLD.organization_id, -1),
                    (NEW.account_id, NEW.organization_id, 1);
                RETURN NULL;
            END"""  # noqa: S608  # Names of ours.


# PostgreSQL's triggers

_EACH_MOVED_ROW = """FOR EACH ROW WHEN (
    (OLD.account_id, OLD.organization_id) IS DISTINCT FROM (NEW.account_id, NEW.organization_id))"""


def _each_statement(rows: str) -> str:
    return f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT"


def _function(name: str, body: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
        SET search_path FROM CURRENT AS $${body} $$"""


def _trigger(name: str, event: str, how: str, function: str) -> str:
    return f"""DROP TRIGGER IF EXISTS {name} ON {_BOXES};
        CREATE TRIGGER {name} AFTER {event} ON {_BOXES} {how} EXECUTE FUNCTION {function}()"""
