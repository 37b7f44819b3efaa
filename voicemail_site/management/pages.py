"""Pages of the documentation that are made of what the code declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class PageCommand(BaseCommand):
    """Write one page into docs/, or check that it is up to date."""

    file_name: ClassVar[str]

    def page(self) -> str:
        """Give the page as it has to be."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit with 1 if the page is stale."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path, page = Path(settings.BASE_DIR) / "docs" / self.file_name, self.page()
        if not options["check"]:
            path.write_text(page)
            self.stdout.write(f"Wrote {path.name}.")
        elif not path.is_file() or path.read_text() != page:
            command = type(self).__module__.rpartition(".")[2]
            raise CommandError(f"docs/{path.name} is stale: run manage.py {command}.")
