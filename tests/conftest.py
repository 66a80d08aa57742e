"""What every test shares: repeatable Hypothesis runs, and the contracts that lie outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stockpush import logs
from tests.postgres import (
    migrated_postgres_url,
    postgres_server,
    postgres_template,
    postgres_url,
)

__all__ = ["migrated_postgres_url", "postgres_server", "postgres_template", "postgres_url"]

# Each of the many processes that tests start would compile the program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SHARED = Path(__file__).parents[1].parent / "shared"
"""Where the channels' machine-readable contracts and vectors are, if they are here at all."""

settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of contracts and vectors, or skip the test where it is absent.

    `.ci/run` fails when a test was skipped for this reason although the folder is there.
    """
    if not SHARED.is_dir():
        pytest.skip("needs ../shared")
    return SHARED


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """Set the log up as an import does: a test may have left its own level."""
    logs.configure(json=False, level="warning")
