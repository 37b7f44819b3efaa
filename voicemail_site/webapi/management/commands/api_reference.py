"""Write the reference of the actions, or check that it is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from voicemail_site.webapi.reference import reference
from voicemail_site.webapi.registry import actions

ROLES = {"user": "any role", "account_admin": "Account Admin or System Admin"}


class Command(BaseCommand):
    """Write docs/api-reference.md from the actions' declarations."""

    help = "Write docs/api-reference.md from the actions' declarations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit with 1 if the page is stale."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "api-reference.md"
        page = reference(actions(), ROLES)
        if not options["check"]:
            path.write_text(page)
            self.stdout.write(f"Wrote {path.name}.")
        elif not path.is_file() or path.read_text() != page:
            raise CommandError("docs/api-reference.md is stale: run manage.py api_reference.")
