"""What the list of mailboxes can be narrowed to, beside the plain columns.

No filter names an organization that the viewer may not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Organization
from voicemail.models import Voicemailbox
from voicemail.search import MessageWaiting, Period, in_domain, modified_in, with_message_waiting

# More than these are no list to choose from.
FEW_ORGANIZATIONS = 20


class NotifyEmailFilter(admin.ChoicesFieldListFilter):
    """Boxes by what an e-mail tells."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "e-mail notification"


class NotifyPagerFilter(admin.ChoicesFieldListFilter):
    """Boxes by whether a pager is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "pager"


class OrganizationFilter(admin.SimpleListFilter):
    """Boxes of one organization: chosen where there are few, else searched by domain."""

    title = "organization"
    parameter_name = "organization"

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.organizations = Organization.objects.visible_to(request.user)
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        domains = self.organizations.order_by("domain").values_list("domain", flat=True)
        few = list(domains[: FEW_ORGANIZATIONS + 1])
        if len(few) > FEW_ORGANIZATIONS:
            self.template = "admin/voicemail/voicemailbox/domain_filter.html"
        return [(domain, domain) for domain in few]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Give the organizations, or what a form needs beside the domain."""
        if self.template == admin.SimpleListFilter.template:
            yield from super().choices(changelist)
            return
        others = changelist.get_filters_params() | {
            name: [changelist.params[name]] for name in ("q", "o") if name in changelist.params
        }
        yield {
            "value": self.value() or "",
            "clear": changelist.get_query_string(remove=[self.parameter_name]),
            "others": [
                (name, value)
                for name, values in others.items()
                if name != self.parameter_name
                for value in values
            ],
        }

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox]
    ) -> QuerySet[Voicemailbox]:
        """Take the very domain, or else those in which the text occurs."""
        domain = (self.value() or "").strip()
        return in_domain(queryset, domain, caller=request.user) if domain else queryset


class MwiFilter(admin.SimpleListFilter):
    """Boxes by what happens to their message waiting indications."""

    title = "message waiting"
    parameter_name = "mwi"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(MessageWaiting.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox]
    ) -> QuerySet[Voicemailbox]:
        value = self.value()
        if value not in MessageWaiting.values:
            return queryset
        return with_message_waiting(queryset, str(value), caller=request.user)


class ModifiedFilter(admin.SimpleListFilter):
    """Boxes that were changed lately; days begin at midnight in UTC."""

    title = "modified"
    parameter_name = "modified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Period.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox]
    ) -> QuerySet[Voicemailbox]:
        value = self.value()
        return modified_in(queryset, str(value)) if value in Period.values else queryset
