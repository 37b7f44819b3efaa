"""Fail where the service could not listen."""

from __future__ import annotations

import errno
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Fail where HOST and PORT can't be listened on, before anything else is done."""

    help = "Exit with 1 and a reason if the service could not listen on HOST and PORT."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        place = (settings.HOST.strip("[]"), settings.PORT)
        try:
            family = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(place)
        except OSError as exc:
            raise CommandError(_reason(exc)) from exc


def _reason(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"Port {settings.PORT} is in use. Choose another one: PORT=9000 make run"
    return f"{settings.HOST}:{settings.PORT} can't be listened on: {exc.strerror}."
