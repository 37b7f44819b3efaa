"""The voicemail box: one number, one address, one PIN in one organization."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Length, Lower, StrIndex
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from accounts.history import History
from accounts.models import (
    Account,
    LowerCaseField,
    OneLineField,
    Organization,
    Status,
    TimestampedModel,
)
from accounts.scoping import ScopedManager, StaffManager
from accounts.validators import (
    DOMAIN_MAX_LENGTH,
    EMAIL_MAX_LENGTH,
    EMAIL_SHAPE,
    LABEL_MAX_LENGTH,
    ONE_LINE_PATTERN,
    TOO_LONG_LABEL,
    USER_ADDRESS_MAX_LENGTH,
    USER_ADDRESS_SHAPE,
    USERNAME_MAX_LENGTH,
    USERNAME_PATTERN,
    USERNAME_SHAPE,
    validate_email,
    validate_user_address,
    validate_username,
)
from voicemail import validators
from voicemail_site.constraints import CompiledCheck
from voicemail_site.statements import Param, Statement

REQUIRED_VALUE = "This value is required."
MAILBOX_UNAVAILABLE = "This mailbox is already in use in this organization."
ADDRESS_UNAVAILABLE = (
    "This address is already in use, is reserved, or is otherwise unavailable for use."
)


class Timezone(models.TextChoices):
    """The zones of app_voicemail's ``[zonemessages]`` (docs/voicemail.md, Time zones)."""

    EASTERN = "us_eastern", "Eastern (New York)"
    CENTRAL = "us_central", "Central (Chicago)"
    MOUNTAIN = "us_mountain", "Mountain (Denver)"
    PACIFIC = "us_pacific", "Pacific (Los Angeles)"


class NotifyEmail(models.TextChoices):
    """What an e-mail tells of a new message."""

    NO = "no", "No e-mail"
    YES = "yes", "E-mail"
    ATTACH = "attach", "E-mail with the recording"
    DELETE = "delete", "E-mail with the recording, then delete it"


class NotifyPager(models.TextChoices):
    """Whether a pager or a text gateway is told of a new message."""

    NO = "no", "No pager"
    YES = "yes", "Pager"


def _is_short(name: str, max_length: int) -> Q:
    return Q(LessThanOrEqual(Length(name), max_length))


def _has_short_labels(name: str) -> Q:
    """Say that no label of an address's host is too long; most addresses are shorter as a whole."""
    return _is_short(name, LABEL_MAX_LENGTH) | ~Q((f"{name}__regex", TOO_LONG_LABEL))


def _is_email(name: str, max_length: int) -> Q:
    """Say for a constraint what ``validate_email`` says."""
    has_shape = Q((f"{name}__regex", EMAIL_SHAPE)) & ~Q((f"{name}__startswith", "-"))
    return has_shape & _is_short(name, max_length) & _has_short_labels(name)


def _is_user_address(name: str) -> Q:
    """Say for a constraint what ``validate_user_address`` says."""
    at = StrIndex(name, Value("@"))
    is_short = Q(LessThanOrEqual(at, USERNAME_MAX_LENGTH + 1)) & Q(
        LessThanOrEqual(Length(name) - at, DOMAIN_MAX_LENGTH)
    )
    return Q((f"{name}__regex", USER_ADDRESS_SHAPE)) & is_short & _has_short_labels(name)


class VoicemailboxQuerySet(models.QuerySet["Voicemailbox"]):
    """Boxes by what a PBX may know of them."""

    def served(self) -> VoicemailboxQuerySet:
        """Keep what exists for a PBX: the box, its organization and its account are enabled."""
        return self.filter(
            status=Status.ENABLED,
            organization__status=Status.ENABLED,
            account__status=Status.ENABLED,
        )

    def delayed(self) -> VoicemailboxQuerySet:
        """Keep what some PBX does not serve yet: recordings of others are in the way."""
        # Each OuterRef leads one query further out: to the task, the order, and the box.
        organization = OuterRef(OuterRef(OuterRef("organization")))
        pbxs = Pbx.unscoped.filter(is_active=True).serving(organization)
        tasks = SpoolTask.unscoped.filter(
            order=OuterRef("pk"), confirmed=None, pbx__in=pbxs.values("pk")
        )
        name = (OuterRef("organization__domain"), OuterRef("mailbox"))
        orders = SpoolOrder.unscoped.in_the_way_of(OuterRef("pk"), *name)
        return self.served().filter(Exists(orders.filter(Exists(tasks))))


class Voicemailbox(TimestampedModel):
    """A voicemail box of an organization (docs/voicemail.md, The element).

    ``password`` is the PIN; it is stored as text, because ``0042`` is not ``42``.
    """

    # PostgreSQL has one key for both, which says more (voicemail.apps.SAME_ACCOUNT).
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="voicemailboxes", db_index=False
    )
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="voicemailboxes", db_index=False
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ENABLED)
    mailbox = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(validators.MAILBOX_MAX)],
        help_text="1 to 7 digits, not starting with 0; usually the user's extension.",
    )
    password = models.CharField(
        "PIN",
        max_length=validators.PIN_MAX_LENGTH,
        validators=[validators.validate_pin],
        help_text="1 to 7 digits, not all of them zero.",
    )
    fullname = OneLineField(
        "full name",
        max_length=validators.FULLNAME_MAX_LENGTH,
        help_text="The name of the mailbox's user, such as Joe Smith.",
    )
    timezone = models.CharField(
        "time zone",
        max_length=16,
        choices=Timezone.choices,
        default=Timezone.EASTERN,
        help_text="The zone in which times are announced.",
    )
    say_caller_id = models.BooleanField(
        "say caller id", default=False, help_text="Announce the caller's number."
    )
    say_duration = models.BooleanField(
        "say duration", default=False, help_text="Announce how long a message is."
    )
    say_datetime = models.BooleanField(
        "say date and time", default=False, help_text="Announce when a message was left."
    )
    notify_email = models.CharField(
        "notify by e-mail",
        max_length=8,
        choices=NotifyEmail.choices,
        default=NotifyEmail.NO,
        help_text="Whether an e-mail tells of a new message.",
    )
    notify_pager = models.CharField(
        "notify by pager",
        max_length=8,
        choices=NotifyPager.choices,
        default=NotifyPager.NO,
        help_text="Whether a pager is told of a new message.",
    )
    email = models.CharField(
        "e-mail",
        max_length=EMAIL_MAX_LENGTH,
        blank=True,
        validators=[validate_email],
        help_text="One address; required as soon as e-mail notification is chosen.",
    )
    pager = models.CharField(
        max_length=validators.PAGER_MAX_LENGTH,
        blank=True,
        validators=[validate_email],
        help_text="The pager's e-mail address; required as soon as pager notification is chosen.",
    )
    mwi = models.CharField(
        "message waiting (MWI)",
        max_length=USER_ADDRESS_MAX_LENGTH,
        blank=True,
        validators=[validate_user_address],
        help_text="The SIP user address, user@domain, whose phone shows waiting messages.",
    )
    username = models.CharField(
        "user name of the address",
        max_length=USERNAME_MAX_LENGTH,
        validators=[validate_username],
        help_text="With the organization's domain it makes the address that reaches the mailbox.",
    )

    unscoped: ClassVar[models.Manager[Voicemailbox]] = models.Manager.from_queryset(
        VoicemailboxQuerySet
    )()
    objects: ClassVar[ScopedManager[Voicemailbox]] = ScopedManager()  # type: ignore[assignment]  # scoped
    # Most rows tell of no deletion, so the list of deleted boxes has small indexes of its own.
    history = History(
        indexes=[
            models.Index(
                fields=["account", "-history_id"],
                condition=Q(history_type="-"),
                name="deleted_boxes_by_account",
            ),
            models.Index(
                fields=["-history_id"], condition=Q(history_type="-"), name="deleted_boxes"
            ),
            # Which boxes had a number.
            models.Index(fields=["organization", "mailbox", "id"], name="former_boxes_by_number"),
        ]
    )

    taken_fields = MappingProxyType(
        {
            "unique_mailbox_per_organization": "mailbox",
            "unique_address_per_organization": "username",
        }
    )

    class Meta:
        default_manager_name = "unscoped"
        verbose_name_plural = "voicemailboxes"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["organization", "mailbox"],
                name="unique_mailbox_per_organization",
                violation_error_message=MAILBOX_UNAVAILABLE,
            ),
            models.UniqueConstraint(
                "organization",
                Lower("username"),
                name="unique_address_per_organization",
                violation_error_message=ADDRESS_UNAVAILABLE,
            ),
            models.CheckConstraint(
                condition=Q(mailbox__gte=1, mailbox__lte=validators.MAILBOX_MAX),
                name="mailbox_is_1_to_7_digits",
            ),
            models.CheckConstraint(
                condition=Q(password__regex=validators.PIN_SHAPE)
                & _is_short("password", validators.PIN_MAX_LENGTH),
                name="pin_is_1_to_7_digits",
            ),
            models.CheckConstraint(
                condition=Q(fullname__regex=ONE_LINE_PATTERN)
                & ~Q(fullname="")
                & _is_short("fullname", validators.FULLNAME_MAX_LENGTH),
                name="fullname_is_1_to_128_characters",
            ),
            models.CheckConstraint(
                condition=Q(username__regex=USERNAME_SHAPE)
                & _is_short("username", USERNAME_MAX_LENGTH),
                name="address_username_form",
            ),
            CompiledCheck(
                condition=Q(email="") | _is_email("email", EMAIL_MAX_LENGTH),
                name="email_is_one_address",
            ),
            CompiledCheck(
                condition=Q(pager="") | _is_email("pager", validators.PAGER_MAX_LENGTH),
                name="pager_is_one_address",
            ),
            CompiledCheck(
                condition=Q(mwi="") | _is_user_address("mwi"),
                name="mwi_is_a_user_address",
            ),
            models.CheckConstraint(
                condition=Q(notify_email=NotifyEmail.NO) | ~Q(email=""),
                name="email_is_given_when_notified",
            ),
            models.CheckConstraint(
                condition=Q(notify_pager=NotifyPager.NO) | ~Q(pager=""),
                name="pager_is_given_when_notified",
            ),
            CompiledCheck(
                condition=Q(
                    status__in=Status.values,
                    timezone__in=Timezone.values,
                    notify_email__in=NotifyEmail.values,
                    notify_pager__in=NotifyPager.values,
                ),
                name="voicemailbox_options_are_known",
            ),
        )
        # Each browse order of docs/voicemail.md; one index serves both directions.
        indexes = (
            models.Index(fields=["account", "id"], name="voicemailbox_by_account"),
            models.Index(
                fields=["account", "organization", "id"], name="voicemailbox_by_organization"
            ),
            models.Index(fields=["account", "mailbox", "id"], name="voicemailbox_by_mailbox"),
            models.Index(
                fields=["account", "organization", "mailbox", "id"],
                name="voicemailbox_of_org",
            ),
            # The order in which staff see all of them.
            models.Index(
                fields=["organization", "mailbox", "id"], name="voicemailbox_of_org_by_mailbox"
            ),
            # What was changed last, in the admin; there is a trigram index besides (0002_search).
            models.Index(fields=["modified", "id"], name="voicemailbox_by_age"),
            # The few that are disabled.
            models.Index(
                fields=["account", "mailbox", "id"],
                condition=Q(status=Status.DISABLED),
                name="voicemailbox_disabled",
            ),
            # Whose message waiting addresses are not served.
            models.Index(
                fields=["account", "mwi", "id"], condition=~Q(mwi=""), name="voicemailbox_with_mwi"
            ),
        )

    def __str__(self) -> str:
        return f"{self.mailbox} {self.fullname}"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        self.fullname = self.fullname.strip()
        super().clean_fields(exclude)

    def clean(self) -> None:
        """Check what concerns several fields of the box at once."""
        errors = self.notification_errors() | self.pin_errors()
        if errors:
            raise ValidationError(errors)

    def notification_errors(self) -> dict[str, ValidationError]:
        """Give an error for each notification that lacks its address."""
        return {
            address: ValidationError(REQUIRED_VALUE, code="required")
            for address, chosen in _FOLLOWS_FROM.items()
            if _goes_nowhere(getattr(self, chosen), getattr(self, address))
        }

    def pin_errors(self) -> dict[str, ValidationError]:
        """Give the error of a new PIN that the strict policy, where it is on, forbids.

        One that was set before the policy stays until somebody changes it.
        """
        if not settings.PIN_STRICT or not self.password:
            return {}
        if not self._state.adding and "password" not in self.changed_fields():
            return {}
        try:
            validators.validate_strict_pin(self.password, self.mailbox)
        except ValidationError as exc:
            return {"password": exc}
        return {}

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Report a taken number or address beside its own field.

        The check constraints repeat what the validators and ``clean`` have said by now, and
        Django would ask the database for each of them.
        """
        errors = self.taken_errors(exclude or ())
        if errors:
            raise ValidationError(errors)

    def taken_errors(self, exclude: Collection[str] = ()) -> dict[str, ValidationError]:
        """Give an error for the number, and for the address, that another box holds."""
        looked_for = {"mailbox", "username"} - set(exclude)
        if not looked_for:
            return {}
        ((mailbox, username),) = _TAKEN.fetch(
            organization=self.organization_id,
            id=self.pk or 0,
            mailbox=self.mailbox if "mailbox" in looked_for else 0,
            username=self.username.lower() if "username" in looked_for else "",
        ) or [(False, False)]
        errors = {}
        if mailbox:
            errors["mailbox"] = ValidationError(MAILBOX_UNAVAILABLE, code="unavailable")
        if username:
            errors["username"] = ValidationError(ADDRESS_UNAVAILABLE, code="unavailable")
        return errors


# What a box's addresses must be depends on whether anything is sent to them.
_FOLLOWS_FROM = MappingProxyType({"email": "notify_email", "pager": "notify_pager"})


def _goes_nowhere(chosen: str, address: str) -> bool:
    """Tell whether a notification is chosen that has no address."""
    return chosen not in (NotifyEmail.NO, NotifyPager.NO) and not address


def errors_of_their_own(
    errors: Mapping[str, ValidationError], failed: Collection[str]
) -> dict[str, ValidationError]:
    """Keep the errors that follow from no other: neither one of these nor a field that failed."""
    wrong = {*failed, *errors}
    return {
        name: error
        for name, error in errors.items()
        if name not in failed and _FOLLOWS_FROM.get(name) not in wrong
    }


def fits_any_box(values: Mapping[str, Any]) -> bool:
    """Tell whether a box may get these values, right by themselves, whatever else it has."""
    if "mailbox" in values or ("password" in values and settings.PIN_STRICT):
        return False
    # At worst the box notifies, and has no address.
    return not any(
        _goes_nowhere(values.get(chosen, "yes"), values.get(address, ""))
        for address, chosen in _FOLLOWS_FROM.items()
        if address in values or chosen in values
    )


def _others_holding(**key: Any) -> Exists:
    others = Voicemailbox.unscoped.exclude(pk=Param.of(Voicemailbox, "id"))
    return Exists(others.alias(folded=Lower("username")).filter(organization=OuterRef("pk"), **key))


_TAKEN = Statement(
    lambda: Organization.unscoped.filter(pk=Param.of(Voicemailbox, "organization")).values_list(
        _others_holding(mailbox=Param.of(Voicemailbox, "mailbox")),
        _others_holding(folded=Param.of(Voicemailbox, "username")),
    )
)


class MailboxTally(models.Model):
    """By how many boxes an organization grew or shrank; the sum is how many it has.

    The database writes it (voicemail.tally).
    """

    account = models.ForeignKey(
        Account,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    number = models.BigIntegerField()

    unscoped: ClassVar[models.Manager[MailboxTally]] = models.Manager()
    objects: ClassVar[ScopedManager[MailboxTally]] = ScopedManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        verbose_name_plural = "mailbox tallies"
        indexes = (models.Index(fields=["account", "organization"], name="tally_by_account"),)

    def __str__(self) -> str:
        return f"{self.number:+} in organization {self.organization_id}"


class PbxQuerySet(models.QuerySet["Pbx"]):
    """PBXs by what they present, and by what they may ask for."""

    def presenting(self, name: str | None, credential_digest: str) -> PbxQuerySet:
        """Keep the enabled one with this credential; a token header names no PBX.

        The digest of a long random credential is looked up, so no comparison leaks its time.
        """
        named = self.filter(is_active=True, credential_digest=credential_digest)
        return named if name is None else named.filter(name=name)

    def serving(self, organization_id: Any) -> PbxQuerySet:
        """Keep those that may ask for an organization."""
        return self.filter(Q(is_limited=False) | Q(organizations=organization_id))


class Pbx(models.Model):
    """An Asterisk that asks for boxes (docs/asterisk.md, Realtime over HTTP).

    Whoever has its credential can read every PIN that it may ask for.
    """

    name = LowerCaseField(
        max_length=USERNAME_MAX_LENGTH,
        validators=[validate_username],
        help_text="Its user name for HTTP Basic: letters, digits, dots, underscores and hyphens.",
    )
    credential_digest = models.CharField(max_length=64, editable=False)
    is_active = models.BooleanField("enabled", default=True)
    is_limited = models.BooleanField(
        "limited to some organizations",
        default=False,
        help_text="If so, it gets boxes of the organizations below alone.",
    )
    organizations = models.ManyToManyField(Organization, blank=True, related_name="+")
    created = models.DateTimeField(default=timezone.now, editable=False)
    last_seen = models.DateTimeField(null=True, editable=False)

    unscoped: ClassVar[models.Manager[Pbx]] = models.Manager.from_queryset(PbxQuerySet)()
    objects: ClassVar[StaffManager[Pbx]] = StaffManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        verbose_name = "PBX"
        verbose_name_plural = "PBXs"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=["name"],
                name="unique_pbx_name",
                violation_error_message="This name is already in use.",
            ),
            models.UniqueConstraint(
                fields=["credential_digest"], name="unique_pbx_credential_digest"
            ),
            models.CheckConstraint(
                condition=Q(name__regex=USERNAME_PATTERN) & Q(name=Lower("name")),
                name="pbx_name_form",
            ),
            models.CheckConstraint(
                condition=Q(credential_digest__regex=r"\A[0-9a-f]{64}\Z"),
                name="pbx_credential_digest_is_sha256",
            ),
        )

    def __str__(self) -> str:
        return self.name


class RefusedPin(models.Model):
    """A PIN that was set by phone, although the rules forbid it; the old one stays.

    Asterisk tells the caller that the PIN was changed all the same, so the account's admins are
    told that it was not. The PIN itself is kept nowhere.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    voicemailbox = models.ForeignKey(
        Voicemailbox, on_delete=models.CASCADE, related_name="refused_pins"
    )
    pbx = models.CharField("PBX", max_length=USERNAME_MAX_LENGTH)
    reason = models.CharField(max_length=255)
    created = models.DateTimeField("when", default=timezone.now)

    unscoped: ClassVar[models.Manager[RefusedPin]] = models.Manager()
    objects: ClassVar[ScopedManager[RefusedPin]] = ScopedManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        verbose_name = "refused PIN"
        ordering = ("-id",)
        indexes = (models.Index(fields=["account", "-id"], name="refused_pin_by_account"),)

    def __str__(self) -> str:
        return f"{self.voicemailbox}: {self.reason}"


class SpoolOrderQuerySet(models.QuerySet["SpoolOrder"]):
    """Spool orders by who has still to carry them out."""

    def open_for(self, pbxs: PbxQuerySet) -> SpoolOrderQuerySet:
        """Keep what one PBX, given as a query, has still to do."""
        return self.filter(Exists(SpoolTask.unscoped.open_of(pbxs).filter(order=OuterRef("pk"))))

    def unfinished(self) -> SpoolOrderQuerySet:
        """Keep what some enabled PBX has still to do."""
        tasks = SpoolTask.unscoped.filter(confirmed=None, pbx__is_active=True)
        return self.filter(Exists(tasks.filter(order=OuterRef("pk"))))

    def finished(self) -> SpoolOrderQuerySet:
        """Keep what no PBX has still to do, not even a disabled one."""
        tasks = SpoolTask.unscoped.filter(confirmed=None)
        return self.filter(~Exists(tasks.filter(order=OuterRef("pk"))))

    def touching(self, *names: tuple[str, int]) -> SpoolOrderQuerySet:
        """Keep what takes recordings from, or brings them to, one of these names."""
        wanted = Q()
        for context, mailbox in names:
            wanted |= Q(context=context, mailbox=mailbox)
            wanted |= Q(to_context=context, to_mailbox=mailbox)
        return self.filter(wanted)

    def in_the_way_of(self, voicemailbox_id: Any, context: Any, mailbox: Any) -> SpoolOrderQuerySet:
        """Keep those about recordings that other boxes left under the name of this one."""
        named = self.filter(context=context, mailbox=mailbox)
        return named.exclude(voicemailbox_id=voicemailbox_id)


class SpoolOrder(models.Model):
    """What a PBX has to do with recordings under a name that a box had until now.

    Nothing here is a foreign key to what the order is about: it outlives all of it
    (docs/asterisk.md, Spool orders).
    """

    class Kind(models.TextChoices):
        """What is done with the recordings."""

        REMOVE = "remove"
        MOVE = "move"

    kind = models.CharField(max_length=6, choices=Kind.choices)
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    organization_id = models.BigIntegerField()
    voicemailbox_id = models.BigIntegerField()
    context = models.CharField(max_length=DOMAIN_MAX_LENGTH)
    mailbox = models.PositiveIntegerField()
    to_context = models.CharField(max_length=DOMAIN_MAX_LENGTH, blank=True)
    to_mailbox = models.PositiveIntegerField(null=True)
    created = models.DateTimeField(default=timezone.now)
    withdrawn = models.DateTimeField(null=True)

    unscoped: ClassVar[models.Manager[SpoolOrder]] = models.Manager.from_queryset(
        SpoolOrderQuerySet
    )()
    objects: ClassVar[ScopedManager[SpoolOrder]] = ScopedManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="remove", to_context="", to_mailbox=None)
                | Q(kind="move", to_mailbox__isnull=False) & ~Q(to_context=""),
                name="spool_order_has_a_target_if_it_moves",
            ),
        )
        # By the names that a box looks for, and by what staff search.
        indexes = (
            models.Index(fields=["context", "mailbox"], name="spool_order_by_name"),
            models.Index(fields=["to_context", "to_mailbox"], name="spool_order_by_target"),
            models.Index(fields=["mailbox"], name="spool_order_by_number"),
            models.Index(fields=["to_mailbox"], name="spool_order_by_target_number"),
            models.Index(fields=["voicemailbox_id"], name="spool_order_by_box"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.mailbox}@{self.context}"


class SpoolTaskQuerySet(models.QuerySet["SpoolTask"]):
    """Spool tasks by whose they are."""

    def open_of(self, pbxs: PbxQuerySet) -> SpoolTaskQuerySet:
        """Keep what one PBX, given as a query, has still to do."""
        # Taken as one value, it lets PostgreSQL read its tasks in their order along an index.
        return self.filter(pbx=pbxs.values("pk")[:1], confirmed=None)


class SpoolTask(models.Model):
    """What one PBX has to do: an order, given while it may have had recordings to it.

    An order is open for a PBX as long as its task is there and not confirmed.
    """

    order = models.ForeignKey(
        SpoolOrder, on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="+", db_index=False)
    confirmed = models.DateTimeField(null=True)

    unscoped: ClassVar[models.Manager[SpoolTask]] = models.Manager.from_queryset(
        SpoolTaskQuerySet
    )()
    objects: ClassVar[StaffManager[SpoolTask]] = StaffManager()  # type: ignore[assignment]  # scoped

    class Meta:
        default_manager_name = "unscoped"
        constraints = (
            models.UniqueConstraint(fields=["order", "pbx"], name="unique_spool_task_of_pbx"),
        )
        indexes = (
            models.Index(
                fields=["pbx", "order"], condition=Q(confirmed=None), name="spool_task_open"
            ),
        )

    def __str__(self) -> str:
        return f"{self.order} by {self.pbx}"
