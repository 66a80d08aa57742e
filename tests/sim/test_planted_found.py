"""The simulator finds each planted bug within a few seeds of its focus (`tests/sim/hunt.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future

import pytest

from tests.sim.hunt import FOCUS, Hunt, hunting, table
from tests.sim.planted import BUGS

pytestmark = pytest.mark.hunt


@pytest.fixture(scope="module")
def hunts(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Hunt]]]:
    """Every bug that a test of this run asks for, hunted on every core; at the end, the table."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_the_bug_is_found
    ]
    with hunting(names) as running:
        yield running
        print(f"\n{table([each.result() for each in running.values()])}")  # noqa: T201  # seen with -s


@pytest.mark.parametrize("name", FOCUS)
def test_the_bug_is_found(name: str, hunts: Mapping[str, Future[Hunt]]) -> None:
    """A seed turns red by what the auditor found, and is green without the bug."""
    found = hunts[name].result()
    assert found.seed is not None, f"no seed shows it; red without it, too: {found.red}"


def test_no_bug_is_left_out() -> None:
    """Every planted bug has a focus."""
    assert FOCUS.keys() == BUGS.keys()
