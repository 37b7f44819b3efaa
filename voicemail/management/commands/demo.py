"""Load the demonstration data."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.history import record_change
from accounts.management.base import SingleCommand, Verb, add_operator, operator_of
from accounts.management.many import counted
from accounts.models import Channel, Role
from voicemail import demonstration
from voicemail.demonstration import Size

IN_USE = "This database holds accounts of its own; no demonstration data was added."

_BOXES_PER_ORGANIZATION = 1000
_ORGANIZATIONS_PER_ACCOUNT = 10


class Demo(Verb):
    """Load a small demonstration data set, write its logins to var/demo.json and print them.

    A second run changes nothing. With --mailboxes very many mailboxes are added besides, with
    their accounts, organizations and history. A database that holds accounts of its own gets
    nothing; with --into-real-data and --yes it gets the many, and no logins.
    """

    example = "demo --mailboxes 1000000"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--skip-if-in-use",
            action="store_true",
            help="Say so and exit with 0 where the database holds accounts of its own.",
        )
        for option, told in (
            ("--mailboxes", "Add so many mailboxes besides."),
            ("--organizations", "In so many organizations; by default one for each 1,000."),
            ("--accounts", "Of so many accounts; by default one for ten organizations."),
        ):
            parser.add_argument(option, type=int, metavar="NUMBER", help=told)
        parser.add_argument(
            "--into-real-data",
            action="store_true",
            help="Add the many to a database that holds accounts of its own; needs --yes as well.",
        )
        parser.add_argument("--yes", action="store_true", help="Confirm --into-real-data.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Do everything, then undo it, and say so."
        )
        add_operator(parser)

    def run(self) -> None:
        size = self._size()
        is_in_use = demonstration.is_in_use()
        if is_in_use and not self._may_add(size):
            if not self.options["skip_if_in_use"]:
                raise CommandError(IN_USE)
            self.note(IN_USE)
            return
        with transaction.atomic():
            if size is not None:
                self._load_many(size)
            if not is_in_use:
                logins = self._load_few()
            transaction.set_rollback(self.is_dry_run)
        if size is not None:
            self._tell(size)
        if not is_in_use and not self.is_dry_run:
            self._hand_over(logins)

    @property
    def is_dry_run(self) -> bool:
        return bool(self.options["dry_run"])

    def _size(self) -> Size | None:
        boxes, organizations, accounts = (
            self.options[name] for name in ("mailboxes", "organizations", "accounts")
        )
        if boxes is None:
            if organizations is not None or accounts is not None:
                raise CommandError("--organizations and --accounts need --mailboxes.")
            return None
        organizations = organizations or -(-boxes // _BOXES_PER_ORGANIZATION)
        return Size(
            boxes, organizations, accounts or -(-organizations // _ORGANIZATIONS_PER_ACCOUNT)
        )

    def _may_add(self, size: Size | None) -> bool:
        return bool(size and self.options["into_real_data"] and self.options["yes"])

    def _load_many(self, size: Size) -> None:
        if demonstration.are_there_many():
            raise CommandError(
                "This database has very many mailboxes of the demonstration already."
            )
        actor = operator_of(self.options)
        with record_change(by=None, channel=Channel.COMMAND, actor=actor):
            demonstration.load_many(size)

    def _tell(self, size: Size) -> None:
        verb = "Would add" if self.is_dry_run else "Added"
        boxes, organizations, accounts = (
            counted(size.mailboxes, "mailbox"),
            counted(size.organizations, "organization"),
            counted(size.accounts, "account"),
        )
        self.command.stdout.write(f"{verb} {boxes} in {organizations} of {accounts}.")

    def _load_few(self) -> list[demonstration.Login]:
        return demonstration.load(demonstration.read_passwords(_path()))

    def _hand_over(self, logins: list[demonstration.Login]) -> None:
        url = f"http://{settings.HOST}:{settings.PORT}"
        demonstration.write_facts(_path(), url, logins)
        self._print(url, logins)

    def _print(self, url: str, logins: list[demonstration.Login]) -> None:
        write = self.command.stdout.write
        write(
            f"\nThe service:   {url}/\nThe Web API:   {url}/webapi\nThe admin:     {url}/admin/\n"
        )
        write("Logins (also in var/demo.json):")
        for login in logins:
            role = Role(login.user.role).label
            write(f"  {login.user.auth_username:<8} {login.password:<18} {role}")
        alice = next(login for login in logins if login.user.auth_username == "alice")
        write("\nA first call:")
        write(
            f"  curl {url}/webapi -d Action=SessionCreate -d Username=alice "
            f"-d Password={alice.password}\n"
        )


def _path() -> Path:
    return Path(settings.VAR_DIR / "demo.json")


class Command(SingleCommand):
    """Load the demonstration data."""

    verb = Demo
