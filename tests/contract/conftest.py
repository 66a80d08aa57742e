"""What holds for the whole suite: a connector without a kit passes nothing."""

from __future__ import annotations

import pytest

from tests.contract.kit import kit


@pytest.fixture(autouse=True)
def told_of(request: pytest.FixtureRequest) -> None:
    """Fail every test of a connector of which the suite has not been told."""
    call = getattr(request.node, "callspec", None)
    if call is not None and "name" in call.params:
        kit(call.params["name"])
