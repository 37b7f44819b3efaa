"""Texts that almost have a form, for the tests that two judges of it agree."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# Every example is tried on the row of the one database transaction that the test has.
on_one_row = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_LETTERS = "abyzABYZ019"
_TRICKY = "\n\r\t\0\x1f\x7f\x85 .-_@|'\"()<>,;:\\$^%aZ0éß٣Ａ２²\u212a\u2028\ufeff\uffff😀"

LABELS = st.text(_LETTERS + "-", min_size=1, max_size=5) | st.integers(60, 65).map("a".__mul__)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
USERNAMES = st.lists(
    st.text(_LETTERS + "_-", min_size=1, max_size=5) | st.integers(60, 66).map("u".__mul__),
    min_size=1,
    max_size=3,
).map(".".join)
ATOMS = st.text(_LETTERS + "!#$%&'*+/=?^_`{}~-", min_size=1, max_size=9)
EMAILS = st.builds("{}@{}".format, st.lists(ATOMS, min_size=1, max_size=3).map(".".join), HOSTS)
LONG_EMAILS = st.builds(
    lambda size, host: f"{'e' * max(1, size - len(host) - 1)}@{host}",
    st.integers(76, 82) | st.integers(251, 257),
    HOSTS,
)
USER_ADDRESSES = st.builds("{}@{}".format, USERNAMES, HOSTS)
PINS = st.text("0123456789", min_size=1, max_size=9)


@st.composite
def nearly(draw: Any, texts: SearchStrategy[str]) -> str:
    """Give one of the texts, in most cases with a character or two put in or replaced."""
    text: str = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(_TRICKY)) + text[at + draw(st.integers(0, 1)) :]
    return text
