"""The spool directory of a PBX in tests, and the scripts that run there."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings as project

from tests.asterisk.pbx import Asterisk, answer_next, server

SCRIPTS = Path(project.BASE_DIR) / "voicemail" / "asterisk" / "scripts"


def nothing() -> None:
    pass


def run_script(
    command: Sequence[str | Path],
    environment: dict[str, str],
    before_answer: Callable[[], None] = nothing,
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, and answer what it asks meanwhile, in this thread."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # It is written to at the end only.
        ending: Any = process.stdout
        waiting: list[Any] = [server("scripts"), ending]
        while ending not in select.select(waiting, [], [])[0]:
            before_answer()
            answer_next("scripts")
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


class Spool:
    """A spool directory, and the script that carries out the orders about it."""

    def __init__(self, parent: Path, asterisk: Asterisk, run_by: Sequence[str] = ()) -> None:
        self.directory = parent / "voicemail"
        self.directory.mkdir(parents=True)
        self.credential_file = parent / "credential"
        self.credential_file.write_text(f"{asterisk.credential}\n")
        port = server("scripts").server_port
        self.url = f"http://127.0.0.1:{port}/asterisk"
        self.run_by = run_by

    def leave_message(
        self, context: str, mailbox: int, text: str, *, at: float = 0, folder: str = "INBOX"
    ) -> Path:
        """Record a message as app_voicemail does: with a free number of the folder."""
        place = self.directory / context / str(mailbox) / folder
        place.mkdir(parents=True, exist_ok=True)
        names = (place / f"msg{number:04}.txt" for number in count())
        message = next(name for name in names if not name.exists())
        message.write_text(f"[message]\norigtime={int(at or time.time())}\nsays={text}\n")
        message.with_suffix(".wav").write_text(text)
        return message

    def record_greeting(self, context: str, mailbox: int, text: str, *, at: float = 0) -> Path:
        greeting = self.directory / context / str(mailbox) / "unavail.wav"
        greeting.parent.mkdir(parents=True, exist_ok=True)
        greeting.write_text(text)
        if at:
            os.utime(greeting, (at, at))
        return greeting

    def messages(self, context: str, mailbox: int) -> set[str]:
        """Give what a caller of this mailbox would hear, in any folder."""
        place = self.directory / context / str(mailbox)
        return {each.read_text() for each in place.glob("*/msg*.wav")}

    def recordings(self) -> Iterator[tuple[tuple[str, int], str]]:
        """Give each message that a text belongs to, with the context and mailbox it lies under."""
        for each in self.directory.glob("*/*/*/msg*.wav"):
            if each.with_suffix(".txt").exists():
                context, mailbox = each.parts[-4:-2]
                yield (context, int(mailbox)), each.read_text()

    def carry_out(
        self, before_answer: Callable[[], None] = nothing
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "SPOOL_URL": self.url,
            "SPOOL_CREDENTIAL_FILE": str(self.credential_file),
            "SPOOL_DIRECTORY": str(self.directory),
        }
        command: list[str | Path] = [*self.run_by, SCRIPTS / "spool-orders.sh"]
        return run_script(command, environment, before_answer)
