"""A browser for the journeys, and the admin that it visits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from tests.factories import PASSWORD

LogIn = Callable[..., Page]

MISSING = "The browser journeys need Chromium; on Debian: apt-get install chromium"


@pytest.fixture(scope="session", autouse=True)
def _orm_beside_the_browsers_loop() -> Iterator[None]:
    """Let tests use the ORM: the browser's driver keeps an event loop in their thread.

    Django refuses that, for fear of a loop that serves others; this one serves nobody else.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


def find_chromium() -> str:
    """Give the path of Debian's browser; where CI lacks it, that is a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None and os.environ.get("CI"):
        pytest.fail(MISSING)
    if path is None:
        pytest.skip(MISSING)
    return path


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the system's browser, which asks nothing of the network by itself."""
    quiet = ("background-networking", "component-update", "sync", "quic", "gpu")
    # Root, as whom containers run, has no sandbox.
    args = ["--no-sandbox", "--no-first-run", *(f"--disable-{each}" for each in quiet)]
    return browser_type_launch_args | {"executable_path": find_chromium(), "args": args}


@pytest.fixture(scope="session")
def base_url(django_db_setup: None, live_server: LiveServer) -> str:
    """Let addresses begin with the path; the server needs the tests' database beforehand."""
    return str(live_server.url)


@pytest.fixture
def log_in(page: Page) -> LogIn:
    """Give a way to log in to the admin as somebody of the cast."""

    def visit(name: str, *, password: str = PASSWORD, at: Page = page) -> Page:
        at.goto("/admin/")
        at.get_by_label("Username").fill(name)
        at.get_by_label("Password").fill(password)
        at.get_by_role("button", name="Log in").click()
        return at

    return visit


@pytest.fixture
def other_page(new_context: Callable[[], BrowserContext]) -> Page:
    """Give a page in a second browser, where somebody else sits."""
    return new_context().new_page()
