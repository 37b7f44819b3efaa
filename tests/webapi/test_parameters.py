"""The fields of the wire by themselves, and the one pass that reports every error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ValidationError

from voicemail_site.webapi.errors import Code
from voicemail_site.webapi.names import is_ncname, is_xml_text, wire_name, xml_text
from voicemail_site.webapi.parameters import (
    ActionParameters,
    Boolean,
    Checked,
    Choice,
    CopyOf,
    Identifier,
    Integer,
    OrderBy,
    Reference,
    Text,
)
from voicemail_site.webapi.parsers import Value

REQUIRED = ("Value.Required", "This value is required.")
NOT_A_TEXT = ("Value.Invalid", "Value must be one text, not a list or a map.")
NOT_CARRIED = (
    "Value.Invalid",
    "Value must not contain control characters, and must be valid UTF-8.",
)
NOT_AN_ID = ("Integer.Invalid", "Value must be a positive integer.")
NOT_A_BOOLEAN = ("Boolean.Invalid", "Value must be true or false.")

# More digits than Python converts without complaint.
TOO_MANY_DIGITS = "9" * (sys.get_int_max_str_digits() + 1)


def is_no_rhyme(text: str) -> None:
    """Refuse every word but one, as the validator of a model's field would."""
    if text != "rhyme":
        raise ValidationError("Value must rhyme.", code="invalid")


class Sample(ActionParameters):
    """One parameter of each kind, all of them optional."""

    count = Integer(minimum=1, maximum=25_000, required=False, taken=Code.MAILBOX_UNAVAILABLE)
    offset = Integer(required=False)
    some_id = Identifier(required=False)
    flag = Boolean(required=False)
    color = Choice(("red", "green"), aliases={"false": "red"}, required=False)
    word = Text(max_length=5, validators=[is_no_rhyme], invalid=Code.EMAIL_INVALID, required=False)
    name = Text(max_length=5, trim=True, required=False)


class Defaults(ActionParameters):
    """Parameters of an Add: what is not sent has a default, or is a copy."""

    username = Text(max_length=10)
    color = Choice(("red", "green"), default="green")
    name = CopyOf("username")
    flag = Boolean(default="true")
    remark = Text(max_length=10, required=False)


class Edit(ActionParameters):
    """Parameters of an Edit: nothing has a default, and only one may be cleared."""

    flag = Boolean(required=False)
    count = Integer(required=False)
    word = Text(max_length=5, clearable=True, required=False)

    empty_is_absent = False


class Pair(ActionParameters):
    """Parameters of which exactly one is to be given."""

    account_id = Identifier(required=False)
    some_domain = Text(max_length=5, required=False)

    one_and_only_one_of = ("account_id", "some_domain")


def errors_of(checked: Checked) -> list[tuple[str, str, str]]:
    return [(error.parameter, error.code.value, error.message) for error in checked.errors]


def read(parameters: type[ActionParameters], **sent: Value) -> Checked:
    return parameters.read(sent)


def value_of(parameter: str, value: Value, name: str) -> Any:
    """Read one parameter of the sample, which must be valid."""
    checked = read(Sample, **{parameter: value})
    assert errors_of(checked) == []
    return checked.values[name]


def error_of(parameter: str, value: Value) -> tuple[str, str]:
    """Read one parameter of the sample, which must be its one error, and have no value."""
    checked = read(Sample, **{parameter: value})
    ((name, code, message),) = errors_of(checked)
    assert name == parameter
    assert len(checked.failed) == 1
    assert checked.failed.isdisjoint(checked.values)
    return code, message


# Integers and ids.


@pytest.mark.parametrize(("sent", "value"), [("1", 1), ("20", 20), ("25000", 25_000)])
def test_an_integer_within_its_bounds_is_converted(sent: str, value: int) -> None:
    assert value_of("Count", sent, "count") == value


def test_zero_and_the_largest_number_of_64_bits_are_integers() -> None:
    assert value_of("Offset", "0", "offset") == 0
    assert value_of("Offset", "9223372036854775807", "offset") == 2**63 - 1


NO_DIGITS = [
    *("5.0", "1_000", "1,000", "1e3", "0x5", "+5", " 5", "5 ", "5\n", "٥", "1٥", "1５", "1²"),
    *("five", "05", "00", "--5", "-", "-05", "5-", "\u22125", "nan", "true"),
]


@pytest.mark.parametrize("sent", NO_DIGITS)
def test_what_is_no_plain_decimal_number_is_no_integer(sent: str) -> None:
    assert error_of("Count", sent) == (
        "Integer.Invalid",
        "Value must be an integer from 1 to 25000.",
    )


@pytest.mark.parametrize("sent", ["0", "-0", "-1", "-" + TOO_MANY_DIGITS])
def test_an_integer_below_its_bound_is_too_small(sent: str) -> None:
    assert error_of("Count", sent) == ("Integer.TooSmall", "Value may be no less than 1")


@pytest.mark.parametrize("sent", ["25001", "100000", "9" * 24, TOO_MANY_DIGITS])
def test_an_integer_over_its_bound_is_too_big(sent: str) -> None:
    assert error_of("Count", sent) == ("Integer.TooBig", "Value may be no more than 25000")


@pytest.mark.parametrize("sent", ["9223372036854775808", "9" * 24, TOO_MANY_DIGITS])
def test_an_integer_of_more_than_64_bits_is_too_big(sent: str) -> None:
    assert error_of("Offset", sent) == (
        "Integer.TooBig",
        "Value may be no more than 9223372036854775807",
    )


def test_an_id_is_a_positive_number_of_64_bits() -> None:
    assert value_of("SomeId", "1", "some_id") == 1
    assert value_of("SomeId", "9223372036854775807", "some_id") == 2**63 - 1


@pytest.mark.parametrize(
    "sent", [*NO_DIGITS, "0", "-1", "9223372036854775808", "9" * 24, TOO_MANY_DIGITS]
)
def test_whatever_else_is_no_id(sent: str) -> None:
    assert error_of("SomeId", sent) == NOT_AN_ID


# Booleans and choices.


@pytest.mark.parametrize(
    ("sent", "value"),
    [("true", True), ("TRUE", True), ("True", True), ("false", False), ("fALSE", False)],
)
def test_a_boolean_is_read_in_any_case(sent: str, value: bool) -> None:
    assert value_of("Flag", sent, "flag") is value


@pytest.mark.parametrize("sent", ["1", "0", "yes", "no", "on", "t", "true ", " true", "truе", "-"])
def test_whatever_else_is_no_boolean(sent: str) -> None:
    assert error_of("Flag", sent) == NOT_A_BOOLEAN


def test_a_boolean_that_is_not_sent_is_absent_and_not_false() -> None:
    assert "flag" not in read(Sample).values
    assert "flag" not in read(Edit, Count="1").values


def test_a_choice_is_one_of_its_members() -> None:
    assert value_of("Color", "green", "color") == "green"


@pytest.mark.parametrize("sent", ["green ", " green", "Green", "GREEN", "green\n", "r", "0"])
def test_a_choice_is_neither_trimmed_nor_folded(sent: str) -> None:
    assert error_of("Color", sent) == ("Value.Unrecognized", "Value must be one of red, green.")


def test_another_spelling_of_a_choice_is_read_and_echoed_as_its_member() -> None:
    assert value_of("Color", "false", "color") == "red"
    assert Sample.declared()["color"].echoed("false") == "red"


@pytest.mark.parametrize("value", ["blue", "", {"0": "false"}])
def test_what_is_no_other_spelling_is_echoed_as_it_was_sent(value: Value) -> None:
    assert Sample.declared()["color"].echoed(value) == value


# Texts.


def test_a_text_that_its_validators_accept_is_taken_as_it_is() -> None:
    assert value_of("Word", "rhyme", "word") == "rhyme"


def test_a_text_that_a_validator_refuses_has_the_fields_own_code() -> None:
    assert error_of("Word", "prose") == ("Email.Invalid", "Value must rhyme.")


def test_a_text_is_not_trimmed() -> None:
    assert error_of("Word", "rhyme ") == (
        "Value.TooLong",
        "Value may be no more than 5 characters.",
    )
    assert error_of("Word", " rhym") == ("Email.Invalid", "Value must rhyme.")


def test_a_length_is_counted_in_characters() -> None:
    assert value_of("Name", "\U0001f4deéééé", "name") == "\U0001f4deéééé"
    assert error_of("Name", "\U0001f4deééééé")[0] == "Value.TooLong"


def test_a_name_is_trimmed_before_it_is_measured() -> None:
    assert value_of("Name", " \t\u00a0Ann B\n ", "name") == "Ann B"


def test_a_name_of_nothing_but_white_space_is_missing() -> None:
    assert error_of("Name", " \t\n") == REQUIRED


# Whatever the kind.

EACH_PARAMETER = pytest.mark.parametrize(
    "parameter", ["Count", "Offset", "SomeId", "Flag", "Color", "Word", "Name"]
)


@EACH_PARAMETER
@pytest.mark.parametrize("value", [{"0": "1"}, {"k": {"l": "1"}}, {"0": ""}, {}])
def test_a_list_or_a_map_is_no_value(parameter: str, value: Value) -> None:
    assert error_of(parameter, value) == NOT_A_TEXT


@EACH_PARAMETER
@pytest.mark.parametrize("value", ["\0", "1\0", "\ud800", "true\ufffe"])
def test_what_xml_can_not_carry_is_no_value(parameter: str, value: str) -> None:
    assert error_of(parameter, value) == NOT_CARRIED


@EACH_PARAMETER
def test_an_empty_optional_parameter_counts_as_not_sent(parameter: str) -> None:
    assert read(Sample, **{parameter: ""}) == read(Sample)


@pytest.mark.parametrize("sent", [{}, {"Username": ""}])
def test_a_required_parameter_is_missing_or_empty(sent: dict[str, Value]) -> None:
    assert errors_of(Defaults.read(sent)) == [("Username", *REQUIRED)]


def test_a_required_parameter_that_is_a_list_is_not_missing() -> None:
    assert errors_of(read(Defaults, Username={})) == [("Username", *NOT_A_TEXT)]


def test_every_error_is_reported_at_once() -> None:
    checked = Defaults.read(
        {"Username": "", "Color": "blue", "Flag": {"0": "x"}, "Other": "\0", "Remark": "x" * 11}
    )
    assert errors_of(checked) == [
        ("Username", *REQUIRED),
        ("Color", "Value.Unrecognized", "Value must be one of red, green."),
        ("Flag", *NOT_A_TEXT),
        ("Remark", "Value.TooLong", "Value may be no more than 10 characters."),
        ("Other", *NOT_CARRIED),
    ]


def test_parameters_that_are_right_have_their_values_beside_others_that_are_wrong() -> None:
    checked = read(Sample, Count="x", Flag="true", SomeId="7")
    assert checked.values == {"flag": True, "some_id": 7}
    assert checked.failed == {"count"}


# Defaults.


@pytest.mark.parametrize("sent", [{}, {"Color": "", "Flag": ""}])
def test_a_default_applies_where_nothing_or_an_empty_value_is_sent(
    sent: dict[str, Value],
) -> None:
    checked = Defaults.read({"Username": "joe"} | sent)
    assert checked.values == {"username": "joe", "color": "green", "flag": True}


def test_the_defaults_are_echoed_in_the_order_of_their_declaration() -> None:
    assert list(Defaults.defaults({"Username": "joe"}).items()) == [
        ("Color", "green"),
        ("Name", "joe"),
        ("Flag", "true"),
    ]


@pytest.mark.parametrize("value", ["red", "", {"0": "x"}])
def test_no_default_is_echoed_of_what_was_sent(value: Value) -> None:
    assert Defaults.defaults({"Username": "joe", "Color": value}).keys() == {"Name", "Flag"}


def test_a_copy_of_what_was_not_sent_is_not_echoed() -> None:
    assert Defaults.defaults({}).keys() == {"Color", "Flag"}


@pytest.mark.parametrize("sent", [{}, {"Name": "x" * 1000}, {"Name": {"0": "x"}}, {"Name": ""}])
def test_a_copy_is_ignored_whatever_was_sent(sent: dict[str, Value]) -> None:
    checked = Defaults.read({"Username": "joe"} | sent)
    assert errors_of(checked) == []
    assert "name" not in checked.values


def test_a_copy_that_xml_can_not_carry_is_an_error_where_it_was_sent() -> None:
    assert errors_of(read(Defaults, Username="joe", Name="\0")) == [("Name", *NOT_CARRIED)]
    assert errors_of(read(Defaults, Username="\0")) == [("Username", *NOT_CARRIED)]


# An Edit.


def test_an_edit_has_values_only_for_what_is_sent() -> None:
    assert read(Edit).values == {}
    assert read(Edit, Flag="false").values == {"flag": False}


def test_an_edit_refuses_an_empty_value_that_can_not_be_cleared() -> None:
    assert errors_of(read(Edit, Flag="", Count="")) == [
        ("Flag", *REQUIRED),
        ("Count", *REQUIRED),
    ]


def test_an_edit_clears_what_can_be_cleared() -> None:
    assert read(Edit, Word="").values == {"word": ""}


def test_an_edit_does_not_clear_by_a_list_without_items() -> None:
    assert errors_of(read(Edit, Word={})) == [("Word", *NOT_A_TEXT)]


# One and only one of two.


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        ({"AccountId": "7"}, {"account_id": 7}),
        ({"SomeDomain": "a.de"}, {"some_domain": "a.de"}),
        ({"AccountId": "", "SomeDomain": "a.de"}, {"some_domain": "a.de"}),
        ({"AccountId": "7", "SomeDomain": ""}, {"account_id": 7}),
    ],
)
def test_one_of_a_pair_is_enough_and_an_empty_other_counts_as_not_sent(
    sent: dict[str, Value], values: dict[str, Any]
) -> None:
    checked = Pair.read(sent)
    assert errors_of(checked) == []
    assert checked.values == values


@pytest.mark.parametrize("sent", [{}, {"AccountId": ""}, {"AccountId": "", "SomeDomain": ""}])
def test_neither_of_a_pair_makes_the_first_one_required(sent: dict[str, Value]) -> None:
    assert errors_of(Pair.read(sent)) == [("AccountId", *REQUIRED)]


EXCLUSIVE = (
    "SomeDomain",
    "Value.Exclusive",
    "One and only one of AccountId and SomeDomain may be supplied.",
)


@pytest.mark.parametrize(
    "sent", [{"AccountId": "7", "SomeDomain": "a"}, {"SomeDomain": "a", "AccountId": "7"}]
)
def test_both_of_a_pair_are_an_error_of_the_second_as_declared(sent: dict[str, Value]) -> None:
    assert errors_of(Pair.read(sent)) == [EXCLUSIVE]


def test_both_of_a_pair_are_an_error_although_one_is_wrong_by_itself() -> None:
    assert errors_of(read(Pair, AccountId="x", SomeDomain="a")) == [
        ("AccountId", *NOT_AN_ID),
        EXCLUSIVE,
    ]


def test_a_list_in_a_pair_counts_as_sent() -> None:
    assert errors_of(read(Pair, AccountId={})) == [("AccountId", *NOT_A_TEXT)]
    assert errors_of(read(Pair, AccountId={}, SomeDomain="a")) == [
        ("AccountId", *NOT_A_TEXT),
        EXCLUSIVE,
    ]


# The order of a list.


class Ordered(ActionParameters):
    """A list's order."""

    order_by = OrderBy({"BoxId": ("box", "id"), "Mailbox": ("mailbox", "id")})


@pytest.mark.parametrize(
    ("sent", "lookups"),
    [
        ("BoxId", ("box", "id")),
        ("Mailbox", ("mailbox", "id")),
        ("Mailbox Desc", ("-mailbox", "-id")),
        ("MAILBOX", ("mailbox", "id")),
        ("mailbox dESC", ("-mailbox", "-id")),
        ("", ("box", "id")),
        (None, ("box", "id")),
    ],
)
def test_an_order_is_a_name_and_perhaps_desc_in_any_case(
    sent: str | None, lookups: tuple[str, ...]
) -> None:
    checked = Ordered.read({} if sent is None else {"OrderBy": sent})
    assert errors_of(checked) == []
    assert checked.values == {"order_by": lookups}


def test_the_order_that_applies_by_default_is_not_echoed() -> None:
    assert Ordered.defaults({}) == {}


@pytest.mark.parametrize(
    "sent",
    [
        *("Mailbox Asc", "Mailbox  Desc", " Mailbox", "Mailbox ", "Mailbox Desc ", "MailboxDesc"),
        *("Mailbox\tDesc", "Mailbox Desc Desc", "Mailbox,BoxId", "Desc", " ", "id", "-mailbox"),
    ],
)
def test_any_other_order_is_unrecognized(sent: str) -> None:
    assert errors_of(read(Ordered, OrderBy=sent)) == [
        (
            "OrderBy",
            "Value.Unrecognized",
            "Value must be one of BoxId, BoxId Desc, Mailbox, Mailbox Desc.",
        )
    ]


# References.


class Found(Reference, Identifier):
    """A reference of which only 7 is the caller's."""

    target = "thing"
    missing = Code.VOICEMAILBOX_UNRECOGNIZED
    asked: ClassVar[list[Any]] = []

    def find(self, caller: Any, value: Any) -> object | None:
        self.asked.append((caller, value))
        return "the thing" if value == 7 else None


class FoundForAction(Found):
    """The same, a missing one being an error of the action."""

    missing = Code.ACCOUNT_AUTHORIZATION
    is_action_error = True


class LastForAction(FoundForAction):
    """The same with another code."""

    missing = Code.ORGANIZATION_AUTHORIZATION


class Referring(ActionParameters):
    """References to an object."""

    box_id = Found(required=False)
    first_id = FoundForAction(required=False)
    last_id = LastForAction(required=False)


def look_up(sent: Mapping[str, Value]) -> tuple[Checked, Code | None]:
    Found.asked.clear()
    checked = Referring.read(sent)
    return checked, checked.look_up("alice")


def test_a_reference_gives_the_object_to_the_action() -> None:
    checked, foreign = look_up({"BoxId": "7"})
    assert (checked.values["thing"], checked.errors, foreign) == ("the thing", [], None)
    assert Found.asked == [("alice", 7)]


def test_a_missing_object_is_an_error_of_its_parameter() -> None:
    checked, foreign = look_up({"BoxId": "8"})
    assert errors_of(checked) == [
        (
            "BoxId",
            "Voicemailbox.Unrecognized",
            "This voicemailbox is not recognized by the system.",
        )
    ]
    assert foreign is None
    assert "thing" not in checked.values


def test_a_missing_account_is_an_error_of_the_action_and_of_no_parameter() -> None:
    checked, foreign = look_up({"FirstId": "8"})
    assert (checked.errors, foreign) == ([], "AccountAuthorization.Required")


def test_of_two_errors_of_the_action_the_first_as_declared_is_reported() -> None:
    _, foreign = look_up({"LastId": "8", "FirstId": "8"})
    assert foreign == "AccountAuthorization.Required"


@pytest.mark.parametrize("sent", [{}, {"BoxId": ""}, {"BoxId": "x"}, {"BoxId": {"0": "7"}}])
def test_what_is_no_id_is_not_looked_up(sent: dict[str, Value]) -> None:
    look_up(sent)
    assert Found.asked == []


# Errors of the models.


@pytest.mark.parametrize(
    ("field", "code", "parameter", "expected"),
    [
        ("count", "unavailable", "Count", "Mailbox.Unavailable"),
        ("count", "required", "Count", "Value.Required"),
        ("count", "invalid", "Count", "Integer.Invalid"),
        ("count", "max_length", "Count", "Value.Invalid"),
        ("some_id", "unavailable", "SomeId", "Value.Invalid"),
        ("word", "invalid", "Word", "Email.Invalid"),
        ("not_declared", "invalid", "NotDeclared", "Value.Invalid"),
    ],
)
def test_a_models_error_is_reported_by_the_parameter_and_its_codes(
    field: str, code: str, parameter: str, expected: str
) -> None:
    refused = ValidationError({field: ValidationError("Not like this.", code=code)})
    (error,) = Sample.request_errors(refused)
    assert (error.parameter, error.code, error.message) == (parameter, expected, "Not like this.")


# Names.


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("say_caller_id", "SayCallerId"),
        ("mwi", "Mwi"),
        ("order_by", "OrderBy"),
        ("voicemailbox_id", "VoicemailboxId"),
    ],
)
def test_a_python_name_has_one_name_on_the_wire(name: str, wire: str) -> None:
    assert wire_name(name) == wire


@pytest.mark.parametrize(
    "text", ["", "\t\n\r", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f"]
)
def test_xml_carries_these_characters(text: str) -> None:
    assert is_xml_text(text)
    assert xml_text(text) == text


def test_xml_carries_the_characters_of_its_grammar_and_no_others() -> None:
    parts = (range(0x20, 0xD800), range(0xE000, 0xFFFE), range(0x10000, 0x110000))
    allowed = set("\t\n\r").union(*(map(chr, part) for part in parts))

    assert {each for each in map(chr, range(sys.maxunicode + 1)) if is_xml_text(each)} == allowed


@pytest.mark.parametrize(
    "character", ["\0", "\x0b", "\x1f", "\ud800", chr(0xDFFF), "\ufffe", "\uffff"]
)
def test_xml_carries_no_such_character(character: str) -> None:
    assert not is_xml_text(f"a{character}")
    assert xml_text(f"a{character}b") == "a\ufffdb"


@pytest.mark.parametrize("name", ["", "a:b", "a\n", "9", "a b", "\u037e", "\U000f0000"])
def test_a_name_that_is_no_ncname_is_none(name: str) -> None:
    assert not is_ncname(name)
