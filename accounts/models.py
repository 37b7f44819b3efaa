"""Accounts, their organizations and users, the users' sessions, and who changed what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import validators
from accounts.history import AccountChangedRow, History
from accounts.recorded import insert_recorded, update_recorded
from accounts.scoping import ScopedManager
from voicemail_site.writes import CompiledModel

UNITED_STATES = 207
UNITED_STATES_NAME = "United States of America"


class Status(models.TextChoices):
    """Whether the PBX and the sign-in know an object; a disabled one can still be edited."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class LowerCaseField(models.CharField[str, str]):
    """A short text that is the same in any case: stored, and looked up, in lower case.

    Only ASCII has two cases here; the lower case of the Kelvin sign would be a plain k.
    """

    def to_python(self, value: Any) -> Any:
        return self._folded(super().to_python(value))

    def get_prep_value(self, value: Any) -> Any:
        return self._folded(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    @staticmethod
    def _folded(value: Any) -> Any:
        return value.lower() if isinstance(value, str) and value.isascii() else value


class OneLineField(models.CharField[str, str]):
    """A short text without control characters; XML could not carry most of them."""

    default_validators = [validators.validate_one_line]  # noqa: RUF012  # As Django's own.


class TimestampedModel(CompiledModel):
    """When a row was created and last changed, in UTC; equal until the first change."""

    created = models.DateTimeField(editable=False)
    modified = models.DateTimeField(editable=False)

    # The field beside which the violation of a unique constraint is told.
    taken_fields: ClassVar[Mapping[str, str]] = MappingProxyType({})

    _loaded: Mapping[str, Any] = MappingProxyType({})

    class Meta:
        abstract = True

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **kwargs: Any
    ) -> Self:
        instance = super().from_db(db, field_names, values, **kwargs)
        instance._loaded = dict(zip(field_names, values, strict=False))
        return instance

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.complete()
        super().save(*args, **kwargs)
        self._remember(kwargs.get("update_fields"))

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, from_queryset)
        self._remember(names)

    def _remember(self, names: Iterable[str] | None) -> None:
        """Take the values of these columns, or of all, for what the database holds."""
        wanted = None if names is None else set(names)
        self._loaded = dict(self._loaded) | {
            field.attname: field.to_python(getattr(self, field.attname))
            for field in self._meta.concrete_fields
            if (wanted is None or wanted & {field.name, field.attname})
            and field.attname in self.__dict__
        }

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Report a taken value beside its own field; Django would name none."""
        errors: dict[str, Any] = {}
        for constraint in self._meta.constraints:
            try:
                constraint.validate(type(self), self, exclude=set(exclude or ()))
            except ValidationError as exc:
                field = self.taken_fields.get(constraint.name)
                if field is not None:
                    taken = ValidationError(exc.message, code="unavailable")
                    exc = ValidationError({field: taken})
                errors = exc.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def loaded(self, name: str) -> Any:
        """Give what the database holds of a column, whatever was set since."""
        return self._loaded[name]

    def changed_fields(self) -> list[str]:
        """Name the columns whose value is no longer the one that was loaded."""
        return [
            field.attname
            for field in self._meta.concrete_fields
            if field.attname in self._loaded
            and field.to_python(getattr(self, field.attname)) != self._loaded[field.attname]
        ]

    def save_changed(self) -> bool:
        """Store what was changed, and Modified with it; tell whether anything was.

        An edit that changes nothing writes nothing.
        """
        changed = self.changed_fields()
        if not changed:
            return False
        self.modified = timezone.now()
        names = [*changed, *self._stamp(changed), "modified"]
        update_recorded(self, names)
        self._remember(names)
        return True

    def save_new(self) -> None:
        """Store a new object; the database's own errors tell what is taken."""
        self.complete()
        insert_recorded(self)
        self._remember(None)

    def complete(self) -> None:
        """Give a new object what each one has."""
        if self.created is None:
            self.created = self.modified = timezone.now()

    def _stamp(self, changed: Iterable[str]) -> list[str]:
        """Set further times that a change moves, and name their columns."""
        return []


class ContactModel(models.Model):
    """The Contact element of an account or organization (docs/protocol.md, Elements)."""

    contact_name = OneLineField("name", max_length=128, blank=True)
    contact_organization = OneLineField("organization", max_length=128, blank=True)
    contact_address = OneLineField("address", max_length=255, blank=True)
    contact_city = OneLineField("city", max_length=128, blank=True)
    contact_state = OneLineField("state", max_length=128, blank=True)
    contact_zipcode = OneLineField("zip code", max_length=32, blank=True)
    contact_country = OneLineField(
        "country", max_length=128, blank=True, default=UNITED_STATES_NAME
    )
    contact_country_id = models.PositiveIntegerField(
        "country's number",
        default=UNITED_STATES,
        # What PostgreSQL can keep in it.
        validators=[MaxValueValidator(2**31 - 1)],
        help_text="207 is the United States of America.",
    )
    contact_phone = OneLineField("phone", max_length=64, blank=True)
    contact_email = models.CharField(
        "e-mail",
        max_length=validators.EMAIL_MAX_LENGTH,
        blank=True,
        validators=[validators.validate_email],
    )
    contact_modified = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and self.contact_modified is None:
            self.contact_modified = timezone.now()
        super().save(*args, **kwargs)

    def _stamp(self, changed: Iterable[str]) -> list[str]:
        if not any(name.startswith("contact_") for name in changed):
            return []
        self.contact_modified = timezone.now()
        return ["contact_modified"]


class Account(ContactModel, TimestampedModel):
    """A customer of the provider; its figures are stored and shown, nothing is charged here."""

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ENABLED)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    credit_limit = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    recharge = models.BooleanField(default=False)
    recharge_level = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    recharge_threshold = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    unscoped: ClassVar[models.Manager[Account]] = models.Manager()
    objects: ClassVar[ScopedManager[Account]] = ScopedManager("pk")  # type: ignore[assignment]  # scoped
    history = History(bases=(AccountChangedRow,))

    class Meta:
        default_manager_name = "unscoped"
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="account_status_is_known"
            ),
        )

    def __str__(self) -> str:
        return self.contact_organization or self.contact_name or f"Account {self.pk}"


class Organization(ContactModel, TimestampedModel):
    """One SIP domain of an account; its account never changes."""

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="organizations", db_index=False
    )
    domain = LowerCaseField(
        max_length=validators.DOMAIN_MAX_LENGTH,
        validators=[validators.validate_domain],
        help_text="The SIP domain, such as example.onsip.com.",
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ENABLED)
    caller_id = OneLineField("caller id", max_length=128, blank=True)
    caller_id_name = OneLineField("caller id name", max_length=64, blank=True)
    caller_id_number = OneLineField("caller id number", max_length=64, blank=True)
    extended_dialing = models.BooleanField(default=False)
    e911_provisioning = models.BooleanField("E911 provisioning", default=False)

    unscoped: ClassVar[models.Manager[Organization]] = models.Manager()
    objects: ClassVar[ScopedManager[Organization]] = ScopedManager()  # type: ignore[assignment]  # scoped
    history = History()

    taken_fields = MappingProxyType({"unique_organization_domain": "domain"})

    class Meta:
        default_manager_name = "unscoped"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["domain"],
                name="unique_organization_domain",
                violation_error_message="This domain is already in use.",
            ),
            # The target of the composite keys that tie a box and a user to the same account.
            models.UniqueConstraint(
                fields=["account", "id"], name="unique_organization_of_account"
            ),
            models.CheckConstraint(
                condition=Q(domain__regex=validators.DOMAIN_PATTERN) & Q(domain=Lower("domain")),
                name="organization_domain_is_a_host_name",
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="organization_status_is_known"
            ),
        )
        indexes = (models.Index(fields=["account", "domain"], name="organization_by_domain"),)

    def __str__(self) -> str:
        return self.domain


class Role(models.TextChoices):
    """What a user may do; the labels are the names on the wire (docs/protocol.md, Roles)."""

    USER = "user", "User"
    ACCOUNT_ADMIN = "account_admin", "Account Admin"
    SYSTEM_ADMIN = "system_admin", "System Admin"


# A number that grows with what a role may do.
_RANKS = {role.value: rank for rank, role in enumerate(Role)}


class UserManager(BaseUserManager["User"]):
    """Django's own way to users: the authentication backend and ``createsuperuser``."""

    def create_superuser(self, auth_username: str, password: str | None = None) -> User:
        """Create a user of the provider's staff.

        Only ``manage.py createsuperuser`` calls this. Raises ValidationError.
        """
        from accounts.history import operator_name, record_change
        from accounts.services import add_user

        if password is not None:
            validate_password(password, User(auth_username=auth_username))
        with record_change(by=None, channel=Channel.COMMAND, actor=operator_name()):
            return add_user(auth_username=auth_username, role=Role.SYSTEM_ADMIN, password=password)


class User(AbstractBaseUser, TimestampedModel):
    """Somebody who logs in: provider staff, an account's admin, or a plain user of an account.

    ``organization`` and ``username`` together make the address ``user@domain``, another name to
    log in with.
    """

    auth_username = LowerCaseField(
        "authentication name",
        max_length=validators.USERNAME_MAX_LENGTH,
        validators=[validators.validate_username],
        help_text="The name to log in with: letters, digits, dots, underscores and hyphens.",
    )
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.USER)
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, related_name="users"
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="users",
        db_index=False,
    )
    username = models.CharField(
        "user name of the address",
        max_length=validators.USERNAME_MAX_LENGTH,
        blank=True,
        validators=[validators.validate_username],
        help_text="With the organization's domain it makes the address user@domain.",
    )
    email = models.CharField(
        "e-mail",
        max_length=validators.EMAIL_MAX_LENGTH,
        blank=True,
        validators=[validators.validate_email],
        help_text="Password links are sent there.",
    )
    is_active = models.BooleanField("enabled", default=True)
    # Only the link that was made last opens, and none once this is empty.
    password_link_made = models.DateTimeField(null=True, editable=False)

    USERNAME_FIELD = "auth_username"
    EMAIL_FIELD = "email"

    unscoped: ClassVar[UserManager] = UserManager()
    objects: ClassVar[ScopedManager[User]] = ScopedManager()  # type: ignore[assignment]  # scoped
    history = History(excluded_fields=["password", "last_login", "password_link_made"])

    taken_fields = MappingProxyType(
        {"unique_user_auth_username": "auth_username", "unique_user_address": "username"}
    )

    class Meta:
        default_manager_name = "unscoped"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["auth_username"],
                name="unique_user_auth_username",
                violation_error_message="This authentication name is already in use.",
            ),
            models.UniqueConstraint(
                "organization",
                Lower("username"),
                name="unique_user_address",
                violation_error_message="This address is already in use.",
            ),
            models.CheckConstraint(
                condition=Q(auth_username__regex=validators.USERNAME_PATTERN)
                & Q(auth_username=Lower("auth_username")),
                name="user_auth_username_form",
            ),
            models.CheckConstraint(
                condition=Q(email="") | Q(email__regex=validators.EMAIL_PATTERN),
                name="user_email_is_an_address",
            ),
            models.CheckConstraint(
                condition=Q(organization__isnull=True, username="")
                | Q(
                    organization__isnull=False,
                    account__isnull=False,
                    username__regex=validators.USERNAME_PATTERN,
                ),
                name="user_address_is_whole",
                violation_error_message="An organization and a user name go together.",
            ),
            models.CheckConstraint(
                condition=Q(role=Role.SYSTEM_ADMIN, account__isnull=True)
                | Q(role__in=[Role.USER, Role.ACCOUNT_ADMIN], account__isnull=False),
                name="user_account_follows_role",
                violation_error_message="Provider staff have no account; everybody else has one.",
            ),
        )

    def __str__(self) -> str:
        return self.auth_username

    def clean(self) -> None:
        super().clean()
        if bool(self.organization_id) != bool(self.username):
            missing = "username" if self.organization_id else "organization"
            raise ValidationError({missing: "An organization and a user name go together."})
        if self.organization is not None and self.organization.account_id != self.account_id:
            raise ValidationError({"organization": "This organization is not recognized."})

    def has_role(self, role: str) -> bool:
        """Tell whether this user may do what that role may do."""
        return _RANKS[self.role] >= _RANKS[role]

    @property
    def is_system_admin(self) -> bool:
        return self.role == Role.SYSTEM_ADMIN

    @property
    def is_account_admin(self) -> bool:
        return self.role == Role.ACCOUNT_ADMIN

    @property
    def is_staff(self) -> bool:
        """Tell Django's admin who may enter; what is shown there is scoped."""
        return self.has_role(Role.ACCOUNT_ADMIN)

    @property
    def is_superuser(self) -> bool:
        return self.is_system_admin

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Allow provider staff everything; an account's admin gets what each admin class says."""
        return self.is_active and self.is_system_admin

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff

    def get_session_auth_hash(self) -> str:
        """End the admin logins, too, when the password, the role or the account changes."""
        return self._hash_of_rights(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterable[str]:
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._hash_of_rights(secret)

    def _hash_of_rights(self, secret: str | bytes) -> str:
        rights = f"{self.password}|{self.role}|{self.account_id}"
        return salted_hmac(
            "accounts.User.rights", rights, secret=secret, algorithm="sha256"
        ).hexdigest()


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions by their state at a given time."""

    def live_at(self, now: datetime) -> SessionQuerySet:
        """Keep what still opens the API: not idle, not too old, its user and account enabled."""
        return self.filter(self._lives_at(now))

    def found_by(
        self, *, digest: Any, now: Any, idle_since: Any, of_user: Iterable[str]
    ) -> models.QuerySet[Any, Any]:
        """Find a live session: its id, when it was last used, and these columns of its user."""
        found = self.filter(self._lives(now, idle_since), digest=digest).order_by()
        return found.values_list("id", "last_used", *(f"user__{name}" for name in of_user))

    def ended_at(self, now: datetime) -> SessionQuerySet:
        """Keep the rest, which opens nothing any more."""
        return self.exclude(self._lives_at(now))

    def with_state_at(self, now: datetime) -> SessionQuerySet:
        """Tell of each session whether it lives, as ``is_live``."""
        return self.annotate(
            is_live=models.ExpressionWrapper(self._lives_at(now), models.BooleanField())
        )

    @classmethod
    def _lives_at(cls, now: datetime) -> Q:
        return cls._lives(now, now - settings.API_SESSION_IDLE)

    @staticmethod
    def _lives(now: Any, idle_since: Any) -> Q:
        return Q(
            Q(user__account__isnull=True) | Q(user__account__status=Status.ENABLED),
            last_used__gt=idle_since,
            expires__gt=now,
            user__is_active=True,
        )


class Session(CompiledModel):
    """A login to the Web API, known only by a digest of its SessionId.

    Its rules are in docs/protocol.md, Sessions.
    """

    TOUCH_INTERVAL = timedelta(minutes=1)

    digest = models.CharField(max_length=64, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created = models.DateTimeField()
    last_used = models.DateTimeField()
    expires = models.DateTimeField()
    client_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=255, blank=True)

    unscoped: ClassVar[models.Manager[Session]] = models.Manager.from_queryset(SessionQuerySet)()
    objects: ClassVar[ScopedManager[Session]] = ScopedManager.from_queryset(SessionQuerySet)(  # type: ignore[assignment]  # scoped
        "user__account_id"
    )

    class Meta:
        default_manager_name = "unscoped"
        verbose_name = "API session"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["digest"], name="unique_session_digest"),
            models.CheckConstraint(
                condition=Q(digest__regex=r"\A[0-9a-f]{64}\Z"), name="session_digest_is_sha256"
            ),
            models.CheckConstraint(
                condition=Q(expires__gt=models.F("created")), name="session_expires_after_creation"
            ),
        )
        indexes = (models.Index(fields=["expires"], name="session_by_expiry"),)

    def __str__(self) -> str:
        return f"{self.user} since {self.created:%Y-%m-%d %H:%M}"


class Channel(models.TextChoices):
    """The way by which a change came in."""

    WEB = "web", "Web"
    API = "api", "API"
    IMPORT = "import", "Import"
    COMMAND = "command", "Command"
    PHONE = "phone", "Phone"


class Change(CompiledModel):
    """Who changed something, when and by which way; every history row refers to one.

    ``account`` is empty where a change touches no account or several. Neither it nor the user is
    held by a foreign key: a change outlives both, and ids are never used again.
    """

    user = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    actor = models.CharField("who", max_length=150)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    account = models.ForeignKey(
        Account,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    created = models.DateTimeField("when", default=timezone.now)
    request_id = models.CharField("request", max_length=64, blank=True)

    unscoped: ClassVar[models.Manager[Change]] = models.Manager()
    objects: ClassVar[ScopedManager[Change]] = ScopedManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(channel__in=Channel.values), name="change_channel_is_known"
            ),
        )
        indexes = (
            models.Index(fields=["account", "-id"], name="change_by_account"),
            models.Index(fields=["created"], name="change_by_age"),
            # A rare channel would otherwise be looked for in every change there is.
            models.Index(fields=["account", "channel", "-id"], name="change_of_account_by_channel"),
            models.Index(fields=["channel", "-id"], name="change_by_channel"),
        )

    def __str__(self) -> str:
        # A viewer may be told another name than the actor's: see author_as_seen_by.
        author = getattr(self, "author", self.actor)
        return f"{author} by {self.get_channel_display()}, {self.created:%Y-%m-%d %H:%M}"
