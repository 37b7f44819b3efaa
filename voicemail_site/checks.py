"""What ``manage.py check --deploy`` tells beside Django's own checks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Tags, register


@register(Tags.security, deploy=True)
def strict_pins_are_on(**kwargs: Any) -> list[CheckMessage]:
    """Say so where the strict PIN policy is off (docs/voicemail.md, PIN)."""
    if settings.PIN_STRICT:
        return []
    return [
        Info(
            "The strict PIN policy is off: short and trivial PINs are accepted.",
            hint="Set PIN_STRICT to true, unless partners depend on such PINs.",
            id="voicemail.I001",
        )
    ]
