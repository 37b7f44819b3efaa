"""The real service in processes of its own, as an operator starts it, and a client of it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from threading import Barrier
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode, urlsplit

import psycopg2  # type: ignore[import-untyped]  # It has no types.
import pytest
from django.conf import settings

from tests.api import FORM, Reply, read_reply

ROOT = Path(settings.BASE_DIR)
IS_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")

_T = TypeVar("_T")


def fresh_environment(**variables: str) -> dict[str, str]:
    """Give the variables of a new shell: none of the service's own comes from the tests'."""
    kept = {"HOME", "LANG", "PATH", "TMPDIR"}
    inherited = {
        name: value for name, value in os.environ.items() if name in kept or name.startswith("PG")
    }
    return inherited | variables


@dataclass(frozen=True)
class Database:
    """A database of the service, asked directly."""

    url: str

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Give a cursor for which each statement is a transaction, unless it begins one."""
        with closing(self._connect()) as connection, closing(connection.cursor()) as cursor:
            yield cursor

    def _connect(self) -> Any:
        if not IS_POSTGRESQL:
            file = self.url.removeprefix("sqlite:///")
            return sqlite3.connect(file, isolation_level=None, timeout=20)
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        return connection

    def execute(self, statement: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, columns: str, table: str, where: str = "1 = 1") -> list[tuple[Any, ...]]:
        """Select rows; the words of the statement are a test's own."""
        with self.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM {table} WHERE {where}")  # noqa: S608  # Ours.
            return [tuple(row) for row in cursor.fetchall()]

    @contextmanager
    def held(self, table: str) -> Iterator[None]:
        """Keep everybody else from writing to a table, as a long transaction would."""
        with self.cursor() as cursor:
            cursor.execute("BEGIN" if IS_POSTGRESQL else "BEGIN IMMEDIATE")
            if IS_POSTGRESQL:
                cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
            cursor.execute("ROLLBACK")


@contextmanager
def fresh_database(directory: Path) -> Iterator[Database]:
    """Make an empty database on the tests' engine, and take it away afterwards."""
    if not IS_POSTGRESQL:
        yield Database(f"sqlite:///{directory / 'db.sqlite3'}")
        return
    url, name = os.environ["DATABASE_URL"], f"journey_{secrets.token_hex(6)}"
    Database(url).execute(f"CREATE DATABASE {name}")
    try:
        yield Database(urlsplit(url)._replace(path=f"/{name}").geturl())
    finally:
        Database(url).execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Place:
    """What services may share: a database, and the directory of what they write."""

    directory: Path
    database: Database

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {"VAR_DIR": str(self.directory), "DATABASE_URL": self.database.url}
        return fresh_environment(**kept | variables)

    def manage(self, *command: str) -> None:
        """Run a command of manage.py."""
        environment = self.environment()
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @property
    def facts(self) -> Any:
        """What the demonstration wrote down of its users."""
        return json.loads((self.directory / "demo.json").read_text())


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP, read to its end."""

    status_code: int
    headers: Any
    content: bytes

    # By whatever pieces it came, it is whole here.
    streaming: ClassVar[bool] = False

    @classmethod
    def of(cls, response: HTTPResponse) -> Answer:
        return cls(response.status, response.headers, response.read())

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets."""
        jar: SimpleCookie = SimpleCookie()
        for header in self.headers.get_all("Set-Cookie", []):
            jar.load(header)
        return {name: morsel.value for name, morsel in jar.items()}


class Service:
    """A running service: its process, what it wrote, and how to talk to it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        port: int,
        log: Path,
    ) -> None:
        self.port = port
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, path: str = "/readyz") -> None:
        """Wait until a page is answered with 200."""

        def is_answered() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"The service ended:\n{self.written()}")
            with suppress(OSError, HTTPException):
                return self.request("GET", path).status_code == 200
            return False

        wait_until(is_answered)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process with its children, and give its exit code."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise

    def written(self) -> str:
        """Give all that the service wrote to its standard output and error."""
        return self.log.read_text()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers or {})
            return Answer.of(connection.getresponse())

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, and give what comes back until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def post(self, action: str, /, **parameters: Any) -> Answer:
        """Send an action as a form, and give the answer as it came."""
        body = urlencode({"Action": action} | parameters).encode()
        return self.request("POST", "/webapi", body, {"Content-Type": FORM})

    def call(self, action: str, /, **parameters: Any) -> Reply:
        """Send an action as a form, and validate the answer."""
        return read_reply(self.post(action, **parameters))

    def log_in(self, user: Any) -> str:
        """Open a session for a user of the demonstration, and give its SessionId."""
        reply = self.call("SessionCreate", Username=user["username"], Password=user["password"])
        return str(reply.context["Session"]["SessionId"])

    def log_in_to_the_admin(self, user: Any) -> Answer:
        """Send the form of the admin's login, as a browser does."""
        page = self.request("GET", "/admin/login/")
        form = {"username": user["username"], "password": user["password"], "next": "/admin/"}
        return self.submit("/admin/login/", form, page, page.cookies)

    def submit(
        self, path: str, form: Mapping[str, str], page: Answer, cookies: Mapping[str, str]
    ) -> Answer:
        """Send a form with the token that stands in its page."""
        (token, *_) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
        jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
        body = urlencode({"csrfmiddlewaretoken": token, **form}).encode()
        return self.request("POST", path, body, {"Content-Type": FORM, "Cookie": jar})


@contextmanager
def serving(place: Place, path: str = "/readyz", **variables: str) -> Iterator[Service]:
    """Run the service until the block ends; it has started when the path is answered."""
    port = free_port()
    service = Service(
        [sys.executable, "-m", "gunicorn", "--config", "voicemail_site/gunicorn_conf.py"],
        directory=ROOT,
        environment=place.environment(PORT=str(port), **variables),
        port=port,
        log=place.directory / f"{port}.log",
    )
    try:
        service.wait_for(path)
        yield service
    finally:
        service.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, and fail where it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"It did not come true within {seconds} s.")
        time.sleep(0.05)


def at_once(calls: Sequence[Callable[[], _T]]) -> list[_T]:
    """Make all calls at the same moment, and give their results in the same order."""
    start = Barrier(len(calls))

    def make(call: Callable[[], _T]) -> _T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))
