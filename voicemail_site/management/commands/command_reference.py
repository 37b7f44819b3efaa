"""Write the reference of the commands, or check that it is up to date."""

from __future__ import annotations

from django.core.management import get_commands, load_command_class

from accounts.management.reference import reference
from voicemail_site.management.pages import PageCommand

# The site's own commands are for those who build it.
_APPS = ("accounts", "voicemail")


class Command(PageCommand):
    """Write docs/commands.md from the commands' options."""

    help = "Write docs/commands.md from the commands' options."
    file_name = "commands.md"

    def page(self) -> str:
        ours = {name: app for name, app in get_commands().items() if app in _APPS}
        return reference({name: load_command_class(app, name) for name, app in ours.items()})
