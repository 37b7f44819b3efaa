"""Point from Django's own command to the one that records the change."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Refuse, and name the command that sets a password here."""

    help = "Use manage.py users password NAME instead."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="The user's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["username"] or "NAME"
        raise CommandError(f"Use manage.py users password {name}")
