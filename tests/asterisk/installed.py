"""An Asterisk of this machine, running in a directory of its own with the files of a PBX.

``ASTERISK`` is the program. Where it lies in another root directory, such as one of a newer
Debian, ``ASTERISK_ROOT`` names that; then it is started by chroot, and /dev must be there.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.conf import settings

from tests.journeys.service import wait_until

ROOT = Path(os.environ.get("ASTERISK_ROOT", "/"))
PROGRAM = [
    *(["chroot", str(ROOT)] if Path("/") != ROOT else []),
    os.environ.get("ASTERISK", "asterisk"),
]

SCRIPTS = Path(settings.BASE_DIR) / "voicemail" / "asterisk" / "scripts"

# What belongs to the machine that it runs on, and is no business of the service.
OWN_FILES = {
    "/etc/asterisk/asterisk.conf": """\
[directories]
astetcdir => /etc/asterisk
astdbdir => /var/lib/asterisk
astspooldir => /var/spool/asterisk
astrundir => /run/asterisk
astlogdir => /var/log/asterisk
""",
    "/etc/asterisk/logger.conf": """\
[logfiles]
full => notice,warning,error,verbose(4)
""",
    "/etc/asterisk/pjsip.conf": """\
[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{port}

#include pjsip-mwi.conf
""",
    "/usr/sbin/keep-mail.sh": """\
#!/bin/sh
cat >"$(mktemp /var/mail/XXXXXX)"
""",
}

# A call tells by the number that it dials whose it is: 1001*acme.example.com.
CALLS = """
[leave]
exten => _X!,1,Set(DOMAIN=${CUT(EXTEN,*,2)})
 same => n,Goto(leave-message,${CUT(EXTEN,*,1)},1)

[retrieve]
exten => _X!,1,Set(DOMAIN=${CUT(EXTEN,*,2)})
 same => n,Goto(retrieve-messages,s,1)
"""

PLACES = re.compile(r"(?<![\w/])/(?:etc/asterisk|usr/local/bin|usr/sbin|var|run)\b")


class InstalledAsterisk:
    """A running Asterisk: its calls, what was heard in them, its spool and its mails."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="asterisk-", dir=ROOT / "tmp"))
        for place in ("run/asterisk", "var/log/asterisk", "var/lib/asterisk", "var/mail"):
            (self.directory / place).mkdir(parents=True)
        for path, text in (OWN_FILES | dict(files)).items():
            self.write(path, text.replace("{port}", str(free_udp_port())))
        for script in SCRIPTS.iterdir():
            self.write(f"/usr/local/bin/{script.name}", script.read_text())
        self._command = [*PROGRAM, "-C", self.inside("/etc/asterisk/asterisk.conf")]
        self.process = subprocess.Popen(
            [*self._command, "-f"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def inside(self, path: str) -> str:
        """Give a path as Asterisk sees it."""
        return f"/{self.directory.relative_to(ROOT)}{path}"

    def place(self, path: str) -> Path:
        """Give a path as the tests see it."""
        return self.directory / path.removeprefix("/")

    def write(self, path: str, text: str) -> None:
        """Write a file of a PBX below the directory, with what it says of others."""
        file = self.place(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PLACES.sub(lambda match: self.inside(match[0]), text))
        file.chmod(0o700 if path.endswith(".sh") else 0o600)

    def wait_for(self) -> None:
        """Wait until it has loaded everything."""

        def is_up() -> bool:
            assert self.process.poll() is None, self.log()[-2000:]
            return "fully booted" in self.command("core waitfullybooted")

        wait_until(is_up)

    def stop(self) -> None:
        self.command("core stop now")
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.directory)

    def command(self, words: str) -> str:
        """Give the answer of its command line."""
        done = subprocess.run(
            [*self._command, "-r", "-x", words], capture_output=True, text=True, check=False
        )
        return done.stdout

    def log(self) -> str:
        file = self.place("/var/log/asterisk/full")
        return file.read_text(errors="replace") if file.exists() else ""

    def call(self, context: str, dialled: Mapping[str, str]) -> dict[str, list[str]]:
        """Call numbers at the same time, with the keys that each caller presses, to the end.

        A ``w`` among the keys is half a second of waiting. Gives the prompts that each one heard.
        """
        before = len(self.log())
        for number, keys in dialled.items():
            self.command(
                f"channel originate Local/{number}@{context}/n application SendDTMF {keys},100"
            )
        wait_until(lambda: self.command("core show channels count").startswith("0 active"))
        log = self.log()[before:]
        return {number: _heard(log, f"Local/{number}@{context}") for number in dialled}

    def leave(self, *numbers: str) -> dict[str, list[str]]:
        """Leave a message for each number, three seconds long."""
        return self.call("leave", dict.fromkeys(numbers, "wwww#wwwwww#ww"))

    def retrieve(self, pins: Mapping[str, str], keys: str = "") -> dict[str, list[str]]:
        """Log in to mailboxes at the same time, and press the same keys in each."""
        dialled = {}
        for number, pin in pins.items():
            (mailbox, _, _) = number.partition("*")
            dialled[number] = f"wwww{mailbox}#www{pin}#wwww{keys}"
        return self.call("retrieve", dialled)

    def folder(self, number: str, folder: str = "INBOX") -> Path:
        mailbox, _, context = number.partition("*")
        return self.place(f"/var/spool/asterisk/voicemail/{context}/{mailbox}/{folder}")

    def messages(self, number: str, folder: str = "INBOX") -> list[str]:
        return sorted(path.stem for path in self.folder(number, folder).glob("msg*.txt"))

    def mails(self) -> list[EmailMessage]:
        """Give what was handed over to be sent."""
        texts = [path.read_bytes() for path in sorted(self.place("/var/mail").iterdir())]
        return [message_from_bytes(text, policy=policy.default) for text in texts]

    def carry_out_spool_orders(self) -> None:
        """Run what cron runs."""
        lines = self.place("/etc/cron.d/spool-orders").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
        command = self.place("/usr/local/bin/spool-orders.sh")
        environment = {name: self._outside(value) for name, value in variables.items()}
        environment["SPOOL_DIRECTORY"] = str(self.place("/var/spool/asterisk/voicemail"))
        subprocess.run([command], env=os.environ | environment, check=True)

    def _outside(self, value: str) -> str:
        return value.replace(self.inside(""), str(self.directory))


def _heard(log: str, channel: str) -> list[str]:
    """Give the prompts of one side of a call, and of a recording its path."""
    played = re.findall(rf"<{re.escape(channel)}-\w+;2> Playing '([^']+?)\.\w+' ", log)
    return [prompt.partition("/voicemail/")[2] or prompt for prompt in played]


def skip_prompts(heard: Sequence[str], after: str) -> list[str]:
    """Give what was heard after a prompt."""
    assert after in heard, heard
    return list(heard[heard.index(after) + 1 :])


def free_udp_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fail_without_asterisk() -> None:
    """Fail with a clear line where there is no Asterisk."""
    try:
        done = subprocess.run([*PROGRAM, "-V"], capture_output=True, text=True, check=False)
        told = done.stdout or done.stderr
    except OSError as exc:
        told = str(exc)
    if not told.startswith("Asterisk "):
        pytest.fail(
            f"No Asterisk answers to {' '.join(PROGRAM)} -V ({told.strip()}); ASTERISK names the "
            "program, and ASTERISK_ROOT the root directory in which it is installed.",
            pytrace=False,
        )
