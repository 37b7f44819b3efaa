"""Web servers in processes of their own, as an operator starts them, and what they use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.dataset import ROOT, run_sql

SITE = ("voicemail_site.settings", "voicemail_site.wsgi:application")
STOCK = ("benchmarks.stock.settings", "benchmarks.wsgi:application")
FLOOR = ("benchmarks.floor.settings", "benchmarks.wsgi:application")

START_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU of a server's workers, and of its database's processes."""

    server: float
    database: float

    @property
    def total(self) -> float:
        return self.server + self.database

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.server - other.server, self.database - other.database)


@dataclass(frozen=True)
class WebServer:
    """A running web server."""

    pid: int
    port: int
    database_url: str

    def workers(self) -> list[int]:
        return [
            int(each)
            for each in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ]

    def cpu(self) -> Cpu:
        """Tell what CPU the workers and the database have used so far."""
        return Cpu(sum(map(_cpu_seconds, self.workers())), sum(map(_cpu_seconds, self._backends())))

    def _backends(self) -> list[int]:
        """Give the processes that serve connections to its database, on this machine."""
        if not self.database_url.startswith("postgres"):
            return []
        rows = run_sql(
            self.database_url,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        return [pid for (pid,) in rows]

    def connect(self, number: int) -> list[socket.socket]:
        """Open connections to it, spread evenly over the workers.

        A worker keeps the connections that it has accepted, and now and then one accepts all that
        are opened at a time: half of the processors are idle then.
        """
        most = -(-number // len(self.workers()))
        opened: list[socket.socket] = []
        while len(opened) < number:
            address = ("127.0.0.1", self.port)
            opened.append(socket.create_connection(address, timeout=START_SECONDS))
            if max(self._held(len(opened))) > most:
                opened.pop().close()
                self._held(len(opened))
        return opened

    def _held(self, number: int) -> list[int]:
        """Wait until the workers hold so many connections, and give how many each has."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            held = [_connections(pid, self.port) for pid in self.workers()]
            if sum(held) == number:
                return held
            time.sleep(0.001)
        raise SystemExit(f"The workers of a web server don't hold {number} connections.")

    def forget_peak(self) -> int:
        """Let the peak of the workers' memory begin anew; give what they hold now, in bytes."""
        for pid in self.workers():
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def peak(self) -> int:
        """Give the bytes that the workers have held at most since then."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        lines = [
            line
            for pid in self.workers()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        ]
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _cpu_seconds(pid: int) -> float:
    """Read the user and the system time of a process; what has ended took none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0.0
    # The name before the last bracket may have spaces in it.
    words = text.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def _connections(pid: int, port: int) -> int:
    """Count the connections to a port that a process has accepted."""
    sockets = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            sockets.add(str(each.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        local.endswith(f":{port:04X}") and state == "01" and f"socket:[{inode}]" in sockets
        for _, local, _, state, _, _, _, _, _, inode, *_ in rows
    )


@contextmanager
def serving(
    kind: tuple[str, str], database_url: str, directory: Path, workers: int = 2
) -> Iterator[WebServer]:
    """Run a web server with the site's own configuration until the block ends."""
    settings, application = kind
    port = free_port()
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
    variables = {
        "DJANGO_SETTINGS_MODULE": settings,
        "DATABASE_URL": database_url,
        "PORT": str(port),
        "VAR_DIR": str(directory),
        "WEB_CONCURRENCY": str(workers),
    }
    command = ["-m", "gunicorn", "--config", "voicemail_site/gunicorn_conf.py", application]
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=kept | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, process, directory / f"{port}.log")
        yield WebServer(process.pid, port, database_url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.05)
    raise SystemExit(f"A web server did not start:\n{log.read_text()}")
