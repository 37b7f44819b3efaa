"""The base of every ModelAdmin: what a user may see and do there, and who a change is by.

Django's own permissions know only provider staff; an account's admin gets what a class lists in
``account_admin_may``, and reaches rows through ``visible_to`` alone: in lists, forms, look-ups of
related objects, and by URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from accounts.history import record_change
from accounts.models import Channel, User
from accounts.versions import PROVIDER_STAFF
from voicemail_site.logs import request_id

Row = TypeVar("Row", bound=models.Model)

# The last group of every form; a row that is being added has none yet.
TIMES: tuple[str, Any] = ("Times", {"fields": (("created", "modified"),), "description": "In UTC."})

IDENTIFIER = re.compile(r"[1-9][0-9]{0,17}")


class ScopedAdmin(admin.ModelAdmin[Row]):
    """Show and change the rows that the user may see, through the services."""

    staff_may: ClassVar[frozenset[str]] = frozenset({"view", "add", "change", "delete"})
    account_admin_may: ClassVar[frozenset[str]] = frozenset()
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Row]:
        rows: models.QuerySet[Row] = self.model.objects.visible_to(request.user)  # type: ignore[attr-defined]  # scoped
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def get_fieldsets(self, request: HttpRequest, obj: Row | None = None) -> Any:
        groups = super().get_fieldsets(request, obj)
        return groups if obj else [group for group in groups if group[0] != TIMES[0]]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only related objects that the user may see."""
        kwargs["queryset"] = db_field.remote_field.model.objects.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow what the filters beside a list offer; any other would tell secrets bit by bit."""
        filters = self.get_list_filter(request)
        names = [each[0] if isinstance(each, tuple) else each for each in filters]
        offered = {f"{name}__{kind}" for name in names for kind in ("exact", "isnull")}
        offered |= {getattr(each, "parameter_name", "") for each in filters}
        return lookup in offered and not any("\0" in text for text in request.GET.getlist(lookup))

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Row], search_term: str
    ) -> tuple[models.QuerySet[Row], bool]:
        """Search without the character that PostgreSQL takes for no text."""
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))

    def response_action(
        self, request: HttpRequest, queryset: models.QuerySet[Row], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Carry out an action on the selected rows, where what is selected are ids."""
        if not all(map(IDENTIFIER.fullmatch, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise BadRequest("What is selected has no ids.")
        return super().response_action(request, queryset, *args, **kwargs)

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
        """Show a service's refusal in the form that it refused."""
        view = super().changeform_view
        try:
            return self._as_one_change(request, view, *args, **kwargs)
        except ValidationError as exc:
            request.refusal = exc  # type: ignore[attr-defined]  # for get_form
            return view(request, *args, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: Row | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Row]]:
        form = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return _refused(form, refusal) if refusal else form

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._or_message(request, super().changelist_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._or_message(request, super().delete_view, *args, **kwargs)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show who changed a row here; to an account's admin the staff have no names."""
        response = super().history_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse) and not _is_staff(request):
            for entry in (response.context_data or {}).get("action_list", ()):
                if entry.user.is_system_admin:
                    entry.user = User(auth_username=PROVIDER_STAFF)
        return response

    def _or_message(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Run a view that has no form; a service's refusal becomes a message."""
        try:
            return self._as_one_change(request, view, *args, **kwargs)
        except ValidationError as exc:
            self.message_user(request, " ".join(exc.messages), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def _as_one_change(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Run a view, as one Change if it writes."""
        user = request.user
        if request.method != "POST" or not isinstance(user, User):
            return view(request, *args, **kwargs)
        with record_change(by=user, channel=Channel.WEB, request_id=request_id.get()):
            return view(request, *args, **kwargs)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Row]) -> None:
        """Delete selected rows one by one, through the same service as a single one."""
        for row in queryset:
            self.delete_model(request, row)


def _is_staff(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_system_admin


def _refused(
    form: type[forms.ModelForm[Row]], refusal: ValidationError
) -> type[forms.ModelForm[Row]]:
    """Give a form that has a service's refusal beside its fields, and so never saves."""

    class RefusedForm(form):  # type: ignore[valid-type, misc]  # made at run time
        def clean(self) -> Any:
            cleaned = super().clean()
            for name, errors in refusal.update_error_dict({}).items():
                self.add_error(name if name in self.fields else None, errors)
            return cleaned

    return RefusedForm
