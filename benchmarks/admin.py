"""Measure the admin's mailbox list with very many boxes on PostgreSQL.

``python benchmarks/admin.py [BOXES]`` makes a database of its own on the server of
TEST_DATABASE_URL, loads it, opens the list again and again as the admin of the biggest account and
as staff, prints a table and drops the database. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psycopg2  # type: ignore[import-untyped]  # It has no types.

ROOT = Path(__file__).resolve().parent.parent
SERVER = "postgres://postgres@127.0.0.1:5432/postgres"
PASSWORD = "correct horse battery"  # Of a database that lives for minutes.
ACCOUNTS, ORGANIZATIONS = 101, 1_000
BIG = 10  # One box in so many is in the first organization.
LIMIT_MS = 300
URL = "/admin/voicemail/voicemailbox/"

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


@contextmanager
def database(server: str) -> Iterator[str]:
    """Give the URL of a new database, which is dropped in the end."""
    name = f"benchmark_admin_{os.getpid()}"

    def execute(statement: str) -> None:
        with closing(psycopg2.connect(server)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    execute(f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        execute(f"DROP DATABASE {name} WITH (FORCE)")


def start(url: str, var_dir: str) -> None:
    """Start Django on that database, without collected static files."""
    os.environ |= {"DATABASE_URL": url, "VAR_DIR": var_dir, "LOG_LEVEL": "ERROR"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "voicemail_site.settings"
    sys.path.insert(0, str(ROOT))
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


def load(boxes: int) -> None:
    """Fill the database, and let PostgreSQL learn what is in it."""
    from accounts.history import record_change
    from accounts.models import Account, Channel, Organization, Role
    from accounts.services import add_account, add_organization, add_user

    with record_change(by=None, channel=Channel.COMMAND, actor="benchmark"):
        account = add_account(Account(contact_organization="Acme"))
        organization = add_organization(Organization(account=account, domain="acme.example.com"))
        add_user(auth_username="staff", role=Role.SYSTEM_ADMIN, password=PASSWORD)
        add_user(auth_username="alice", role=Role.ACCOUNT_ADMIN, account=account, password=PASSWORD)
    multiply(account, ACCOUNTS - 1, contact_organization="'Company ' || n")
    multiply(
        organization,
        ORGANIZATIONS - 1,
        account_id=f"{account.pk} + n % {ACCOUNTS}",
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
    turn = f"CASE WHEN n % {BIG} = 0 THEN 0 ELSE 1 + (n / {BIG}) % {ORGANIZATIONS - 1} END"
    domain = f"(SELECT domain FROM accounts_organization WHERE id = {organization.pk} + ({turn}))"
    given = f"({array(FIRST)})[1 + (n * 7919) % {len(FIRST)}]"
    family = f"({array(LAST)})[1 + (n * 104729 / 7) % {len(LAST)}]"
    scatter = "(n * 15485863) % 1000"
    age = "(n * 32452843) % 1000000"
    multiply(
        first,
        boxes - 1,
        organization_id=f"{organization.pk} + ({turn})",
        account_id=f"{organization.account_id} + ({turn}) % {ACCOUNTS}",
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
        f"WHEN {scatter} < 300 THEN 'phone' || n || '@' || {domain} ELSE '' END",
        created="now() - interval '3 years'",
        modified=f"now() - interval '3 years' * sqrt({age} / 1000000.0)",
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


# Measuring: whole pages, through the middleware, by somebody who has logged in.


@dataclass(frozen=True)
class Case:
    """One way to open the list, with other words each time where there are any."""

    name: str
    query: Callable[[random.Random], dict[str, str]]
    is_limited: bool = True


def constant(name: str, **query: str) -> Case:
    """Give a case that is the same each time."""
    return Case(name, lambda _: query)


def cases(boxes: int) -> list[Case]:
    """Give what is measured: pages, searches, filters, and sorting."""

    def name_part(chance: random.Random) -> dict[str, str]:
        return {"q": f"{chance.choice(FIRST)[1:4]} {chance.choice(LAST)[:4].lower()}"}

    def number(chance: random.Random) -> int:
        return 1000 + chance.randrange(1, boxes // BIG) * BIG

    yes_no = ("yes", "no")
    choices = {
        "status__exact": ("enabled", "disabled"),
        "notify_email__exact": ("no", "yes", "attach", "delete"),
        "notify_pager__exact": yes_no,
        "timezone__exact": ("us_eastern", "us_central", "us_mountain", "us_pacific"),
        "mwi": (*yes_no, "unserved"),
        "modified": ("today", "week", "month"),
        "organization": ("acme.example.com", "company101.example.net", "company10"),
    }
    return [
        constant("first page"),
        constant("page 20", p="20"),
        constant("page 200", p="200"),
        Case("search: part of a first name", lambda chance: {"q": chance.choice(FIRST)[:3]}),
        Case("search: a last name", lambda chance: {"q": chance.choice(LAST)}),
        Case("search: parts of both names", name_part),
        Case("search: number", lambda chance: {"q": f"{number(chance)}"}),
        Case("search: e-mail", lambda chance: {"q": f"user{number(chance) - 1000}@mail"}),
        Case(
            "search: address", lambda chance: {"q": f"vm{number(chance) - 1000}@acme.example.com"}
        ),
        constant("search: domain", q="acme.example"),
        Case("search: name and domain", lambda chance: {"q": f"{chance.choice(LAST)} acme"}),
        constant("search: pager", q="page.example"),
        constant("search: nothing found", q="qwertzuiop"),
        constant("search: two letters", q="oe"),
        # No index serves it: docs/performance.md, The admin at a million boxes.
        Case("search: two letters, rare", lambda _: {"q": "qz"}, is_limited=False),
        *(
            constant(f"filter: {name.partition('__')[0]}={value}", **{name: value})
            for name, values in choices.items()
            for value in values
        ),
        constant(
            "filter: three at once",
            status__exact="disabled",
            notify_pager__exact="yes",
            timezone__exact="us_mountain",
        ),
        *(
            constant(f"sorted by column {order}", o=order)
            for order in ("1", "-1", "3", "-3", "8", "-8")
        ),
    ]


def logged_in(name: str) -> Any:
    """Log in with the password, as a person does."""
    from django.test import Client

    client = Client(headers={"host": "127.0.0.1"})
    answer = client.post("/admin/login/", {"username": name, "password": PASSWORD})
    if answer.status_code != 302:
        raise SystemExit(f"{name} could not log in: {answer.status_code}.")
    return client


def durations(client: Any, case: Case, repeats: int) -> list[float]:
    """Open the list again and again, and give the milliseconds of each time."""
    chance = random.Random(1)
    measured = []
    for _ in range(repeats + 1):
        query = case.query(chance)
        began = time.perf_counter()
        answer = client.get(URL, query)
        measured.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"{case.name}: {answer.status_code}.")
    return measured[1:]  # The first one plans, compiles templates and warms the cache.


def measure(boxes: int, repeats: int) -> bool:
    """Print a table, and tell whether all of it is quick enough."""
    print(f"| {'':36} | {'alice p50':>9} | {'p95':>5} | {'staff p50':>9} | {'p95':>5} |")
    print(f"|{'-' * 38}|{'-' * 10}:|{'-' * 6}:|{'-' * 10}:|{'-' * 6}:|")
    clients = [logged_in(name) for name in ("alice", "staff")]
    slowest = 0.0
    for case in cases(boxes):
        cells = []
        for client in clients:
            measured = durations(client, case, repeats)
            p95 = statistics.quantiles(measured, n=20, method="inclusive")[-1]
            slowest = max(slowest, p95 if case.is_limited else 0)
            cells.append(f"{statistics.median(measured):9.0f} | {p95:5.0f}")
        print(f"| {case.name:36} | {' | '.join(cells)} |", flush=True)
    return slowest < LIMIT_MS


# What the search costs those who add.


def added(number: int, first: int) -> list[float]:
    """Add mailboxes to the big organization, each as a change of its own, and give the ms."""
    from accounts.history import record_change
    from accounts.models import Channel, Organization
    from voicemail.models import Voicemailbox
    from voicemail.services import add_voicemailbox

    organization = Organization.unscoped.get(domain="acme.example.com")
    measured = []
    for mailbox in range(first, first + number):
        box = Voicemailbox(
            organization=organization,
            mailbox=mailbox,
            username=f"new{mailbox}",
            fullname=f"{FIRST[mailbox % len(FIRST)]} {LAST[mailbox % len(LAST)]}",
            email=f"new{mailbox}@mail.example.org",
        )
        began = time.perf_counter()
        with record_change(by=None, channel=Channel.COMMAND, actor="benchmark"):
            add_voicemailbox(box)
        measured.append((time.perf_counter() - began) * 1000)
    return measured


MAKE_INDEX = """CREATE INDEX IF NOT EXISTS voicemailbox_search ON voicemail_voicemailbox
    USING gin (upper(mailbox::text || ' ' || fullname || ' ' || email || ' ' || pager || ' '
    || username || '@') gin_trgm_ops)"""


def measure_adding(number: int = 2_000) -> None:
    """Print what adding takes with the trigram index and without it, in turns."""
    times: dict[str, list[float]] = {"with": [], "without": []}
    first = 9_000_000
    for _ in range(2):
        for name, prepare in (("with", MAKE_INDEX), ("without", "DROP INDEX voicemailbox_search")):
            execute(prepare)
            added(50, first)
            times[name] += added(number, first + 50)
            first += number + 50
    print(f"\n| {'Adding, ms':36} | mean | p50 | p95 | p99.9 |")
    print(f"|{'-' * 38}|-----:|----:|----:|------:|")
    for name, each in times.items():
        p50, p95, p999 = (statistics.quantiles(each, n=1000)[place] for place in (499, 949, 998))
        mean = statistics.fmean(each)
        print(f"| {name + ' the index':36} | {mean:.2f} | {p50:.2f} | {p95:.2f} | {p999:.2f} |")


def main() -> None:
    """Load, measure and drop."""
    parser = argparse.ArgumentParser(description="Measure the admin's mailbox list.")
    parser.add_argument("boxes", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    server = os.environ.get("TEST_DATABASE_URL", SERVER)
    with TemporaryDirectory() as var_dir, database(server) as url:
        start(url, var_dir)
        say(f"Loading {arguments.boxes:,} mailboxes ...")
        load(arguments.boxes)
        say("Measuring ...")
        is_quick = measure(arguments.boxes, arguments.repeats)
        measure_adding()
        say("Done." if is_quick else f"A p95 is over {LIMIT_MS} ms.")
    sys.exit(not is_quick)


if __name__ == "__main__":
    main()
