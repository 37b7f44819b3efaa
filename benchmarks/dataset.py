"""Very many mailboxes, for the benchmarks: a database of its own, and what is in it.

One row of each kind is made by its service, and multiplied by the database.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2  # type: ignore[import-untyped]  # It has no types.

ROOT = Path(__file__).resolve().parent.parent
SERVER = "postgres://postgres@127.0.0.1:5432/postgres"
PASSWORD = "correct horse battery"  # Of a database that lives for minutes.
ACCOUNTS, ORGANIZATIONS = 101, 1_000
BIG = 10  # One box in so many is in the first organization,
MIDDLE = 101  # and this one, which belongs to the first account as well, has 1,000 of any number.
MIDDLE_BOXES = 1_000
MIDDLE_DOMAIN = f"company{MIDDLE}.example.net"
HISTORY_ROWS = 10  # Of each box, where there is a past.

FIRST = str.split(
    "Joe Zoë Siobhán Ana Łukasz Дарья Jean-Luc Mary James Patricia Robert Jennifer Michael Linda "
    "William Elizabeth David Barbara Richard Susan Joseph Jessica Thomas Sarah Charles Karen Chris "
    "Lisa Daniel Nancy Matthew Betty Anthony Sandra Mark Ashley Donald Kimberly Steven Emily Paul "
    "Donna Andrew Michelle Joshua Carol Kenneth Amanda Kevin Melissa Brian Deborah George Edward"
)
LAST = str.split(
    "Smith Müller O'Brien Núñez Wójcik Иванова Dupont Johnson Williams Brown Jones Garcia Miller "
    "Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Taylor Moore Jackson Martin "
    "Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King "
    "Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell"
)


@dataclass(frozen=True)
class Server:
    """The PostgreSQL on which the databases are made."""

    url: str

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement there, and give its rows."""
        return run_sql(self.url, statement)

    def database(self, name: str) -> str:
        """Give the URL of one of its databases."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def has(self, name: str) -> bool:
        return bool(self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))

    def create(self, name: str, template: str = "template1") -> str:
        """Make a database, and give its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.database(name)

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def borrowed(self, name: str) -> Iterator[str]:
        """Give the URL of a new database, which is dropped in the end."""
        url = self.create(name)
        try:
            yield url
        finally:
            self.drop(name)


def run_sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as a transaction of its own in a database, and give its rows."""
    with closing(psycopg2.connect(url)) as connection, closing(connection.cursor()) as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def start(url: str, var_dir: str, settings_module: str = "voicemail_site.settings") -> None:
    """Start Django on that database, without collected static files."""
    os.environ |= {"DATABASE_URL": url, "VAR_DIR": var_dir, "LOG_LEVEL": "ERROR"}
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    import django
    from django.conf import settings
    from django.core.management import call_command

    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES["staticfiles"] = {"BACKEND": backend}
    django.setup()
    call_command("migrate", verbosity=0)


def say(text: str) -> None:
    """Tell of the progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


# Loading: one row of each kind is made by its service, and multiplied by the database.


def load(boxes: int, *, is_one_account: bool = False) -> None:
    """Fill the database, and let PostgreSQL learn what is in it.

    The organizations belong to the accounts in turn; or, of one account, all do but the middle
    one, which is the second account's.
    """
    from accounts.history import record_change
    from accounts.models import Account, Channel, Organization, Role
    from accounts.services import add_account, add_organization, add_user

    with record_change(by=None, channel=Channel.COMMAND, actor="benchmark"):
        account = add_account(Account(contact_organization="Acme"))
        organization = add_organization(Organization(account=account, domain="acme.example.com"))
        add_user(auth_username="staff", role=Role.SYSTEM_ADMIN, password=PASSWORD)
        add_user(auth_username="alice", role=Role.ACCOUNT_ADMIN, account=account, password=PASSWORD)
    multiply(account, ACCOUNTS - 1, contact_organization="'Company ' || n")
    # Ids were given in turn.
    place = f"(n = {MIDDLE})::int" if is_one_account else f"n % {ACCOUNTS}"
    multiply(
        organization,
        ORGANIZATIONS - 1,
        account_id=f"{account.pk} + {place}",
        domain="'company' || n || '.example.net'",
    )
    load_boxes(organization, boxes)
    execute("VACUUM ANALYZE")


def load_boxes(organization: Any, boxes: int) -> None:
    """Fill the organizations in turn; what is rare is rare in all of them."""
    from accounts.history import record_change
    from accounts.models import Channel
    from voicemail.models import Voicemailbox
    from voicemail.services import add_voicemailbox

    first = Voicemailbox(
        organization=organization, mailbox=9_999_999, username="first", fullname="The First"
    )
    with record_change(by=None, channel=Channel.COMMAND, actor="benchmark"):
        add_voicemailbox(first)
    # A row's facts follow from its number, scattered by the remainders of primes.
    turn = turn_of(boxes)
    owner = f"FROM accounts_organization WHERE id = {organization.pk} + ({turn})"
    given = f"({array(FIRST)})[1 + (n * 7919) % {len(FIRST)}]"
    family = f"({array(LAST)})[1 + (n * 104729 / 7) % {len(LAST)}]"
    scatter = "(n * 15485863) % 1000"
    age = "(n * 32452843) % 1000000"
    multiply(
        first,
        boxes,
        organization_id=f"{organization.pk} + ({turn})",
        account_id=f"(SELECT account_id {owner})",
        mailbox="1000 + n",
        username="'vm' || n",
        fullname=f"{given} || ' ' || {family}",
        email="'user' || n || '@mail' || n % 5000 || '.example.org'",
        pager=f"CASE WHEN {scatter} < 30 THEN 'page' || n || '@page.example.org' ELSE '' END",
        notify_pager=f"CASE WHEN {scatter} < 30 THEN 'yes' ELSE 'no' END",
        notify_email=f"CASE WHEN {scatter} < 20 THEN 'delete' WHEN {scatter} < 170 THEN 'attach' "
        f"WHEN {scatter} < 500 THEN 'yes' ELSE 'no' END",
        timezone=f"CASE WHEN {scatter} % 100 < 8 THEN 'us_mountain' "
        f"WHEN {scatter} % 100 < 22 THEN 'us_pacific' WHEN {scatter} % 100 < 45 THEN 'us_central' "
        "ELSE 'us_eastern' END",
        status=f"CASE WHEN {scatter} = 999 THEN 'disabled' ELSE 'enabled' END",
        mwi=f"CASE WHEN {scatter} = 998 THEN 'phone' || n || '@elsewhere.example.com' "
        f"WHEN {scatter} < 300 THEN 'phone' || n || '@' || (SELECT domain {owner}) ELSE '' END",
        created="now() - interval '3 years'",
        modified=f"now() - interval '3 years' * sqrt({age} / 1000000.0)",
    )
    execute(f"DELETE FROM voicemail_voicemailbox WHERE id = {first.pk}")


def load_past(boxes: int) -> None:
    """Give each box ten rows of history, and make as many sessions as there are boxes."""
    from accounts.models import Change, Session
    from voicemail.models import Voicemailbox

    change = Change.unscoped.order_by("id").first()
    multiply(change, boxes, created=f"now() - interval '1 year' * n / {boxes}")
    names = ", ".join(str(each.column) for each in Voicemailbox._meta.concrete_fields)
    for _ in range(HISTORY_ROWS):
        execute(
            f"INSERT INTO voicemail_historicalvoicemailbox "
            f"({names}, history_date, history_type, change_id) "
            f"SELECT {names}, modified, '~', (SELECT max(id) FROM accounts_change) "
            f"- row_number() OVER () % {boxes} FROM voicemail_voicemailbox"
        )
    session = Session.unscoped.filter(user__auth_username="alice").first()
    multiply(session, boxes, digest="encode(sha256(n::text::bytea), 'hex')")
    execute("VACUUM ANALYZE")


def turn_of(boxes: int) -> str:
    """Say in SQL which organization a box belongs to, counted from the first one."""
    step = boxes // MIDDLE_BOXES or 1
    other = f"(n / {BIG}) % {ORGANIZATIONS - 2}"
    return (
        f"CASE WHEN n % {step} = 1 % {step} THEN {MIDDLE} WHEN n % {BIG} = 0 THEN 0 "
        f"ELSE 1 + {other} + ({other} >= {MIDDLE - 1})::int END"
    )


def array(words: list[str]) -> str:
    """Spell an array in SQL."""
    quoted = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
    return f"ARRAY[{quoted}]"


def multiply(row: Any, number: int, **columns: str) -> None:
    """Insert copies of a row, with some columns from SQL in which ``n`` counts from 1."""
    names = [each.column for each in row._meta.concrete_fields if not each.primary_key]
    values = [columns.get(name, f"made.{name}") for name in names]
    table = row._meta.db_table
    execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
        f"FROM {table} made, generate_series(1::bigint, {number}) n WHERE made.id = {row.pk}"
    )


def execute(statement: str) -> None:
    """Run a statement in the benchmark's database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
