"""The example files of docs/operations.md, read by the programs that they are for."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.journeys.service import ROOT, Place, free_port, serving, wait_until

pytestmark = pytest.mark.journey

FILES = ROOT / "docs" / "operations"
CERTIFICATES = "/etc/ssl/voicemail"
PRODUCTION = {
    "ALLOWED_HOSTS": "voicemail.example.com,127.0.0.1",
    "PUBLIC_URL": "https://voicemail.example.com",
    "SECRET_KEY": "kX9wq-Zr3T_vB7mLpD2sYhJ6uGfN8cQeA1oKi4Wx5RtE0zVbMnS",
    "TRUSTED_PROXIES": "127.0.0.1",
}

# Debian keeps servers where a user's own path does not lead.
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name, path=PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"Not installed: {', '.join(missing)}.")


def ended(*command: object) -> tuple[int, str]:
    run = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env={"PATH": PATH}
    )
    return run.returncode, run.stdout + run.stderr


@needs("systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    units = [*FILES.glob("*.service"), *FILES.glob("*.timer")]
    for unit in units:
        # Neither the code nor the user is on this machine.
        text = unit.read_text().replace("/opt/voicemail/.venv/bin/", "/usr/bin/env ")
        (tmp_path / unit.name).write_text(text)
    drop_in = tmp_path / "voicemail.service.d"
    drop_in.mkdir()
    shutil.copy(FILES / "several-nodes.conf", drop_in)

    code, told = ended("systemd-analyze", "verify", *(tmp_path / unit.name for unit in units))

    assert (code, told) == (0, "")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Give a directory with a certificate that nobody trusts."""
    key, chain = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    subject = ("-subj", "/CN=voicemail", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    new_key = ("-newkey", "rsa:2048", "-nodes", "-keyout", key)
    code, told = ended("openssl", "req", "-x509", *new_key, "-out", chain, *subject)
    assert code == 0, told
    (tmp_path / "combined.pem").write_bytes(chain.read_bytes() + key.read_bytes())
    return tmp_path


@needs("haproxy", "openssl")
def test_haproxy_understands_its_file(certificates: Path) -> None:
    file = certificates / "haproxy.cfg"
    text = (FILES / "haproxy.cfg").read_text()
    file.write_text(text.replace(CERTIFICATES, str(certificates)))

    code, told = ended("haproxy", "-c", "-f", file)

    assert code == 0, told
    assert "[WARNING]" not in told


@needs("nginx", "openssl")
def test_nginx_passes_requests_on_and_logs_no_query(place: Place, certificates: Path) -> None:
    secret = "Password=a-password-in-a-query"
    with (
        serving(place, **PRODUCTION) as service,
        nginx(certificates, service.port) as port,
    ):
        answered = ask(port, certificates, f"/webapi?Action=NoOp&{secret}")
        link = ask(port, certificates, "/password/MQ/a-password-link/")
        hidden = ask(port, certificates, "/metrics")
        service.stop()
        failed = ask(port, certificates, f"/webapi?Action=NoOp&{secret}")

    logs = "".join(path.read_text() for path in certificates.glob("*.log"))
    assert [answered[0], link[0], hidden[0], failed[0]] == [200, 200, 404, 502]
    assert "a-password" not in logs + service.written()
    assert '"GET /password/*** HTTP/1.1" 200' in logs
    assert answered[1] in logs
    assert answered[1] in service.written()


@contextmanager
def nginx(directory: Path, service_port: int) -> Iterator[int]:
    """Run nginx before a service, and give the port of its TLS."""
    plain, tls = free_port(), free_port()
    text = (FILES / "nginx.conf").read_text()
    for old, new in {
        CERTIFICATES: str(directory),
        "/var/log/nginx": str(directory),
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2;",
        "127.0.0.1:8000": f"127.0.0.1:{service_port}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {directory / name};\n" for name in places)
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {directory / 'pid'};\nevents {{}}\nhttp {{\n{temporary}{text}}}\n"
    )
    command = ["nginx", "-p", directory, "-e", directory / "start.log", "-c", file]
    with subprocess.Popen(list(map(str, command)), env={"PATH": PATH}) as process:
        try:
            wait_until(lambda: is_open(tls))
            yield tls
        finally:
            process.terminate()


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def ask(port: int, certificates: Path, path: str) -> tuple[int, str]:
    """Ask over TLS, and give the status and the number of the request."""
    context = ssl.create_default_context(cafile=certificates / "fullchain.pem")
    with closing(HTTPSConnection("127.0.0.1", port, context=context, timeout=60)) as connection:
        connection.request("GET", path, headers={"Host": "voicemail.example.com"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("X-Request-ID", "")
