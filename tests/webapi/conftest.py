"""What the tests of the protocol run in, beside what every test does."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from voicemail_site.requests import Request


@pytest.fixture(scope="session", autouse=True)
def _requests_of_the_service() -> Iterator[None]:
    """Let the test client make the requests that the web server's entry makes."""
    with patch("django.test.client.WSGIRequest", Request):
        yield
