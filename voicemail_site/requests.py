"""A request as the web server hands it over."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import parse_header_parameters

# Hosts that were found served, with the settings that decided it.
_served: set[tuple[Any, ...]] = set()
_MOST_HOSTS = 100


class Request(WSGIRequest):
    """A request that can be answered whatever its Content-Type says.

    Django takes the header apart before any code of ours, and decodes the query in the charset
    that it declares; where either fails, the web server answers a page of its own. The API's
    parsers read header and query by themselves, and report what is wrong with them.
    """

    def get_host(self) -> str:
        """Give the host that is asked for; to tell of one whether it is served takes 10 us."""
        host = self._get_raw_host()  # type: ignore[attr-defined]  # Django's
        key = (host, settings.DEBUG, *settings.ALLOWED_HOSTS)
        if key not in _served:
            super().get_host()  # It refuses a host that is not served here.
            if len(_served) >= _MOST_HOSTS:
                _served.clear()
            _served.add(key)
        return str(host)

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            content_type, params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        # The email package below sorts what it can't compare, and decodes what it can't.
        except (TypeError, ValueError):
            content_type, params = "", {}
        self.content_type, self.content_params = content_type, params
