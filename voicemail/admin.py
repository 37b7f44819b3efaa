"""Voicemail boxes in Django's admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from accounts.scoped_admin import TIMES, ScopedAdmin
from voicemail import services
from voicemail.models import Voicemailbox
from voicemail.validators import is_trivial_pin


class VoicemailboxForm(forms.ModelForm[Voicemailbox]):
    """A voicemail box, with a PIN that is only ever written."""

    password = forms.CharField(
        label="New PIN",
        required=False,
        max_length=7,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
        help_text="1 to 7 digits. Empty keeps the present PIN; a new mailbox gets one made up.",
    )

    class Meta:
        model = Voicemailbox
        fields = (
            *("organization", "mailbox", "username", "fullname", "status", "password", "timezone"),
            *("say_caller_id", "say_duration", "say_datetime"),
            *("notify_email", "email", "notify_pager", "pager", "mwi"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Otherwise an empty field counts as a changed one.
        self.initial.pop("password", None)

    def clean_password(self) -> str:
        return self.cleaned_data["password"] or self.instance.password


@admin.register(Voicemailbox)
class VoicemailboxAdmin(ScopedAdmin[Voicemailbox]):
    """Voicemail boxes: an account's admin does everything with the account's."""

    form = VoicemailboxForm
    account_admin_may = ScopedAdmin.staff_may
    list_display = ("mailbox", "fullname", "status", "address", "email")
    list_display_links = ("mailbox", "fullname")
    list_filter = ("status", "notify_email", "notify_pager", "timezone")
    list_select_related = ("organization",)
    search_fields = ("mailbox", "fullname", "email", "username", "organization__domain")
    search_help_text = "Search by number, name, e-mail or domain."
    ordering: ClassVar[tuple[str, ...]] = ("mailbox", "id")
    readonly_fields = ("created", "modified")
    fieldsets = (
        (
            "Mailbox",
            {
                "fields": (
                    "organization",
                    ("mailbox", "username"),
                    "fullname",
                    "password",
                    "status",
                )
            },
        ),
        ("Notifications", {"fields": (("notify_email", "email"), ("notify_pager", "pager"))}),
        (
            "Playback",
            {"fields": ("timezone", ("say_caller_id", "say_duration", "say_datetime"))},
        ),
        ("Message waiting", {"fields": ("mwi",)}),
        TIMES,
    )

    @admin.display(description="address", ordering="organization__domain")
    def address(self, box: Voicemailbox) -> str:
        """Give the SIP address that reaches the box."""
        return f"{box.username}@{box.organization}"

    def get_readonly_fields(
        self, request: HttpRequest, obj: Voicemailbox | None = None
    ) -> tuple[str, ...]:
        fixed = ("organization", "username") if obj else ()
        return (*self.readonly_fields, *fixed)

    def save_model(self, request: HttpRequest, obj: Voicemailbox, form: Any, change: bool) -> None:
        if change:
            services.edit_voicemailbox(obj)
        else:
            services.add_voicemailbox(obj)
        if "password" in form.changed_data and is_trivial_pin(obj.password, obj.mailbox):
            self.message_user(request, "This PIN is easy to guess.", messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: Voicemailbox) -> None:
        services.delete_voicemailbox(obj)
