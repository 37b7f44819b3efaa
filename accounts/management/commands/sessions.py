"""API sessions at the shell; a session is named by its row's id, never by its SessionId."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from accounts import services
from accounts.management.base import ChangeVerb, ListVerb, NounCommand, Outcome, Verb
from accounts.management.output import Record
from accounts.management.purging import PurgeVerb
from accounts.management.scope import USER_NAMES, find_named_user
from accounts.models import Session

LIVE, ENDED, ALL = "live", "ended", "all"
COLUMNS = (
    *("id", "user_id", "auth_username", "account_id", "state"),
    *("created", "last_used", "expires", "client_address", "user_agent"),
)


def _record(session: Any) -> Record:
    told = {
        "auth_username": session.user.auth_username,
        "account_id": session.user.account_id,
        "state": LIVE if session.is_live else ENDED,
    }
    return {name: told[name] if name in told else getattr(session, name) for name in COLUMNS}


class _OfSessions(Verb):
    """A verb about the sessions of a scope, or of one user in it."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--user", metavar="USER", help=f"Only those of a user, by {USER_NAMES}."
        )

    def rows(self) -> QuerySet[Any]:
        """Give the sessions that the scope and the user leave, each with its state."""
        scope = self.scope
        rows: Any = scope.rows(Session)
        if name := self.options["user"]:
            rows = rows.filter(user=find_named_user(name, scope))
        rows = rows.with_state_at(timezone.now()).select_related("user")
        return rows.order_by("pk")  # type: ignore[no-any-return]  # The scope gives any model's.


class List(_OfSessions, ListVerb):
    """List API sessions: those that open the API, unless others are asked for."""

    example = "sessions list --account acme.example.com"
    columns = COLUMNS
    table_columns = ("id", "auth_username", "state", "last_used", "client_address", "user_agent")

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--state", choices=(LIVE, ENDED, ALL), default=LIVE, help="Only those in this state."
        )

    def records(self) -> Iterator[Record]:
        rows, state = self.rows(), self.options["state"]
        if state != ALL:
            rows = rows.filter(is_live=state == LIVE)
        return map(_record, rows.iterator())


class End(_OfSessions, ChangeVerb):
    """End API sessions: those named, a user's, or every live one of a scope."""

    example = "sessions end --user joe --yes"
    is_destructive = True
    is_recorded = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "named", metavar="ID", nargs="*", type=int, help="Ids from manage.py sessions list."
        )
        super().add_arguments(parser)

    def run(self) -> None:
        self.confirm()
        with self.recording():
            count = services.end_sessions(self._chosen())
        self.print_count(Outcome.ENDED, count, Session)

    def question(self) -> str:
        count = self._chosen().count()
        return f"End {count} API session{'' if count == 1 else 's'}?"

    def _chosen(self) -> QuerySet[Session]:
        """Give the sessions that are to end. Raises CommandError."""
        named, rows = set(self.options["named"]), self.rows()
        if not named:
            self._refuse_nothing()
            return rows.filter(is_live=True)
        rows = rows.filter(pk__in=named)
        missing = named.difference(rows.values_list("pk", flat=True))
        if missing:
            ids = ", ".join(map(str, sorted(missing)))
            raise CommandError(
                f"There is no API session {ids}{self.scope}. "
                "Accepted: ids from manage.py sessions list --state all."
            )
        return rows

    def _refuse_nothing(self) -> None:
        ways = ("user", "account", "organization", "all_accounts")
        if not any(self.options[way] for way in ways):
            raise CommandError(
                "Name sessions by their ids, or give one of --user, --account, --organization and "
                "--all-accounts."
            )


class Purge(PurgeVerb):
    """Delete the API sessions of all accounts that have ended or timed out; for cron."""

    example = "sessions purge"
    model = Session

    def purge(self, time: datetime, *, batch: int, dry_run: bool) -> int:
        return services.purge_sessions(now=time, batch=batch, dry_run=dry_run)


class Command(NounCommand):
    """List and end API sessions, and purge those that have ended."""

    verbs = (List, End, Purge)
