"""Realtime over HTTP: what Asterisk's res_config_curl asks, and the check of a new PIN.

A body whose first line has a ``=`` is a record to Asterisk, whatever the status. So whatever is not
a record is an empty body: no such box, no right to ask, and every failure
(docs/asterisk.md, Realtime over HTTP).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from math import ceil
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from voicemail import spool
from voicemail.asterisk import credentials, wire
from voicemail.asterisk.boxes import at_number, boxes_for, find_row, in_context
from voicemail.asterisk.credentials import Credentials
from voicemail.asterisk.mapping import COLUMNS, record
from voicemail.models import SpoolOrder, SpoolTask
from voicemail.services import change_pin_by_phone, pin_error

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024
VALID = "VALID"
ORDERS_AT_ONCE = 1000


def _answer(text: str, status: int = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(
        text, status=status, content_type="text/plain", headers={"Cache-Control": "no-store"}
    )


@method_decorator(csrf_exempt, name="dispatch")
class AsteriskView(View):
    """Answer a PBX that presents its credentials, by text; by nothing where anything is wrong."""

    http_method_names = ("post",)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return self._dispatch(request, **kwargs)
        except Exception as exc:  # Whatever it is, the body must be empty.
            logger.error("A PBX could not be answered.", exc_info=exc)
            return _answer("", HTTPStatus.SERVICE_UNAVAILABLE)

    def _dispatch(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        presented = credentials.read(request)
        if request.method != "POST" or presented is None:
            return _answer("", HTTPStatus.UNAUTHORIZED)
        body = request.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            return _answer("", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        keys = wire.parse(body.decode("utf-8", "replace"))
        text = self.answer(presented, keys, **kwargs)
        if text:
            presented.note_seen()
        return _answer(text)

    def answer(self, presented: Credentials, keys: dict[str, str]) -> str:
        """Give the body."""
        raise NotImplementedError


class RealtimeView(AsteriskView):
    """The operations of res_config_curl."""

    def answer(self, presented: Credentials, keys: dict[str, str], operation: str = "") -> str:
        answers: dict[str, Callable[[Credentials, dict[str, str]], str]] = {
            "single": self._single,
            "multi": self._multi,
            "update": self._update,
            "require": self._zero,
            "store": self._zero,
            "destroy": self._zero,
        }
        return answers[operation](presented, keys) if operation in answers else ""

    def _single(self, presented: Credentials, keys: dict[str, str]) -> str:
        row = find_row(presented, keys)
        return wire.line(record(row)) if row else ""

    def _multi(self, presented: Credentials, keys: dict[str, str]) -> str:
        return wire.lines(self._records(presented, keys))

    def _records(self, presented: Credentials, keys: dict[str, str]) -> Iterator[dict[str, str]]:
        """Give the boxes of a context; without one nothing is listed."""
        known = {"context", "mailbox", "mailbox LIKE"}
        if "context" not in keys or not keys.keys() <= known:
            return
        boxes = in_context(boxes_for(presented), keys["context"])
        if "mailbox" in keys:
            boxes = at_number(boxes, keys["mailbox"])
        rows: Any = boxes.order_by("mailbox").values(*COLUMNS)
        for row in rows:
            if wire.matches(keys.get("mailbox LIKE", "%"), str(row["mailbox"])):
                yield record(row)

    def _update(self, presented: Credentials, keys: dict[str, str]) -> str:
        """Change a PIN, the only column that a phone changes; give the number of rows."""
        if not presented.pbxs.exists():
            return ""
        place = wire.parse_update(self.request.META.get("QUERY_STRING", ""))
        if place is None or keys.keys() != {"password"}:
            return "0"
        context, mailbox = place
        boxes = in_context(at_number(boxes_for(presented), mailbox), context)
        with transaction.atomic():
            box = boxes.select_for_update(of=("self",)).first()
            is_changed = box is not None and change_pin_by_phone(
                box, keys["password"], pbx=presented.pbxs.get().name
            )
        return "1" if is_changed else "0"

    def _zero(self, presented: Credentials, keys: dict[str, str]) -> str:
        return "0" if presented.pbxs.exists() else ""


class PinCheckView(AsteriskView):
    """The question of ``externpasscheck``: may this PIN be the box's? ``VALID``, or why not.

    Nothing is said of the old PIN, and nothing is changed.
    """

    def answer(self, presented: Credentials, keys: dict[str, str]) -> str:
        boxes = at_number(boxes_for(presented), keys.get("mailbox", ""))
        box = in_context(boxes, keys.get("context", "")).first()
        if box is None:
            return ""
        return pin_error(box, keys.get("password", "")) or VALID


class SpoolOrdersView(AsteriskView):
    """The open spool orders of a PBX, in their order, one a line.

    Number, kind, context, mailbox, the order's time in seconds since 1970, and where to: words
    between spaces, ``-`` for none.
    """

    def answer(self, presented: Credentials, keys: dict[str, str]) -> str:
        tasks = SpoolTask.unscoped.open_of(presented.pbxs).order_by("order_id")
        first = tasks.values("order")[:ORDERS_AT_ONCE]
        orders = SpoolOrder.unscoped.filter(pk__in=first).order_by("id")
        return "".join(f"{spool_line(order)}\n" for order in orders)


class SpoolConfirmationView(AsteriskView):
    """The confirmation of one order; ``1`` if it was open, else ``0``."""

    def answer(self, presented: Credentials, keys: dict[str, str]) -> str:
        pbx = presented.pbxs.first()
        number = keys.get("number", "")
        if pbx is None or not re.fullmatch(r"[1-9][0-9]{0,17}", number):
            return ""
        return str(spool.confirm(pbx, [int(number)]))


def spool_line(order: SpoolOrder) -> str:
    """Write an order as the shipped script reads it; a part of a second counts as a whole one."""
    words = (
        *(order.pk, order.kind, order.context, order.mailbox),
        ceil(order.created.timestamp()),
        *(order.to_context or "-", order.to_mailbox or "-"),
    )
    return " ".join(map(str, words))
