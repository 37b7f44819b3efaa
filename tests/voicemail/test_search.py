"""What a search over mailboxes finds: the same on every database, and as plain Python has it."""

from __future__ import annotations

from importlib import import_module
from random import Random
from typing import Any

import pytest
from django.apps import apps
from django.core.management.base import CommandError
from django.db import connection, models
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Account, Organization, User
from tests.factories import make_organization, make_voicemailbox
from voicemail import search as module
from voicemail.models import Voicemailbox
from voicemail.search import search

NAMES = ("Joe Smith", "Zoë Müller", "Siobhán O'Brien", "王小明", "Дарья Иванова", "50% _off\\")
USERNAMES = ("joe", "joe.smith", "VM-1", "o_e", "smi-joe", "acme")
DOMAINS = ("acme.example.com", "west.acme.example.com", "joe.example.net")


def found(caller: User, term: str) -> set[int]:
    return set(
        search(Voicemailbox.objects.visible_to(caller), term, caller=caller).values_list(
            "mailbox", flat=True
        )
    )


def texts_of(box: Voicemailbox) -> list[str]:
    address = f"{box.username}@{box.organization.domain}"
    return [str(box.mailbox), box.fullname, box.email, box.pager, address]


def is_meant(box: Voicemailbox, term: str) -> bool:
    """Say what a search is, as plainly as it can be said."""
    texts = [text.lower() for text in texts_of(box)]
    return all(any(word in text for text in texts) for word in term.lower().split())


@pytest.fixture
def boxes(account: Account) -> list[Voicemailbox]:
    chance = Random(11)  # noqa: S311  # No secret is made of it.
    organizations = [make_organization(account, domain=domain) for domain in DOMAINS]
    return [
        make_voicemailbox(
            organizations[number % 3],
            mailbox=chance.choice((7, 70, 701, 7011)) * 100 + number,
            fullname=chance.choice(NAMES),
            username=f"{chance.choice(USERNAMES)}{number or ''}",
            email=chance.choice(("", "Joe@acme.example.com", "smith@mail.example.org")),
            pager=chance.choice(("", "page@joe.example.net")),
        )
        for number in range(24)
    ]


@st.composite
def part(draw: st.DrawFn, texts: list[str]) -> str:
    """Draw a part of a text, in any case."""
    text = draw(st.sampled_from(texts))
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, min(len(text), start + 12)))
    found = text[start:end]
    return draw(st.sampled_from((found, found.upper(), found.lower())))


def test_a_search_finds_on_every_database_what_it_says(
    alice: User, boxes: list[Voicemailbox]
) -> None:
    parts = part([text for box in boxes for text in texts_of(box) if text])
    words = st.one_of(parts, parts, parts, st.text("joe@.%_\\ 7ë", min_size=1, max_size=4))

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.lists(words, max_size=3).map(" ".join))
    def check(term: str) -> None:
        assert found(alice, term) == {box.mailbox for box in boxes if is_meant(box, term)}

    check()


@pytest.mark.parametrize(
    "term",
    ["oe smi", "SMITH joe", "11 smith", "pager@", "@page.example", "joe.vm@acme", "vm@ACME.example",
     "@acme", "joe.vm@", "acme smith", "e@mail", "7011"],
)  # fmt: skip
def test_every_word_may_be_a_part_of_anything(
    alice: User, organization: Organization, term: str
) -> None:
    make_voicemailbox(
        organization,
        mailbox=7011,
        username="joe.vm",
        fullname="Joe Smith",
        email="joe@mail.example.org",
        pager="pager@page.example.org",
    )
    elsewhere = make_organization(organization.account, domain="west.example.com")
    make_voicemailbox(elsewhere, mailbox=5000, username="jim", fullname="Jim Jones")
    assert found(alice, term) == {7011}


@pytest.mark.parametrize(
    "term",
    ["smith jones", "joe.vm@west", "vm@acme.example.com@", "oe@acme.example.net", "0119", "Smith7"],
)
def test_a_box_that_lacks_a_word_is_not_found(
    alice: User, organization: Organization, term: str
) -> None:
    make_voicemailbox(organization, mailbox=7011, username="joe.vm", fullname="Joe Smith")
    assert found(alice, term) == set()


def test_a_domain_of_another_account_finds_nothing(
    alice: User, organization: Organization, other_organization: Organization
) -> None:
    make_voicemailbox(organization)
    make_voicemailbox(other_organization)
    assert found(alice, "globex") == set()


def test_very_many_domains_find_the_same_as_few(
    alice: User, boxes: list[Voicemailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = ("acme", "smith acme", "1@acme", "@west", "example.com")
    before = [found(alice, term) for term in terms]
    assert all(before)
    monkeypatch.setattr(module, "MAX_ORGANIZATIONS", 1)
    assert [found(alice, term) for term in terms] == before


@pytest.mark.parametrize(
    "term", ["a" * 255, " ".join(map(str, range(1000))), "%" * 100_000], ids=["word", "words", "%"]
)
def test_what_no_box_can_have_is_not_looked_for(
    alice: User, organization: Organization, term: str
) -> None:
    make_voicemailbox(organization)
    assert found(alice, term) == set()


def test_an_empty_search_finds_all(alice: User, boxes: list[Voicemailbox]) -> None:
    assert found(alice, " \t ") == {box.mailbox for box in boxes}


# PostgreSQL's index; that it serves the search is asked in test_indexes.

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite needs no index for its few boxes."
)
migration = import_module("voicemail.migrations.0002_search")


def has_index() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'voicemailbox_search'")
        return bool(cursor.fetchone()[0])


@ON_POSTGRESQL
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["mailbox", "fullname", "email", "pager", "username"])
def test_the_index_outlives_a_change_of_a_columns_type(name: str) -> None:
    old: Any = Voicemailbox._meta.get_field(name)
    new = models.TextField(blank=True) if name != "mailbox" else models.BigIntegerField()
    new.set_attributes_from_name(name)
    new.model = Voicemailbox
    with connection.schema_editor() as editor:
        editor.alter_field(Voicemailbox, old, new)
    assert has_index()


@ON_POSTGRESQL
@pytest.mark.django_db
def test_the_index_is_made_and_dropped_again() -> None:
    for step, is_there in ((migration.drop, False), (migration.make, True)):
        with connection.schema_editor() as editor:
            step(apps, editor)
        assert has_index() is is_there


@ON_POSTGRESQL
@pytest.mark.django_db
def test_a_role_that_may_not_make_the_extension_is_told_what_to_do() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE may_nothing; SET LOCAL ROLE may_nothing")
    with pytest.raises(CommandError) as raised, connection.schema_editor() as editor:
        migration.make(apps, editor)
    assert "let a role that may (the database's owner, or a superuser) run: " in str(raised.value)
    assert "CREATE EXTENSION pg_trgm;" in str(raised.value)
