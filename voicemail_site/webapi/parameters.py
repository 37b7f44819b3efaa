"""The parameters that an action declares, and the one pass that checks them all.

A field takes the raw text of the wire, never a converted value: DRF's own fields would accept
``5.0``, Arabic digits, or a trimmed choice. All errors are gathered in one pass, those between
fields included, because the protocol reports them together (docs/protocol.md, Order of checks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, ClassVar, TypeGuard

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Field as ModelField
from rest_framework import serializers

from voicemail_site.webapi.errors import Code, RequestError
from voicemail_site.webapi.names import is_ncname, is_xml_text, wire_name
from voicemail_site.webapi.parsers import Value
from voicemail_site.webapi.renderers import is_legal_callback

MAX_BIGINT = 2**63 - 1

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_IDENTIFIER = re.compile(r"[1-9][0-9]{0,18}")

NOT_CARRIED = "Value must not contain control characters, and must be valid UTF-8."
NOT_A_TEXT = "Value must be one text, not a list or a map."


class WireField(serializers.Field[Any, Any, Any, Any]):
    """One declared parameter.

    ``default`` is the wire's text, applied and echoed where an optional parameter is not sent;
    ``clearable`` lets an Edit send it empty.
    """

    def __init__(
        self,
        *,
        required: bool = True,
        default: str | None = None,
        clearable: bool = False,
        help_text: str = "",
    ) -> None:
        super().__init__(required=required and default is None, help_text=help_text)
        self.default_text = default
        self.clearable = clearable

    @cached_property
    def wire_name(self) -> str:
        """Give the parameter's name on the wire."""
        return wire_name(self.field_name or "")

    def default_for(self, sent: Mapping[str, Value]) -> Value | None:
        """Give the text to echo when the parameter is not sent, if there is one."""
        return self.default_text

    @cached_property
    def absent_value(self) -> Any:
        """Give the value of a parameter that is not sent; None is no value."""
        return None if self.default_text is None else self.clean_value(self.default_text)

    def echoed(self, value: Value) -> Value:
        """Give the text that counted, where it differs from what was sent."""
        return value

    def error(self, code: Code, message: str = "") -> RequestError:
        """Make an error of this parameter."""
        return RequestError(self.wire_name, code, message)

    def to_internal_value(self, data: str) -> Any:
        """Convert the wire's text; raises RequestError."""
        return data

    def clean_value(self, value: Value) -> Any:
        """Convert what was sent, a list and an unwritable text refused; raises RequestError."""
        if not isinstance(value, str):
            raise self.error(Code.VALUE_INVALID, NOT_A_TEXT)
        if not is_xml_text(value):
            raise self.error(Code.VALUE_INVALID, NOT_CARRIED)
        return self.to_internal_value(value)


class Text(WireField):
    """A text of limited length, further checked by the validators of the model's field.

    ``invalid`` and ``taken`` are the codes for a wrong form and for a value that another holds.
    """

    def __init__(
        self,
        *,
        max_length: int,
        validators: Sequence[Any] = (),
        invalid: Code = Code.VALUE_INVALID,
        taken: Code = Code.VALUE_INVALID,
        trim: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_length = max_length
        self.form_validators = validators
        self.invalid = invalid
        self.taken = taken
        self.trim = trim

    @classmethod
    def of(cls, field: ModelField[Any, Any], **kwargs: Any) -> Text:
        """Declare a parameter that is one field of a model: its length, its rule, its help."""
        return cls(
            max_length=field.max_length or 0,
            validators=field.validators,
            help_text=str(field.help_text),
            **kwargs,
        )

    def to_internal_value(self, data: str) -> str:
        text = data.strip() if self.trim else data
        if not text:
            raise self.error(Code.VALUE_REQUIRED)
        if len(text) > self.max_length:
            raise self.error(
                Code.VALUE_TOO_LONG, f"Value may be no more than {self.max_length} characters."
            )
        try:
            for validate in self.form_validators:
                validate(text)
        except ValidationError as exc:
            raise self.error(self.invalid, exc.messages[0]) from exc
        return text


class CopyOf(WireField):
    """A parameter that is ignored, and echoed equal to another one where it was not sent."""

    def __init__(self, other: str, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.other = other

    def default_for(self, sent: Mapping[str, Value]) -> Value | None:
        return sent.get(wire_name(self.other))

    def clean_value(self, value: Value) -> None:
        return None


class Integer(WireField):
    """A decimal integer between two bounds, without leading zeros."""

    def __init__(
        self,
        *,
        minimum: int = 0,
        maximum: int = MAX_BIGINT,
        taken: Code = Code.VALUE_INVALID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.minimum = minimum
        self.maximum = maximum
        self.digits = len(str(maximum))
        self.taken = taken
        self.invalid = Code.INTEGER_INVALID

    def to_internal_value(self, data: str) -> int:
        if not _INTEGER.fullmatch(data):
            raise self.error(
                self.invalid, f"Value must be an integer from {self.minimum} to {self.maximum}."
            )
        if data.startswith("-") or (data == "0" and self.minimum > 0):
            raise self.error(Code.INTEGER_TOO_SMALL, f"Value may be no less than {self.minimum}")
        # The length first: a conversion takes time that grows with the square of the digits.
        if len(data) > self.digits or (value := int(data)) > self.maximum:
            raise self.error(Code.INTEGER_TOO_BIG, f"Value may be no more than {self.maximum}")
        return value


class Identifier(WireField):
    """The id of an object: a positive integer of up to 64 bits."""

    def to_internal_value(self, data: str) -> Any:
        if _IDENTIFIER.fullmatch(data) and (value := int(data)) <= MAX_BIGINT:
            return value
        raise self.error(Code.INTEGER_INVALID, "Value must be a positive integer.")


class Reference:
    """A mixin for a parameter that refers to an object of the caller's.

    ``target`` is the name under which the action gets the object, ``missing`` the code for one
    that is foreign or does not exist, ``is_action_error`` where that code is reported. What
    ``is_found_later`` the action looks up itself, if it must.
    """

    target: ClassVar[str]
    missing: ClassVar[Code]
    is_action_error: ClassVar[bool] = False
    is_found_later: ClassVar[bool] = False

    def find(self, caller: Any, value: Any) -> object | None:
        """Look the object up among those that the caller may see."""
        raise LookupError

    def as_look_up(self, value: Any) -> object | None:
        """Give how the object may be found together with the caller, if it may."""
        return None


class Boolean(WireField):
    """``true`` or ``false``, in any case."""

    def to_internal_value(self, data: str) -> bool:
        text = data.lower()
        if text not in ("true", "false"):
            raise self.error(Code.BOOLEAN_INVALID)
        return text == "true"


class Choice(WireField):
    """One of a closed set.

    ``aliases`` are other spellings, which are read, and echoed, as a member.
    """

    def __init__(
        self, choices: Iterable[str], *, aliases: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.choices = tuple(choices)
        self.aliases = aliases or {}

    def echoed(self, value: Value) -> Value:
        return self.aliases.get(value, value) if isinstance(value, str) else value

    def to_internal_value(self, data: str) -> str:
        value = self.aliases.get(data, data)
        if value not in self.choices:
            raise self.error(
                Code.VALUE_UNRECOGNIZED, f"Value must be one of {', '.join(self.choices)}."
            )
        return value


class OrderBy(WireField):
    """The order of a list: one of the names, optionally with ``Desc``, in any case.

    The value is the look-ups to order by; a tie is broken by the id, in the same direction.
    """

    def __init__(self, orders: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.orders = orders
        self.lookups = {name.lower(): tuple(lookups) for name, lookups in orders.items()}

    @cached_property
    def absent_value(self) -> tuple[str, ...]:
        """Give the order of a list for which none is asked; it is not echoed."""
        return next(iter(self.lookups.values()))

    def to_internal_value(self, data: str) -> tuple[str, ...]:
        name, _, direction = data.lower().partition(" ")
        if name not in self.lookups or direction not in ("", "desc") or data.endswith(" "):
            names = ", ".join(f"{name}, {name} Desc" for name in self.orders)
            raise self.error(Code.VALUE_UNRECOGNIZED, f"Value must be one of {names}.")
        lookups = self.lookups[name]
        return tuple(f"-{lookup}" for lookup in lookups) if direction else lookups


@dataclass
class Checked:
    """What one pass over the parameters gave."""

    fields: Mapping[str, WireField]
    values: dict[str, Any] = field(default_factory=dict)
    errors: list[RequestError] = field(default_factory=list)

    @property
    def failed(self) -> frozenset[str]:
        """Name, in Python's way, the declared parameters that have an error."""
        if not self.errors:
            return frozenset()
        wrong = {error.parameter for error in self.errors}
        return frozenset(name for name, field in self.fields.items() if field.wire_name in wrong)

    def first_look_up(self) -> Any | None:
        """Give how what is referred to first may be found together with the caller."""
        for name, reference in self.fields.items():
            if isinstance(reference, Reference) and name in self.values:
                return reference.as_look_up(self.values[name])
        return None

    def look_up(self, caller: Any) -> Code | None:
        """Find the objects that well-formed references mean.

        Gives the code of the first one that is not the caller's and is reported as an error of
        the action; the others become errors of their parameters.
        """
        foreign = None
        for name, reference in self.fields.items():
            if (
                not isinstance(reference, Reference)
                or reference.is_found_later
                or name not in self.values
            ):
                continue
            found = reference.find(caller, self.values[name])
            if found is not None:
                self.values[reference.target] = found
            elif reference.is_action_error:
                foreign = foreign or reference.missing
            else:
                self.errors.append(reference.error(reference.missing))
        return foreign


class ActionParameters(serializers.Serializer[Any]):
    """The parameters of one action; an action declares its own as a nested class.

    ``empty_is_absent``: an optional parameter that is sent empty counts as not sent (everywhere
    but in an Edit). ``one_and_only_one_of`` names two of which exactly one must be given.
    """

    empty_is_absent: ClassVar[bool] = True
    one_and_only_one_of: ClassVar[tuple[str, str] | None] = None

    @classmethod
    @cache
    def declared(cls) -> Mapping[str, WireField]:
        """Give the fields by Python name, bound once for the life of the process."""
        return dict(cls().fields)  # type: ignore[arg-type]  # Every field here is a WireField.

    @classmethod
    @cache
    def by_wire_name(cls) -> Mapping[str, WireField]:
        """Give the fields by their names on the wire."""
        return {field.wire_name: field for field in cls.declared().values()}

    @classmethod
    def read(cls, sent: Mapping[str, Value]) -> Checked:
        """Convert and check every parameter by itself, and the pair that excludes each other."""
        checked = Checked(cls.declared())
        for name, declared in checked.fields.items():
            try:
                cls._read_one(name, declared, sent, checked)
            except RequestError as error:
                checked.errors.append(error)
        checked.errors += cls._exclusive_errors(sent)
        checked.errors += cls._unread_errors(sent)
        return checked

    @classmethod
    def _read_one(
        cls, name: str, declared: WireField, sent: Mapping[str, Value], checked: Checked
    ) -> None:
        value = sent.get(declared.wire_name)
        if value == "" and declared.clearable:
            checked.values[name] = ""
            return
        if is_given(value):
            converted = declared.clean_value(value)
        elif declared.required or (value == "" and not cls.empty_is_absent):
            raise declared.error(Code.VALUE_REQUIRED)
        else:
            converted = declared.absent_value
        if converted is not None:
            checked.values[name] = converted

    @classmethod
    def _exclusive_errors(cls, sent: Mapping[str, Value]) -> Iterator[RequestError]:
        if cls.one_and_only_one_of is None:
            return
        first, second = (wire_name(name) for name in cls.one_and_only_one_of)
        if is_given(sent.get(first)) and is_given(sent.get(second)):
            message = f"One and only one of {first} and {second} may be supplied."
            yield RequestError(second, Code.VALUE_EXCLUSIVE, message)
        elif not is_given(sent.get(first)) and not is_given(sent.get(second)):
            yield RequestError(first, Code.VALUE_REQUIRED)

    @classmethod
    def _unread_errors(cls, sent: Mapping[str, Value]) -> Iterator[RequestError]:
        read = cls._read_names()
        if sent.get("Output") == "json" and is_given(sent.get("Callback")):
            read |= {"Callback"}
            yield from _callback_errors(sent["Callback"])
        for name, value in sent.items():
            if name not in read and is_ncname(name) and not is_carried(value):
                yield RequestError(name, Code.VALUE_INVALID, NOT_CARRIED)

    @classmethod
    @cache
    def _read_names(cls) -> frozenset[str]:
        declared = cls.by_wire_name().items()
        return frozenset(name for name, field in declared if not isinstance(field, CopyOf))

    @classmethod
    def defaults(cls, sent: Mapping[str, Value]) -> dict[str, Value]:
        """Give the defaults to echo: those of the parameters that were not sent at all."""
        defaults = {}
        for name, declared in cls.by_wire_name().items():
            default = declared.default_for(sent)
            if name not in sent and default is not None:
                defaults[name] = default
        return defaults

    @classmethod
    def request_errors(cls, exc: ValidationError) -> list[RequestError]:
        """Report the errors of the models' rules in the protocol's words."""
        return [
            cls._request_error(name, error)
            for name, errors in exc.error_dict.items()
            for error in errors
        ]

    @classmethod
    def _request_error(cls, name: str, error: ValidationError) -> RequestError:
        declared = cls.declared().get(name)
        codes = {
            "required": Code.VALUE_REQUIRED,
            "unavailable": getattr(declared, "taken", Code.VALUE_INVALID),
            "invalid": getattr(declared, "invalid", Code.VALUE_INVALID),
        }
        code = codes.get(str(error.code), Code.VALUE_INVALID)
        return RequestError(wire_name(name), code, error.messages[0])


class PageParameters(ActionParameters):
    """The parameters of every list."""

    limit = Integer(default="20", maximum=25_000, help_text="The most records to return.")
    offset = Integer(default="0", help_text="The first record to return, counted from 0.")
    calc_found = Boolean(
        default="true", help_text="Whether to count the records that there are without a Limit."
    )


def is_given(value: Value | None) -> TypeGuard[Value]:
    """Tell whether a parameter was sent with a value; a list or map is one, even without items."""
    return value is not None and value != ""


def is_carried(value: Value) -> bool:
    """Tell whether XML can carry a value: every text of it, keys included."""
    if isinstance(value, str):
        return is_xml_text(value)
    return all(is_xml_text(key) and is_carried(item) for key, item in value.items())


def usable_callback(sent: Mapping[str, Value]) -> str | None:
    """Give the JSONP callback to wrap the answer in, if one was asked for and may be used."""
    callback = sent.get("Callback")
    if not isinstance(callback, str) or sent.get("Output") != "json":
        return None
    return callback if settings.JSONP_ENABLED and is_legal_callback(callback) else None


def _callback_errors(callback: Value) -> Iterator[RequestError]:
    if not settings.JSONP_ENABLED:
        yield RequestError("Callback", Code.VALUE_INVALID, "JSONP is switched off.")
    elif not isinstance(callback, str) or not is_legal_callback(callback):
        message = "Value must be 1 to 128 letters, digits, dots, underscores or square brackets."
        yield RequestError("Callback", Code.VALUE_INVALID, message)
