"""The history in Django's admin: an object's versions, all changes, and the way back to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, ClassVar, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import capfirst

from accounts.models import Change, Channel, TimestampedModel, User
from accounts.paginator import BoundedPaginator
from accounts.scoped_admin import IDENTIFIER, ScopedAdmin
from accounts.services import as_in
from accounts.versions import (
    PROVIDER_STAFF,
    Version,
    author_as_seen_by,
    differences,
    is_by_staff,
    object_of,
    organization_names,
    rows_visible_to,
    touched_by,
    versions_of,
)

Row = TypeVar("Row", bound=TimestampedModel)

VERSIONS_PER_PAGE = 100

NOTHING_CHANGED = "Nothing was changed: these are the present values."


@dataclass(frozen=True)
class Page:
    """Some versions of a long history, and where the older ones begin."""

    versions: Sequence[Version]
    is_first: bool
    before: int | None


def newest_first(request: HttpRequest, rows: models.QuerySet[Any]) -> Page:
    """Give a page of history rows from ``?before=`` on; the last page is as quick as the first."""
    before = request.GET.get("before", "")
    is_first = not IDENTIFIER.fullmatch(before)
    if not is_first:
        rows = rows.filter(history_id__lt=int(before))
    versions = versions_of(rows[: VERSIONS_PER_PAGE + 1], request.user)
    shown = versions[:VERSIONS_PER_PAGE]
    has_older = len(versions) > VERSIONS_PER_PAGE
    return Page(shown, is_first, shown[-1].row.history_id if has_older else None)


class HistoryAdmin(ScopedAdmin[Row]):
    """An object with a history, whose former versions can be looked at and brought back."""

    kind: ClassVar[str]
    restored_fields: ClassVar[tuple[str, ...]] = ()

    def restore(self, row: Any) -> Row:
        """Bring an object back to a version, through its service. Raises ValidationError."""
        raise NotImplementedError

    def former(self, row: Any, present: Row | None) -> Row:
        """Give what ``restore`` would store. Raises ValidationError where it would."""
        if present is None:
            raise ValidationError(f"This {self.kind.lower()} no longer exists.", code="deleted")
        return as_in(row, present, self.restored_fields)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_restore"
        view = self.admin_site.admin_view(self.restore_view)
        return [path("restore/<str:history_id>/", view, name=name), *super().get_urls()]

    def rows(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Give the history rows that the user may see."""
        return rows_visible_to(self.model, request.user)

    def titled(self, row: Any) -> str:
        """Name an object of the history with its kind."""
        return f"{self.kind} {object_of(row)}"

    def may_restore(self, request: HttpRequest, present: Row | None) -> bool:
        """Tell whether the user may bring back versions; of a deleted object there is no way."""
        return present is not None and self.has_change_permission(request, present)

    def is_offered(self, row: Any, present: Row | None) -> bool:
        """Tell whether going back to a row would change anything."""
        if present is None:
            return True
        names = [self.opts.get_field(name).attname for name in self.restored_fields]  # type: ignore[union-attr]  # columns
        return row.history_type != "-" and any(
            getattr(row, name) != getattr(present, name) for name in names
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Show an object's versions, also those of one that was deleted."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        is_id = IDENTIFIER.fullmatch(object_id) is not None
        rows = self.rows(request).filter(id=object_id) if is_id else self.rows(request).none()
        present = self.get_queryset(request).filter(pk=object_id).first() if is_id else None
        newest = rows.first()
        if present is None and newest is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]  # Django's
        page = newest_first(request, rows)
        may_restore = self.may_restore(request, present)
        name = f"{self.kind} {present or object_of(newest)}"
        context = {
            "title": f"History of {self._inside(name)}",
            "object": present,
            "object_name": name,
            "versions": [
                (version, may_restore and self.is_offered(version.row, present))
                for version in page.versions
            ],
            "page": page,
        }
        return self.answer(request, "admin/object_history.html", context | (extra_context or {}))

    def restore_view(self, request: HttpRequest, history_id: str) -> HttpResponse:
        """Ask before an object goes back to a version, saying what would change, and do it."""
        row = self._row(request, history_id)
        present = self.get_queryset(request).filter(pk=row.id).first()
        if not self.may_restore(request, present):
            raise PermissionDenied
        refused: Sequence[str] = ()
        if request.method == "POST":
            try:
                return self._as_one_change(request, self._restore, row)
            except ValidationError as exc:
                refused = self._worded(exc)
                present = self.get_queryset(request).filter(pk=row.id).first()
        return self._confirmation(request, row, present, refused)

    def url_of(self, page: str, pk: int) -> str:
        """Give the address of an object's page, or of a version's."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=(pk,))

    def answer(
        self, request: HttpRequest, template: str, context: Mapping[str, Any]
    ) -> TemplateResponse:
        """Fill a template with what every page of the admin has."""
        request.current_app = self.admin_site.name
        common = {
            "opts": self.opts,
            "module_name": capfirst(self.opts.verbose_name_plural),
            "has_view_permission": self.has_view_permission(request),
        }
        everywhere = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**everywhere, **common, **context})

    def _row(self, request: HttpRequest, history_id: str) -> Any:
        rows = self.rows(request).select_related("change")
        row = None
        if IDENTIFIER.fullmatch(history_id) and self.has_view_permission(request):
            row = rows.filter(history_id=history_id).first()
        if row is None:
            raise Http404("There is no such version.")
        return row

    def _restore(self, request: HttpRequest, row: Any) -> HttpResponse:
        was_there = self.get_queryset(request).filter(pk=row.id).first()
        if (
            was_there is not None
            and not self.is_offered(row, was_there)
            and row.history_type != "-"
        ):
            self.message_user(request, NOTHING_CHANGED, messages.WARNING)
        else:
            restored = self.restore(row)
            self.log_change(request, restored, "Restored.")
            self.message_user(request, f"{self.named(restored)} was restored.", messages.SUCCESS)
        return HttpResponseRedirect(self.url_of("change", row.id))

    def named(self, restored: Row) -> str:
        """Name an object in a message."""
        return f"{self.kind} {restored}"

    def _confirmation(
        self, request: HttpRequest, row: Any, present: Row | None, refused: Sequence[str]
    ) -> HttpResponse:
        names = organization_names([row, present], request.user)
        fields = self.restored_fields if present is not None else None
        changes = differences(present, row, names, fields)
        if not refused:
            refused = self._obstacles(row, present)
        context = {
            "title": f"Restore {self._inside(self.titled(row))}",
            "object_id": row.id,
            "object_name": self.titled(row),
            "version": Version(row, None, names),
            "is_there": present is not None,
            "differences": changes,
            "refused": refused,
            "can_restore": not refused and (present is None or bool(changes)),
        }
        return self.answer(request, "admin/restore_confirmation.html", context)

    def _obstacles(self, row: Any, present: Row | None) -> Sequence[str]:
        try:
            self.former(row, present)
        except ValidationError as exc:
            return self._worded(exc)
        return ()

    def _worded(self, refusal: ValidationError) -> list[str]:
        """Say what stands in the way, each with the label of its field."""
        errors = refusal.update_error_dict({})
        return [
            f"{self._label(name)}{message}"
            for name, each in errors.items()
            for message in ValidationError(each).messages
        ]

    def _label(self, name: str) -> str:
        try:
            field = self.opts.get_field(name)
        except FieldDoesNotExist:
            return ""
        return f"{capfirst(str(getattr(field, 'verbose_name', name)))}: "

    def _inside(self, name: str) -> str:
        """Put a name that begins with its kind into a sentence."""
        return name[:1].lower() + name[1:]


def histories() -> list[HistoryAdmin[Any]]:
    """Give the admins of the models that have a history."""
    return [each for each in admin.site._registry.values() if isinstance(each, HistoryAdmin)]


class PersonFilter(admin.SimpleListFilter):
    """Changes by one user; the provider's staff are one person to an account's admin."""

    title = "person"
    parameter_name = "person"
    most = 50

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        users = User.objects.visible_to(request.user).order_by("auth_username")
        chosen = self.used_parameters.get(self.parameter_name, "")
        named = list(users.values_list("pk", "auth_username")[: self.most + 1])
        if len(named) > self.most:
            is_id = IDENTIFIER.fullmatch(str(chosen))
            named = (
                list(users.filter(pk=chosen).values_list("pk", "auth_username")) if is_id else []
            )
        staff = [] if _is_staff(request) else [("staff", PROVIDER_STAFF)]
        return [*((str(pk), name) for pk, name in named), *staff]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        if value == "staff" and not _is_staff(request):
            return queryset.filter(is_by_staff())
        if value not in dict(self.lookup_choices):
            return queryset.none()
        return queryset.filter(user_id=int(value))


class KindFilter(admin.SimpleListFilter):
    """Changes that touched an object of one kind."""

    title = "kind of object"
    parameter_name = "kind"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [(str(each.opts.model_name), each.kind) for each in histories()]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        for each in histories():
            if each.opts.model_name == self.value():
                rows = each.rows(request).order_by().filter(change_id=OuterRef("pk"))
                return queryset.filter(Exists(rows))
        return queryset if self.value() is None else queryset.none()


class ChannelFilter(admin.SimpleListFilter):
    """Changes that came in by one way."""

    title = "channel"
    parameter_name = "channel"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return list(Channel.choices)

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(channel=value) if value in Channel.values else queryset.none()


class TimeFilter(admin.SimpleListFilter):
    """Changes of the last days."""

    title = "time"
    parameter_name = "days"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [
            ("1", "Past 24 hours"),
            ("7", "Past 7 days"),
            ("30", "Past 30 days"),
            ("90", "Past 90 days"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        if value not in dict(self.lookup_choices):
            return queryset.none()
        return queryset.filter(created__gte=timezone.now() - timedelta(days=int(value)))


def _is_staff(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_system_admin


class ChangesList(ChangeList):
    """A page of changes that knows what each of them touched."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        changes: list[Any] = list(self.result_list)
        for change in changes:
            change.touched = []
        found = {each: touched_by(changes, each.model, request.user) for each in histories()}
        for change in changes:
            change.touched = [
                (each, of_kind[change.pk])
                for each, of_kind in found.items()
                if change.pk in of_kind
            ]
        self.result_list = changes


class RowsOfChange:
    """The history rows of a Change, one kind after the other, to be cut into pages."""

    def __init__(self, change: Change, request: HttpRequest) -> None:
        self.request = request
        found = [
            (each, each.rows(request).filter(change=change).order_by("history_id"))
            for each in histories()
        ]
        self.sources = [(each, rows, rows.count()) for each, rows in found]

    def count(self) -> int:
        return sum(number for _, _, number in self.sources)

    __len__ = count

    def __getitem__(self, wanted: slice) -> list[tuple[HistoryAdmin[Any], Version]]:
        found: list[tuple[HistoryAdmin[Any], Version]] = []
        passed = 0
        for each, rows, number in self.sources:
            first, last = max(wanted.start - passed, 0), min(wanted.stop - passed, number)
            if first < last:
                versions = versions_of(rows[first:last], self.request.user)
                found += [(each, version) for version in versions]
            passed += number
        return found


@admin.register(Change)
class ChangeAdmin(ScopedAdmin[Change]):
    """Who changed something, when and by which way, and what it was."""

    staff_may = account_admin_may = frozenset({"view"})
    list_display = ("created", "who", "channel", "objects_touched", "account")
    list_filter = (PersonFilter, ChannelFilter, KindFilter, TimeFilter)
    list_select_related = ("account",)
    fields = ("created", "who", "channel", "account", "request_id")
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    sortable_by = ()
    search_fields = ("actor",)  # What is searched is up to get_search_results.
    search_help_text = "Search by the name of the person."
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # Each would count all changes again.

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.list_display if _is_staff(request) else self.list_display[:-1]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ChangesList

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> BoundedPaginator:
        page = request.GET.get(PAGE_VAR, "")
        number = int(page) if IDENTIFIER.fullmatch(page) else 1
        return BoundedPaginator(queryset, per_page, page=number)

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Change], search_term: str
    ) -> tuple[models.QuerySet[Change], bool]:
        """Find the changes of users whose names, as far as the viewer may know them, match."""
        term = search_term.replace("\0", "").strip()
        if not term:
            return queryset, False
        users = User.objects.visible_to(request.user).filter(auth_username__icontains=term)
        return queryset.filter(user_id__in=users.values("pk")), False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Change]:
        """Name the author; to an account's admin the provider's staff have no names."""
        return super().get_queryset(request).annotate(author=author_as_seen_by(request.user))

    @admin.display(description="who")
    def who(self, change: Change) -> str:
        """Give the author's name as the viewer may see it."""
        return str(getattr(change, "author", ""))

    @admin.display(description="what")
    def objects_touched(self, change: Any) -> str:
        """Name the first object that was touched, and the number of the others."""
        if not change.touched:
            return ""
        (first, touched), *_ = change.touched
        more = sum(each.number for _, each in change.touched) - 1
        name = f"{first.kind} {touched.name}"
        return f"{name}, +{more:,} more" if more else name

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show what was changed beside who, when and how."""
        change = self.get_object(request, object_id) if IDENTIFIER.fullmatch(object_id) else None
        context = dict(extra_context or {})
        if change is not None and self.has_view_permission(request, change):
            pages: Paginator[Any] = Paginator(
                RowsOfChange(change, request),  # type: ignore[arg-type]  # cut by slices alone
                VERSIONS_PER_PAGE,
            )
            page = pages.get_page(request.GET.get("p"))
            context |= {"page": page, "touched": self._touched(request, page.object_list)}
            context |= {"title": f"Change by {self.who(change)}", "subtitle": None}
        return super().change_view(request, object_id, form_url, context)

    def _touched(
        self, request: HttpRequest, found: Iterable[tuple[HistoryAdmin[Any], Version]]
    ) -> list[dict[str, Any]]:
        """Tell of each version what its page needs: its address, and whether it can be restored."""
        rows = list(found)
        told = []
        for each, those in groupby(rows, key=lambda pair: pair[0]):
            versions = [version for _, version in those]
            there = set(
                each.get_queryset(request)
                .filter(pk__in=[version.row.id for version in versions])
                .values_list("pk", flat=True)
            )
            may_bring_back = each.may_restore(request, None)
            told += [
                {
                    "version": version,
                    "name": f"{each.kind} {version.name}",
                    "url": each.url_of(
                        "change" if version.row.id in there else "history", version.row.id
                    ),
                    "restore_url": each.url_of("restore", version.row.history_id)
                    if version.is_deletion and may_bring_back and version.row.id not in there
                    else "",
                }
                for version in versions
            ]
        return told
