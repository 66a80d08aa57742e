"""The private listener of a whole daemon: its numbers follow a sale."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stockpush import compose
from stockpush.errors import ConfigInvalid
from stockpush.sim.candle_shop import SHOPIFY, WOO
from tests.whole.harness import Floor


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    """Ten candles, listed on both channels."""
    floor = Floor(tmp_path)
    floor.item("candle", 10)
    floor.on_shopify("candle", 10)
    floor.on_woo("candle", 10)
    return floor


async def test_a_sale_shows_in_the_answers_and_the_metrics(floor: Floor) -> None:
    """Three sold on Shopify: seven everywhere, one delivery and one push counted."""
    async with floor.open(), floor.running(), aiohttp.ClientSession() as http:
        await floor.quiet()
        floor.shopify.checkout([(floor.watched[0][1], 3)])
        await floor.until_shows(7, 7)
        await floor.quiet()
        admin = floor.daemon.admin
        assert admin.port not in {0, floor.daemon.public.port}
        root = f"http://{admin}"
        async with http.get(f"{root}/api/v1/items") as answer:
            assert answer.status == 401
        token = floor.settings.daemon.resolved_admin_token()
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{root}/api/v1/items", headers=headers) as answer:
            assert answer.status == 200
            (candle,) = (await answer.json())["data"]
        assert (candle["on_hand"], candle["reserved"], candle["atp"]) == ("10", "3", "7")
        assert [each["state"] for each in candle["listings"]] == ["in_sync", "in_sync"]
        async with http.get(f"{root}/api/v1/channels", headers=headers) as answer:
            channels = (await answer.json())["data"]
        assert [(each["name"], each["state"]) for each in channels] == [
            (SHOPIFY, "ok"),
            (WOO, "ok"),
        ]
        assert channels[0]["webhook_path"] == floor.parts.webhook_path(SHOPIFY)
        async with http.get(f"{root}/api/v1/deliveries", headers=headers) as answer:
            deliveries = (await answer.json())["data"]
        assert deliveries
        async with http.get(f"{root}/metrics", headers=headers) as answer:
            text = await answer.text()
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["stockpush_pushes_total", WOO, "applied"] == 1
        assert samples["stockpush_deliveries_total", SHOPIFY, "accepted"] >= 1
        assert samples["stockpush_outbox_dirty", WOO] == 0
        assert samples["stockpush_channel_up", SHOPIFY] == 1


async def test_the_public_listener_has_none_of_it(floor: Floor) -> None:
    """What a tunnel exposes knows no path of the private listener, token or not."""
    async with floor.open(), floor.running(), aiohttp.ClientSession() as http:
        token = floor.settings.daemon.resolved_admin_token()
        for path in ("/metrics", "/api/v1/items", "/api/v1/openapi.json"):
            url = f"http://{floor.daemon.public}{path}"
            async with http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 404


async def test_without_an_admin_token_the_daemon_does_not_start(floor: Floor) -> None:
    """A listener that lets everybody in is not an option; the error says what to type."""
    async with floor.open(), floor.unstarted() as parts:
        (floor.folder / "admin.token").write_text("")
        with pytest.raises(ConfigInvalid) as caught:
            async with compose.daemon(parts, stop=asyncio.Event()):
                pass
        assert caught.value.field == "daemon.admin_token"


async def test_an_admin_address_in_use_is_named(floor: Floor) -> None:
    """The error names the setting of the listener that cannot be had."""
    async with floor.open(), floor.running(), floor.unstarted() as parts:
        taken = floor.daemon.admin
        settings = parts.settings.model_copy(
            update={
                "daemon": parts.settings.daemon.model_copy(
                    update={"admin": taken, "database": f"sqlite:///{floor.folder}/other.db"}
                )
            }
        )
        async with compose.parts(settings) as others:
            with pytest.raises(ConfigInvalid) as caught:
                async with compose.daemon(others, stop=asyncio.Event()):
                    pass
        assert (caught.value.field, caught.value.found) == ("daemon.admin", str(taken))
