"""The Response document as plain data (docs/protocol.md, XML document and Echo)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from voicemail_site.webapi.action import Action, EstablishedSession
from voicemail_site.webapi.elements import Tree, as_text
from voicemail_site.webapi.errors import ActionError, RefusedRequest, RequestError
from voicemail_site.webapi.names import is_ncname, xml_text
from voicemail_site.webapi.parsers import Value

MASKED = frozenset({"Password", "PasswordConfirm"})
MASK = "******"


@dataclass
class Answer:
    """What became of one request, before it is written."""

    parameters: Mapping[str, Value]
    action: type[Action] | None = None
    applies_defaults: bool = False
    session: EstablishedSession | None = None
    result: Tree | None = None
    refused: RefusedRequest | None = None
    action_error: ActionError | None = None
    codes: list[str] = field(default_factory=list)

    @property
    def is_completed(self) -> bool:
        """Tell whether the action was carried out."""
        return self.result is not None

    def refuse(self, error: RefusedRequest | ActionError) -> None:
        """Note why the action was not carried out."""
        if isinstance(error, RefusedRequest):
            self.refused = error
            self.codes = [each.code.value for each in error.errors]
        else:
            self.action_error = error
            self.codes = [error.code.value]


def document(answer: Answer, *, now: datetime, duration_ms: int) -> dict[str, Tree]:
    """Build the Response document; ``duration_ms`` is what the request has taken so far."""
    response: dict[str, Tree] = {
        "Context": {
            "Action": _action(answer),
            "Request": _request(answer, now, duration_ms),
            "Session": _session(answer.session),
        }
    }
    if answer.action is not None and answer.result is not None:
        response["Result"] = {answer.action.name(): answer.result}
    return {"Response": response}


def _action(answer: Answer) -> Tree:
    tree: dict[str, Tree] = {"IsCompleted": as_text(answer.is_completed)}
    if answer.action_error is not None:
        error = {"Code": answer.action_error.code.value, "Message": answer.action_error.message}
        tree["Errors"] = {"Error": [error]}
    return tree


def _request(answer: Answer, now: datetime, duration_ms: int) -> Tree:
    refused = answer.refused
    tree: dict[str, Tree] = {
        "IsValid": as_text(refused is None or refused.is_valid),
        "DateTime": as_text(now),
        "Duration": as_text(duration_ms),
    }
    echo = echoed_parameters(answer)
    if echo:
        tree["Parameters"] = {"Parameter": echo}
    if refused is not None:
        tree["Errors"] = {"Error": [_request_error(error) for error in refused.errors]}
    return tree


def _request_error(error: RequestError) -> Tree:
    return {"Parameter": error.parameter, "Code": error.code.value, "Message": error.message}


def _session(session: EstablishedSession | None) -> Tree:
    if session is None:
        return {"IsEstablished": as_text(False)}
    return {
        "IsEstablished": as_text(True),
        "SessionId": session.session_id,
        "UserId": as_text(session.user_id),
        "Roles": {"Role": [{"Name": role} for role in session.roles]},
    }


def echoed_parameters(answer: Answer) -> Sequence[Tree]:
    """List what was sent, in its order, and then the defaults that were applied."""
    fields = answer.action.Parameters.by_wire_name() if answer.action else {}
    sent = {
        name: fields[name].echoed(value) if name in fields else value
        for name, value in answer.parameters.items()
        if name in fields or is_ncname(name)
    }
    if answer.action is not None and answer.applies_defaults:
        sent |= answer.action.Parameters.defaults(answer.parameters)
    return [_parameter(name, value) for name, value in sent.items()]


def _parameter(name: str, value: Value) -> Tree:
    if name in MASKED:
        return {"Name": name, "Value": MASK}
    return {"Name": name, **_value(value)}


def _value(value: Value) -> dict[str, Tree]:
    if isinstance(value, str):
        return {"Value": xml_text(value)}
    elements = [{"Key": xml_text(key), **_value(item)} for key, item in value.items()]
    return {"Array": {"Elements": {"Element": elements}}}
