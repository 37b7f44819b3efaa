"""Users in Django's admin: those of the account for its admins, everybody for the staff."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, is_password_usable
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import lockout, passwords, services
from accounts.history import record_change
from accounts.history_admin import HistoryAdmin
from accounts.models import Account, Channel, Organization, Role, Session, Status, User
from accounts.scoped_admin import TIMES
from accounts.validators import PASSWORD_MAX_LENGTH
from voicemail_site.logs import request_id

# More than this are looked up by typing instead of picked from a list.
MOST_TO_PICK_FROM = 20

OWN_ROLE = "Nobody changes their own role."
OWN_STATE = "Nobody disables themselves."
NOT_ONESELF = "You can't delete or disable yourself. Another admin can."

_OF_ACCOUNTS = frozenset({Role.USER, Role.ACCOUNT_ADMIN})


class UserForm(forms.ModelForm[User]):
    """A user of an account, as its admins see them."""

    actor: ClassVar[User]

    class Meta:
        model = User
        fields = ("auth_username", "email", "is_active", "role", "username", "organization")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None and self.actor.account_id:
            self.instance.account = self.actor.account
        self._offer_roles()
        if self.instance.pk:
            organizations: Any = self.fields["organization"]
            organizations.queryset = organizations.queryset.filter(
                account_id=self.instance.account_id
            )
        if self.instance.pk == self.actor.pk:
            self._fix("role", OWN_ROLE)
            self._fix("is_active", OWN_STATE)

    def _offer_roles(self) -> None:
        """Offer the roles that a user can have: those of an account do not become staff."""
        role: Any = self.fields["role"]
        offered = set(Role)
        if self.instance.pk or self.actor.account_id:
            offered = set(_OF_ACCOUNTS) if self.instance.account_id else {Role.SYSTEM_ADMIN}
        role.choices = [choice for choice in Role.choices if choice[0] in offered]
        role.error_messages["invalid_choice"] = "This role is not to be had here."

    def _fix(self, name: str, reason: str) -> None:
        self.fields[name].disabled = True
        self.fields[name].help_text = reason


class StaffUserForm(UserForm):
    """Any user, as the provider's staff see them, with a password that is only ever written."""

    new_password = forms.CharField(
        label="New password",
        required=False,
        strip=False,
        max_length=PASSWORD_MAX_LENGTH,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Better leave it empty, and send a password link after saving.",
    )

    class Meta(UserForm.Meta):
        fields = (*UserForm.Meta.fields, "account")  # type: ignore[assignment]  # one more

    def _post_clean(self) -> None:
        """Compare the password with the names as they will be, which the user has by now."""
        super()._post_clean()  # type: ignore[misc]  # Django's
        password = self.cleaned_data.get("new_password")
        if password:
            try:
                validate_password(password, self.instance)
            except ValidationError as exc:
                self.add_error("new_password", exc)


class StateFilter(admin.SimpleListFilter):
    """Users who can log in, and those who can't, by the reason."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        return [
            ("enabled", "Enabled"),
            ("disabled", "Disabled"),
            ("locked", "Locked"),
            ("invited", "Without a password yet"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        locked = lockout.locks_at(timezone.now()).values("username")
        match self.value():
            case "enabled":
                return queryset.filter(is_active=True)
            case "disabled":
                return queryset.filter(is_active=False)
            case "locked":
                return queryset.filter(auth_username__in=locked)
            case "invited":
                return queryset.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX)
            case None:
                return queryset
        return queryset.none()


def state_of(user: Any) -> tuple[str, str]:
    """Give the badge of a user's state, and its words."""
    if not user.is_active:
        return "", "Disabled"
    if user.account is not None and user.account.status == Status.DISABLED:
        return "", "Account disabled"
    if user.locked_at is not None:
        return "warn", f"Locked until {user.locked_at + settings.LOGIN_LOCK:%H:%M} UTC"
    if is_password_usable(user.password):
        return "on", "Enabled"
    return "warn", "Invited" if _is_invited(user) else "No password"


def _is_invited(user: User) -> bool:
    made = user.password_link_made
    return made is not None and (
        (timezone.now() - made).total_seconds() <= settings.PASSWORD_RESET_TIMEOUT
    )


def _names(users: Iterable[User]) -> str:
    return ", ".join(map(str, users))


@admin.register(User)
class UserAdmin(HistoryAdmin[User]):
    """Users: everything but the provider's staff is an account admin's own to look after."""

    kind = "User"
    restored_fields = services.USER_FIELDS
    account_admin_may = HistoryAdmin.staff_may
    actions = ("unlock", "enable", "disable")
    list_filter = ("role", StateFilter)
    list_select_related = ("account", "organization")
    search_fields = ("auth_username", "username", "organization__domain", "email")
    search_help_text = "Search by name, e-mail or domain."
    readonly_fields = ("state", "created", "modified", "last_login", "last_session")

    def get_urls(self) -> list[URLPattern]:
        pages = {"password-link": self.password_link_view, "unlock": self.unlock_view}
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"accounts_user_{name.replace('-', '_')}",
            )
            for name, view in pages.items()
        ]
        return own + super().get_urls()

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Know of each user since when they are locked, and when the API was used last."""
        locks = lockout.locks_at(timezone.now()).filter(username=OuterRef("auth_username"))
        sessions = Session.objects.visible_to(request.user).filter(user=OuterRef("pk"))
        newest = sessions.order_by("-last_used").values("last_used")
        return (
            super()
            .get_queryset(request)
            .annotate(
                locked_at=Subquery(locks.values("attempt_time")[:1]),
                last_session=Subquery(newest[:1]),
            )
        )

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        account = ("account",) if _is_staff(request) else ()
        names = ("auth_username", "address", "email", "role", "state")
        return (*names, *account, "last_login", "last_session")

    @admin.display(description="address", ordering="organization__domain")
    def address(self, user: User) -> str:
        """Give the other name to log in with, where there is one."""
        return f"{user.username}@{user.organization}" if user.organization else ""

    @admin.display(description="state")
    def state(self, user: User) -> SafeString:
        """Tell whether a user can log in, and why not."""
        return format_html('<span class="badge {}">{}</span>', *state_of(user))

    @admin.display(description="last API session", ordering="last_session")
    def last_session(self, user: Any) -> str:
        """Give the time at which one of the user's API sessions was used last."""
        return date_format(user.last_session, "DATETIME_FORMAT") if user.last_session else ""

    # The form

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[User]]:
        """Give the form for whoever looks at it: its fields follow from who they are."""
        form = StaffUserForm if _is_staff(request) else UserForm
        kwargs["form"] = type(form.__name__, (form,), {"actor": request.user})
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Show an account only to the staff: an account's admin has but one."""
        is_staff = _is_staff(request)
        login = ["auth_username", "email", *(["new_password"] if is_staff else [])]
        state = ["state", "is_active", ("last_login", "last_session")] if obj else []
        groups: tuple[Any, ...] = (
            (
                "Login",
                {"fields": (*login, *state), "description": "Times are in UTC." if obj else ""},
            ),
            ("Role", {"fields": ("role", "account") if is_staff else ("role",)}),
            ("Address", {"fields": (("username", "organization"),)}),
        )
        return (*groups, TIMES) if obj else groups

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Let long lists be searched instead of scrolled."""
        lists: dict[str, Any] = {"organization": Organization, "account": Account}
        return tuple(
            name
            for name, model in lists.items()
            if model.objects.visible_to(request.user)[: MOST_TO_PICK_FROM + 1].count()
            > MOST_TO_PICK_FROM
        )

    def render_change_form(  # noqa: PLR0913  # They are Django's.
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Say to whom the page belongs, and whether the user is locked."""
        is_own = obj is not None and obj.pk == request.user.pk
        context |= {"is_own": is_own, "is_locked": obj is not None and obj.locked_at is not None}
        if is_own:
            context["show_delete"] = False
        return super().render_change_form(request, context, add, change, form_url, obj)

    # What was done, and what is said of it

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        password = form.cleaned_data.get("new_password", "")
        if change:
            self._edit(request, obj, form, password)
            return
        created = services.add_user(
            auth_username=obj.auth_username,
            role=obj.role,
            password=password or None,
            account=obj.account,
            organization=obj.organization,
            username=obj.username,
            email=obj.email,
        )
        obj.pk, obj.password = created.pk, created.password

    def _edit(self, request: HttpRequest, obj: User, form: Any, password: str) -> None:
        """Store what was changed, each part by the service whose matter it is."""
        user, values = self.get_queryset(request).get(pk=obj.pk), form.cleaned_data
        changed = ["new_password"] if password else []
        for name in ("auth_username", "email", "username", "organization"):
            if getattr(user, name) != values[name]:
                setattr(user, name, values[name])
                changed.append(name)
        services.edit_user(user)
        if isinstance(request.user, User) and values["role"] != user.role:
            services.change_role(user, role=values["role"], actor=request.user)
            changed.append("role")
        if values["is_active"] != user.is_active:
            services.set_active(user, is_active=values["is_active"])
            changed.append("is_active")
        if password:
            services.set_password(user, password)
        labels = [str(form.fields[name].label) for name in form.fields if name in changed]
        request.changed_labels = labels  # type: ignore[attr-defined]  # for what is said afterwards

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Name what was really changed: not what was only typed again."""
        if add:
            return [{"added": {}}]
        labels = request.changed_labels  # type: ignore[attr-defined]  # from _edit
        return [{"changed": {"fields": labels}}] if labels else []

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Log what was changed; that nothing was is no action."""
        return super().log_change(request, obj, message) if message else None

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Say that the user was added; one without a password needs a link next."""
        self.message_user(request, f"User {obj} was added.", messages.SUCCESS)
        if is_password_usable(obj.password) or "_popup" in request.POST:
            return self._next_page(request, obj)
        if "_addanother" in request.POST:
            text = f"{obj} can't log in yet: send {obj} a password link."
            self.message_user(request, text, messages.WARNING)
            return self._next_page(request, obj)
        return HttpResponseRedirect(self.url_of("password_link", obj.pk))

    def response_change(self, request: HttpRequest, obj: User) -> HttpResponse:
        labels = request.changed_labels  # type: ignore[attr-defined]  # from _edit
        if labels:
            text = f"User {obj} was changed: {', '.join(labels)}."
            self.message_user(request, text, messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was changed.", messages.INFO)
        return self._next_page(request, obj)

    def _next_page(self, request: HttpRequest, user: User) -> HttpResponse:
        """Go where the button that was pressed leads."""
        if "_addanother" in request.POST:
            return HttpResponseRedirect(reverse("admin:accounts_user_add"))
        if "_continue" in request.POST:
            return HttpResponseRedirect(self.url_of("change", user.pk))
        return self.response_post_save_change(request, user)

    # Deleting, and restoring

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Name the users who go; what hangs on them is their sessions alone."""
        users = list(objs)
        ids = [user.pk for user in users]
        sessions = Session.objects.visible_to(request.user).filter(user__in=ids).count()
        counts = {"users": len(users), "API sessions": sessions}
        is_refused = not all(self.has_delete_permission(request, user) for user in users)
        refused = {str(self.opts.verbose_name)} if is_refused else set()
        return [f"User {user}" for user in users], counts, refused, []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        _refuse_oneself(request, obj)
        services.delete_user(obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        self.message_user(request, f"User {obj_display} was deleted.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))

    def restore(self, row: Any) -> User:
        return services.restore_user(row)

    # Actions on the selected

    @admin.action(permissions=["change"], description="Unlock selected users")
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let users who are locked log in again at once, and say who they were."""
        locked = [user for user in queryset if self._unlock(request, user)]
        self._say_whom(request, "Unlocked", locked, "None of the selected users was locked.")

    @admin.action(permissions=["change"], description="Enable selected users")
    def enable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let users who are disabled log in again."""
        users = [user for user in queryset if not user.is_active]
        for user in users:
            services.set_active(user, is_active=True)
            self.log_change(request, user, "Enabled.")
        self._say_whom(request, "Enabled", users, "None of the selected users was disabled.")

    @admin.action(permissions=["change"], description="Disable selected users")
    def disable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let users log in no more, and end their sessions."""
        users = [user for user in queryset if user.is_active]
        for user in users:
            _refuse_oneself(request, user)
            services.set_active(user, is_active=False)
            self.log_change(request, user, "Disabled.")
        self._say_whom(request, "Disabled", users, "None of the selected users was enabled.")

    def _say_whom(self, request: HttpRequest, done: str, users: list[User], nobody: str) -> None:
        text, level = f"{done}: {_names(users)}.", messages.SUCCESS
        if not users:
            text, level = nobody, messages.WARNING
        self.message_user(request, text, level)

    def _unlock(self, request: HttpRequest, user: User) -> bool:
        was_locked = lockout.unlock(user)
        if was_locked:
            self.log_change(request, user, "Unlocked.")
        return was_locked

    # Pages of one user

    def unlock_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a user log in again at once."""
        user = self._user(request, object_id)
        if user is None:
            return self._missing(request, object_id)
        if request.method == "POST":
            users = [user] if self._unlock(request, user) else []
            self._say_whom(request, "Unlocked", users, f"User {user} was not locked.")
        return HttpResponseRedirect(self.url_of("change", user.pk))

    def password_link_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then make a link by which a user sets a password, and mail it or show it once."""
        user = self._user(request, object_id)
        if user is None:
            return self._missing(request, object_id)
        if user.pk == request.user.pk:
            return HttpResponseRedirect(reverse("admin:password_change"))
        if request.method != "POST":
            return self._link_page(request, user, is_mailed=passwords.is_mailed(user))
        try:
            link = self._make_link(request, user)
        except ValidationError as exc:
            self.message_user(request, " ".join(exc.messages), messages.ERROR)
            return HttpResponseRedirect(self.url_of("change", user.pk))
        return self._hand_over(request, user, link)

    def _make_link(self, request: HttpRequest, user: User) -> str:
        actor = request.user if isinstance(request.user, User) else None
        with record_change(by=actor, channel=Channel.WEB, request_id=request_id.get()):
            link = passwords.make_link(user)
            self.log_change(request, user, "Password link made.")
        return link

    def _hand_over(self, request: HttpRequest, user: User, link: str) -> HttpResponse:
        """Mail a link once it is stored; where that can't be, its page is all that has it."""
        is_mailed = passwords.is_mailed(user)
        if is_mailed and passwords.mail_link(user, link):
            text = f"A password link for {user} was mailed to {user.email}."
            self.message_user(request, text, messages.SUCCESS)
            return HttpResponseRedirect(self.url_of("change", user.pk))
        return self._link_page(request, user, link=link, has_failed=is_mailed)

    def _link_page(self, request: HttpRequest, user: User, **context: Any) -> HttpResponse:
        shown = {"title": f"Password link for {user}", "original": user, "opts": self.opts}
        return TemplateResponse(
            request,
            "admin/accounts/user/password_link.html",
            self.admin_site.each_context(request) | shown | context,
            headers={"Cache-Control": "no-store"},
        )

    def _user(self, request: HttpRequest, object_id: str) -> User | None:
        user = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        return user

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]  # Django's
            request, self.opts, object_id
        )


def _is_staff(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_system_admin


def _refuse_oneself(request: HttpRequest, user: User) -> None:
    if user.pk == request.user.pk:
        raise ValidationError(NOT_ONESELF, code="oneself")
