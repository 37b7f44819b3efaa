"""The admin as a whole: the order of its parts, their names, and its overview.

It knows the models by name only, and reads their rows through the admin classes, which scope them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse

COUNTED_UP_TO = 1_000

# What is used daily comes first; the text says what is done there.
PARTS = {
    "Voicemailbox": "Add, find and change mailboxes, and reset their PINs.",
    "User": "Who may log in, here or to the Web API.",
    "Session": "Programs that are logged in to the Web API.",
    "Change": "Who changed what, when and how.",
    "Organization": "Domains with their mailboxes.",
    "Account": "Contacts, balance and credit.",
    "RefusedPin": "PINs that callers set by phone and that the rules forbid.",
    "Pbx": "Which Asterisk may ask for mailboxes, and its files.",
    "SpoolOrder": "What PBXs have to do with recordings whose mailbox is gone or moved.",
    "AccessAttempt": "Wrong passwords, counted until a user is locked.",
    "AccessFailureLog": "Wrong passwords, one by one.",
}
APPS = ("voicemail", "accounts", "axes")
NAMES = {
    "Axes": "Failed logins",
    "Access attempts": "Counts and locks",
    "Access failures": "Each failed login",
}

ASK_THE_PROVIDER = (
    "There is no organization yet. Your provider adds it; then you can add mailboxes."
)
ADD_AN_ORGANIZATION = (
    "Mailboxes belong to an organization: add an account and an organization first."
)
ADD_THE_FIRST = "None yet. Add the first one."


@dataclass(frozen=True)
class Card:
    """A part of the admin on the overview."""

    name: str
    about: str
    number: str
    hint: str
    url: str
    add_url: str
    add_label: str


class VoicemailAdminSite(admin.AdminSite):
    """Django's site, with an overview that begins with what an admin does most."""

    site_header = site_title = "Voicemail provisioning"
    index_title = "Overview"
    site_url = None

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        app_list = super().get_app_list(request, app_label)
        for part in (*app_list, *(model for app in app_list for model in app["models"])):
            part["name"] = NAMES.get(part["name"], part["name"])
        for app in app_list:
            app["models"].sort(key=lambda model: _place(tuple(PARTS), model["object_name"]))
        return sorted(app_list, key=lambda app: _place(APPS, app["app_label"]))

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(
            request, {"cards": list(self._cards(request)), **(extra_context or {})}
        )

    def _cards(self, request: HttpRequest) -> Iterator[Card]:
        """Give each part that the user may see, with what is there of it."""
        for app in self.get_app_list(request):
            for part in app["models"]:
                yield self._card(request, part)

    def _card(self, request: HttpRequest, part: dict[str, Any]) -> Card:
        model = part["model"]
        number = self._number(request, model)
        hint = ""
        if part["add_url"] and not number:
            hint = self._first_step(request, model)
        return Card(
            name=part["name"],
            about=PARTS.get(part["object_name"], ""),
            number=_worded(number),
            hint=hint,
            url=part["admin_url"],
            add_url="" if hint and hint != ADD_THE_FIRST else part["add_url"] or "",
            add_label=f"Add {model._meta.verbose_name}",
        )

    def _number(self, request: HttpRequest, model: Any) -> int:
        """Count rows, and stop where it would take long."""
        rows = self._registry[model].get_queryset(request).order_by()
        return int(rows.values("pk")[: COUNTED_UP_TO + 1].count())

    def _first_step(self, request: HttpRequest, model: Any) -> str:
        """Say how to come to the first row of a model."""
        needed = apps.get_model("accounts.Organization")
        if model._meta.label != "voicemail.Voicemailbox" or self._number(request, needed):
            return ADD_THE_FIRST
        may_add = self._registry[needed].has_add_permission(request)
        return ADD_AN_ORGANIZATION if may_add else ASK_THE_PROVIDER


class VoicemailAdminConfig(AdminConfig):
    """Django's admin app with the site above."""

    default = False
    default_site = "voicemail_site.admin_site.VoicemailAdminSite"


def _place(order: tuple[str, ...], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _worded(number: int) -> str:
    return f"more than {COUNTED_UP_TO:,}" if number > COUNTED_UP_TO else str(number)
