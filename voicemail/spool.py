"""Orders about recordings that a PBX keeps under a name which a box gave up.

Without them the next box of that name would play a stranger's messages
(docs/asterisk.md, Spool orders). They are made only where SPOOL_ORDERS is on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import prefetch_related_objects
from django.utils import timezone

from accounts.models import Organization
from voicemail.batches import in_batches
from voicemail.models import Pbx, SpoolOrder, SpoolTask, Voicemailbox

_AT_ONCE = 5000

STILL_AT_WORK = (
    "The PBX has not yet put away what others recorded under this name. Try again in a minute."
)
FORMER_RECORDINGS = (
    "Number {mailbox} belonged to another mailbox before. Recordings of that one may still be on "
    "the PBX, and this mailbox would play them."
)


def order_removal(voicemailbox: Voicemailbox) -> None:
    """Have the recordings of a box that is deleted removed."""
    order_removals([voicemailbox])


def order_removals(boxes: Sequence[Voicemailbox]) -> None:
    """Have the recordings of boxes that are deleted removed."""
    if not settings.SPOOL_ORDERS:
        return
    prefetch_related_objects(boxes, "organization")
    ordered = sorted(boxes, key=attrgetter("organization_id", "pk"))
    for organization, some in groupby(ordered, key=attrgetter("organization")):
        domain = organization.domain
        give([_order(box, SpoolOrder.Kind.REMOVE, domain, box.mailbox) for box in some])


def order_move(voicemailbox: Voicemailbox, *, mailbox: int) -> None:
    """Have the recordings of a box moved to its number, from the one that it had."""
    if settings.SPOOL_ORDERS:
        _move(voicemailbox, voicemailbox.organization.domain, mailbox)


def order_moves(organization: Organization, *, domain: str) -> None:
    """Have the recordings of all boxes of an organization moved from its former domain."""
    if not settings.SPOOL_ORDERS:
        return
    boxes = organization.voicemailboxes.order_by("id")
    for some in in_batches(boxes.iterator(chunk_size=_AT_ONCE), _AT_ONCE):
        orders = [_order(box, SpoolOrder.Kind.MOVE, domain, box.mailbox) for box in some]
        for order in orders:
            order.to_context, order.to_mailbox = organization.domain, order.mailbox
        give(orders)


def give(orders: Sequence[SpoolOrder]) -> None:
    """Store orders about one organization, with a task for each PBX that may ask for it.

    A disabled PBX gets them too: its recordings are there when it is enabled again.
    """
    pbxs = list(Pbx.unscoped.serving(orders[0].organization_id).distinct())
    SpoolOrder.unscoped.bulk_create(orders)
    tasks = (SpoolTask(order=order, pbx=pbx) for order in orders for pbx in pbxs)
    for some in in_batches(tasks, _AT_ONCE):
        SpoolTask.unscoped.bulk_create(some)


def give_missed(pbx: Pbx) -> None:
    """Give a PBX the orders that it missed about organizations which it may ask for by now.

    It has none of those from before it was added: nothing can have been recorded on it then.
    """
    missed = SpoolOrder.unscoped.filter(created__gte=pbx.created, withdrawn=None)
    if pbx.is_limited:
        missed = missed.filter(organization_id__in=pbx.organizations.values("pk"))
    missed = missed.exclude(pk__in=SpoolTask.unscoped.filter(pbx=pbx).values("order"))
    for some in in_batches(missed.order_by("id").iterator(chunk_size=_AT_ONCE), _AT_ONCE):
        SpoolTask.unscoped.bulk_create(SpoolTask(order=order, pbx=pbx) for order in some)


def follow_renaming(*, organization: Organization, domain: str, **kwargs: Any) -> None:
    """Hear from the accounts app that an organization has another domain."""
    order_moves(organization, domain=domain)


def withdraw_removal(voicemailbox: Voicemailbox) -> None:
    """Let the recordings of a restored box be; where its domain is another by now, move them.

    Raises ValidationError while a PBX has still to move or remove what others left under one of
    the names since: it could not tell theirs from the box's.
    """
    removal = SpoolOrder.unscoped.filter(
        kind=SpoolOrder.Kind.REMOVE, voicemailbox_id=voicemailbox.pk, withdrawn=None
    ).last()
    if removal is None:
        return
    present = (voicemailbox.organization.domain, voicemailbox.mailbox)
    later = SpoolOrder.unscoped.filter(pk__gt=removal.pk).exclude(voicemailbox_id=voicemailbox.pk)
    if later.unfinished().touching((removal.context, removal.mailbox), present).exists():
        raise ValidationError(STILL_AT_WORK, code="spool")
    removal.withdrawn = timezone.now()
    removal.save(update_fields=["withdrawn"])
    removal.tasks.filter(confirmed=None).delete()
    if present != (removal.context, removal.mailbox):
        _move(voicemailbox, removal.context, removal.mailbox)


def confirm(pbx: Pbx, numbers: Iterable[int]) -> int:
    """Note that a PBX has carried out orders of its own; count those that were open."""
    tasks = SpoolTask.unscoped.filter(pbx=pbx, order__in=list(numbers), confirmed=None)
    return tasks.update(confirmed=timezone.now())


def purge_orders(*, before: datetime, batch: int, dry_run: bool = False) -> int:
    """Delete the orders from before a time that no PBX has still to carry out, and count them.

    Each batch is a transaction of its own, so that others are not kept waiting.
    """
    old = SpoolOrder.unscoped.filter(created__lt=before).order_by("id")
    if dry_run:
        return old.finished().count()
    count = last = 0
    while ids := list(old.filter(pk__gt=last).values_list("pk", flat=True)[:batch]):
        # Asked for these alone, PostgreSQL does not go through the tasks of all orders.
        _, kinds = SpoolOrder.unscoped.finished().filter(pk__in=ids).delete()
        count, last = count + kinds.get(SpoolOrder._meta.label, 0), ids[-1]
    return count


# What is told of the recordings of others


def delayed_among(boxes: Collection[Voicemailbox]) -> set[int]:
    """Tell which of these boxes some PBX does not serve yet, by their ids."""
    if not settings.SPOOL_ORDERS or not boxes:
        return set()
    delayed = Voicemailbox.unscoped.delayed().filter(pk__in=[box.pk for box in boxes])
    return set(delayed.values_list("pk", flat=True))


def pbxs_to_wait_for(voicemailbox: Voicemailbox) -> list[str]:
    """Name the PBXs that do not serve a box until recordings of others are out of its way."""
    if not delayed_among([voicemailbox]):
        return []
    organization = voicemailbox.organization
    orders = SpoolOrder.unscoped.in_the_way_of(
        voicemailbox.pk, organization.domain, voicemailbox.mailbox
    )
    tasks = SpoolTask.unscoped.filter(confirmed=None, order__in=orders.values("pk"))
    pbxs = Pbx.unscoped.filter(is_active=True, pk__in=tasks.values("pbx"))
    return list(pbxs.serving(organization.pk).values_list("name", flat=True).distinct())


def may_play_others(voicemailbox: Voicemailbox) -> bool:
    """Tell whether a PBX may have recordings of others under the name of a box, and play them.

    That is so without orders, where another box had the number before: in the organization, or in
    one that had its domain.
    """
    if settings.SPOOL_ORDERS or not Pbx.unscoped.exists():
        return False
    organization = voicemailbox.organization
    of_domain = Organization.history.filter(domain=organization.domain).values_list("id", flat=True)
    organizations = {organization.pk, *of_domain.distinct()}
    had = Voicemailbox.history.filter(
        organization__in=organizations, mailbox=voicemailbox.mailbox
    ).exclude(id=voicemailbox.pk)
    return bool(had.exists())


def _move(voicemailbox: Voicemailbox, context: str, mailbox: int) -> None:
    """Have the recordings of a box moved to its name, from the one that it had."""
    order = _order(voicemailbox, SpoolOrder.Kind.MOVE, context, mailbox)
    order.to_context, order.to_mailbox = voicemailbox.organization.domain, voicemailbox.mailbox
    give([order])


def _order(voicemailbox: Voicemailbox, kind: str, context: str, mailbox: int) -> SpoolOrder:
    return SpoolOrder(
        kind=kind,
        account_id=voicemailbox.account_id,
        organization_id=voicemailbox.organization_id,
        voicemailbox_id=voicemailbox.pk,
        context=context,
        mailbox=mailbox,
    )
