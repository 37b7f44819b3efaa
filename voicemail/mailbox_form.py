"""The form of a mailbox: what it suggests, what it refuses, and what it says afterwards."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Organization
from accounts.scoped_admin import ScopedAdmin
from accounts.versions import rows_visible_to
from voicemail import services, spool
from voicemail.models import REQUIRED_VALUE, Voicemailbox
from voicemail.pins import PinAdmin, name_of
from voicemail.validators import (
    FULLNAME_MAX_LENGTH,
    MAILBOX_MAX,
    MAILBOX_PATTERN,
    PIN_MAX_LENGTH,
    is_trivial_pin,
)

# More organizations than this are looked up by typing instead of picked from a list.
MOST_TO_PICK_FROM = 20

KEEP_PIN = "Leave this empty to keep the present PIN."
MAKE_PIN = "Leave this empty to have a PIN made up; it is shown once, after saving."
PIN_FORM = "A PIN is 1 to 7 digits, not all of them zero."
STRICT_PIN_FORM = "A PIN is 6 or 7 digits that are not easy to guess."

WAITING = (
    "The mailbox is waiting for the PBX, which still has recordings that others left under this "
    "number. Callers reach it as soon as they are put away, usually within minutes."
)

_MAILBOX = re.compile(r"-?[1-9][0-9]*|0")


class MailboxField(forms.IntegerField):
    """A mailbox's number in its one spelling, with the words of the API for any other."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": f"Value must be an integer from 1 to {MAILBOX_MAX}.",
        "min_value": "Value may be no less than 1",
        "max_value": f"Value may be no more than {MAILBOX_MAX}",
    }

    def to_python(self, value: Any) -> int | None:
        text = str(value or "").strip()
        if text and not _MAILBOX.fullmatch(text):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(text)


class VoicemailboxForm(forms.ModelForm[Voicemailbox]):
    """A mailbox, with a PIN that is only ever written."""

    password = forms.CharField(
        label="New PIN",
        required=False,
        max_length=PIN_MAX_LENGTH,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    class Meta:
        model = Voicemailbox
        fields = (
            *("organization", "mailbox", "fullname", "username", "password", "status"),
            *("notify_email", "email", "notify_pager", "pager"),
            *("timezone", "say_caller_id", "say_duration", "say_datetime", "mwi"),
        )
        field_classes: ClassVar[dict[str, Any]] = {"mailbox": MailboxField}
        widgets: ClassVar[dict[str, Any]] = {
            "mailbox": forms.TextInput(
                attrs={"inputmode": "numeric", "autocomplete": "off", "size": 10}
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Otherwise an empty field counts as a changed one.
        self.initial.pop("password", None)
        when_empty = KEEP_PIN if self.instance.pk else MAKE_PIN
        form = STRICT_PIN_FORM if settings.PIN_STRICT else PIN_FORM
        self.fields["password"].help_text = f"{when_empty} {form}"
        for field in self.fields.values():
            field.error_messages["required"] = REQUIRED_VALUE
            if getattr(field, "max_length", None):
                longest = f"Value may be no more than {field.max_length} characters."  # type: ignore[attr-defined]  # a CharField
                field.error_messages["max_length"] = longest

    def clean_password(self) -> str:
        return self.cleaned_data["password"] or self.instance.password


class MailboxFormAdmin(PinAdmin, ScopedAdmin[Voicemailbox]):
    """The pages to add, change and delete a mailbox."""

    form = VoicemailboxForm
    readonly_fields = ("pin", "created", "modified", "all_changes")

    class Media:
        js = ("voicemail_site/mailbox-form.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.suggest_view)
        return [path("suggest/", view, name="voicemail_voicemailbox_suggest"), *super().get_urls()]

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Voicemailbox | None = None) -> Any:
        """Group the fields as a person thinks; a new mailbox has no PIN and no history yet."""
        pin = ("pin", "password") if obj else ("password",)
        mailbox = ("organization", "mailbox", "fullname", "username", *pin, "status")
        says = ("say_caller_id", "say_duration", "say_datetime")
        groups: tuple[Any, ...] = (
            ("Mailbox", {"fields": mailbox}),
            ("Notifications", {"fields": ("notify_email", "email", "notify_pager", "pager")}),
            ("Playback", {"fields": ("timezone", *says)}),
            ("Message waiting", {"fields": ("mwi",)}),
        )
        past = {"fields": (("created", "modified"), "all_changes"), "description": "In UTC."}
        return (*groups, ("History", past)) if obj else groups

    def get_readonly_fields(
        self, request: HttpRequest, obj: Voicemailbox | None = None
    ) -> tuple[str, ...]:
        return (*self.readonly_fields, "organization", "username") if obj else self.readonly_fields

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Say above the form whether the mailbox waits for a PBX; staff are told for which."""
        box = context.get("original")
        context["waits_for"] = spool.pbxs_to_wait_for(box) if box else []
        return super().render_change_form(request, context, *args, **kwargs)

    def all_changes(self, box: Voicemailbox) -> SafeString:
        """Lead to the history of the mailbox."""
        url = reverse("admin:voicemail_voicemailbox_history", args=(box.pk,))
        return format_html('<a href="{}">Who changed what, and when</a>', url)

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        visible = Organization.objects.visible_to(request.user)
        are_many = visible[: MOST_TO_PICK_FROM + 1].count() > MOST_TO_PICK_FROM
        return ("organization",) if are_many else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the organizations without ways to edit them, and their suggestions to a script."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "organization" and field is not None:
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs["data-suggest-url"] = reverse("admin:voicemail_voicemailbox_suggest")
            field.widget = widget
        return field

    # Suggestions

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the organization that was asked for, or the only one, and a free number."""
        initial: dict[str, Any] = dict(super().get_changeform_initial_data(request))
        asked_for = initial.pop("organization", "")
        organization = self._organization(request, asked_for) or self._only_organization(request)
        if organization is None:
            return initial
        return _suggestions(organization) | initial | {"organization": organization.pk}

    def suggest_view(self, request: HttpRequest) -> HttpResponse:
        """Answer the form's script: a free number and address in an organization."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        organization = self._organization(request, request.GET.get("organization", ""))
        if organization is None:
            return JsonResponse({}, status=HTTPStatus.NOT_FOUND)
        number, name = (request.GET.get(each, "") for each in ("mailbox", "fullname"))
        return JsonResponse(_suggestions(organization, mailbox=number, fullname=name))

    def _organization(self, request: HttpRequest, pk: str) -> Organization | None:
        visible = Organization.objects.visible_to(request.user)
        try:
            found: Organization | None = forms.ModelChoiceField(visible, required=False).clean(pk)
        except ValidationError:
            return None
        return found

    def _only_organization(self, request: HttpRequest) -> Organization | None:
        first_two = Organization.objects.visible_to(request.user)[:2]
        return first_two[0] if len(first_two) == 1 else None

    # What was done, and what is said of it

    def save_model(self, request: HttpRequest, obj: Voicemailbox, form: Any, change: bool) -> None:
        if change:
            changed = obj.changed_fields()
            request.changed_labels = [  # type: ignore[attr-defined]  # for what is said afterwards
                str(field.label) for name, field in form.fields.items() if name in changed
            ]
            services.edit_voicemailbox(obj)
        else:
            services.add_voicemailbox(obj)
        if not change or "mailbox" in changed:
            self._tell_of_recordings(request, obj)
        if "password" in form.changed_data and is_trivial_pin(obj.password, obj.mailbox):
            self.message_user(request, "This PIN is easy to guess.", messages.WARNING)

    def _tell_of_recordings(self, request: HttpRequest, box: Voicemailbox) -> None:
        """Say what recordings of others mean for a mailbox that has a new number."""
        if spool.delayed_among([box]):
            self.message_user(request, WAITING, messages.WARNING)
        elif spool.may_play_others(box):
            text = spool.FORMER_RECORDINGS.format(mailbox=box.mailbox)
            self.message_user(request, text, messages.WARNING)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Name what was really changed: not what was only typed again."""
        if add:
            return [{"added": {}}]
        labels = request.changed_labels  # type: ignore[attr-defined]  # from save_model
        return [{"changed": {"fields": labels}}] if labels else []

    def log_change(self, request: HttpRequest, obj: Voicemailbox, message: Any) -> Any:
        """Log what was changed; that nothing was is no action."""
        return super().log_change(request, obj, message) if message else None

    def response_add(
        self, request: HttpRequest, obj: Voicemailbox, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(request, f"{name_of(obj)} was added.", messages.SUCCESS)
        is_made_up = not request.POST.get("password", "").strip()
        return self.new_pin_page(request, obj) if is_made_up else self._next_page(request, obj)

    def response_change(self, request: HttpRequest, obj: Voicemailbox) -> HttpResponse:
        labels = request.changed_labels  # type: ignore[attr-defined]  # from save_model
        if labels:
            text = f"{name_of(obj)} was changed: {', '.join(labels)}."
            self.message_user(request, text, messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was changed.", messages.INFO)
        return self._next_page(request, obj)

    def _next_page(self, request: HttpRequest, box: Voicemailbox) -> HttpResponse:
        """Go where the button that was pressed leads."""
        if "_addanother" in request.POST:
            url = reverse("admin:voicemail_voicemailbox_add")
        elif "_continue" in request.POST:
            url = reverse("admin:voicemail_voicemailbox_change", args=(box.pk,))
        else:
            return self.response_post_save_change(request, box)
        filters = self.get_preserved_filters(request)
        context: dict[str, Any] = {"preserved_filters": filters, "opts": self.opts}
        return HttpResponseRedirect(add_preserved_filters(context, url))

    # Deleting

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """Say beforehand what becomes of the recordings."""
        shown = context | {"are_recordings_removed": settings.SPOOL_ORDERS}
        return super().render_delete_form(request, shown)

    def delete_model(self, request: HttpRequest, obj: Voicemailbox) -> None:
        services.delete_voicemailbox(obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Say what is gone, and offer to bring it back."""
        row = rows_visible_to(Voicemailbox, request.user).filter(id=obj_id, history_type="-")[0]
        undo = reverse("admin:voicemail_voicemailbox_restore", args=(row.pk,))
        text = format_html('{} was deleted. <a href="{}">Undo</a>', name_of(row), undo)
        self.message_user(request, text, messages.SUCCESS)
        return self.response_post_save_change(request, row)


def _suggestions(
    organization: Organization, *, mailbox: str = "", fullname: str = ""
) -> dict[str, Any]:
    """Give a number and an address for a new mailbox; the number is the one that was chosen."""
    free = services.next_free_mailbox(organization)
    chosen = int(mailbox) if re.fullmatch(MAILBOX_PATTERN, mailbox) else free
    username = services.suggested_username(
        organization, mailbox=chosen, fullname=fullname[:FULLNAME_MAX_LENGTH]
    )
    return {"mailbox": free, "username": username}
