"""Every request that a connector can send is of the platform's machine-readable contract."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import SHARED
from tests.contract.kit import NAMES, kit
from tests.contract.stage import life
from tests.hostile.judging import run


@pytest.mark.parametrize("name", NAMES)
def test_every_request_is_sent_and_is_of_the_contract(name: str, request: Any) -> None:
    """A whole life of a channel sends each kind there is, and no other; the door, or the emulated
    shop, holds each against the contract.
    """
    found = kit(name)
    if found.contract is not None:
        request.getfixturevalue("shared")
        assert (SHARED / found.contract).is_file()
    stage = found.open()
    run(life(found, stage))
    assert {found.kind_of(each) for each in stage.api.sent} == found.requests
