"""Users at the shell."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts import lockout, passwords, services
from accounts.history import record_event
from accounts.management.base import ChangeVerb, Done, Need, NounCommand, Outcome, Verb
from accounts.management.objects import (
    DeleteNamed,
    EditNamed,
    FieldsVerb,
    FilteredList,
    Kind,
    NamedVerb,
    ShowNamed,
)
from accounts.management.output import Record
from accounts.management.scope import (
    OPERATOR,
    USER_NAMES,
    find_account,
    find_named_user,
    find_organization,
)
from accounts.models import Role, Status, User
from accounts.validators import validate_user_address


class _Users(Kind):
    """Users, of whom nobody is told the password's hash."""

    def record(self, obj: Any) -> Record:
        told = {
            "address": f"{obj.username}@{obj.organization}" if obj.organization else "",
            "status": Status.ENABLED if obj.is_active else Status.DISABLED,
            "locked": _is_locked(obj),
        }
        return {name: told[name] if name in told else getattr(obj, name) for name in self.columns}


USERS = _Users(
    model=User,
    columns=(
        *("id", "account_id", "auth_username", "role", "address", "email", "status", "locked"),
        *("last_login", "created", "modified"),
    ),
    accepted=USER_NAMES,
    find=find_named_user,
    edit=services.edit_user,
    delete=services.delete_user,
)


def _is_locked(user: Any) -> bool:
    """Tell it from the list's own statement, or ask for one user."""
    if hasattr(user, "locked_at"):
        return user.locked_at is not None
    locks = lockout.locks_at(timezone.now())
    return bool(locks.filter(username=user.auth_username).exists())


class _OfUsers:
    kind: ClassVar[Kind] = USERS


def _parts_of(address: str) -> dict[str, Any]:
    """Give the user name and the organization of an address; an empty one takes it away."""
    if not address:
        return {"username": "", "organization": None}
    validate_user_address(address)
    username, _, domain = address.partition("@")
    return {"username": username, "organization": find_organization(domain)}


class _AddressVerb(FieldsVerb):
    """A verb with an option for the user's address."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--address",
            metavar="USER@DOMAIN",
            help="Another name to log in with, at one of the account's organizations.",
        )

    @property
    def given(self) -> dict[str, Any]:
        address = self.options["address"]
        return super().given | ({} if address is None else _parts_of(address))


class _PasswordVerb(Verb):
    """A verb that gives a user a password, none of which ever stands among the arguments."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument(
            "--link",
            action="store_true",
            help="Print a link by which the user sets a password, once and within a day.",
        )
        ways.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from the first line of standard input.",
        )

    def with_link(self, user: User, outcome: Outcome) -> Done:
        """Make a link, and tell of it; one of a dry run would not open."""
        link = passwords.make_link(user)
        if self.options["dry_run"]:
            link = ""
        done = USERS.done(user, outcome, link)
        return replace(done, record={**done.record, "link": link})


def _read_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _ask_twice() -> str:
    """Ask for a password without showing it. Raises CommandError where nobody can answer."""
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask on: use --password-stdin or --link.")
    password = getpass.getpass("New password: ")
    if getpass.getpass("New password again: ") != password:
        raise CommandError("The two passwords differ; nothing was changed.")
    return password


def _checked(password: str, user: User) -> str:
    """Hold a password to the rules of the pages. Raises CommandError that tells them."""
    form = passwords.PasswordByLinkForm(
        user, {"new_password1": password, "new_password2": password}
    )
    if not form.is_valid():
        reasons = dict.fromkeys(str(text) for texts in form.errors.values() for text in texts)
        raise CommandError(" ".join(reasons))
    return password


class Add(_OfUsers, _PasswordVerb, _AddressVerb, ChangeVerb):
    """Add a user.

    Without --link or --password-stdin the user has no password, and can't log in yet.
    """

    example = "users add joe --role account_admin --account 3 --link"
    scope_need = Need.NONE
    fields = ("email",)

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("auth_username", metavar="NAME", help="The name to log in with.")
        parser.add_argument(
            "--role", choices=Role.values, default=Role.USER.value, help="What the user may do."
        )
        parser.add_argument(
            "--account",
            metavar="ID|DOMAIN",
            help="The user's account; with --address it may be left out. Staff have none.",
        )
        super().add_arguments(parser)

    def run(self) -> None:
        # Nobody waits for a person, or a pipe, with a transaction open.
        self.password = _read_line() if self.options["password_stdin"] else None
        super().run()
        if self.password is None and not (self.options["link"] or self.is_dry_run):
            name = self.options["auth_username"]
            self.note(f"{name} can't log in yet: manage.py users password {name}")

    def change(self) -> list[Done]:
        values = self.given
        named, organization = self.options["account"], values.get("organization")
        account = organization and organization.account
        if named is not None:
            account = find_account(named)
        name, role = self.options["auth_username"], self.options["role"]
        if self.password is not None:
            _checked(self.password, User(auth_username=name, **values))
        user = services.add_user(
            auth_username=name, role=role, password=self.password, account=account, **values
        )
        if self.options["link"]:
            return [self.with_link(user, Outcome.ADDED)]
        return [USERS.added(user)]


class List(_OfUsers, FilteredList):
    """List users."""

    example = "users list --account 3 --role account_admin"
    columns = USERS.columns
    table_columns = ("id", "auth_username", "role", "address", "status", "locked", "last_login")
    searched = "their names, address or e-mail"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--role", choices=Role.values, help="Only those with this role.")
        parser.add_argument(
            "--locked", action="store_true", help="Only those whom wrong passwords have locked."
        )

    def rows(self) -> QuerySet[Any]:
        locks = lockout.locks_at(timezone.now()).filter(username=OuterRef("auth_username"))
        rows = super().rows().annotate(locked_at=Subquery(locks.values("attempt_time")[:1]))
        if role := self.options["role"]:
            rows = rows.filter(role=role)
        if self.options["locked"]:
            rows = rows.filter(locked_at__isnull=False)
        return rows.select_related("organization")  # type: ignore[no-any-return]  # The scope gives any model's.

    def in_state(self, status: str) -> dict[str, Any]:
        return {"is_active": status == Status.ENABLED}

    def containing(self, text: str) -> Q:
        return (
            Q(auth_username__icontains=text)
            | Q(username__icontains=text)
            | Q(organization__domain__icontains=text)
            | Q(email__icontains=text)
        )


class Show(_OfUsers, ShowNamed):
    """Show a user."""

    example = "users show joe@acme.example.com"


class Edit(_OfUsers, _AddressVerb, EditNamed):
    """Change a user's names and e-mail; what no option names stays as it is."""

    example = "users edit joe --email joe@example.com"
    fields = ("auth_username", "email")


class _SetActive(_OfUsers, NamedVerb, ChangeVerb):
    is_active: ClassVar[bool]

    def change(self) -> Iterator[Done]:
        for user in self.all_found:
            outcome = Outcome.UNCHANGED if user.is_active == self.is_active else Outcome.CHANGED
            services.set_active(user, is_active=self.is_active)
            yield USERS.done(user, outcome)


class Enable(_SetActive):
    """Enable users: they can log in again."""

    example = "users enable joe"
    is_active = True


class Disable(_SetActive):
    """Disable users: they can't log in, and their sessions and password links end."""

    example = "users disable joe 17"
    is_active = False


class Unlock(_OfUsers, NamedVerb, ChangeVerb):
    """Let users whom wrong passwords have locked log in again at once."""

    example = "users unlock joe"

    def change(self) -> Iterator[Done]:
        for user in self.all_found:
            if lockout.unlock(user):
                record_event(user, "Unlocked")
                yield USERS.done(user, Outcome.CHANGED)
            else:
                yield USERS.done(user, Outcome.UNCHANGED)


class Password(_OfUsers, _PasswordVerb, NamedVerb, ChangeVerb):
    """Give a user a new password, asked for twice, read from standard input, or set by a link.

    The user's sessions end, except with --link, where they end once the link was used.
    """

    example = "users password joe --link"
    takes_several = False

    def run(self) -> None:
        # Nobody waits for a person, or a pipe, with a transaction open.
        self.password = None if self.options["link"] else self._read(self.found)
        super().run()

    def _read(self, user: User) -> str:
        password = _read_line() if self.options["password_stdin"] else _ask_twice()
        return _checked(password, user)

    def change(self) -> list[Done]:
        user = self.found
        if self.password is None:
            return [self.with_link(user, Outcome.CHANGED)]
        services.set_password(user, self.password)
        return [USERS.done(user, Outcome.CHANGED)]


class ChangeRole(_OfUsers, NamedVerb, ChangeVerb):
    """Give a user another role within the account; the user's sessions end."""

    example = "users role joe account_admin"
    takes_several = False

    @classmethod
    def name(cls) -> str:
        return "role"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("role", choices=Role.values, help="What the user may do from now on.")

    def change(self) -> list[Done]:
        user, role = self.found, self.options["role"]
        outcome = Outcome.UNCHANGED if user.role == role else Outcome.CHANGED
        services.change_role(user, role=role, actor=OPERATOR)
        return [USERS.done(user, outcome)]


class Delete(_OfUsers, DeleteNamed):
    """Delete users with their sessions."""

    example = "users delete joe --yes"


class Command(NounCommand):
    """Add, list, show, change, unlock and delete users, and set their passwords."""

    verbs = (
        *(Add, List, Show, Edit, Enable, Disable, Unlock),
        *(Password, ChangeRole, Delete),
    )
