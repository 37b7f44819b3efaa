"""`make run` in a fresh copy of the files, as a newcomer meets it, and the README's session."""

from __future__ import annotations

import json
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.api import HEADERS, Reply, children, read_reply
from tests.journeys.service import (
    IS_POSTGRESQL,
    ROOT,
    Answer,
    Service,
    free_port,
    fresh_database,
    fresh_environment,
)
from tests.webapi.trees import NAMESPACE, tree_of_xml

pytestmark = pytest.mark.journey

NUMBER_OF_BOXES = {"acme.example.com": 20, "acme-west.example.com": 20, "globex.example.com": 20}


@dataclass(frozen=True)
class Checkout:
    """A copy of the files as a clone has them, and the variables that a run in it gets."""

    directory: Path
    variables: dict[str, str]

    def make(self, *words: str) -> list[str]:
        """Give a command that uses the packages which are installed already."""
        return ["make", *words, f"VENV={sys.prefix}"]

    def run(self, port: int) -> Service:
        """Start the service by `make run`."""
        service = Service(
            self.make("run", f"PORT={port}"),
            directory=self.directory,
            environment=fresh_environment(**self.variables),
            port=port,
            log=self.directory.parent / f"{port}.log",
        )
        service.wait_for()
        return service

    @property
    def facts_file(self) -> Path:
        return self.directory / "var" / "demo.json"

    @property
    def facts(self) -> Any:
        return json.loads(self.facts_file.read_text())

    def user(self, name: str) -> Any:
        return next(user for user in self.facts["users"] if user["username"] == name)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    directory = tmp_path_factory.mktemp("clone") / "voicemail"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # Found on the PATH, as by a user.
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    with fresh_database(directory.parent) as database:
        yield Checkout(directory, {"DATABASE_URL": database.url} if IS_POSTGRESQL else {})


@pytest.fixture(scope="module")
def first(checkout: Checkout) -> Iterator[Service]:
    """Give the service of the first run."""
    service = checkout.run(free_port())
    yield service
    service.stop()


def boxes(service: Service, checkout: Checkout) -> list[Any]:
    """Give all boxes as the staff see them."""
    staff = checkout.user("staff")
    call = {"SessionId": service.log_in(staff), "Limit": 1000}
    pages = [
        service.call("VoicemailboxBrowse", OrganizationId=each["id"], **call)
        for each in staff["organizations"]
    ]
    return [
        box for page in pages for box in children(page.result["Voicemailboxes"], "Voicemailbox")
    ]


def test_it_prints_the_addresses_and_the_logins(checkout: Checkout, first: Service) -> None:
    printed = first.written()

    url = f"http://127.0.0.1:{first.port}"
    for address in (f"{url}/", f"{url}/webapi", f"{url}/admin/"):
        assert re.search(rf"{re.escape(address)}$", printed, re.MULTILINE)
    for user in checkout.facts["users"]:
        login = rf"^  {user['username']} +{re.escape(user['password'])} +{user['role']}$"
        assert re.search(login, printed, re.MULTILINE)


def test_the_first_call_works_as_it_is_printed(checkout: Checkout, first: Service) -> None:
    (line,) = re.findall(r"^  (curl .*)$", first.written(), re.MULTILINE)

    done = subprocess.run(
        ["bash", "-c", line],  # noqa: S607  # Found on the PATH, as by a user.
        stdout=subprocess.PIPE,
        env=fresh_environment(),
        check=True,
    )

    session = tree_of_xml(done.stdout)["Response"]["Context"]["Session"]
    assert session["Roles"] == {"Role": {"Name": "Account Admin"}}


def test_its_facts_are_for_the_owner_alone(checkout: Checkout, first: Service) -> None:
    assert stat.S_IMODE(checkout.facts_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(checkout.facts_file.parent.stat().st_mode) == 0o700
    assert checkout.facts["url"] == f"http://127.0.0.1:{first.port}"


def test_its_facts_name_each_user_with_account_and_organizations(
    checkout: Checkout, first: Service
) -> None:
    acme, globex = checkout.user("alice")["account_id"], checkout.user("charlie")["account_id"]
    told = {
        user["username"]: (
            user["role"],
            user["account_id"],
            [each["domain"] for each in user["organizations"]],
        )
        for user in checkout.facts["users"]
    }

    west = ["acme.example.com", "acme-west.example.com"]
    assert acme != globex
    assert told == {
        "staff": ("System Admin", None, [*west, "globex.example.com"]),
        "alice": ("Account Admin", acme, west),
        "bob": ("User", acme, west),
        "charlie": ("Account Admin", globex, ["globex.example.com"]),
    }


@pytest.mark.parametrize("name", ["staff", "alice", "bob", "charlie"])
def test_each_login_opens_a_session_of_its_role(
    checkout: Checkout, first: Service, name: str
) -> None:
    user = checkout.user(name)

    reply = first.call("SessionCreate", Username=name, Password=user["password"])

    assert reply.context["Session"]["Roles"] == {"Role": {"Name": user["role"]}}


@pytest.mark.parametrize("name", ["staff", "alice", "charlie"])
def test_staff_and_admins_get_into_the_admin(checkout: Checkout, first: Service, name: str) -> None:
    answer = first.log_in_to_the_admin(checkout.user(name))
    cookie = f"sessionid={answer.cookies['sessionid']}"
    index = first.request("GET", "/admin/", headers={"Cookie": cookie})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert index.status_code == 200
    assert name in index.content.decode()


def test_a_plain_user_does_not_get_into_the_admin(checkout: Checkout, first: Service) -> None:
    answer = first.log_in_to_the_admin(checkout.user("bob"))

    assert answer.status_code == 200
    assert b"errornote" in answer.content
    assert "sessionid" not in answer.cookies


def test_there_are_boxes_of_every_kind_in_two_accounts(checkout: Checkout, first: Service) -> None:
    all_of_them = boxes(first, checkout)

    domains = [box["Address"]["Domain"] for box in all_of_them]
    assert {domain: domains.count(domain) for domain in domains} == NUMBER_OF_BOXES
    assert len({box["AccountId"] for box in all_of_them}) == 2
    kinds = {
        "NotifyEmail": {"no", "yes", "attach", "delete"},
        "NotifyPager": {"no", "yes"},
        "Timezone": {"us_eastern", "us_central", "us_mountain", "us_pacific"},
        "Status": {"enabled", "disabled"},
        "SayCallerId": {"true", "false"},
        "SayDuration": {"true", "false"},
        "SayDatetime": {"true", "false"},
    }
    assert {name: {box[name] for box in all_of_them} for name in kinds} == kinds


def blocks_of_the_first_session() -> Iterator[tuple[str, str, str]]:
    """Give each block of commands with the kind and text of the answer below it, if any."""
    section = (ROOT / "README.md").read_text().split("\n## A first session\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(sh|xml|json)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    for (kind, text), below in zip(blocks, [*blocks[1:], ("sh", "")], strict=True):
        if kind == "sh":
            yield text, *(("", "") if below[0] == "sh" else below)


def run_blocks(commands: list[str], **variables: str) -> list[bytes]:
    """Run blocks in one shell, as a reader would, and give what each wrote."""
    mark = "\x1e"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", f"\nprintf '{mark}'\n".join([*commands, ""])],  # noqa: S607  # Found on the PATH, as by a user.
        stdout=subprocess.PIPE,
        env=fresh_environment(**variables),
        check=True,
    )
    return done.stdout.split(mark.encode())[:-1]


def names_in(tree: Any) -> Any:
    """Give the names of a tree in their order, without the values."""
    match tree:
        case dict():
            return [(name, names_in(child)) for name, child in tree.items()]
        case list():
            return [names_in(child) for child in tree]
        case _:
            return []


def reply_of(document: bytes, kind: str) -> Reply:
    """Validate a document that curl wrote without its headers."""
    content_type = "text/xml" if kind == "xml" else "application/json"
    headers = HEADERS | {"Content-Type": f"{content_type}; charset=utf-8"}
    return read_reply(Answer(200, headers, document))


def read_shown(text: str, kind: str) -> Any:
    """Read what a page shows of an answer; a part of it stands there without the namespace."""
    if kind == "json":
        return json.loads(text)
    return tree_of_xml(text.replace("<Result>", f'<Result xmlns="{NAMESPACE}">', 1).encode())


def shown_part(reply: Reply, shown: Any) -> Any:
    """Give the part of an answer that a page shows: all of it, its Result, or what is in that."""
    if "Response" in shown:
        return reply.tree
    result = {"Result": reply.tree["Response"]["Result"]}
    return result if "Result" in shown else result["Result"]


def test_the_first_session_of_the_readme_works_and_answers_what_is_shown(
    checkout: Checkout, first: Service
) -> None:
    blocks = list(blocks_of_the_first_session())
    assert sum(bool(kind) for _, kind, _ in blocks) >= 5

    written = run_blocks(
        [command for command, _, _ in blocks],
        URL=f"{checkout.facts['url']}/webapi",
        PASSWORD=checkout.user("alice")["password"],
    )

    for (command, kind, text), answer in zip(blocks, written, strict=True):
        if not kind:
            assert answer == b"", command
            continue
        reply = reply_of(answer, kind)
        assert reply.is_completed, command
        shown = read_shown(text, kind)
        assert names_in(shown) == names_in(shown_part(reply, shown)), command


@dataclass(frozen=True)
class Rerun:
    """A second run, and what there was before it."""

    service: Service
    facts: Any
    boxes: list[Any]


@pytest.fixture(scope="module")
def second(checkout: Checkout, first: Service) -> Iterator[Rerun]:
    """Add a box, stop the first run as Ctrl-C does, and run again."""
    alice = checkout.user("alice")
    organization = alice["organizations"][0]
    added = first.call(
        "VoicemailboxAdd",
        SessionId=first.log_in(alice),
        OrganizationId=organization["id"],
        Username="joe",
        Domain=organization["domain"],
        Mailbox="7012",
        Fullname="Joe Smith",
    )
    assert added.is_completed
    before = (checkout.facts, boxes(first, checkout))
    first.stop(signal.SIGINT)
    service = checkout.run(first.port)
    yield Rerun(service, *before)
    service.stop()


def test_a_second_run_keeps_the_logins(checkout: Checkout, second: Rerun) -> None:
    assert checkout.facts == second.facts
    for user in second.facts["users"]:
        assert second.service.log_in(user)


def test_a_second_run_keeps_what_was_added_and_adds_nothing(
    checkout: Checkout, second: Rerun
) -> None:
    assert len(second.boxes) == sum(NUMBER_OF_BOXES.values()) + 1
    assert boxes(second.service, checkout) == second.boxes


def test_a_port_in_use_is_told_before_anything_is_done(checkout: Checkout, second: Rerun) -> None:
    written = checkout.facts_file.stat().st_mtime_ns

    done = subprocess.run(
        checkout.make("run", f"PORT={second.service.port}"),
        cwd=checkout.directory,
        env=fresh_environment(**checkout.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert f"Port {second.service.port} is in use. Choose another one: PORT=" in done.stdout
    assert "Traceback" not in done.stdout
    assert checkout.facts_file.stat().st_mtime_ns == written
