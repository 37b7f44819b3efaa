"""An import takes the very values that the model takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from voicemail.bulk.columns import CLEARABLE, FIELDS, says_nothing, value_of
from voicemail.models import Voicemailbox

WORDS = st.sampled_from(
    [
        *("", " ", "no", "yes", "attach", "us_central", "enabled", "Enabled", "0042", "0"),
        *("12345678", "joe", ".joe", "joe@example.com", "-joe@example.com", "joe@localhost"),
        *("a" * 65, "a\tb"),
    ]
)
TEXTS = WORDS | st.text(max_size=12) | st.text("ab.@-019 \n", max_size=80)
FLAGS = frozenset({"say_caller_id", "say_duration", "say_datetime"})


def by_the_model(name: str, text: str) -> Any:
    """Give the model's value of a field, or None where ``clean_fields`` refuses it."""
    box = Voicemailbox(**{name: text})
    try:
        box.clean_fields(exclude={each.name for each in box._meta.fields if each.name != name})
    except ValidationError:
        return None
    return getattr(box, name)


def by_the_import(name: str, text: str) -> Any:
    try:
        return value_of(name, text)
    except ValidationError:
        return None


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in FLAGS | {"mailbox"}])
@given(text=TEXTS)
def test_a_text_is_worth_the_same(name: str, text: str) -> None:
    is_alias = name.startswith("notify_") and text == "false"
    if not is_alias and not says_nothing(name, text):
        assert by_the_import(name, text) == by_the_model(name, text)


@given(text=TEXTS | st.from_regex(r"\A[0-9]{1,9}\Z"))
def test_a_number_has_one_spelling_and_is_the_models(text: str) -> None:
    taken = by_the_import("mailbox", text)

    assert taken is None or str(taken) == text
    assert taken is None or by_the_model("mailbox", text) == taken
    if text.isascii() and text.isdigit() and text[0] != "0":
        assert taken == by_the_model("mailbox", text)


@pytest.mark.parametrize("name", ["notify_email", "notify_pager"])
@pytest.mark.parametrize("cell", [False, "false"])
def test_false_is_another_spelling_of_no(name: str, cell: Any) -> None:
    assert value_of(name, cell) == "no"


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("cell", [[], {}, 1.5, 4.0, [1]])
def test_no_column_takes_another_kind_of_value(name: str, cell: Any) -> None:
    with pytest.raises(ValidationError):
        value_of(name, cell)


@pytest.mark.parametrize("name", ["password", "status", "mailbox"])
def test_true_is_no_text_and_no_number(name: str) -> None:
    with pytest.raises(ValidationError):
        value_of(name, True)


def test_only_addresses_can_be_emptied() -> None:
    assert {name for name in FIELDS if not says_nothing(name, "")} == CLEARABLE
    fields = Voicemailbox._meta.concrete_fields
    assert {field.name for field in fields if field.blank and field.name != "id"} == CLEARABLE
