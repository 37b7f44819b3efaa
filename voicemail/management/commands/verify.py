"""Look for everything that should not be."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.management.base import CommandError, CommandParser
from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from simple_history.models import HistoricalChanges

from accounts.management.base import ListVerb, SingleCommand
from accounts.management.output import Record
from accounts.management.scope import EVERYTHING
from accounts.models import Organization, Session, User
from accounts.scoping import StaffManager
from voicemail import verification
from voicemail.models import SpoolOrder, Voicemailbox
from voicemail.verification import Finding

# What an organization has; beside it an account has more, and the provider the rest.
_OF_ORGANIZATIONS = (Organization, User, Session, Voicemailbox, SpoolOrder)


class Verify(ListVerb):
    """Look for everything that should not be, and end with 1 if there is any.

    That is: guards, indexes and constraints that the database lacks, rows whose foreign keys lead
    nowhere, boxes and users of another account than their organization's, numbers and addresses
    that several boxes have, values that break the rules of their field, so that XML or the PBX
    could not carry them, trivial PINs, a number of boxes that Found has wrong, and spool orders
    that a PBX has not carried out for a day.
    """

    example = "verify --all-accounts --fix"
    columns = ("kind", "about", "problem", "remedy")
    table_columns = columns

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--fix",
            action="store_true",
            help="Make missing guards and indexes, and a right tally, first; the rest is not safe.",
        )

    def run(self) -> None:
        if self.options["fix"]:
            self.note(f"Guards, indexes and tallies made: {verification.fix()}.")
        self.number = 0
        super().run()
        if self.number:
            raise CommandError(f"Findings: {self.number:,}.")

    def records(self) -> Iterator[Record]:
        for finding in verification.findings(self._rows, now=timezone.now()):
            self.number += 1
            yield _record(finding)

    def _rows(self, model: type[models.Model]) -> QuerySet[models.Model]:
        if issubclass(model, HistoricalChanges):
            return self.scope.history_rows(model.instance_type)  # type: ignore[attr-defined]  # the library's
        scope = self.scope
        is_outside = scope.organization is not None and model not in _OF_ORGANIZATIONS
        if scope != EVERYTHING and (is_outside or isinstance(model.objects, StaffManager)):  # type: ignore[attr-defined]  # Each has it.
            return EVERYTHING.rows(model).none()
        return scope.rows(model)


def _record(finding: Finding) -> Record:
    return {
        "kind": finding.kind.value,
        "about": finding.about,
        "problem": finding.problem,
        "remedy": finding.remedy,
    }


class Command(SingleCommand):
    """Look for everything that should not be."""

    verb = Verify
