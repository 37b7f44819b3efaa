"""The list of mailboxes: what it shows, in which orders, and what can be done to many at once.

A list of up to the paginator's bound can be sorted by every column. A longer one is read along an
index, so it keeps to the orders that an index has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import InvalidPage
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import Organization, Status, User
from accounts.paginator import BOUND, BoundedPaginator
from accounts.scoped_admin import ScopedAdmin
from voicemail import services, spool
from voicemail.filters import (
    ModifiedFilter,
    MwiFilter,
    NotifyEmailFilter,
    NotifyPagerFilter,
    OrganizationFilter,
)
from voicemail.models import NotifyEmail, NotifyPager, Voicemailbox
from voicemail.search import search

E_MAILS: Mapping[str, str] = MappingProxyType(
    {
        NotifyEmail.YES: "E-mail",
        NotifyEmail.ATTACH: "E-mail + recording",
        NotifyEmail.DELETE: "E-mail, then deleted",
    }
)

TOO_MANY = f"More than {BOUND:,} mailboxes can't be changed at once. Search or filter first."

# The orders that an index serves by column, within one account and across all of them. The first
# is the usual one, also of a short list.
Orders = Mapping[str, tuple[str, ...]]
OF_ONE_ACCOUNT: Orders = MappingProxyType(
    {"number": ("mailbox", "id"), "last_change": ("modified", "id")}
)
OF_ALL_ACCOUNTS: Orders = MappingProxyType(
    {"domain": ("organization_id", "mailbox", "id"), "last_change": ("modified", "id")}
)


def orders_for(request: HttpRequest) -> Orders:
    """Give the orders in which somebody can go through all their mailboxes."""
    is_staff = isinstance(request.user, User) and request.user.is_system_admin
    return OF_ALL_ACCOUNTS if is_staff else OF_ONE_ACCOUNT


class MailboxList(ChangeList):
    """One page of mailboxes, found without counting or sorting very many of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Count up to the bound, and only then decide on the order."""
        self.paginator = BoundedPaginator(self.queryset, self.list_per_page, page=self.page_num)
        self.title = "Mailboxes"
        self.result_count = self.paginator.count
        self.multi_page = self.result_count > self.list_per_page
        self.can_show_all = self.result_count <= self.list_max_show_all
        self.show_full_result_count, self.full_result_count = False, None
        self.show_admin_actions = self.result_count > 0
        is_short = self.result_count <= BOUND and not self.paginator.has_more
        rows = self._short() if is_short else self._long(orders_for(request))
        # Joined to the organizations, many boxes would be sorted before the page is taken.
        self.result_list = list(rows.prefetch_related("organization"))
        delayed = spool.delayed_among(self.result_list)
        for box in self.result_list:
            box.is_delayed = box.pk in delayed

    def _short(self) -> QuerySet[Any]:
        """Take a page of the rows that were counted, in whatever order was asked for."""
        found = self._in_order(self.paginator.ids)
        if not self.multi_page or (self.show_all and self.can_show_all):
            return found
        # With a LIMIT, PostgreSQL might go through all boxes in this order to meet the few.
        return self._in_order(self._page_of(list(found.values_list("pk", flat=True))))

    def _in_order(self, ids: Iterable[int]) -> QuerySet[Any]:
        found: QuerySet[Any] = self.root_queryset.filter(pk__in=ids)
        return found.order_by(*self.queryset.query.order_by)

    def _long(self, orders: Orders) -> QuerySet[Any]:
        """Take a page in the first order asked for that an index serves, or in the usual one."""
        self.sortable_by = tuple(orders)
        usual = next(iter(orders.values()))
        rows: QuerySet[Any] = self.queryset.order_by(*next(self._asked_for(orders), usual))
        page: QuerySet[Any] = self._page_of(rows)
        return page

    def _asked_for(self, orders: Orders) -> Iterator[tuple[str, ...]]:
        for index, direction in self.get_ordering_field_columns().items():
            column = dict(enumerate(self.list_display)).get(index)
            if column in orders:
                # Turned round as a whole, an order has the same index.
                sign = "-" if direction == "desc" else ""
                yield tuple(f"{sign}{name}" for name in orders[str(column)])

    def _page_of(self, rows: Any) -> Any:
        self.paginator.object_list = rows
        try:
            return self.paginator.page(self.page_num).object_list
        except InvalidPage as exc:
            raise IncorrectLookupParameters from exc

    @property
    def narrowed_to(self) -> list[str]:
        """Name the filters that are in use, for a list in which nothing was found."""
        return [
            f"{spec.title}: {choice.get('display') or choice.get('value')}"
            for spec in self.filter_specs
            for number, choice in enumerate(spec.choices(self))
            if choice.get("value") or (number and choice.get("selected"))
        ]


class MailboxListAdmin(ScopedAdmin[Voicemailbox]):
    """The list of mailboxes; no PIN is ever in it."""

    list_display = (
        *("number", "fullname", "domain", "address"),
        *("notification", "timezone", "state", "last_change"),
    )
    list_display_links = ("number", "fullname")
    list_filter = (
        *(OrganizationFilter, "status", ("notify_email", NotifyEmailFilter)),
        *(("notify_pager", NotifyPagerFilter), "timezone", MwiFilter, ModifiedFilter),
    )
    search_fields = ("fullname",)  # What is searched is up to get_search_results.
    search_help_text = "Search by any part of the number, name, e-mail, pager or address."
    show_facets = admin.ShowFacets.NEVER  # Each would count all mailboxes again.
    actions = ("enable", "disable")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MailboxList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return next(iter(orders_for(request).values()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox], search_term: str
    ) -> tuple[QuerySet[Voicemailbox], bool]:
        return search(queryset, search_term.replace("\0", ""), caller=request.user), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let an empty list know whether there is anything to which a mailbox can be added."""
        visible = Organization.objects.visible_to(request.user)
        return super().changelist_view(
            request, {"has_organizations": visible.exists, **(extra_context or {})}
        )

    # Columns

    @admin.display(description="number", ordering="mailbox")
    def number(self, box: Voicemailbox) -> int:
        return box.mailbox

    @admin.display(description="organization", ordering="organization__domain")
    def domain(self, box: Voicemailbox) -> str:
        return box.organization.domain

    @admin.display(description="address", ordering="username")
    def address(self, box: Voicemailbox) -> str:
        """Give the SIP address that reaches the mailbox."""
        return f"{box.username}@{box.organization}"

    @admin.display(description="notification", ordering="notify_email")
    def notification(self, box: Voicemailbox) -> SafeString:
        """Say in words who is told of a new message."""
        told = [E_MAILS[box.notify_email]] if box.notify_email in E_MAILS else []
        if box.notify_pager == NotifyPager.YES:
            told.append("Pager")
        if not told:
            return format_html('<span class="badge">{}</span>', "Off")
        return format_html_join(" ", '<span class="badge on">{}</span>', ((each,) for each in told))

    @admin.display(description="status", ordering="status")
    def state(self, box: Voicemailbox) -> SafeString:
        look = "on" if box.status == Status.ENABLED else "warn"
        badges = [(look, box.get_status_display())]
        if getattr(box, "is_delayed", False):
            badges.append(("warn", "Waiting for the PBX"))
        return format_html_join(" ", '<span class="badge {}">{}</span>', badges)

    @admin.display(description="modified", ordering="modified")
    def last_change(self, box: Voicemailbox) -> str:
        return f"{box.modified:%Y-%m-%d %H:%M}"

    # Actions

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Carry out an action, on no more mailboxes at once than a request can do."""
        are_all = request.POST.get("select_across") not in (None, "", "0")
        if are_all and BoundedPaginator(queryset, self.list_per_page).has_more:
            raise ValidationError(TOO_MANY)
        response = super().response_action(request, queryset, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            shown = {"are_recordings_removed": settings.SPOOL_ORDERS}
            response.context_data = (response.context_data or {}) | shown
        return response

    @admin.action(permissions=["change"], description="Enable selected mailboxes")
    def enable(self, request: HttpRequest, queryset: QuerySet[Voicemailbox]) -> None:
        self._set_status(request, queryset, Status.ENABLED)

    @admin.action(permissions=["change"], description="Disable selected mailboxes")
    def disable(self, request: HttpRequest, queryset: QuerySet[Voicemailbox]) -> None:
        self._set_status(request, queryset, Status.DISABLED)

    def _set_status(
        self, request: HttpRequest, boxes: QuerySet[Voicemailbox], status: Status
    ) -> None:
        changed = [box for box in boxes if services.set_status(box, status)]
        for box in changed:
            self.log_change(request, box, f"{status.label}.")
        number = len(changed)
        were = "1 mailbox was" if number == 1 else f"{number:,} mailboxes were"
        self.message_user(
            request,
            f"{were} {status.label.lower()}."
            if changed
            else f"The selected mailboxes were {status.label.lower()} already.",
            messages.SUCCESS if changed else messages.WARNING,
        )
