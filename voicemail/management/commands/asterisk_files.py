"""Print the files of a PBX."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from voicemail.asterisk.configuration import files
from voicemail.models import Pbx

PLACEHOLDER = "CREDENTIAL"


class Command(BaseCommand):
    """Print Asterisk's files, filled in for one PBX of this installation."""

    help = (
        "Print each file of an Asterisk that takes its boxes from here, filled in for one PBX. "
        "Where the credential belongs stands CREDENTIAL: it is shown only when it is made. "
        "Example: manage.py asterisk_files pbx1 --url https://voicemail.example.com"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The name of the PBX.")
        parser.add_argument(
            "--url",
            default=f"http://{settings.HOST}:{settings.PORT}",
            help="Where the PBX reaches this service.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["name"]
        pbx = Pbx.unscoped.filter(name=name).first()
        if pbx is None:
            known = ", ".join(Pbx.unscoped.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no PBX named {name}. Known: {known}.")
        for path, text in files(url=options["url"], name=pbx.name, credential=PLACEHOLDER).items():
            self.stdout.write(f"==> {path} <==\n{text}")
