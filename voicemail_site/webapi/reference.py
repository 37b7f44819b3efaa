"""The reference of the Web API's actions, written from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from voicemail_site.webapi.action import Action
from voicemail_site.webapi.names import wire_name
from voicemail_site.webapi.parameters import (
    Boolean,
    Choice,
    CopyOf,
    Identifier,
    Integer,
    OrderBy,
    Text,
    WireField,
)

_HEAD = """\
# The actions

This page is written by `manage.py api_reference` from the actions' declarations; a test compares
the two. What holds for all of them stands in [protocol.md](protocol.md), and what a voicemail box
is in [voicemail.md](voicemail.md).

Every action takes `Action`, `Output` and `Callback`; those that need a session take `SessionId`.
"""


def reference(actions: Mapping[str, type[Action]], roles: Mapping[str, str]) -> str:
    """Write the page; ``roles`` gives the names of the roles on the wire."""
    sections = [_section(actions[name], roles) for name in sorted(actions)]
    return "\n".join([_HEAD, *sections])


def _section(action: type[Action], roles: Mapping[str, str]) -> str:
    name = action.name()
    needs = f"A session of: {roles[action.requires]}." if action.requires else "No session needed."
    lines = [f"## {name}", "", inspect.cleandoc(action.__doc__ or ""), "", needs, ""]
    declared = action.Parameters.declared().values()
    if declared:
        lines += ["Parameter | | Value | Default | Meaning", "-|-|-|-|-"]
        lines += [_row(field) for field in declared]
        lines.append("")
    lines += _pair(action)
    lines += [f"The answer's grammar: `/rng/{name}.rng`.", ""]
    return "\n".join(lines)


def _pair(action: type[Action]) -> Iterator[str]:
    if action.Parameters.one_and_only_one_of:
        first, second = map(wire_name, action.Parameters.one_and_only_one_of)
        yield f"One and only one of `{first}` and `{second}`."
        yield ""


def _row(field: WireField) -> str:
    need = "required" if field.required else "optional"
    default = f"`{field.default_text}`" if field.default_text is not None else ""
    help_text = str(field.help_text or "").replace("|", "\\|")
    return f"`{field.wire_name}` | {need} | {_form(field)} | {default} | {help_text}"


def _form(field: WireField) -> str:
    match field:
        case Identifier():
            return "positive integer"
        case Integer():
            return f"integer, {field.minimum} to {field.maximum}"
        case Boolean():
            return "`true` or `false`"
        case Choice():
            return ", ".join(f"`{choice}`" for choice in field.choices)
        case OrderBy():
            return ", ".join(f"`{name}`" for name in field.orders) + ", each also with ` Desc`"
        case Text():
            return f"text, up to {field.max_length} characters"
        case CopyOf():
            return "anything"
        case _:
            return "text"
