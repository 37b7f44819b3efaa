"""One service for the journeys, with the demonstration's data, and logins to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.service import Place, Service, fresh_database, serving


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a database with the demonstration, and collected static files."""
    directory = tmp_path_factory.mktemp("place")
    with fresh_database(directory) as database:
        place = Place(directory, database)
        place.manage("migrate", "--verbosity", "0")
        place.manage("collectstatic", "--no-input", "--verbosity", "0")
        place.manage("demo")
        yield place


@pytest.fixture(scope="session")
def service(place: Place) -> Iterator[Service]:
    """Give the service as it runs by default."""
    with serving(place) as running:
        yield running


@pytest.fixture(scope="session")
def alice(place: Place) -> Any:
    """Give what the demonstration wrote down of alice; her organizations belong to it."""
    return next(user for user in place.facts["users"] if user["username"] == "alice")


@pytest.fixture
def session_id(service: Service, alice: Any) -> str:
    """Give the SessionId of a fresh session of alice."""
    return service.log_in(alice)
