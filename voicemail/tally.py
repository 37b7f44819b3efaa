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
    guard = Tallied()
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"LOCK TABLE {_BOXES} IN SHARE ROW EXCLUSIVE MODE")
        for statement in guard.sqlite_start():
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
    def count(self) -> str:
        """Give the statement that counts all boxes, for an empty table."""
        return f"""INSERT INTO {self.table} (account_id, organization_id, number)
            SELECT account_id, organization_id, COUNT(*) FROM {_BOXES} GROUP BY 1, 2"""  # noqa: S608  # Names of ours.

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
        return [f"DELETE FROM {self.table}", self.count]  # noqa: S608  # A name of ours.

    def postgresql(self) -> str:
        """Count once, while nobody writes, and begin to note what changes."""
        return f"""
            LOCK TABLE {_BOXES} IN SHARE ROW EXCLUSIVE MODE;
            DELETE FROM {self.table};
            {self.count};
            CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql
                SET search_path FROM CURRENT AS $$
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
            END $$;
            DROP TRIGGER IF EXISTS {self.name} ON {_BOXES};
            CREATE TRIGGER {self.name} AFTER INSERT ON {_BOXES}
                REFERENCING NEW TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION {self.name}();
            DROP TRIGGER IF EXISTS {self.name}_delete ON {_BOXES};
            CREATE TRIGGER {self.name}_delete AFTER DELETE ON {_BOXES}
                REFERENCING OLD TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION {self.name}();
            CREATE OR REPLACE FUNCTION {self.name}_move() RETURNS trigger LANGUAGE plpgsql
                SET search_path FROM CURRENT AS $$
            BEGIN
                INSERT INTO {self.table} (account_id, organization_id, number) VALUES
                    (OLD.account_id, OLD.organization_id, -1),
                    (NEW.account_id, NEW.organization_id, 1);
                RETURN NULL;
            END $$;
            DROP TRIGGER IF EXISTS {self.name}_move ON {_BOXES};
            CREATE TRIGGER {self.name}_move AFTER {_MOVE} ON {_BOXES}
                FOR EACH ROW WHEN ((OLD.account_id, OLD.organization_id) IS DISTINCT FROM
                    (NEW.account_id, NEW.organization_id))
                EXECUTE FUNCTION {self.name}_move();
            CREATE OR REPLACE FUNCTION {self.name}_truncate() RETURNS trigger LANGUAGE plpgsql
                SET search_path FROM CURRENT AS $$
            BEGIN
                DELETE FROM {self.table};
                RETURN NULL;
            END $$;
            DROP TRIGGER IF EXISTS {self.name}_truncate ON {_BOXES};
            CREATE TRIGGER {self.name}_truncate AFTER TRUNCATE ON {_BOXES}
                FOR EACH STATEMENT EXECUTE FUNCTION {self.name}_truncate()"""  # noqa: S608  # Names of ours.
