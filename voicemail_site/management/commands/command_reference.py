"""Write the reference of the commands, or check that it is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.reference import reference

# The site's own commands are for those who build it.
_APPS = ("accounts", "voicemail")


class Command(BaseCommand):
    """Write docs/commands.md from the commands' options."""

    help = "Write docs/commands.md from the commands' options."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit with 1 if the page is stale."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "commands.md"
        ours = {name: app for name, app in get_commands().items() if app in _APPS}
        page = reference({name: load_command_class(app, name) for name, app in ours.items()})
        if not options["check"]:
            path.write_text(page)
            self.stdout.write(f"Wrote {path.name}.")
        elif not path.is_file() or path.read_text() != page:
            raise CommandError("docs/commands.md is stale: run manage.py command_reference.")
