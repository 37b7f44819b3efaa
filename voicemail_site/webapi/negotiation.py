"""Which parser reads a body, and which renderer writes the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from voicemail_site.webapi.parameters import usable_callback
from voicemail_site.webapi.renderers import JSONPRenderer, JSONRenderer, XMLRenderer


class OutputNegotiation(BaseContentNegotiation):
    """Go by the Output parameter; no Accept header decides anything (docs/protocol.md, HTTP)."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Take the first parser for the declared type; the last one takes any."""
        declared = request.content_type.partition(";")[0].strip().lower()
        return next(each for each in parsers if each.media_type in (declared, "*/*"))

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Write JSON or JSONP when it is asked for, XML otherwise."""
        parameters = request.parser_context["view"].parameters
        renderer: BaseRenderer = XMLRenderer()
        if usable_callback(parameters):
            renderer = JSONPRenderer()
        elif parameters.get("Output") == "json":
            renderer = JSONRenderer()
        return renderer, str(renderer.media_type)
