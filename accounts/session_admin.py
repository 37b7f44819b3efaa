"""API sessions in Django's admin: who uses the Web API, and the ways to end that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import services
from accounts.models import Session, User
from accounts.scoped_admin import ScopedAdmin

# So many are told by name; of more only the number.
MOST_NAMES = 5


class StateFilter(admin.SimpleListFilter):
    """Sessions that open the API; those that timed out are seen only when asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [("ended", "Ended"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Call the first choice what it is."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": "Live"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case None:
                return queryset.filter(is_live=True)
            case "ended":
                return queryset.filter(is_live=False)
            case "all":
                return queryset
        return queryset.none()


class UserFilter(admin.SimpleListFilter):
    """The sessions of one user, to whose page it leads back; it offers no others."""

    title = "user"
    parameter_name = "user"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        chosen = str(self.used_parameters.get(self.parameter_name, ""))
        user = visible_user(request, chosen)
        return [(chosen, str(user) if user else "Nobody")] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        user = visible_user(request, str(self.value() or ""))
        return queryset.filter(user=user) if user else queryset.none()


def visible_user(request: HttpRequest, pk: str) -> User | None:
    """Give the user whose sessions are asked for, if whoever asks may see them."""
    users = User.objects.visible_to(request.user)
    try:
        found: User | None = forms.ModelChoiceField(users, required=False).clean(pk)
    except ValidationError:
        return None
    return found


@admin.register(Session)
class SessionAdmin(ScopedAdmin[Session]):
    """API sessions: to be seen, and to be ended by deleting them."""

    staff_may = account_admin_may = frozenset({"view", "delete"})
    actions = ("end_selected",)
    list_display = (
        *("user", "created", "last_used", "client_address", "user_agent", "state", "end"),
    )
    list_display_links = ("created",)
    list_filter = (StateFilter, UserFilter)
    list_select_related = ("user",)
    search_fields = ("user__auth_username", "client_address", "user_agent")
    search_help_text = "Search by user, address or client."
    fields = (
        *("user", "state", "created", "last_used", "expires", "client_address", "user_agent"),
    )
    readonly_fields = ("state",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.end_all_view)
        return [path("end/", view, name="accounts_session_end"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        sessions: Any = super().get_queryset(request)
        with_state: QuerySet[Session] = sessions.with_state_at(timezone.now())
        return with_state

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer to end sessions, and not to delete them, which would be the same."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.display(description="state")
    def state(self, session: Any) -> SafeString:
        """Tell whether the API still takes the session."""
        badge = ("on", "Live") if session.is_live else ("", "Ended")
        return format_html('<span class="badge {}">{}</span>', *badge)

    @admin.display(description="")
    def end(self, session: Session) -> SafeString:
        """Lead to the page that ends the session."""
        url = reverse("admin:accounts_session_delete", args=(session.pk,))
        return format_html(
            '<a href="{}">End<span class="visually-hidden"> this session of {}</span></a>',
            url,
            session.user,
        )

    # Ending

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().delete_view(request, *args, extra_context={"title": "End session"}, **kwargs)

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        services.end_sessions(Session.objects.visible_to(request.user).filter(pk=obj.pk))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        self.message_user(request, f"Ended: {obj_display}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:accounts_session_changelist"))

    @admin.action(permissions=["delete"], description="End selected sessions")
    def end_selected(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """End the selected sessions, and say whose they were."""
        names = sorted(set(queryset.order_by().values_list("user__auth_username", flat=True)))
        self.log_deletions(request, queryset)
        selected = queryset.order_by().values("pk")
        sessions = Session.objects.visible_to(request.user).filter(pk__in=selected)
        ended = services.end_sessions(sessions)
        whose = ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} users"
        self.message_user(request, f"Ended {_counted(ended)} of {whose}.", messages.SUCCESS)

    def end_all_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, then end every session of a user, or every one that is visible."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        sessions: Any = Session.objects.visible_to(request.user)
        user = None
        if "user" in request.GET:
            user = visible_user(request, request.GET["user"])
            if user is None:
                self.message_user(request, "This user doesn't exist.", messages.WARNING)
                return HttpResponseRedirect(reverse("admin:accounts_session_changelist"))
            sessions = sessions.filter(user=user)
        live = sessions.filter(pk__in=sessions.live_at(timezone.now())).count()
        if request.method != "POST":
            return self._end_page(request, user, live)
        services.end_sessions(sessions)
        whose = f"of {user}" if user else _everybody(request)
        self.message_user(request, f"Ended {_counted(live)} {whose}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:accounts_session_changelist"))

    def _end_page(self, request: HttpRequest, user: User | None, live: int) -> HttpResponse:
        shown = {
            "title": f"End every session of {user}" if user else "End every session",
            "opts": self.opts,
            "counted": _counted(live),
            "whose": f"of {user}" if user else _everybody(request),
            "chosen": user,
        }
        context = self.admin_site.each_context(request) | shown
        return TemplateResponse(request, "admin/accounts/session/end_all.html", context)


def _counted(number: int) -> str:
    return "1 session" if number == 1 else f"{number:,} sessions"


def _everybody(request: HttpRequest) -> str:
    is_staff = isinstance(request.user, User) and request.user.is_system_admin
    return "of every account" if is_staff else "of your account"
