"""Write the reference of the actions, or check that it is up to date."""

from __future__ import annotations

from voicemail_site.management.pages import PageCommand
from voicemail_site.webapi.reference import reference
from voicemail_site.webapi.registry import actions

ROLES = {"user": "any role", "account_admin": "Account Admin or System Admin"}


class Command(PageCommand):
    """Write docs/api-reference.md from the actions' declarations."""

    help = "Write docs/api-reference.md from the actions' declarations."
    file_name = "api-reference.md"

    def page(self) -> str:
        return reference(actions(), ROLES)
