"""The pages on which a PIN appears: a new one once, the present one to whoever asks for it.

Asking is recorded. A PIN is in the answer to the POST alone, which no cache may keep, and never
in an address, a message or a log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.scoped_admin import ScopedAdmin
from voicemail import services
from voicemail.models import Voicemailbox

NEW_PIN = "admin/voicemail/voicemailbox/new_pin.html"
SHOW_PIN = "admin/voicemail/voicemailbox/show_pin.html"


def name_of(box: Voicemailbox) -> str:
    """Name a box as messages do."""
    return f"Mailbox {box.mailbox} of {box.fullname}"


class PinAdmin(ScopedAdmin[Voicemailbox]):
    """Reset a PIN and show one, to those who may change its box."""

    def get_urls(self) -> list[URLPattern]:
        pages = {"reset-pin": self.reset_pin_view, "show-pin": self.show_pin_view}
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"voicemail_voicemailbox_{name.replace('-', '_')}",
            )
            for name, view in pages.items()
        ]
        return own + super().get_urls()

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Voicemailbox | None:
        """Hold a box that may be written to, so that the history tells it as it is then."""
        box = super().get_object(request, object_id, from_field)
        if box is None or request.method != "POST":
            return box
        return self.get_queryset(request).select_for_update(of=("self",)).filter(pk=box.pk).first()

    @admin.display(description="PIN")
    def pin(self, box: Voicemailbox) -> SafeString:
        """Stand for the PIN in the form, with the ways to a new one and to the present one."""
        return format_html(
            '<span class="hidden-pin">Hidden</span> '
            '<a class="button" href="{}">Reset PIN</a> <a class="button" href="{}">Show PIN</a>',
            reverse("admin:voicemail_voicemailbox_reset_pin", args=(box.pk,)),
            reverse("admin:voicemail_voicemailbox_show_pin", args=(box.pk,)),
        )

    def reset_pin_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then make a new PIN and show it."""
        return self._as_one_change(request, self._pin_view, object_id, self._reset)

    def show_pin_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then record the asking and show the PIN."""
        return self._as_one_change(request, self._pin_view, object_id, self._show)

    def _pin_view(
        self,
        request: HttpRequest,
        object_id: str,
        answer: Callable[[HttpRequest, Voicemailbox], HttpResponse],
    ) -> HttpResponse:
        box = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, box):
            raise PermissionDenied
        if box is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]  # Django's
                request, self.opts, object_id
            )
        return answer(request, box)

    def _reset(self, request: HttpRequest, box: Voicemailbox) -> HttpResponse:
        if request.method != "POST":
            return self._pin_page(request, box, NEW_PIN, f"Reset the PIN of mailbox {box.mailbox}?")
        services.reset_pin(box)
        self.log_change(request, box, "PIN reset.")
        self.message_user(request, f"{name_of(box)} has a new PIN.", messages.SUCCESS)
        return self.new_pin_page(request, box)

    def _show(self, request: HttpRequest, box: Voicemailbox) -> HttpResponse:
        if request.method != "POST":
            return self._pin_page(request, box, SHOW_PIN, f"Show the PIN of mailbox {box.mailbox}?")
        pin = services.show_pin(box)
        self.log_change(request, box, "PIN shown.")
        return self._pin_page(request, box, SHOW_PIN, f"PIN of mailbox {box.mailbox}", pin=pin)

    def new_pin_page(self, request: HttpRequest, box: Voicemailbox) -> HttpResponse:
        """Show a PIN that was made up, this once."""
        title = f"New PIN of mailbox {box.mailbox}"
        return self._pin_page(request, box, NEW_PIN, title, pin=box.password)

    def _pin_page(
        self, request: HttpRequest, box: Voicemailbox, template: str, title: str, **context: Any
    ) -> HttpResponse:
        shown = {"title": title, "opts": self.opts, "original": box} | context
        # No cache keeps it: ``admin_view`` sees to that.
        return TemplateResponse(request, template, self.admin_site.each_context(request) | shown)
