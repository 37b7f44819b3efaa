"""Orders about recordings that a PBX keeps under a name which a box gave up.

Without them the next box of that name would play a stranger's messages
(docs/asterisk.md, Spool orders). They are made only where SPOOL_ORDERS is on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Organization
from voicemail.models import Pbx, SpoolConfirmation, SpoolOrder, Voicemailbox

_AT_ONCE = 5000

STILL_AT_WORK = (
    "The PBX has not yet put away what others recorded under this name. Try again in a minute."
)


def order_removal(voicemailbox: Voicemailbox) -> None:
    """Have the recordings of a box that is deleted removed."""
    if settings.SPOOL_ORDERS:
        context = voicemailbox.organization.domain
        _order(voicemailbox, SpoolOrder.Kind.REMOVE, context, voicemailbox.mailbox).save()


def order_move(voicemailbox: Voicemailbox, *, mailbox: int) -> None:
    """Have the recordings of a box moved to its number, from the one that it had."""
    if settings.SPOOL_ORDERS:
        context = voicemailbox.organization.domain
        order = _order(voicemailbox, SpoolOrder.Kind.MOVE, context, mailbox)
        order.to_context, order.to_mailbox = context, voicemailbox.mailbox
        order.save()


def order_moves(organization: Organization, *, domain: str) -> None:
    """Have the recordings of all boxes of an organization moved from its former domain."""
    if not settings.SPOOL_ORDERS:
        return
    boxes = organization.voicemailboxes.order_by("id")
    for some in _in_batches(boxes.iterator(chunk_size=_AT_ONCE)):
        orders = [_order(box, SpoolOrder.Kind.MOVE, domain, box.mailbox) for box in some]
        for order in orders:
            order.to_context, order.to_mailbox = organization.domain, order.mailbox
        SpoolOrder.unscoped.bulk_create(orders)


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
    if present != (removal.context, removal.mailbox):
        order = _order(voicemailbox, SpoolOrder.Kind.MOVE, removal.context, removal.mailbox)
        order.to_context, order.to_mailbox = present
        order.save()


def confirm(pbx: Pbx, numbers: Iterable[int]) -> int:
    """Note that a PBX has carried out orders of its own; count those that were open."""
    pbxs = Pbx.unscoped.filter(pk=pbx.pk)
    orders = SpoolOrder.unscoped.open_for(pbxs).filter(pk__in=list(numbers))
    made = SpoolConfirmation.unscoped.bulk_create(
        [SpoolConfirmation(order=order, pbx=pbx) for order in orders], ignore_conflicts=True
    )
    return len(made)


def _order(voicemailbox: Voicemailbox, kind: str, context: str, mailbox: int) -> SpoolOrder:
    return SpoolOrder(
        kind=kind,
        account_id=voicemailbox.account_id,
        organization_id=voicemailbox.organization_id,
        voicemailbox_id=voicemailbox.pk,
        context=context,
        mailbox=mailbox,
    )


def _in_batches(boxes: Iterable[Voicemailbox]) -> Iterator[list[Voicemailbox]]:
    following = iter(boxes)
    while some := list(islice(following, _AT_ONCE)):
        yield some
