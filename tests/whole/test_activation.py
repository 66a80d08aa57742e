"""An item that Shopify does not stock at our location, through a whole daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stockpush.sim.candle_shop import SHOPIFY
from stockpush.sim.shops.base import ConnectionDropped
from tests.whole.harness import Floor


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """One candle on WooCommerce, and on Shopify where it is stocked nowhere yet."""
    floor = Floor(tmp_path)
    floor.item("candle", 10)
    floor.on_woo("candle", 10)
    variant = floor.shopify.add_variant("candle", 0, stocked=False).variant_id
    floor._list(SHOPIFY, "candle", f"{{ variant_id = {variant} }}", 1)
    return floor


def agreed(floor: Floor) -> None:
    """The owner writes it into the configuration."""
    path = floor.folder / "stockpush.toml"
    head = f"[channels.{SHOPIFY}]\n"
    text = path.read_text()
    assert head in text
    path.write_text(text.replace(head, f"{head}activate = true\n", 1))
    floor.settings = type(floor.settings).load(path, {})


async def problems(floor: Floor) -> list[str]:
    """Why listings of Shopify are parked."""
    rows = (await floor.parts.store.catalogue()).listings
    return [row.parked_reason for row in rows if row.key.channel == SHOPIFY and row.parked_reason]


def shown(floor: Floor) -> int | None:
    """What Shopify sells of it, None where it is not stocked."""
    (variant,) = floor.shopify.variants.values()
    level = variant.levels.get(floor.shopify.location)
    return None if level is None or not level.active else level.available


async def test_agreed_and_live_it_is_stocked_and_shows_the_count(floor: Floor) -> None:
    """Nobody does anything in Shopify: ten are for sale there."""
    async with floor.open():
        agreed(floor)
        async with floor.running():
            await floor.until(lambda: shown(floor) == 10, "stocked and pushed")
            assert await problems(floor) == []


async def test_in_shadow_nothing_is_stocked_whatever_was_agreed(floor: Floor) -> None:
    """Shadow writes nothing; the listing waits, and says why."""
    async with floor.open(mode="shadow"):
        agreed(floor)
        async with floor.running():
            await floor.quiet()
            assert floor.writes() == 0
            (problem,) = await problems(floor)
            assert "not stocked at the configured location" in problem


async def test_without_agreement_it_is_parked(floor: Floor) -> None:
    """The other channel goes on; the reason names the setting."""
    async with floor.open(), floor.running():
        await floor.quiet()
        assert shown(floor) is None
        (problem,) = await problems(floor)
        assert "activate = true" in problem


async def test_an_item_whose_stocking_nobody_answers_holds_up_no_other(floor: Floor) -> None:
    """The other one is for sale meanwhile; the first one is tried again without anybody's doing."""
    floor.item("soap", 4)
    soap = floor.shopify.add_variant("soap", 0, stocked=False)
    floor._list(SHOPIFY, "soap", f"{{ variant_id = {soap.variant_id} }}", 1)
    activate = floor.shopify.door.handlers["Activate"]
    silent = True

    def answered(variables: Any) -> Any:
        if silent and str(soap.item_id) in variables["item"]:
            raise ConnectionDropped(applied=False)
        return activate(variables)

    floor.shopify.door.handlers = {**floor.shopify.door.handlers, "Activate": answered}
    location = floor.shopify.location
    async with floor.open():
        agreed(floor)
        async with floor.running():
            await floor.until(
                lambda: [each.levels[location].available for each in candles(floor)] == [10],
                "the candle is stocked and pushed",
            )
            assert location not in soap.levels
            silent = False
            await floor.until(
                lambda: location in soap.levels and soap.levels[location].available == 4,
                "the soap as well",
            )
            assert await problems(floor) == []


def candles(floor: Floor) -> list[Any]:
    """The variants of the candle that are stocked at our location."""
    return [
        each
        for each in floor.shopify.variants.values()
        if each.sku == "candle" and floor.shopify.location in each.levels
    ]
