"""What the operators' commands have in common (docs/commands.md, For all commands).

A command is a noun with verbs, such as ``manage.py accounts add``, or one verb alone. Each verb is
a class that says which of the recurring options it has and does its work through the services.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from traceback import clear_frames
from typing import Any, ClassVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
    models,
    transaction,
)

from accounts.history import operator_name, record_change
from accounts.management import output
from accounts.management.output import Format, Record
from accounts.management.scope import Scope, find_account, find_organization
from accounts.models import Change, Channel
from accounts.validators import validate_one_line

# What a shell tells of a process that a signal ended.
INTERRUPTED = 130
BROKEN_PIPE = 141


class Need(models.TextChoices):
    """Whether a verb takes a scope."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Outcome(models.TextChoices):
    """What became of an object; the labels complete a sentence."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged", "left unchanged"
    DELETED = "deleted"
    RESTORED = "restored"
    ENDED = "ended"


@dataclass(frozen=True)
class Done:
    """What a command did to one object, and the object as it is now."""

    outcome: Outcome
    kind: str
    pk: Any
    name: str
    record: Record
    # What a person needs of the record, on a line of its own.
    detail: str = ""

    @classmethod
    def to(cls, obj: models.Model, outcome: Outcome, record: Record, detail: str = "") -> Done:
        """Tell of an object while it is there: before it is deleted."""
        return cls(outcome, str(obj._meta.verbose_name), obj.pk, str(obj), record, detail)

    def as_if(self) -> Done:
        """Tell it of a dry run, in which a new object gets an id that nobody will have."""
        if self.outcome != Outcome.ADDED:
            return self
        return replace(self, pk=None, record={**self.record, "id": None})

    def told(self, auxiliary: str) -> str:
        """Tell it in a sentence."""
        name = output.plain(self.name)
        subject = f"{self.kind} {name}" if self.pk is None else f"{self.kind} {self.pk} ({name})"
        return f"{subject[:1].upper()}{subject[1:]} {auxiliary} {self.outcome.label.lower()}."


class Verb:
    """One thing that a command does: its docstring is the help, ``run`` the work."""

    example: ClassVar[str]
    scope_need: ClassVar[Need] = Need.NONE
    # Whether the scope may be one organization; some objects belong to no single one.
    by_organization: ClassVar[bool] = True
    formats: ClassVar[Sequence[str]] = ()

    is_committing = False

    def __init__(self, command: BaseCommand, options: Mapping[str, Any]) -> None:
        self.command = command
        self.options = options

    @classmethod
    def name(cls) -> str:
        """Give the verb as it is typed, such as ``reset-pin``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def summary(cls) -> str:
        """Give the first sentence of the help."""
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]

    @classmethod
    def configure(cls, parser: CommandParser) -> None:
        """Declare the verb's own options, then the recurring ones that it has."""
        parser.formatter_class = RawDescriptionHelpFormatter
        # What a script abbreviates could come to mean another option.
        parser.allow_abbrev = False
        parser.description = inspect.cleandoc(cls.__doc__ or "")
        parser.epilog = f"Example:\n  manage.py {cls.example}"
        cls.add_arguments(parser)
        if cls.scope_need != Need.NONE:
            cls._add_scope(parser)
        if cls.formats:
            parser.add_argument(
                "--format",
                choices=cls.formats,
                default=cls.formats[0],
                help="How the result is printed.",
            )

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        """Declare the options that no other verb has."""

    @classmethod
    def _add_scope(cls, parser: CommandParser) -> None:
        scope = parser.add_mutually_exclusive_group(required=cls.scope_need == Need.REQUIRED)
        scope.add_argument("--account", metavar="ID|DOMAIN", help="Within this account.")
        if cls.by_organization:
            scope.add_argument(
                "--organization", metavar="ID|DOMAIN", help="Within this organization."
            )
        scope.add_argument("--all-accounts", action="store_true", help="Within all accounts.")

    def run(self) -> None:
        """Do the work, and print the result."""
        raise NotImplementedError

    @property
    def scope(self) -> Scope:
        """Give the scope that the options name. Raises CommandError."""
        if (account := self.options.get("account")) is not None:
            return Scope(account=find_account(account))
        if (organization := self.options.get("organization")) is not None:
            return Scope(organization=find_organization(organization))
        return Scope()

    def note(self, text: str) -> None:
        """Tell the operator something that is no result."""
        self.command.stderr.write(text)

    def print_records(self, columns: Sequence[str], records: Iterable[Record]) -> None:
        """Print records in the chosen format; where a table would be empty, a note says so."""
        out = self.command.stdout
        match self.options["format"]:
            case Format.JSON:
                output.write_json(out, records)
            case Format.CSV:
                output.write_csv(out, columns, records)
            case _ if not output.write_table(out, columns, records):
                self.note("Nothing was found.")

    def print_count(self, outcome: Outcome, count: int, model: type[models.Model]) -> None:
        """Print how many objects were changed, where they are too many to be told one by one."""
        if self.options["format"] != Format.TABLE:
            self.print_records(["outcome", "count"], [{"outcome": outcome.value, "count": count}])
            return
        meta = model._meta
        noun = meta.verbose_name if count == 1 else meta.verbose_name_plural
        past = "was" if count == 1 else "were"
        auxiliary = "would be" if self.options["dry_run"] else past
        self.command.stdout.write(f"{count} {noun} {auxiliary} {outcome.label.lower()}.")


class ListVerb(Verb):
    """A verb that prints records as they come from the database."""

    scope_need = Need.REQUIRED
    formats = Format.values
    # Every column of JSON and CSV, and those for which a table has room.
    columns: ClassVar[Sequence[str]]
    table_columns: ClassVar[Sequence[str]]

    def records(self) -> Iterable[Record]:
        """Give a record for each object, with all columns."""
        raise NotImplementedError

    def run(self) -> None:
        is_table = self.options["format"] == Format.TABLE
        self.print_records(self.table_columns if is_table else self.columns, self.records())


class ShowVerb(Verb):
    """A verb that prints one object, in a table each field on a line of its own."""

    scope_need = Need.OPTIONAL
    formats = Format.values

    def record(self) -> Record:
        """Give the object's record."""
        raise NotImplementedError

    def run(self) -> None:
        record = self.record()
        if self.options["format"] == Format.TABLE:
            output.write_sheet(self.command.stdout, record)
        else:
            self.print_records(list(record), [record])


class ChangeVerb(Verb):
    """A verb that changes data: one transaction, one Change, and a result once it is done."""

    scope_need = Need.OPTIONAL
    formats = Format.values
    is_destructive: ClassVar[bool] = False
    # PBXs and sessions have no history in which an author could stand.
    is_recorded: ClassVar[bool] = True
    channel: ClassVar[Channel] = Channel.COMMAND

    @classmethod
    def configure(cls, parser: CommandParser) -> None:
        super().configure(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Do everything, then undo it, and say so."
        )
        if cls.is_destructive:
            parser.add_argument("--yes", action="store_true", help="Do not ask first.")
        if cls.is_recorded:
            add_operator(parser)

    def change(self) -> Iterable[Done]:
        """Make the change within the transaction, and tell what was done."""
        raise NotImplementedError

    def question(self) -> str:
        """Ask what a destructive verb needs a yes for; nothing has been done yet."""
        raise NotImplementedError

    def run(self) -> None:
        self.confirm()
        with self.recording():
            done = list(self.change())
        self.print_done(done)

    @property
    def is_dry_run(self) -> bool:
        return bool(self.options["dry_run"])

    def confirm(self) -> None:
        """Wait for a yes where the verb is destructive. Raises CommandError without one."""
        if not self.is_destructive or self.is_dry_run or self.options["yes"]:
            return
        question = self.question()
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Add --yes: there is no terminal to ask on.")
        self.command.stderr.write(f"{question} [y/N] ", ending="")
        self.command.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Run one transaction as one Change of the operator; a dry run undoes it at its end."""
        with record_change(by=None, channel=self.channel, actor=operator_of(self.options)):
            yield
            if self.is_dry_run:
                # What the database checks at the commit is checked as well.
                connection.check_constraints()
                transaction.set_rollback(True)
            self.is_committing = True

    def print_done(self, done: Iterable[Done]) -> None:
        """Print what was done: a sentence for each object, or its record for programs."""
        if self.is_dry_run:
            done = map(Done.as_if, done)
        if self.options["format"] == Format.TABLE:
            self.tell(done)
            return
        records: Iterator[Record] = (
            {"outcome": each.outcome.value, **each.record} for each in done
        )
        first = next(records, {"outcome": ""})
        rest = chain([first], records) if first["outcome"] else []
        self.print_records(list(first), rest)

    def tell(self, done: Iterable[Done]) -> None:
        """Print a sentence for each object that something was done to."""
        auxiliary = "would be" if self.is_dry_run else "was"
        for each in done:
            self.command.stdout.write(each.told(auxiliary))
            if each.detail:
                self.command.stdout.write(each.detail)


def add_operator(parser: CommandParser) -> None:
    """Declare the option that names the author."""
    parser.add_argument(
        "--operator",
        metavar="NAME",
        help="Who is recorded as the author; by default the login name.",
    )


def operator_of(options: Mapping[str, Any]) -> str:
    """Give the name under which a change is recorded. Raises CommandError."""
    name: str = options.get("operator") or operator_name()
    try:
        validate_one_line(name)
        Change._meta.get_field("actor").run_validators(name)
    except ValidationError as exc:
        raise CommandError("--operator must be 1 to 150 characters in one line.") from exc
    return name


class OperatorCommand(BaseCommand):
    """Run a verb; the exit code is 0 if it was done, 1 if refused, 2 if not understood."""

    # Django's own options would bury the verbs.
    suppressed_base_arguments = {  # noqa: RUF012  # As Django declares it.
        *("--version", "-v", "--settings", "--pythonpath", "--traceback"),
        *("--no-color", "--force-color", "--skip-checks"),
    }

    def handle(self, *args: Any, **options: Any) -> None:
        verb: Verb = options["verb"](self, options)
        if not all(is_text(value) for value in options.values()):
            raise CommandError("Arguments must be valid UTF-8.")
        try:
            verb.run()
            self.stdout.flush()
        except ValidationError as exc:
            raise CommandError(reasons_of(exc)) from exc
        except (OperationalError, InterfaceError, ProgrammingError) as exc:
            raise CommandError(_outage(exc)) from exc
        except OverflowError as exc:
            # SQLite's numbers end at 64 bits, and its times with the year 9999.
            raise CommandError("A number or a time among the arguments is out of range.") from exc
        except BrokenPipeError as exc:
            # A query that was being read ends now: at the interpreter's end it would complain.
            clear_frames(exc.__traceback__)
            _discard_output()
            # Whoever read the result left; a change that is stored has not failed.
            raise SystemExit(0 if verb.is_committing else BROKEN_PIPE) from None
        except OSError as exc:
            _discard_output()
            stored = " The change was stored all the same." if verb.is_committing else ""
            what = exc.filename or "The result"
            raise CommandError(f"{what} can't be written: {exc.strerror}.{stored}") from exc
        except KeyboardInterrupt:
            self.stderr.write(_interruption(verb))
            raise SystemExit(INTERRUPTED) from None


class NounCommand(OperatorCommand):
    """A noun, such as accounts, with its verbs; the docstring is the help."""

    verbs: ClassVar[Sequence[type[Verb]]]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.description = inspect.cleandoc(self.__doc__ or "")
        parser.epilog = "Examples:\n" + "\n".join(f"  manage.py {v.example}" for v in self.verbs)
        choices = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
        for verb in self.verbs:
            chosen = choices.add_parser(verb.name(), help=verb.summary())
            chosen.set_defaults(verb=verb)
            verb.configure(chosen)


class SingleCommand(OperatorCommand):
    """A command that is one verb itself, such as verify."""

    verb: ClassVar[type[Verb]]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.set_defaults(verb=self.verb)
        self.verb.configure(parser)


def reasons_of(exc: ValidationError) -> str:
    """Tell every error of a refused object, each with its field."""
    if not hasattr(exc, "error_dict"):
        return " ".join(exc.messages)
    return "\n".join(
        message if field == NON_FIELD_ERRORS else f"{field}: {message}"
        for field, messages in exc.message_dict.items()
        for message in messages
    )


def _outage(exc: Exception) -> str:
    reason = str(exc).strip().partition("\n")[0]
    return (
        f"The database refused: {reason}. Look whether it runs, and whether manage.py "
        "migrate has been run."
    )


def _interruption(verb: Verb) -> str:
    if not isinstance(verb, ChangeVerb):
        return "Interrupted."
    if verb.is_committing:
        return "Interrupted at the end; look whether it was done before you repeat it."
    return "Interrupted; nothing was changed."


def is_text(value: Any) -> bool:
    """Tell whether an argument, or each of several, is text that can be stored and printed."""
    if isinstance(value, list | tuple):
        return all(map(is_text, value))
    # The shell's bytes that are no UTF-8 come as surrogates.
    return not isinstance(value, str) or not any("\ud800" <= each <= "\udfff" for each in value)


def _discard_output() -> None:
    """Let the interpreter flush what is left to nowhere, instead of failing at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
