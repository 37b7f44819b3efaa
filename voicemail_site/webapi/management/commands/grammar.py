"""Write, or check, the RELAX NG modules that follow from the registered actions."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from voicemail_site.webapi.grammar import GENERATED_DIRECTORY, generated_modules
from voicemail_site.webapi.registry import actions


class Command(BaseCommand):
    """Keep jnctn.rng and Result.rng in step with the actions."""

    help = "Write jnctn.rng and Result.rng anew from the registered actions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing, and fail when a file is not as it would be written",
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        texts = {
            GENERATED_DIRECTORY / f"{name}.rng": text
            for name, text in generated_modules(tuple(actions())).items()
        }
        if check:
            self.refuse_stale(texts)
        else:
            self.write(texts)

    def write(self, texts: Mapping[Path, str]) -> None:
        """Write each file, and name it."""
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
            self.stdout.write(path.name)

    def refuse_stale(self, texts: Mapping[Path, str]) -> None:
        """Fail with the names of the files whose text is not the given one."""
        stale = [path.name for path, text in texts.items() if not is_current(path, text)]
        if stale:
            raise CommandError(f"{', '.join(stale)}: stale; run `manage.py grammar`.")


def is_current(path: Path, text: str) -> bool:
    """Tell whether the file exists and holds exactly this text."""
    return path.is_file() and path.read_text(encoding="utf-8") == text
