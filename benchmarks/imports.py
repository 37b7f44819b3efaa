"""Measure the import and the export of very many mailboxes on PostgreSQL.

``python -m benchmarks.imports [BOXES]`` makes databases of its own on the server of
TEST_DATABASE_URL, and drops them. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2  # type: ignore[import-untyped]  # It has no types.

from benchmarks.dataset import FIRST, LAST, ROOT, SERVER, Server, run_sql, say
from benchmarks.measuring import Verdicts, header, number, row

ORGANIZATIONS = 1_000
COLUMNS = (
    *("domain", "mailbox", "username", "fullname", "timezone", "say_datetime"),
    *("notify_email", "email", "notify_pager", "pager", "mwi"),
)
BARE_COLUMNS = (
    "created, modified, status, mailbox, password, fullname, timezone, say_caller_id, "
    "say_duration, say_datetime, notify_email, notify_pager, email, pager, mwi, username, "
    "account_id, organization_id"
)
SECONDS_FOR_REASONS = 30
MEGABYTES = 500
LEAST_IMPORT, LEAST_EXPORT, LEAST_RATIO = 10_000, 50_000, 1 / 3


def domain_of(place: int) -> str:
    """Name an organization, counted from 1."""
    return f"company{place}.example.com"


def boxes(count: int) -> Iterator[list[str]]:
    """Give rows of new boxes, one organization after the other."""
    share = -(-count // ORGANIZATIONS)
    for n in range(count):
        domain, mailbox = domain_of(1 + n // share), 1000 + n % share
        fullname = f"{FIRST[n * 7919 % len(FIRST)]} {LAST[n * 104729 // 7 % len(LAST)]}"
        mail = f"user{n}@mail{n % 5000}.example.org"
        mwi = f"phone{mailbox}@{domain}" if n % 10 < 3 else ""
        facts = [domain, str(mailbox), f"vm{mailbox}", fullname, "us_eastern", "true"]
        yield [*facts, "yes" if n % 2 else "no", mail, "no", "", mwi]


def write_csv(path: Path, rows: Iterator[list[str]]) -> None:
    """Write rows with their header."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(COLUMNS)
        csv.writer(file).writerows(rows)


def manage(url: str, directory: Path, *arguments: str, is_refused: bool = False) -> float:
    """Run manage.py, and give its peak of memory in megabytes."""
    environment = os.environ | {"DATABASE_URL": url, "VAR_DIR": str(directory)}
    with (directory / "out").open("w") as out, (directory / "err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=err,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != int(is_refused):
        raise SystemExit((directory / "err").read_text())
    return usage.ru_maxrss / 1024


def prepare(url: str, directory: Path) -> None:
    """Make the tables and the organizations."""
    manage(url, directory, "migrate", "--verbosity", "0")
    contact = "'', '', '', '', '', '', '', 207, '', '', now()"
    names = ", ".join(
        f"contact_{name}"
        for name in (
            *("name", "organization", "address", "city", "state", "zipcode", "country"),
            *("country_id", "phone", "email", "modified"),
        )
    )
    run_sql(
        url,
        f"INSERT INTO accounts_account (status, balance, credit_limit, recharge, recharge_level, "
        f"recharge_threshold, created, modified, {names}) "
        f"VALUES ('enabled', 0, 0, false, 0, 0, now(), now(), {contact})",
    )
    run_sql(
        url,
        f"INSERT INTO accounts_organization (account_id, domain, status, caller_id, "
        f"caller_id_name, caller_id_number, extended_dialing, e911_provisioning, created, "
        f"modified, {names}) SELECT (SELECT id FROM accounts_account), "
        f"'company' || n || '.example.com', 'enabled', '', '', '', false, false, now(), now(), "
        f"{contact} FROM generate_series(1, {ORGANIZATIONS}) n",
    )
    run_sql(url, "VACUUM ANALYZE")


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def copy_bare(url: str, rows: Path) -> None:
    """Copy finished rows, and their history from them: the least that could be done."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_change (actor, channel, created, request_id) "
            "VALUES ('benchmark', 'command', now(), '') RETURNING id"
        )
        ((change,),) = cursor.fetchall()
        with rows.open() as file:
            cursor.copy_expert(f"COPY voicemail_voicemailbox ({BARE_COLUMNS}) FROM STDIN", file)
        cursor.execute(
            f"INSERT INTO voicemail_historicalvoicemailbox (id, {BARE_COLUMNS}, history_date, "
            f"history_type, change_id) SELECT id, {BARE_COLUMNS}, now(), '+', {change} "
            "FROM voicemail_voicemailbox"
        )
    connection.close()


def copy_out(url: str, rows: Path) -> None:
    """Keep the imported rows as COPY takes them."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor, rows.open("w") as file:
        cursor.copy_expert(f"COPY voicemail_voicemailbox ({BARE_COLUMNS}) TO STDOUT", file)
    connection.close()


def broken(count: int) -> Iterator[list[str]]:
    """Give rows of which a tenth is broken, in 20 ways."""
    places = {name: place for place, name in enumerate(COLUMNS)}
    ways = (
        *(("mailbox", value) for value in ("0", "x", "12345678", "")),
        *(("username", value) for value in (".joe", "a b", "", "u" * 65)),
        *(("fullname", value) for value in ("", "a\tb", "n" * 129)),
        *(("timezone", "Eastern"), ("say_datetime", "maybe"), ("notify_email", "loud")),
        *(("email", value) for value in ("joe", "a@b.c|d@e.f", "-a@example.com")),
        *(("notify_pager", "yes"), ("mwi", "sip:joe@example.com"), ("domain", "x.example.com")),
    )
    for n, cells in enumerate(boxes(count)):
        if n % 10 == 0:
            name, value = ways[n // 10 % len(ways)]
            cells[places[name]] = value
        yield cells


def measure(server: Server, directory: Path, count: int, verdicts: Verdicts) -> None:
    """Print a table."""
    file, rows, back = (directory / name for name in ("new.csv", "rows", "back.csv"))
    write_csv(file, boxes(count))
    peaks: list[float] = []
    importing = ("voicemailboxes", "import", str(file), "--all-accounts")
    name = f"benchmark_import_{os.getpid()}"
    with server.borrowed(name) as url:
        prepare(url, directory)
        say("Importing ...")
        seconds = timed(lambda: peaks.append(manage(url, directory, *importing)))
        copy_out(url, rows)
        say("Importing the same again ...")
        again = timed(lambda: peaks.append(manage(url, directory, *importing)))
        say("Exporting ...")
        exporting = ("voicemailboxes", "export", "--all-accounts")
        export = timed(lambda: peaks.append(manage(url, directory, *exporting)))
        (directory / "out").rename(back)
    with server.borrowed(name) as url:
        prepare(url, directory)
        write_csv(file, broken(10_000))
        say("Refusing ...")
        reasons = timed(lambda: manage(url, directory, *importing, is_refused=True))
        say("Copying ...")
        bare = timed(lambda: copy_bare(url, rows))
    told = sum(1 for _ in csv.reader((directory / "new.refused.csv").open())) - 1
    if told != 1_000:
        raise SystemExit(f"{told} rows were refused.")
    ratio = bare / seconds
    print(header("", "seconds", "rows a second"))
    for what, taken, mark in (
        (
            "import of new boxes",
            seconds,
            verdicts.at_least(LEAST_IMPORT, count / seconds, "import"),
        ),
        ("bare COPY and history", bare, ""),
        ("import of the same again", again, ""),
        ("export", export, verdicts.at_least(LEAST_EXPORT, count / export, "export")),
    ):
        print(row(what, number(taken), f"{number(count / taken)}{mark}"))
    mark = verdicts.at_most(SECONDS_FOR_REASONS, reasons, "10,000 rows, a tenth refused")
    print(row("10,000 rows, a tenth refused in 20 ways", f"{number(reasons)}{mark}", ""))
    print(f"\nThe import runs at {ratio:.2f} of the rate of the bare copy", end="")
    print(f"{verdicts.at_least(LEAST_RATIO, ratio, 'ratio to the bare copy')}.")
    peak = max(peaks)
    print(f"Peak memory: {number(peak)} MB{verdicts.at_most(MEGABYTES, peak, 'megabytes')}.")


def main() -> None:
    """Measure, and drop what was made."""
    parser = argparse.ArgumentParser(description="Measure the import and the export.")
    parser.add_argument("boxes", nargs="?", type=int, default=1_000_000)
    arguments = parser.parse_args()
    verdicts = Verdicts()
    server = Server(os.environ.get("TEST_DATABASE_URL", SERVER))
    with TemporaryDirectory() as directory:
        measure(server, Path(directory), arguments.boxes, verdicts)
    for missed in verdicts.missed:
        say(missed)
    sys.exit(bool(verdicts.missed))


if __name__ == "__main__":
    main()
