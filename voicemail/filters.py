"""What the list of mailboxes can be narrowed to, beside the plain columns.

No filter names an organization that the viewer may not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Func, QuerySet, TextField, Value
from django.db.models.functions import Cast, Lower, StrIndex, Substr
from django.db.models.lookups import In
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Organization
from voicemail.models import Voicemailbox

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
        if not domain:
            return queryset
        exactly = self.organizations.filter(domain=domain).first()
        if exactly is not None:
            return queryset.filter(organization=exactly)
        partly = self.organizations.filter(domain__icontains=domain).order_by()
        return queryset.filter(organization__in=partly.values("pk"))


class MwiFilter(admin.SimpleListFilter):
    """Boxes by what happens to their message waiting indications."""

    title = "message waiting"
    parameter_name = "mwi"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Indicated"), ("no", "Not indicated"), ("unserved", "Not served")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox]
    ) -> QuerySet[Voicemailbox]:
        """Narrow the boxes; of a domain outside the account the PBX is never told."""
        match self.value():
            case "yes":
                return queryset.exclude(mwi="")
            case "no":
                return queryset.filter(mwi="")
            case "unserved":
                domain = Substr("mwi", StrIndex("mwi", Value("@")) + 1)
                organizations = Organization.objects.visible_to(request.user).order_by()
                served = organizations.values_list(OfAccount(F("domain")))
                # Most are written in lower case, and to fold one takes longer than to find it.
                foreign = queryset.exclude(mwi="").exclude(In(OfAccount(domain), served))
                return foreign.exclude(In(OfAccount(Lower(domain)), served))
        return queryset


class OfAccount(Func):
    """Give a domain and its account as one text: PostgreSQL looks that up in a hash of all."""

    template = "(%(expressions)s)"
    arg_joiner = " || ':' || "
    output_field = TextField()

    def __init__(self, domain: Any) -> None:
        super().__init__(Cast("account_id", TextField()), domain)


class ModifiedFilter(admin.SimpleListFilter):
    """Boxes that were changed lately; days begin at midnight in UTC."""

    title = "modified"
    parameter_name = "modified"
    days = {"today": 0, "week": 6, "month": 29}  # noqa: RUF012  # Nobody changes it.

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("today", "Today"), ("week", "Past 7 days"), ("month", "Past 30 days")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Voicemailbox]
    ) -> QuerySet[Voicemailbox]:
        days = self.days.get(self.value() or "")
        if days is None:
            return queryset
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(modified__gte=midnight - timedelta(days=days))
