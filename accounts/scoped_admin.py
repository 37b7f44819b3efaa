"""The base of every ModelAdmin: what a user may see and do there, and who a change is by.

Django's own permissions know only provider staff; an account's admin gets what a class lists in
``account_admin_may``, and reaches rows through ``visible_to`` alone: in lists, forms, look-ups of
related objects, and by URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.history import record_change
from accounts.models import Channel, User
from voicemail_site.logs import request_id

Row = TypeVar("Row", bound=models.Model)

SECRET_COLUMNS = ("password", "digest")


class ScopedAdmin(admin.ModelAdmin[Row]):
    """Show and change the rows that the user may see, through the services."""

    staff_may: ClassVar[frozenset[str]] = frozenset({"view", "add", "change", "delete"})
    account_admin_may: ClassVar[frozenset[str]] = frozenset()
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Row]:
        rows = self.model.objects.visible_to(request.user)  # type: ignore[attr-defined]  # scoped
        return rows.order_by(*self.get_ordering(request))  # type: ignore[no-any-return]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only related objects that the user may see."""
        kwargs["queryset"] = db_field.remote_field.model.objects.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to filter by a secret: that would tell it digit by digit."""
        if any(part in SECRET_COLUMNS for part in lookup.split("__")):
            return False
        return super().lookup_allowed(lookup, value, request)

    def _may(self, request: HttpRequest, verb: str, obj: Row | None) -> bool:
        user = request.user
        if not isinstance(user, User) or not user.is_active:
            return False
        if user.is_system_admin:
            return verb in self.staff_may
        if not user.is_account_admin or verb not in self.account_admin_may:
            return False
        return obj is None or self.get_queryset(request).filter(pk=obj.pk).exists()

    def has_view_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self._may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "add", None)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self._may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self._may(request, "delete", obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "view", None)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._as_one_change(request, super().changeform_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._as_one_change(request, super().changelist_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._as_one_change(request, super().delete_view, *args, **kwargs)

    def _as_one_change(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Run a view that writes as one Change; a service's refusal becomes a message."""
        user = request.user
        if request.method != "POST" or not isinstance(user, User):
            return view(request, *args, **kwargs)
        try:
            with record_change(by=user, channel=Channel.WEB, request_id=request_id.get()):
                return view(request, *args, **kwargs)
        except ValidationError as exc:
            self.message_user(request, " ".join(exc.messages), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Row]) -> None:
        """Delete selected rows one by one, through the same service as a single one."""
        for row in queryset:
            self.delete_model(request, row)
