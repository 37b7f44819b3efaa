"""The login to Django's admin, and accounts and organizations in it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from axes.models import AccessLog
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.models import Group
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

# Their classes register themselves.
from accounts import lockout, services, session_admin, user_admin  # noqa: F401
from accounts.history import record_change
from accounts.history_admin import HistoryAdmin
from accounts.models import Account, Channel, Organization, User
from accounts.scoped_admin import TIMES
from accounts.validators import USER_ADDRESS_MAX_LENGTH
from voicemail_site.logs import request_id

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
        with record_change(by=self.user, channel=Channel.WEB, request_id=request_id.get()):
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
# Roles take the place of groups, and of successful logins nothing is kept.
admin.site.unregister((Group, AccessLog))


@admin.register(Account)
class AccountAdmin(HistoryAdmin[Account]):
    """Accounts: staff edit them, an account's admin sees their own."""

    kind = "Account"
    restored_fields = services.ACCOUNT_FIELDS
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

    def restore(self, row: Any) -> Account:
        return services.restore_account(row)


@admin.register(Organization)
class OrganizationAdmin(HistoryAdmin[Organization]):
    """Organizations: staff edit them, an account's admin sees the account's."""

    kind = "Organization"
    restored_fields = services.ORGANIZATION_FIELDS
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

    def restore(self, row: Any) -> Organization:
        return services.restore_organization(row)
