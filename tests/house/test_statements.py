"""Compiled statements give what their querysets would, and outlive a lost connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, F, Value
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Change, Organization, User
from accounts.recorded import delete_recorded
from accounts.scoping import ScopedStatement
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail_site import statements
from voicemail_site.statements import Following, Param, PreparedSQL, Statement

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="Only PostgreSQL keeps plans and loses connections."
)

BY_DOMAIN = Statement(lambda: Organization.unscoped.filter(domain=Param.of(Organization, "domain")))


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=1001)


def test_objects_are_those_of_the_queryset(organization: Organization) -> None:
    (found,) = BY_DOMAIN.fetch(domain="acme.example.com")

    assert found == organization
    assert vars(found)["contact_country"] == organization.contact_country
    assert found.created == Organization.unscoped.get().created
    assert found.changed_fields() == []


def test_a_value_is_prepared_as_in_any_query(organization: Organization) -> None:
    assert list(BY_DOMAIN.fetch(domain="ACME.example.COM")) == [organization]


def test_related_objects_come_along(box: Voicemailbox) -> None:
    statement = Statement(
        lambda: Voicemailbox.unscoped.filter(pk=Param.of(Voicemailbox, "id")).select_related(
            "organization"
        )
    )
    (found,) = statement.fetch(id=box.pk)

    with CaptureQueriesContext(connection) as captured:
        assert found.organization.domain == "acme.example.com"
    assert len(captured) == 0


def test_tuples_are_those_of_values_list(box: Voicemailbox) -> None:
    rows = Voicemailbox.unscoped.values_list("id", "say_caller_id", "created", "fullname")

    assert list(Statement(lambda: rows).fetch()) == list(rows)


def test_what_is_the_same_in_every_call_may_have_any_characters(organization: Organization) -> None:
    rows = Organization.unscoped.values_list(Concat("domain", Value(" 100% of it's \\ %s %%")))

    assert list(Statement(lambda: rows).fetch()) == [("acme.example.com 100% of it's \\ %s %%",)]


def test_a_query_that_finds_nothing_asks_nothing(db: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert list(Statement(Organization.unscoped.none).fetch()) == []
        assert list(Statement(Organization.unscoped.none).stream(chunk=10)) == []
    assert len(captured) == 0


def test_the_sql_is_made_once(organization: Organization) -> None:
    made: list[int] = []

    def rows() -> Any:
        made.append(1)
        return Organization.unscoped.filter(pk=Param.of(Organization, "id"))

    statement = Statement(rows)
    for number in (organization.pk, 0):
        statement.fetch(id=number)

    assert len(made) == 1


@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_value_that_stands_in_two_places_is_sent_once(
    organization: Organization, settings: Any, is_prepared: bool
) -> None:
    settings.DATABASE_PREPARE = is_prepared
    make_organization(organization.account)
    statement = Statement(
        lambda: Organization.unscoped.filter(
            pk__gte=Param.of(Organization, "id"), pk__lte=Param.of(Organization, "id")
        )
    )
    with CaptureQueriesContext(connection) as captured:
        assert statement.fetch(id=organization.pk) == [organization]

    sql = captured.captured_queries[-1]["sql"]
    is_sent_once = is_prepared and connection.vendor == "postgresql"
    assert len(re.findall(rf"\b{organization.pk}\b", sql)) == (1 if is_sent_once else 2)


def test_a_page_begins_and_ends_where_it_is_told(account: Account) -> None:
    pks = [make_organization(account).pk for _ in range(5)]
    pages = Statement(lambda: Organization.unscoped.order_by("id"), is_page=True)

    assert [each.pk for each in pages.fetch(limit=2, offset=1)] == pks[1:3]


def test_pieces_follow_each_other(account: Account) -> None:
    pks = [make_organization(account).pk for _ in range(5)]
    pages = Statement(lambda: Organization.unscoped.order_by("id"), is_page=True)
    pieces = list(pages.stream(chunk=2, limit=10, offset=0))

    assert [[each.pk for each in piece] for piece in pieces] == [pks[:2], pks[2:4], pks[4:]]


def scoped_organization() -> ScopedStatement:
    return ScopedStatement(
        lambda caller: Organization.objects.visible_to(caller).filter(
            pk=Param.of(Organization, "id")
        )
    )


def test_a_scoped_statement_gives_the_callers_rows_alone(
    alice: Any, charlie: Any, staff: Any, bob: Any, organization: Organization
) -> None:
    statement = scoped_organization()
    found = [statement.first(caller, id=organization.pk) for caller in (alice, charlie, staff, bob)]

    assert found == [organization, None, organization, None]


BY_NAME = Statement(lambda: User.unscoped.filter(auth_username=Param.of(User, "auth_username")))
OF_ACCOUNT = Statement(
    lambda: (
        Organization.unscoped.filter(
            account=Param.of(Organization, "account"),
            domain__contains=Param.of(Organization, "domain"),
        )
        .exclude(domain="100%.example.com")
        .order_by("domain")
    )
)
THEIRS = Following(BY_NAME, OF_ACCOUNT, takes=("account", User._meta.get_field("account")))


@ON_POSTGRESQL
@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_statement_that_follows_another_finds_what_belongs_to_its_row(
    alice: Any, charlie: Any, organization: Organization, settings: Any, is_prepared: bool
) -> None:
    settings.DATABASE_PREPARE = is_prepared
    second = make_organization(alice.account, domain="beta.example.com")
    make_organization(charlie.account, domain="gamma.example.com")

    with CaptureQueriesContext(connection) as captured:
        found = THEIRS.fetch(auth_username="alice", domain="example.com")
    assert found == [(alice, [organization, second])]
    assert found[0][0].account_id == alice.account_id
    assert len(captured) == 1 + is_prepared


@ON_POSTGRESQL
def test_a_statement_that_follows_another_may_find_nothing(
    alice: Any, organization: Organization
) -> None:
    assert THEIRS.fetch(auth_username="alice", domain="no such domain") == [(alice, [])]
    assert THEIRS.fetch(auth_username="nobody", domain="example.com") == []


@ON_POSTGRESQL
def test_a_page_may_follow_another_statement(alice: Any, organization: Organization) -> None:
    others = [make_organization(alice.account) for _ in range(3)]
    pages = Statement(
        lambda: Organization.unscoped.filter(account=Param.of(Organization, "account")).order_by(
            "-id"
        ),
        is_page=True,
    )
    following = Following(BY_NAME, pages, takes=("account", User._meta.get_field("account")))

    assert following.fetch(auth_username="alice", limit=2, offset=1) == [
        (alice, [others[1], others[0]])
    ]


@ON_POSTGRESQL
def test_a_statement_that_never_finds_anything_may_follow_or_be_followed(alice: Any) -> None:
    nothing = Statement(lambda: Organization.unscoped.none())
    takes = ("account", User._meta.get_field("account"))

    assert Following(BY_NAME, nothing, takes=takes).fetch(auth_username="alice") == [(alice, [])]
    assert Following(nothing, BY_NAME, takes=takes).fetch(auth_username="alice") == []


def test_what_was_found_with_a_caller_is_given_once(alice: Any, organization: Organization) -> None:
    statement = scoped_organization()
    statement.keep(alice, ["kept"], id=organization.pk)

    assert statement.first(alice, id=organization.pk) == "kept"
    assert statement.first(alice, id=organization.pk) == organization


def test_what_was_found_with_a_caller_answers_no_other_question(
    alice: Any, organization: Organization
) -> None:
    statement, other = scoped_organization(), scoped_organization()
    statement.keep(alice, ["kept"], id=organization.pk + 1)
    assert statement.first(alice, id=organization.pk) == organization
    statement.keep(alice, ["kept"], id=organization.pk)
    assert other.first(alice, id=organization.pk) == organization


@pytest.mark.parametrize(("name", "sees"), [("bob", False), ("staff", True)])
def test_what_an_accounts_admin_would_see_is_given_to_nobody_else(
    request: pytest.FixtureRequest, organization: Organization, name: str, sees: bool
) -> None:
    caller = request.getfixturevalue(name)
    statement = scoped_organization()
    statement.keep(caller, ["kept"], id=organization.pk)

    assert statement.first(caller, id=organization.pk) == (organization if sees else None)


@pytest.fixture
def _prepared(settings: Any) -> None:
    settings.DATABASE_PREPARE = True


@ON_POSTGRESQL
@pytest.mark.usefixtures("_prepared")
def test_a_plan_is_made_once_a_connection(organization: Organization) -> None:
    statement = Statement(
        lambda: Organization.unscoped.filter(
            pk=Param.of(Organization, "id"), contact_name="100%"
        ).values_list("id")
    )
    with CaptureQueriesContext(connection) as captured:
        for _ in range(3):
            assert list(statement.fetch(id=organization.pk)) == []
    verbs = [query["sql"].split()[0] for query in captured.captured_queries]

    assert verbs == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE"]


@ON_POSTGRESQL
@pytest.mark.usefixtures("_prepared")
def test_what_is_written_by_a_kept_plan_is_what_was_to_be(account: Account) -> None:
    organization = make_organization(account, contact_name="It's 100% %s")
    box = make_voicemailbox(organization, fullname="O'Brien \\ %s", say_datetime=True)

    assert Organization.unscoped.get(pk=organization.pk).contact_name == "It's 100% %s"
    stored = Voicemailbox.unscoped.get(pk=box.pk)
    assert (stored.fullname, stored.say_datetime) == ("O'Brien \\ %s", True)
    assert Voicemailbox.history.filter(id=box.pk).get().fullname == "O'Brien \\ %s"


@pytest.fixture
def _committed(transactional_db: None) -> Iterator[None]:
    """Let the connection be lost; the test's own is opened again in the end."""
    yield
    connection.close()


def lose_connection() -> None:
    """End the server's side of the connection, as a restart of the database does."""
    from psycopg2 import connect  # type: ignore[import-untyped]  # It has no types.

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connect(**connection.get_connection_params() | {"cursor_factory": None})
    try:
        other.autocommit = True
        other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


@ON_POSTGRESQL
@pytest.mark.usefixtures("_committed")
@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_lost_connection_is_opened_again(settings: Any, is_prepared: bool) -> None:
    settings.DATABASE_PREPARE = is_prepared
    organization = make_organization(make_account(), domain="acme.example.com")
    assert list(BY_DOMAIN.fetch(domain="acme.example.com")) == [organization]
    lose_connection()

    assert list(BY_DOMAIN.fetch(domain="acme.example.com")) == [organization]


class Unrepeatable(Statement):
    """What may have been done where nobody knows."""

    is_repeatable = False


@ON_POSTGRESQL
@pytest.mark.usefixtures("_committed")
def test_a_lost_connection_is_seen_before_what_can_not_be_repeated() -> None:
    organization = make_organization(make_account(), domain="acme.example.com")
    once = Unrepeatable(lambda: Organization.unscoped.all())
    assert list(once.fetch()) == [organization]
    lose_connection()

    assert list(once.fetch()) == [organization]


@ON_POSTGRESQL
@pytest.mark.usefixtures("_committed")
@pytest.mark.parametrize(("kind", "times"), [(Statement, 2), (Unrepeatable, 1)])
def test_what_can_not_be_repeated_is_run_once(kind: type[Statement], times: int) -> None:
    def lose_it(*_: Any) -> None:
        connection.close()
        raise OperationalError

    statement = kind(lambda: Organization.unscoped.all())
    with (
        patch.object(statement, "_fetch", side_effect=lose_it) as fetch,
        pytest.raises(OperationalError),
    ):
        statement.fetch()
    assert fetch.call_count == times


@ON_POSTGRESQL
@pytest.mark.usefixtures("_committed")
def test_within_a_transaction_a_lost_connection_is_an_error() -> None:
    def lose_it_and_go_on() -> None:
        with transaction.atomic():
            lose_connection()
            BY_DOMAIN.fetch(domain="acme.example.com")

    with pytest.raises((OperationalError, InterfaceError)):
        lose_it_and_go_on()


def test_an_error_of_the_statement_is_raised_once(db: None) -> None:
    broken = Statement(lambda: Organization.unscoped.values_list("id"))
    broken._for_engine(connection.vendor).text = PreparedSQL("SELECT nothing_like_it", 0)

    with pytest.raises(DatabaseError), transaction.atomic():
        broken.fetch()


def test_a_saved_object_is_stored_as_django_would(account: Account) -> None:
    change = Change(actor="somebody", channel="web", account=account)
    change.save()
    stored = Change.unscoped.get(pk=change.pk)
    stored.actor, stored.account_id = "somebody else", None
    stored.save(update_fields=["actor", "account"])
    stored.refresh_from_db()

    assert (stored.actor, stored.account_id, stored.channel) == ("somebody else", None, "web")


def test_an_update_of_a_row_that_is_gone_is_an_error(account: Account) -> None:
    change = Change(actor="somebody", channel="web")
    change.save()
    Change.unscoped.filter(pk=change.pk).delete()

    with pytest.raises(DatabaseError):
        change.save(update_fields=["actor"])


def test_counting_in_a_statement_gives_a_number(account: Account) -> None:
    make_organization(account)
    rows = Account.unscoped.annotate(number=Count("organizations")).values_list(F("number"))

    assert list(Statement(lambda: rows).fetch()) == [(1,)]


@ON_POSTGRESQL
@pytest.mark.usefixtures("_committed", "_prepared")
def test_a_plan_that_a_migration_made_useless_is_made_again() -> None:
    organization = make_organization(make_account(), domain="acme.example.com")
    assert list(BY_DOMAIN.fetch(domain="acme.example.com")) == [organization]
    retype = "ALTER TABLE accounts_organization ALTER caller_id TYPE varchar"
    with connection.cursor() as cursor:
        cursor.execute(f"{retype}(200)")
    try:
        assert list(BY_DOMAIN.fetch(domain="acme.example.com")) == [organization]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"{retype}(128)")


@ON_POSTGRESQL
@pytest.mark.usefixtures("_prepared")
def test_a_connection_keeps_no_more_plans_than_it_has_room_for(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "_MOST_PLANS", 0)
    statement = Statement(lambda: Organization.unscoped.filter(pk=Param.of(Organization, "id")))
    with CaptureQueriesContext(connection) as captured:
        assert list(statement.fetch(id=organization.pk)) == [organization]
    assert captured.captured_queries[0]["sql"].startswith("SELECT")


def test_the_deletion_of_a_box_that_is_gone_leaves_no_change(organization: Organization) -> None:
    box = make_voicemailbox(organization)
    Voicemailbox.unscoped.filter(pk=box.pk)._raw_delete("default")
    before = Change.unscoped.count()
    with arranging():
        delete_recorded(box)

    assert Change.unscoped.count() - before == (connection.vendor == "sqlite")
