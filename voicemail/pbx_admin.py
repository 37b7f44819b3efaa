"""PBXs in the admin: who may ask for boxes; and the PINs that a PBX's callers could not set."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.scoped_admin import ScopedAdmin
from voicemail import spool
from voicemail.asterisk.configuration import PLACEHOLDER, files
from voicemail.models import Pbx, RefusedPin, SpoolTask
from voicemail.services import give_credential

CREDENTIAL = "admin/voicemail/pbx/credential.html"


class OrganizationPicker(AutocompleteSelectMultiple):
    """Django's picker, with words in its search field: without them it has no name."""

    def build_attrs(self, base_attrs: Any, extra_attrs: Any = None) -> dict[str, Any]:
        attrs = super().build_attrs(base_attrs, extra_attrs)
        return attrs | {"data-placeholder": "Search by domain"}


@admin.register(Pbx)
class PbxAdmin(ScopedAdmin[Pbx]):
    """PBXs are the provider's: staff alone see them."""

    list_display = ("name", "is_active", "is_limited", "last_seen")
    list_filter = ("is_active", "is_limited")
    search_fields = ("name",)
    search_help_text = "Search by name."
    readonly_fields = ("credential", "last_seen", "created")
    fieldsets = (
        ("PBX", {"fields": ("name", "is_active", "credential")}),
        ("What it may ask for", {"fields": ("is_limited", "organizations")}),
        ("Seen", {"fields": (("last_seen", "created"),), "description": "In UTC."}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.credential_view)
        own = path("<path:object_id>/credential/", view, name="voicemail_pbx_credential")
        return [own, *super().get_urls()]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["widget"] = OrganizationPicker(db_field, self.admin_site)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description="credential")
    def credential(self, pbx: Pbx) -> SafeString | str:
        """Stand for the credential in the form, with the way to a new one."""
        if pbx.pk is None:
            return "Made when the PBX is added, and shown once."
        url = reverse("admin:voicemail_pbx_credential", args=(pbx.pk,))
        return format_html('Hidden <a class="button" href="{}">New credential</a>', url)

    def save_model(self, request: HttpRequest, obj: Pbx, form: Any, change: bool) -> None:
        if not change:
            request.credential = give_credential(obj)  # type: ignore[attr-defined]  # shown below
        obj.save()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count what goes with PBXs: to list what they have to do might take very long."""
        tasks = SpoolTask.objects.visible_to(request.user).filter(pbx__in=list(objs))
        counts = {"PBXs": len(objs), "orders still open": tasks.filter(confirmed=None).count()}
        return [str(pbx) for pbx in objs], counts, set(), []

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        spool.give_missed(form.instance)

    def response_add(
        self, request: HttpRequest, obj: Pbx, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(request, f"PBX {obj} was added.", messages.SUCCESS)
        return self._credential_page(request, obj, request.credential)  # type: ignore[attr-defined]  # by save_model

    def credential_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then make a new credential and show it once, in the files of the PBX as well."""
        pbx = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, pbx):
            raise PermissionDenied
        if pbx is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]  # Django's
                request, self.opts, object_id
            )
        if request.method != "POST":
            return self._credential_page(request, pbx)
        credential = give_credential(pbx)
        pbx.save(update_fields=["credential_digest"])
        self.log_change(request, pbx, "New credential.")
        return self._credential_page(request, pbx, credential)

    def _credential_page(
        self, request: HttpRequest, pbx: Pbx, credential: str = ""
    ) -> HttpResponse:
        url = settings.PUBLIC_URL
        context = {
            "title": f"Credential of PBX {pbx}" if credential else f"New credential for {pbx}?",
            "opts": self.opts,
            "original": pbx,
            "credential": credential,
            "files": files(pbx, url=url, credential=credential or PLACEHOLDER),
        }
        # No cache keeps it: ``admin_view`` sees to that.
        return TemplateResponse(
            request, CREDENTIAL, self.admin_site.each_context(request) | context
        )


@admin.register(RefusedPin)
class RefusedPinAdmin(ScopedAdmin[RefusedPin]):
    """PINs that were set by phone and refused: the caller was told nothing of it."""

    staff_may = account_admin_may = frozenset({"view"})
    list_display = ("created", "voicemailbox", "reason", "pbx")
    list_select_related = ("voicemailbox",)
    fields = list_display
