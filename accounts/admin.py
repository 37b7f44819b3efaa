"""Accounts, organizations, users, API sessions and changes in Django's admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.db.models import Case, F, QuerySet, Value, When
from django.http import HttpRequest

from accounts import services
from accounts.models import Account, Change, Organization, Session, User
from accounts.scoped_admin import ScopedAdmin
from accounts.validators import USER_ADDRESS_MAX_LENGTH

VIEW: frozenset[str] = frozenset({"view"})

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


admin.site.login_form = LoginForm
admin.site.site_header = admin.site.site_title = "Voicemail provisioning"
admin.site.index_title = "Overview"
admin.site.unregister(Group)


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
        ("State", {"fields": ("status", ("created", "modified"))}),
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
    search_fields = ("domain", "contact_name", "contact_email")
    readonly_fields = ("created", "modified")
    fieldsets = (
        ("Organization", {"fields": ("account", "domain", "status")}),
        ("Caller id", {"fields": (("caller_id", "caller_id_name", "caller_id_number"),)}),
        ("Dialing", {"fields": (("extended_dialing", "e911_provisioning"),)}),
        ("Contact", {"fields": CONTACT_FIELDS}),
        ("Times", {"fields": (("created", "modified"),)}),
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
        help_text="Leave it empty to keep the present one.",
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
    list_display = ("auth_username", "role", "account", "organization", "username", "is_active")
    list_filter = ("role", "is_active")
    list_select_related = ("account", "organization")
    search_fields = ("auth_username", "username", "organization__domain")
    readonly_fields = ("created", "modified", "last_login")
    fieldsets = (
        ("Login", {"fields": ("auth_username", "new_password", "is_active")}),
        ("Role", {"fields": ("role", "account")}),
        ("Address", {"fields": (("username", "organization"),)}),
        ("Times", {"fields": (("created", "modified", "last_login"),)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return (("Login", {"fields": ("auth_username", "is_active")}), *self.fieldsets[1:])

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "account") if obj else self.readonly_fields

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
    fields = ("user", "created", "last_used", "expires", "client_address", "user_agent")


@admin.register(Change)
class ChangeAdmin(ScopedAdmin[Change]):
    """Who changed something, when and by which way."""

    staff_may = account_admin_may = VIEW
    list_display = ("created", "who", "channel", "account", "request_id")
    list_filter = ("channel",)
    list_select_related = ("account",)
    fields = ("created", "who", "channel", "account", "request_id")
    ordering: ClassVar[tuple[str, ...]] = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        """Name the author; to an account's admin the provider's staff have no names."""
        changes = super().get_queryset(request)
        if isinstance(request.user, User) and request.user.is_system_admin:
            return changes.annotate(author=F("actor"))
        is_staff = When(
            user__isnull=False, user__account__isnull=True, then=Value("Provider staff")
        )
        return changes.annotate(author=Case(is_staff, default=F("actor")))

    @admin.display(description="who")
    def who(self, change: Change) -> str:
        """Give the author's name as the viewer may see it."""
        return str(getattr(change, "author", ""))
