"""Health: the process lives, and the service can serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from voicemail_site import health


def test_the_process_answers_without_the_database(client: Client) -> None:
    response = client.get("/healthz")

    assert (response.status_code, response.content) == (200, b"ok\n")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client: Client) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"ready": True, "problems": []}
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_a_missing_migration_is_told(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["problems"] == [
        "Migrations that are not applied: 1. Run manage.py migrate."
    ]


@pytest.mark.django_db
def test_a_missing_guard_is_told(client: Client) -> None:
    table = "" if connection.vendor == "sqlite" else " ON accounts_organization"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER organization_keeps_its_account{table}")

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["problems"] == [
        "Guards that the database lacks: 1. Run manage.py migrate."
    ]


@pytest.mark.django_db
def test_a_node_that_is_taken_out_of_service_is_not_ready(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "draining").touch()

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["problems"] == ["This node is being taken out of service."]
    assert client.get("/healthz").status_code == 200


def test_a_silent_database_is_told_without_its_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise DatabaseError("password authentication failed for user joe")

    monkeypatch.setattr(health, "MigrationExecutor", fail)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"ready": False, "problems": ["The database does not answer."]}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
