"""The verbs that accounts, organizations and users share."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import models

from accounts.management.base import ChangeVerb, Done, ListVerb, Outcome, ShowVerb, Verb
from accounts.management.output import Record
from accounts.management.scope import Scope
from accounts.models import Status

CONTACT_FIELDS = (
    *("contact_organization", "contact_name", "contact_address", "contact_city", "contact_state"),
    *("contact_zipcode", "contact_country", "contact_country_id"),
    *("contact_phone", "contact_email"),
)


@dataclass(frozen=True)
class Kind:
    """What the verbs know of a kind of objects: its names and columns, and its services."""

    model: type[models.Model]
    columns: Sequence[str]
    accepted: str
    find: Callable[[str, Scope], Any]
    edit: Callable[[Any], bool]
    delete: Callable[[Any], None]

    def record(self, obj: Any) -> Record:
        """Give the columns of an object."""
        return {name: getattr(obj, name) for name in self.columns}

    def done(self, obj: Any, outcome: Outcome, detail: str = "") -> Done:
        """Tell what was done to an object, while it is there."""
        return Done.to(obj, outcome, self.record(obj), detail)

    def added(self, obj: Any) -> Done:
        """Tell of a new object as the database has it."""
        obj.refresh_from_db()
        return self.done(obj, Outcome.ADDED)

    def edited(self, obj: Any) -> Done:
        """Store what was changed of an object, and tell whether anything was."""
        outcome = Outcome.CHANGED if self.edit(obj) else Outcome.UNCHANGED
        obj.refresh_from_db()
        return self.done(obj, outcome)


class NamedVerb(Verb):
    """A verb about objects that are named one by one."""

    kind: ClassVar[Kind]
    takes_several: ClassVar[bool] = True

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        nargs = {"nargs": "+"} if cls.takes_several else {}
        told = f"By {cls.kind.accepted}."
        parser.add_argument("named", metavar=cls.kind.model.__name__.upper(), help=told, **nargs)  # type: ignore[arg-type]  # one word or none

    @property
    def found(self) -> Any:
        """Find the one object that is named. Raises CommandError."""
        return self.kind.find(self.options["named"], self.scope)

    @property
    def all_found(self) -> list[Any]:
        """Find every object that is named, each once. Raises CommandError."""
        scope = self.scope
        found = [self.kind.find(name, scope) for name in self.options["named"]]
        return list(dict.fromkeys(found))


class ShowNamed(NamedVerb, ShowVerb):
    """Show one object with everything that is kept about it."""

    takes_several = False

    def record(self) -> Record:
        return self.kind.record(self.found)


class FilteredList(ListVerb):
    """List objects, narrowed by state and by a text that they contain."""

    kind: ClassVar[Kind]
    searched: ClassVar[str]

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=Status.values, help="Only those in this state.")
        parser.add_argument(
            "--search", metavar="TEXT", help=f"Only those with this text in {cls.searched}."
        )

    def containing(self, text: str) -> models.Q:
        """Ask for a text in what is searched."""
        raise NotImplementedError

    def rows(self) -> models.QuerySet[Any]:
        """Give the rows that the options leave, in one statement."""
        rows = self.scope.rows(self.kind.model)
        if status := self.options["status"]:
            rows = rows.filter(**self.in_state(status))
        if text := self.options["search"]:
            rows = rows.filter(self.containing(text))
        return rows.order_by("pk")

    def in_state(self, status: str) -> dict[str, Any]:
        """Ask for a state."""
        return {"status": status}

    def records(self) -> Iterator[Record]:
        return map(self.kind.record, self.rows().iterator())


def add_field_options(
    parser: CommandParser, model: type[models.Model], names: Iterable[str]
) -> None:
    """Declare an option for each of these fields of a model."""
    for name in names:
        field: Any = model._meta.get_field(name)
        options: dict[str, Any] = {"help": field.help_text or f"The {field.verbose_name}."}
        if isinstance(field, models.BooleanField):
            options["action"] = BooleanOptionalAction
        elif field.choices:
            options["choices"] = [value for value, _ in field.choices]
        else:
            options |= {"metavar": _metavar(field), "type": _parser_of(field)}
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def _metavar(field: Any) -> str:
    return "TEXT" if isinstance(field, models.CharField) else "NUMBER"


def _parser_of(field: Any) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        try:
            return field.to_python(text)
        except ValidationError as exc:
            raise ArgumentTypeError(" ".join(exc.messages)) from exc

    return parsed


class FieldsVerb(Verb):
    """A verb with an option for each field that it sets."""

    kind: ClassVar[Kind]
    fields: ClassVar[Sequence[str]]

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_field_options(parser, cls.kind.model, cls.fields)

    @property
    def given(self) -> dict[str, Any]:
        """Give the values of the options that were used, by field."""
        values = {name: self.options[name] for name in self.fields}
        return {name: value for name, value in values.items() if value is not None}


class EditNamed(FieldsVerb, NamedVerb, ChangeVerb):
    """Change one object; what no option names stays as it is."""

    takes_several = False

    def change(self) -> list[Done]:
        values = self.given
        if not values:
            raise CommandError("Name at least one option with what is to change; --help has them.")
        obj = self.found
        for name, value in values.items():
            setattr(obj, name, value)
        return [self.kind.edited(obj)]


class SetStatus(NamedVerb, ChangeVerb):
    """Enable or disable accounts or organizations."""

    status: ClassVar[Status]

    def change(self) -> Iterator[Done]:
        for obj in self.all_found:
            obj.status = self.status
            yield self.kind.edited(obj)


class DeleteNamed(NamedVerb, ChangeVerb):
    """Delete objects."""

    is_destructive = True

    def question(self) -> str:
        found = self.all_found
        noun = (
            found[0]._meta.verbose_name if len(found) == 1 else found[0]._meta.verbose_name_plural
        )
        names = ", ".join(f"{each.pk} ({each})" for each in found)
        return f"Delete {noun} {names}{self.consequence(found)}?"

    def consequence(self, found: list[Any]) -> str:
        """Tell what goes with the objects."""
        return ""

    def change(self) -> Iterator[Done]:
        for obj in self.all_found:
            done = self.kind.done(obj, Outcome.DELETED)
            self.kind.delete(obj)
            yield done
