"""Load the demonstration data."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Role
from voicemail import demonstration

IN_USE = "This database holds accounts of its own; no demonstration data was added."


class Command(BaseCommand):
    """Load the demonstration data, and print the addresses and the logins."""

    help = (
        "Load a small demonstration data set, write its logins to var/demo.json and print them. "
        "A second run changes nothing. Example: manage.py demo"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--skip-if-in-use",
            action="store_true",
            help="Say so and exit with 0 where the database holds accounts of its own.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if demonstration.is_in_use():
            if not options["skip_if_in_use"]:
                raise CommandError(IN_USE)
            self.stderr.write(IN_USE)
            return
        path = settings.VAR_DIR / "demo.json"
        url = f"http://{settings.HOST}:{settings.PORT}"
        logins = demonstration.load(demonstration.read_passwords(path))
        demonstration.write_facts(path, url, logins)
        self._print(url, logins)

    def _print(self, url: str, logins: list[demonstration.Login]) -> None:
        write = self.stdout.write
        write(
            f"\nThe service:   {url}/\nThe Web API:   {url}/webapi\nThe admin:     {url}/admin/\n"
        )
        write("Logins (also in var/demo.json):")
        for login in logins:
            role = Role(login.user.role).label
            write(f"  {login.user.auth_username:<8} {login.password:<18} {role}")
        alice = next(login for login in logins if login.user.auth_username == "alice")
        write("\nA first call:")
        write(
            f"  curl {url}/webapi -d Action=SessionCreate -d Username=alice "
            f"-d Password={alice.password}\n"
        )
