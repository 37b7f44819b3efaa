"""Spool orders in the admin: what PBXs have to do with recordings, and which have done it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import Organization
from accounts.paginator import BoundedPaginator
from accounts.scoped_admin import IDENTIFIER, ScopedAdmin
from voicemail.models import SpoolOrder, SpoolTask
from voicemail.validators import MAILBOX_PATTERN

_NUMBER = re.compile(MAILBOX_PATTERN)

BADGES = {"open": ("warn", "Open"), "done": ("on", "Done"), "withdrawn": ("", "Withdrawn")}


class StateFilter(admin.SimpleListFilter):
    """Orders that a PBX has still to carry out, and those that none has."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [(name, label) for name, (_, label) in BADGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        tasks = SpoolTask.objects.visible_to(request.user).filter(confirmed=None)
        match self.value():
            case None:
                return queryset
            case "open":
                return queryset.filter(pk__in=tasks.values("order"))
            case "done":
                open_tasks = tasks.filter(order=OuterRef("pk"))
                return queryset.filter(~Exists(open_tasks), withdrawn=None)
            case "withdrawn":
                return queryset.filter(withdrawn__isnull=False)
        return queryset.none()


@admin.register(SpoolOrder)
class SpoolOrderAdmin(ScopedAdmin[SpoolOrder]):
    """Spool orders are the provider's: staff alone see them, and nobody changes them here."""

    staff_may = frozenset({"view"})
    list_display = (
        *("id", "kind", "source", "target", "created"),
        *("state", "waiting_for", "confirmed_by"),
    )
    list_filter = (StateFilter, "kind")
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    sortable_by = ()
    search_fields = ("mailbox",)  # What is searched is up to get_search_results.
    search_help_text = "Search by number, domain or both: 1001@acme.example.com."
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # Each would count all orders again.
    fieldsets = (
        ("Order", {"fields": ("id", "kind", "source", "target", "organization")}),
        ("State", {"fields": ("state", "waiting_for", "confirmations")}),
        ("Times", {"fields": (("created", "withdrawn"),), "description": "In UTC."}),
    )

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> BoundedPaginator:
        page = request.GET.get(PAGE_VAR, "")
        number = int(page) if IDENTIFIER.fullmatch(page) else 1
        return BoundedPaginator(queryset, per_page, page=number)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SpoolOrder]:
        """Bring what is told of an order beside its own columns."""
        organizations = Organization.objects.visible_to(request.user)
        domain = organizations.filter(pk=OuterRef("organization_id")).values("domain")
        tasks = SpoolTask.objects.visible_to(request.user).select_related("pbx")
        orders = super().get_queryset(request).annotate(present_domain=Subquery(domain))
        return orders.prefetch_related(Prefetch("tasks", tasks.order_by("pbx__name")))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SpoolOrder], search_term: str
    ) -> tuple[QuerySet[SpoolOrder], bool]:
        """Find the orders from or to a number, a domain or both, written in full."""
        term = search_term.replace("\0", "").strip().lower()
        if not term:
            return queryset, False
        number, at, domain = term.rpartition("@")
        if not at and _NUMBER.fullmatch(term):
            number, domain = term, ""
        if number and not _NUMBER.fullmatch(number):
            return queryset.none(), False
        return queryset.filter(_named(number, domain)), False

    @admin.display(description="from")
    def source(self, order: SpoolOrder) -> str:
        return f"{order.mailbox}@{order.context}"

    @admin.display(description="to")
    def target(self, order: SpoolOrder) -> str:
        return f"{order.to_mailbox}@{order.to_context}" if order.to_context else "-"

    @admin.display(description="organization")
    def organization(self, order: SpoolOrder) -> str:
        """Give the domain that the organization has by now, if it still exists."""
        return getattr(order, "present_domain", "") or "Deleted"

    @admin.display(description="state")
    def state(self, order: SpoolOrder) -> SafeString:
        return format_html('<span class="badge {}">{}</span>', *BADGES[_state_of(order)])

    @admin.display(description="waiting for")
    def waiting_for(self, order: Any) -> str:
        """Name the PBXs that have still to carry out the order."""
        return ", ".join(str(task.pbx) for task in order.tasks.all() if not task.confirmed) or "-"

    @admin.display(description="confirmed by")
    def confirmed_by(self, order: Any) -> str:
        """Name the PBXs that have carried out the order."""
        return ", ".join(str(task.pbx) for task in order.tasks.all() if task.confirmed) or "-"

    @admin.display(description="confirmed by")
    def confirmations(self, order: Any) -> SafeString | str:
        """Tell when each of them did."""
        done = [task for task in order.tasks.all() if task.confirmed]
        told = ((task.pbx, f"{task.confirmed:%Y-%m-%d %H:%M}") for task in done)
        return format_html_join(", ", "{} at {}", told) if done else "-"


def _state_of(order: Any) -> str:
    if any(task.confirmed is None for task in order.tasks.all()):
        return "open"
    return "withdrawn" if order.withdrawn else "done"


def _named(number: str, domain: str) -> Q:
    """Ask for a name, or the part of one that is given, on either side of an order."""
    source = {"mailbox": number, "context": domain}
    given = {key: value for key, value in source.items() if value}
    return Q(**given) | Q(**{f"to_{key}": value for key, value in given.items()})
