"""Two nodes on one database behind a balancer, one of which is stopped and started under load."""

from __future__ import annotations

import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.api import read_reply
from tests.journeys.service import (
    IS_POSTGRESQL,
    Place,
    Service,
    at_once,
    fresh_database,
    serving,
    wait_until,
)

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not IS_POSTGRESQL, reason="Nodes can't share a file of SQLite's."),
]

CLIENTS = 4
SOME = 60


@dataclass
class Node:
    """What the balancer knows of a node."""

    port: int
    is_ready: bool = True
    open: int = 0
    served: int = 0
    # Connections that the node closed before it had answered anything.
    broken: int = 0


@dataclass
class Balancer:
    """Pass each connection on to a node that said it was ready, the least busy first."""

    nodes: list[Node]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    is_over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @contextmanager
    def running(self) -> Iterator[None]:
        for work in (self._accept, self._watch):
            threading.Thread(target=work, daemon=True).start()
        yield
        self.is_over.set()
        self.listener.close()

    def _watch(self) -> None:
        """Ask every node a few times a second whether it is ready."""
        while not self.is_over.wait(0.2):
            for node in self.nodes:
                node.is_ready = _is_ready(node.port)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client):
            tried: list[Node] = []
            while node := self._take(tried):
                tried.append(node)
                try:
                    server = socket.create_connection(("127.0.0.1", node.port), timeout=60)
                except ConnectionRefusedError:
                    node.is_ready = False
                else:
                    with closing(server):
                        self._pass_on(client, server, node)
                    return
                finally:
                    with self.lock:
                        node.open -= 1

    def _take(self, tried: list[Node]) -> Node | None:
        with self.lock:
            ready = [node for node in self.nodes if node.is_ready and node not in tried]
            node = min(ready, key=lambda each: (each.open, each.served), default=None)
            if node is not None:
                node.open += 1
            return node

    def _pass_on(self, client: socket.socket, server: socket.socket, node: Node) -> None:
        """Carry bytes both ways until either side has enough."""
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        number = _pump(server, client)
        with self.lock:
            node.served += bool(number)
            node.broken += not number


def _pump(source: socket.socket, target: socket.socket) -> int:
    """Copy bytes, and count them; at the end the other direction ends too."""
    number = 0
    with suppress(OSError):
        while data := source.recv(65536):
            number += len(data)
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    return number


def _is_ready(port: int) -> bool:
    with suppress(OSError, HTTPException), closing(HTTPConnection("127.0.0.1", port)) as asked:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == 200
    return False


@dataclass
class Load:
    """Clients that add boxes and read those that were acknowledged, as fast as they can."""

    service: Any
    session_id: str
    organization: Any
    first: int
    acknowledged: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        numbers = count(self.first)
        clients = [threading.Thread(target=self._work, args=(numbers,)) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        try:
            yield
        finally:
            self.is_over.set()
            for each in clients:
                each.join(timeout=60)

    def more(self) -> None:
        """Wait until some more boxes were acknowledged."""
        enough = len(self.acknowledged) + SOME
        wait_until(lambda: len(self.acknowledged) >= enough)

    def _work(self, numbers: Iterator[int]) -> None:
        while not self.is_over.is_set():
            number = next(numbers)
            box = {"Mailbox": number, "Username": f"u{number}", "Fullname": "Joe Smith"}
            place = {
                "OrganizationId": self.organization["id"],
                "Domain": self.organization["domain"],
            }
            added = self._ask("VoicemailboxAdd", **box, **place)
            if added is not None:
                self.acknowledged.append(added)
                self._ask("VoicemailboxRead", VoicemailboxId=added)

    def _ask(self, action: str, **parameters: Any) -> str | None:
        """Give the box's id if the action was completed, and note it if it was not."""
        try:
            reply = read_reply(self.service.post(action, SessionId=self.session_id, **parameters))
        except (OSError, HTTPException):
            self.failures["connection"] += 1
            return None
        if not reply.is_completed:
            self.failures[f"{action} {reply.errors}"] += 1
            return None
        return str(reply.result["Voicemailbox"]["VoicemailboxId"])


@pytest.fixture
def nodes(place: Place, tmp_path: Path) -> list[Place]:
    """Give two nodes, each with a directory of its own, on one database."""
    directories = [tmp_path / name for name in ("node1", "node2")]
    for directory in directories:
        directory.mkdir()
    return [Place(directory, place.database) for directory in directories]


@pytest.mark.parametrize("is_drained", [True, False], ids=["drained", "at once"])
def test_a_node_is_stopped_and_started_and_nothing_that_was_acknowledged_is_lost(
    place: Place, nodes: list[Place], alice: Any, is_drained: bool
) -> None:
    start = partial(serving, SECRET_KEY=secrets.token_urlsafe(50))
    with ExitStack() as stack:
        first, second = (stack.enter_context(start(node)) for node in nodes)
        balancer = Balancer([Node(first.port), Node(second.port)])
        stack.enter_context(balancer.running())
        number = 7_000_000 if is_drained else 8_000_000
        load = Load(_through(balancer), first.log_in(alice), alice["organizations"][0], number)
        with load.running():
            load.more()
            if is_drained:
                drain(nodes[0], balancer.nodes[0])
            first.process.terminate()
            assert first.process.wait(timeout=40) == 0
            load.more()

            (nodes[0].directory / "draining").unlink(missing_ok=True)
            balancer.nodes[0].port = stack.enter_context(start(nodes[0])).port
            served = balancer.nodes[0].served
            wait_until(lambda: balancer.nodes[0].served > served + SOME)

    stopped, live = balancer.nodes
    assert set(load.acknowledged) <= stored(place)
    assert len(load.acknowledged) > 3 * SOME
    assert live.broken == 0
    # Of a node that is stopped at once, only what waited to be accepted is lost.
    assert load.failures == Counter({"connection": stopped.broken} if stopped.broken else {})
    if is_drained:
        assert not load.failures


def test_nodes_that_migrate_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as database:
        place = Place(tmp_path, database)
        at_once([partial(place.manage, "migrate", "--verbosity", "0")] * 3)
        with serving(place) as service:
            assert service.request("GET", "/readyz").status_code == 200


def _through(balancer: Balancer) -> Any:
    """Give a client of the balancer that talks like one of a service."""
    client = Service.__new__(Service)
    client.port = balancer.port
    return client


def drain(node: Place, seen: Node) -> None:
    """Have a node say that it is not ready, and wait until nobody is served there any more."""
    (node.directory / "draining").touch()
    wait_until(lambda: not seen.is_ready)
    wait_until(lambda: seen.open == 0)


def stored(place: Place) -> set[str]:
    return {str(pk) for (pk,) in place.database.rows("id", "voicemail_voicemailbox")}
