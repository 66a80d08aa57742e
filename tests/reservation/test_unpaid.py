"""What has been ordered and not been taken off the channel's number yet: does it stand there?"""

from __future__ import annotations

import pytest

from tests.reservation.world import World, line


@pytest.mark.parametrize(("channel", "shown"), [("woo", 10), ("etsy", 8)])
def test_an_unpaid_order_stands_only_where_the_checkout_keeps_it(channel: str, shown: int) -> None:
    """Where others may buy what somebody has ordered and not paid, it is not shown to them.

    Shown beside the offer, it was sold twice on Etsy.
    """
    made = World().stock(candle=10).list(channel, "1", "candle", shows=10)
    made.hears(made.order(channel, "7", line("1", 2, deducted=0)))
    made.syncs()
    assert made.atp("candle") == 8
    assert made.expected()[f"{channel}/1"] == shown
