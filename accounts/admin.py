"""Accounts, organizations, users, API sessions and changes in Django's admin."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

from axes.models import AccessLog
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from accounts import lockout, services
from accounts.models import Account, Change, Organization, Session, User
from accounts.scoped_admin import PROVIDER_STAFF, TIMES, ScopedAdmin
from accounts.validators import USER_ADDRESS_MAX_LENGTH

VIEW: frozenset[str] = frozenset({"view"})

LOGIN_FAILED = "The username or password is incorrect, or this user is no administrator."

CONTACT_FIELDS = (
    "contact_name",
    "contact_organization",
    "contact_address",
    ("contact_city", "contact_state", "contact_zipcode"),
    ("contact_country", "contact_country_id"),
    ("contact_phone", "contact_email"),
)


class LoginForm(AdminAuthenticationForm):
    """The login form, long enough for user@domain as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = self.fields["username"]
        name.label = "Username"
        name.max_length = USER_ADDRESS_MAX_LENGTH  # type: ignore[attr-defined]  # a CharField
        name.widget.attrs["maxlength"] = USER_ADDRESS_MAX_LENGTH
        self.error_messages = self.error_messages | {"invalid_login": LOGIN_FAILED}

    def confirm_login_allowed(self, user: User) -> None:
        """Refuse also whom simultaneous wrong passwords have locked meanwhile."""
        super().confirm_login_allowed(user)
        if not lockout.clear_failures(user):
            raise ValidationError(lockout.locked_message())


def locked_page(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Tell somebody at the login form that the user is locked."""
    context = admin.site.each_context(request) | {"title": lockout.locked_message()}
    return render(request, "admin/locked.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)


class OwnPasswordForm(AdminPasswordChangeForm):
    """One's own password, changed as by everybody else."""

    def save(self, commit: bool = True) -> Any:
        services.set_password(self.user, self.cleaned_data["new_password1"])
        return self.user


def change_own_password(request: HttpRequest, extra_context: Any = None) -> Any:
    """Serve Django's page with the form above; the site's own one takes no other."""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse_lazy("admin:password_change_done"),
        extra_context=admin.site.each_context(request) | (extra_context or {}),
    )
    return view(request)


admin.site.login_form = LoginForm
admin.site.password_change = change_own_password  # type: ignore[method-assign]  # as above
admin.site.site_header = admin.site.site_title = "Voicemail provisioning"
admin.site.index_title = "Overview"
# Roles take the place of groups, and of successful logins nothing is kept.
admin.site.unregister((Group, AccessLog))


@admin.register(Account)
class AccountAdmin(ScopedAdmin[Account]):
    """Accounts: staff edit them, an account's admin sees their own."""

    account_admin_may = VIEW
    list_display = ("__str__", "id", "status", "balance", "modified")
    list_filter = ("status",)
    search_fields = (
        "contact_name",
        "contact_organization",
        "contact_email",
        "organizations__domain",
    )
    search_help_text = "Search by name, e-mail or domain."
    readonly_fields = ("created", "modified")
    fieldsets = (
        ("Contact", {"fields": CONTACT_FIELDS}),
        (
            "Figures",
            {
                "fields": (
                    ("balance", "credit_limit"),
                    ("recharge", "recharge_level", "recharge_threshold"),
                )
            },
        ),
        ("State", {"fields": ("status",)}),
        TIMES,
    )

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        if change:
            services.edit_account(obj)
        else:
            services.add_account(obj)

    def delete_model(self, request: HttpRequest, obj: Account) -> None:
        services.delete_account(obj)


@admin.register(Organization)
class OrganizationAdmin(ScopedAdmin[Organization]):
    """Organizations: staff edit them, an account's admin sees the account's."""

    account_admin_may = VIEW
    list_display = ("domain", "id", "account", "status", "modified")
    list_filter = ("status",)
    list_select_related = ("account",)
    search_fields = ("domain", "contact_name", "contact_organization", "contact_email")
    search_help_text = "Search by domain, name or e-mail."
    readonly_fields = ("created", "modified")
    fieldsets = (
        ("Organization", {"fields": ("account", "domain", "status")}),
        ("Caller id", {"fields": (("caller_id", "caller_id_name", "caller_id_number"),)}),
        ("Dialing", {"fields": (("extended_dialing", "e911_provisioning"),)}),
        ("Contact", {"fields": CONTACT_FIELDS}),
        TIMES,
    )

    def get_readonly_fields(
        self, request: HttpRequest, obj: Organization | None = None
    ) -> tuple[str, ...]:
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        if change:
            services.edit_organization(obj)
        else:
            services.add_organization(obj)

    def delete_model(self, request: HttpRequest, obj: Organization) -> None:
        services.delete_organization(obj)


class UserForm(forms.ModelForm[User]):
    """A user, with a password that is only ever written."""

    new_password = forms.CharField(
        label="New password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Empty keeps the present one; a new user without one can't log in yet.",
    )

    class Meta:
        model = User
        fields = ("auth_username", "account", "organization", "username", "role", "is_active")

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        if password:
            validate_password(password, self.instance)
        return password


@admin.register(User)
class UserAdmin(ScopedAdmin[User]):
    """Users: staff edit them, an account's admin sees the account's."""

    form = UserForm
    account_admin_may = VIEW
    actions = ("unlock",)
    list_display = ("auth_username", "role", "is_active", "account", "address")
    list_filter = ("role", "is_active")
    list_select_related = ("account", "organization")
    search_fields = ("auth_username", "username", "organization__domain")
    search_help_text = "Search by name or domain."
    readonly_fields = ("created", "modified", "last_login")
    fieldsets = (
        ("Role", {"fields": ("role", "account")}),
        ("Address", {"fields": (("username", "organization"),)}),
        TIMES,
    )

    @admin.display(description="address", ordering="organization__domain")
    def address(self, user: User) -> str:
        """Give the other name to log in with, where there is one."""
        return f"{user.username}@{user.organization}" if user.organization else ""

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Offer a password to those who may change it; a new user is enabled."""
        login = ["auth_username"]
        if obj is None or self.has_change_permission(request, obj):
            login.append("new_password")
        if obj is not None:
            login += ["is_active", "last_login"]
        return (("Login", {"fields": login}), *super().get_fieldsets(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

    @admin.action(permissions=["change"], description="Unlock selected users")
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let users who are locked log in again at once, and say who they were."""
        locked = [user for user in queryset if lockout.unlock(user)]
        for user in locked:
            self.log_change(request, user, "Unlocked.")
        names = ", ".join(map(str, locked))
        self.message_user(
            request,
            f"Unlocked: {names}." if locked else "None of the selected users was locked.",
            messages.SUCCESS if locked else messages.WARNING,
        )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        password = form.cleaned_data["new_password"]
        if not change:
            created = services.add_user(
                auth_username=obj.auth_username,
                role=obj.role,
                password=password or None,
                account=obj.account,
                organization=obj.organization,
                username=obj.username,
            )
            obj.pk = created.pk
            return
        self._edit(request, obj.pk, form.cleaned_data)
        if password:
            services.set_password(obj, password)

    def _edit(self, request: HttpRequest, pk: int, values: dict[str, Any]) -> None:
        user = self.get_queryset(request).get(pk=pk)
        for name in ("auth_username", "organization", "username"):
            setattr(user, name, values[name])
        services.edit_user(user)
        actor = request.user
        if isinstance(actor, User) and values["role"] != user.role:
            services.change_role(user, role=values["role"], actor=actor)
        if values["is_active"] != user.is_active:
            services.set_active(user, is_active=values["is_active"])

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        services.delete_user(obj)


@admin.register(Session)
class SessionAdmin(ScopedAdmin[Session]):
    """API sessions: to be seen, and to be ended by deleting them."""

    staff_may = account_admin_may = frozenset({"view", "delete"})
    list_display = ("user", "created", "last_used", "expires", "client_address", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__auth_username",)
    search_help_text = "Search by the user's authentication name."
    fields = ("user", "created", "last_used", "expires", "client_address", "user_agent")


@admin.register(Change)
class ChangeAdmin(ScopedAdmin[Change]):
    """Who changed something, when and by which way."""

    staff_may = account_admin_may = VIEW
    list_display = ("created", "who", "channel", "account")
    list_filter = ("channel",)
    list_select_related = ("account",)
    fields = ("created", "who", "channel", "account", "request_id")
    ordering: ClassVar[tuple[str, ...]] = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        """Name the author; to an account's admin the provider's staff have no names."""
        changes = super().get_queryset(request)
        if isinstance(request.user, User) and request.user.is_system_admin:
            return changes.annotate(author=F("actor"))
        known = Q(user__account__isnull=False) | Q(user_id__in=self._deleted_users())
        is_staff = When(~known, user__isnull=False, then=Value(PROVIDER_STAFF))
        return changes.annotate(author=Case(is_staff, default=F("actor")))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Change | None:
        """Name the author in the titles of the pages, too, as the viewer may see it."""
        change = super().get_object(request, object_id, from_field)
        if change is not None:
            change.actor = self.who(change)
        return change

    def _deleted_users(self) -> Any:
        """Give the ids of users of accounts that were deleted; their changes remain."""
        return User.history.filter(history_type="-", account__isnull=False).values("id")

    @admin.display(description="who")
    def who(self, change: Change) -> str:
        """Give the author's name as the viewer may see it."""
        return str(getattr(change, "author", ""))
