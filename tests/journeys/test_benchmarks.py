"""The benchmark of the Web API works; what it measures is judged elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.operations import OPERATIONS, ORDERS
from tests.journeys.service import IS_POSTGRESQL, ROOT, fresh_environment

pytestmark = pytest.mark.journey


@pytest.mark.skipif(not IS_POSTGRESQL, reason="The benchmark makes its databases on PostgreSQL.")
def test_a_short_run_of_the_benchmark_answers_every_operation() -> None:
    environment = fresh_environment(TEST_DATABASE_URL=os.environ["DATABASE_URL"])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.webapi", "--short"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = {line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines()}
    assert {operation.name for operation in (*OPERATIONS, *ORDERS)} <= told
