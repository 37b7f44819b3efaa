"""The two actions that need nothing but the protocol (docs/protocol.md, Actions)."""

from voicemail_site.webapi.action import Action
from voicemail_site.webapi.registry import register


@register
class Echo(Action):
    """Answer with the parameters that were sent; they stand in the Context."""


@register
class NoOp(Action):
    """Do nothing; a session that is sent along is kept alive by it."""
