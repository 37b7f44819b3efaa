"""Voicemail boxes in Django's admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts.scoped_admin import ScopedAdmin
from voicemail import services
from voicemail.models import Voicemailbox


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

    def clean_password(self) -> str:
        return self.cleaned_data["password"] or self.instance.password


@admin.register(Voicemailbox)
class VoicemailboxAdmin(ScopedAdmin[Voicemailbox]):
    """Voicemail boxes: an account's admin does everything with the account's."""

    form = VoicemailboxForm
    account_admin_may = ScopedAdmin.staff_may
    list_display = (
        *("mailbox", "fullname", "organization", "username", "notify_email"),
        *("timezone", "status", "modified"),
    )
    list_display_links = ("mailbox", "fullname")
    list_filter = ("status", "notify_email", "notify_pager", "timezone")
    list_select_related = ("organization",)
    search_fields = ("mailbox", "fullname", "email", "organization__domain")
    search_help_text = "Search by number, name, e-mail or domain."
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
        ("History", {"fields": (("created", "modified"),)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Voicemailbox | None = None) -> Any:
        return self.fieldsets

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

    def delete_model(self, request: HttpRequest, obj: Voicemailbox) -> None:
        services.delete_voicemailbox(obj)
