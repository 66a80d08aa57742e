"""Real shops that stop telling: their webhooks come back by themselves, and no sale is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stockpush.engine import watchdog
from stockpush.settings import Settings
from stockpush.sim.candle_shop import SHOPIFY, WOO, WOO_SECRET
from stockpush.sim.shops.base import WebhookOut
from tests.whole.harness import Floor, free_port


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every moment instead of every ten minutes."""
    for name in ("LOOK_S", "HOOKS_EVERY_S", "HOOKS_SOONEST_S"):
        monkeypatch.setattr(watchdog, name, 0.05)


async def test_webhooks_are_made_lost_and_made_again(tmp_path: Path) -> None:
    """Nobody subscribes by hand; Shopify deletes, WooCommerce switches off; sales still arrive."""
    floor = Floor(tmp_path, webhooks=False, listen_port=free_port())
    floor.item("candle", 20)
    variant = floor.on_shopify("candle", 20)
    product = floor.on_woo("candle", 20)
    async with floor.open():
        floor.has_public_url()
        async with floor.running():
            await floor.until(lambda: len(floor.shopify.outbox.subscriptions) == 7, "hooks")
            await floor.until(lambda: len(_active(floor)) == 5, "hooks")
            await floor.quiet()
            floor.shopify.checkout([(variant, 2)])
            await floor.until_shows(18, 18)
            floor.shopify.lose_webhooks()
            floor.woo.lose_webhooks()
            floor.woo.checkout([(product, 3)])  # nobody tells; the poll of the gap finds it
            await floor.until(lambda: len(floor.shopify.outbox.subscriptions) == 7, "again")
            await floor.until(lambda: len(_active(floor)) == 5, "again")
            await floor.until_shows(15, 15)
            floor.woo.checkout([(product, 1)])
            floor.shopify.checkout([(variant, 1)])
            await floor.until_shows(13, 13)
            # Nobody asks for it: each channel's watchdog records by itself what it has measured.
            await floor.until_told(lambda: _recorded(floor))


async def test_a_secret_that_was_changed_reaches_the_webhooks(tmp_path: Path) -> None:
    """The owner changes one line and starts the daemon again: sales are told of as before."""
    floor = Floor(tmp_path, webhooks=False, listen_port=free_port())
    told: list[int | None] = []
    answered = floor.woo.webhook_answered

    def noted(out: WebhookOut, status: int | None) -> None:
        told.append(status)
        answered(out, status)

    floor.woo.webhook_answered = noted
    floor.item("candle", 20)
    floor.on_shopify("candle", 20)
    product = floor.on_woo("candle", 20)
    async with floor.open():
        floor.has_public_url()
        path = tmp_path / "stockpush.toml"
        for secret, left in ((WOO_SECRET, 19), ("one that is new", 18)):
            path.write_text(path.read_text().replace(WOO_SECRET, secret))
            floor.settings = Settings.load(path, {})
            async with floor.running():
                await floor.until(lambda secret=secret: _secrets(floor) == {secret}, "the secret")
                floor.woo.checkout([(product, 1)])
                await floor.until_shows(left, left)
    assert told
    assert 401 not in told


def _secrets(floor: Floor) -> set[str]:
    return {each.secret for each in floor.woo._outbox.webhooks.values()}


async def _recorded(floor: Floor) -> bool:
    """Answer whether the database knows how fast webhooks told of each channel's orders."""
    rows = await floor.parts.channel_rows()
    heard = {row.state.name: {each.way for each in row.state.heard} for row in rows}
    return heard[SHOPIFY] == {"webhook"} and "webhook" in heard[WOO]


def _active(floor: Floor) -> list[str]:
    hooks = floor.woo._outbox.webhooks.values()
    return [each.topic for each in hooks if each.status == "active"]
