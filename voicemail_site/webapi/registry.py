"""The actions by name; the one place that the endpoint asks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from voicemail_site.webapi.action import Action

_actions: dict[str, type[Action]] = {}

ActionClass = TypeVar("ActionClass", bound=type[Action])


class RegistryError(Exception):
    """Raised at start-up for an action that can't be registered."""


def register(action: ActionClass) -> ActionClass:
    """Publish an action; used as a decorator.

    Raises RegistryError for a name that is taken and for an action without a docstring of its own.
    """
    name = action.name()
    if name in _actions:
        raise RegistryError(f"There are two actions named {name}.")
    if not (action.__doc__ or "").strip() or action.__doc__ == Action.__doc__:
        raise RegistryError(f"{name} needs a docstring: the reference is made from it.")
    _actions[name] = action
    return action


def actions() -> Mapping[str, type[Action]]:
    """Give every registered action by its name on the wire."""
    return MappingProxyType(_actions)
