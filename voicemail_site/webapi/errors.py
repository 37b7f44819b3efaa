"""The catalogue of error codes, and what carries them (docs/protocol.md, Errors)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Code(StrEnum):
    """Every code on the wire; partners' software compares them letter for letter."""

    VALUE_REQUIRED = "Value.Required"
    VALUE_EXCLUSIVE = "Value.Exclusive"
    VALUE_INVALID = "Value.Invalid"
    VALUE_TOO_LONG = "Value.TooLong"
    VALUE_UNRECOGNIZED = "Value.Unrecognized"
    BOOLEAN_INVALID = "Boolean.Invalid"
    INTEGER_INVALID = "Integer.Invalid"
    INTEGER_TOO_BIG = "Integer.TooBig"
    INTEGER_TOO_SMALL = "Integer.TooSmall"
    EMAIL_INVALID = "Email.Invalid"
    ADDRESS_INVALID = "Address.Invalid"
    ADDRESS_UNAVAILABLE = "Address.Unavailable"
    MAILBOX_UNAVAILABLE = "Mailbox.Unavailable"
    DOMAIN_UNRECOGNIZED = "Domain.Unrecognized"
    VOICEMAILBOX_UNRECOGNIZED = "Voicemailbox.Unrecognized"
    ACTION_UNRECOGNIZED = "Action.Unrecognized"
    SESSION_AUTHENTICATION = "Session.Authentication"
    LOGIN_FAILED = "Accessor.LoginFailed"
    LOGIN_LOCKED = "Accessor.LoginLocked"
    ACCOUNT_AUTHORIZATION = "AccountAuthorization.Required"
    ORGANIZATION_AUTHORIZATION = "OrganizationAuthorization.Required"


_NOT_GRANTED = "Permission to perform the requested action has not been granted."

MESSAGES = {
    Code.VALUE_REQUIRED: "This value is required.",
    Code.BOOLEAN_INVALID: "Value must be true or false.",
    Code.DOMAIN_UNRECOGNIZED: "This domain is not recognized by the system.",
    Code.VOICEMAILBOX_UNRECOGNIZED: "This voicemailbox is not recognized by the system.",
    Code.ACTION_UNRECOGNIZED: "This action is not recognized by the system.",
    Code.SESSION_AUTHENTICATION: "An authenticated session is required for this request.",
    Code.LOGIN_FAILED: "The username or password is incorrect.",
    Code.ACCOUNT_AUTHORIZATION: _NOT_GRANTED,
    Code.ORGANIZATION_AUTHORIZATION: _NOT_GRANTED,
}


class WebApiError(Exception):
    """An error with a code and a message; the message defaults to the code's own."""

    def __init__(self, code: Code, message: str = "") -> None:
        self.code = code
        self.message = message or MESSAGES[code]
        super().__init__(f"{code}: {self.message}")


class RequestError(WebApiError):
    """An error of one parameter."""

    def __init__(self, parameter: str, code: Code, message: str = "") -> None:
        super().__init__(code, message)
        self.parameter = parameter


class ActionError(WebApiError):
    """An error of the action itself, in a request that is valid."""


class RefusedRequest(Exception):  # It is no error of the program.
    """A request that is answered by errors of its parameters, all of them together.

    ``is_valid`` stays true for a refused login, whose parameters are well formed.
    """

    def __init__(self, errors: Iterable[RequestError], *, is_valid: bool = False) -> None:
        self.errors = list(errors)
        self.is_valid = is_valid
        super().__init__("; ".join(f"{error.parameter}: {error.code}" for error in self.errors))
