"""The endpoint: one DRF view for every action."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.functional import cached_property
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from voicemail_site.logs import request_id
from voicemail_site.webapi.action import Action, Attempt
from voicemail_site.webapi.elements import Tree
from voicemail_site.webapi.envelope import Answer, document
from voicemail_site.webapi.errors import ActionError, Code, RefusedRequest, RequestError
from voicemail_site.webapi.negotiation import OutputNegotiation
from voicemail_site.webapi.parameters import Checked, usable_callback
from voicemail_site.webapi.parsers import (
    MAX_BYTES,
    AnyParser,
    FormParser,
    JSONParser,
    Malformed,
    MultiPartParser,
    Pair,
    TooLarge,
    Value,
    collect,
    parse_query,
)
from voicemail_site.webapi.records import source_of
from voicemail_site.webapi.registry import actions
from voicemail_site.webapi.renderers import JSONPRenderer, JSONRenderer, XMLRenderer
from voicemail_site.webapi.streaming import BusyError, Source, Stream, client_of

logger = logging.getLogger(__name__)

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

UNREACHABLE = "The service can't reach its database at the moment. Please try again."
BUSY = "Several long lists are being sent already. Please try again in a few seconds."
BROKEN = "Something went wrong on our side."
TOO_LARGE = (
    "The request is too large: a body or query may have 1 MiB, 1,000 parameters and "
    "5 levels of nesting."
)


class WebApiView(APIView):
    """Answer every action by a Response document, and what should not happen by an Exception."""

    http_method_names = ("get", "post")
    parser_classes = (FormParser, MultiPartParser, JSONParser, AnyParser)
    renderer_classes = (XMLRenderer, JSONRenderer, JSONPRenderer)
    content_negotiation_class = OutputNegotiation
    format_kwarg = None  # DRF sets it too late for the answer to what ``initial`` refuses.

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.started = time.perf_counter()
        self.parameters: dict[str, Value] = {}
        self.unreadable: Malformed | None = None
        self.written: Tree | None = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        return dict(SECURITY_HEADERS)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and undo that view and request hold each other, and themselves.

        To search for such garbage takes a twentieth of the time of a Read.
        """
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            if isinstance(self.request, Request):
                self.request.parser_context.clear()
            vars(self).clear()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the parameters before DRF chooses the renderer and looks for a session."""
        pairs = parse_query(request.META.get("QUERY_STRING", "").encode("latin-1"))
        self.parameters = collect(pairs)
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed(str(request.method))
        try:
            self.parameters = collect([*pairs, *self._read_body(request)])
        except Malformed as exc:
            self.unreadable = exc
        super().initial(request, *args, **kwargs)

    def _read_body(self, request: Request) -> list[Pair]:
        """Read the body; DRF's own ``data`` fails where a Content-Type is broken."""
        if request.stream is None:
            return []
        parser: Any = self.get_content_negotiator().select_parser(request, request.parsers or ())
        pairs: list[Pair] = parser.parse(request.stream, request.content_type)
        return pairs

    def get(self, request: Request) -> HttpResponseBase:
        """Carry out the action that the parameters name."""
        session: Any = request.auth
        answer = Answer(self.parameters, session=session)
        try:
            self._carry_out(request, answer)
        except (RefusedRequest, ActionError) as error:
            # Its traceback would hold the answer, which holds it.
            answer.refuse(error.with_traceback(None))
        self._log(request, answer)
        elapsed = int((time.perf_counter() - self.started) * 1000)
        told = document(answer, now=timezone.now(), duration_ms=elapsed)
        source = source_of(answer.result)
        if source is not None:
            return self._send_by_pieces(told, source)
        return self._respond(told)

    post = get

    def _respond(
        self, told: Mapping[str, Tree], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Write the answer here, so that a failure to write it is answered as well.

        DRF's own Response would write it later, and is more to make than a short answer.
        """
        renderer, content_type = self._renderer()
        content = renderer.render(told, renderer_context=self.get_renderer_context())
        return HttpResponse(content, content_type, status, headers=headers)

    def _send_by_pieces(self, told: Mapping[str, Tree], source: Source) -> HttpResponseBase:
        renderer, content_type = self._renderer()
        pieces = renderer.pieces(told, self.get_renderer_context())
        client = client_of(self.request._request.META)
        return StreamingHttpResponse(Stream(pieces, source, client), content_type=content_type)

    def _renderer(self) -> tuple[Any, str]:
        """Give the renderer that is asked for, and its Content-Type."""
        renderer = getattr(self.request, "accepted_renderer", None)
        if renderer is None:  # What ``initial`` refuses is answered before it has chosen.
            renderer, _ = self.perform_content_negotiation(self.request)
        return renderer, f"{renderer.media_type}; charset={renderer.charset}"

    def _carry_out(self, request: Request, answer: Answer) -> None:
        """Go through docs/protocol.md, Order of checks."""
        if self.unreadable is not None:
            raise RefusedRequest([RequestError("Body", Code.VALUE_INVALID, str(self.unreadable))])
        answer.action = self._find_action()
        caller: Any = request.user
        required = answer.action.requires
        if required is not None and answer.session is None:
            raise RefusedRequest([RequestError("SessionId", Code.SESSION_AUTHENTICATION)])
        answer.applies_defaults = True
        if required is not None and not caller.has_role(required):
            raise ActionError(Code.ACCOUNT_AUTHORIZATION)
        if self.written is not None:
            answer.result = self.written
            return
        action = answer.action(request, answer.session)
        answer.result = action.perform(caller, self.checked)
        answer.session = action.session

    def attempt(self) -> Attempt | None:
        """Give what may be written together with the look-up of the session.

        Whoever carries it out leaves what it tells in ``written``.
        """
        action = self._readable_action()
        return action.attempt(self.checked) if action else None

    def first_look_up(self) -> Any | None:
        """Give what the action will look up first, if that may be found with the session."""
        action = self._readable_action()
        return action.first_look_up(self.checked) if action else None

    @cached_property
    def checked(self) -> Checked:
        """Check the parameters of the action that is named, by themselves."""
        return self._find_action().Parameters.read(self.parameters)

    def _readable_action(self) -> type[Action] | None:
        return self._named_action() if self.unreadable is None else None

    def _named_action(self) -> type[Action] | None:
        name = self.parameters.get("Action")
        return actions().get(name) if isinstance(name, str) else None

    def _find_action(self) -> type[Action]:
        if self.parameters.get("Action", "") == "":
            raise RefusedRequest([RequestError("Action", Code.VALUE_REQUIRED)])
        action = self._named_action()
        if action is None:
            raise RefusedRequest([RequestError("Action", Code.ACTION_UNRECOGNIZED)])
        return action

    def _log(self, request: Request, answer: Answer) -> None:
        session = answer.session or request.auth  # SessionDestroy leaves none.
        request._request.log_fields = {  # type: ignore[attr-defined]  # read by the middleware
            "action": answer.action.name() if answer.action else None,
            "user_id": getattr(session, "user_id", None),
            "outcome": "completed" if answer.is_completed else "refused",
            "codes": answer.codes,
        }

    def get_renderer_context(self) -> dict[str, Any]:
        return {"callback": usable_callback(self.parameters)}

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # as in _respond
        """Answer what is no Response document; the log has the rest, under the same number."""
        _pass_over_body(self.request._request)
        headers = {}
        match exc:
            case MethodNotAllowed():
                status, text, headers = (
                    405,
                    "Only GET and POST are answered here.",
                    {"Allow": "GET, POST"},
                )
            case TooLarge():
                status, text = 413, TOO_LARGE
            case BusyError():
                status, text, headers = 503, BUSY, {"Retry-After": "5"}
            case OperationalError() | InterfaceError():
                logger.error("The database can't be reached.", exc_info=exc)
                status, text = 503, UNREACHABLE
            case _:
                logger.error("An answer failed.", exc_info=exc)
                status, text = 500, BROKEN
        action = self._named_action()
        self.request._request.log_fields = {  # type: ignore[attr-defined]  # as above
            "action": action.name() if action else None,
            "user_id": getattr(getattr(self.request, "_auth", None), "user_id", None),
            "outcome": "failed",
            "codes": [],
        }
        return self._respond({"Exception": _with_reference(text)}, status, headers)


def _pass_over_body(request: HttpRequest) -> None:
    """Read what a client still sends, up to 64 MiB.

    Its connection would be reset otherwise before it could read the answer.
    """
    with suppress(UnreadablePostError):
        for _ in range(64):
            if not request.read(MAX_BYTES):
                return


def _with_reference(text: str) -> str:
    return f"{text} Reference: {request_id.get()}"


def exception_response(request: HttpRequest, status: int, text: str) -> HttpResponse:
    """Answer an Exception document where Django would answer one of its HTML pages."""
    is_json = b"Output=json" in request.META.get("QUERY_STRING", "").encode("latin-1").split(b"&")
    renderer = JSONRenderer() if is_json else XMLRenderer()
    return HttpResponse(
        renderer.render({"Exception": _with_reference(text)}),
        status=status,
        content_type=f"{renderer.media_type}; charset=utf-8",
        headers=SECURITY_HEADERS,
    )
