"""What the auditor makes of requests and deliveries: each platform's words, from outside."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from stockpush.sim.accounts import (
    ETSY,
    ETSY_KEYSTRING,
    ETSY_REFRESH_TOKEN,
    ETSY_SHARED_SECRET,
    ETSY_SHOP,
    FAIRE,
    SITE,
    SITE_KEY,
    SITE_TOKEN,
)
from stockpush.sim.auditor.languages import Asked, Number
from stockpush.sim.auditor.languages.etsy import Etsy
from stockpush.sim.auditor.languages.faire import Faire
from stockpush.sim.auditor.languages.site import Site
from stockpush.sim.loop import EPOCH
from stockpush.sim.network import Change, Exchange
from stockpush.sim.shops.base import ShopRequest, WebhookOut
from stockpush.sim.shops.etsy import EtsyShop, Variation
from stockpush.sim.shops.generic import GenericShop

DOCUMENT = "/v3/application/listings/1001/inventory"
STATE = f"/v3/application/shops/{ETSY_SHOP}/listings/1001"
INVENTORY = "/external-api/v2/product-inventory/by-product-variant-ids"


@dataclass
class Talk:
    """A hand-driven daemon that talks to an Etsy shop with one listing of two products."""

    shop: EtsyShop = field(init=False)
    language: Etsy = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        """Open the shop."""
        self.shop = EtsyShop(
            ETSY,
            clock=lambda: EPOCH + timedelta(seconds=self.at),
            dice=random.Random(1),
            shop_id=ETSY_SHOP,
            keystring=ETSY_KEYSTRING,
            shared_secret=ETSY_SHARED_SECRET,
            refresh_token=ETSY_REFRESH_TOKEN,
        )
        products = [
            ((Variation(200, "Kind", kind, number),), units, kind)
            for kind, number, units in (("plain", 1, 3), ("rose", 2, 1))
        ]
        self.shop.add_variations(1001, products, varies_by=(200,))
        self.language = Etsy(self.shop)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        sent_at: float | None = None,
        takes_s: float = 0.1,
    ) -> Asked | None:
        """Have one request handled; return what the auditor makes of it."""
        kind = "application/json" if method == "PUT" else "application/x-www-form-urlencoded"
        headers = {
            "x-api-key": f"{ETSY_KEYSTRING}:{ETSY_SHARED_SECRET}",
            "authorization": f"Bearer {self.shop.access.issue()}",
            "content-type": kind,
        }
        request = ShopRequest(method, path, (), headers, body)
        exchange = Exchange(1, ETSY, request, self.at if sent_at is None else sent_at)
        before = self.shop.numbers()
        self.at += takes_s
        exchange.answer, exchange.handled_at = self.shop.handle(request), self.at
        exchange.changes = tuple(
            Change(name, before[name], number)
            for name, number in self.shop.numbers().items()
            if before[name] != number
        )
        return self.language.written(exchange)

    def document(self, *quantities: int, price: float = 24.5) -> bytes:
        """Return the body that sets these quantities."""
        products = [
            {
                "sku": kind,
                "property_values": [{"property_id": 200, "value_ids": [at], "values": [kind]}],
                "offerings": [
                    {
                        "price": price,
                        "quantity": units,
                        "is_enabled": True,
                        "readiness_state_id": 9,
                    }
                ],
            }
            for at, kind, units in zip((1, 2), ("plain", "rose"), quantities, strict=True)
        ]
        varies = {
            "price_on_property": [],
            "quantity_on_property": [200],
            "sku_on_property": [200],
            "readiness_state_on_property": [],
        }
        return json.dumps({"products": products, **varies}).encode()


def test_a_document_names_every_number_that_buyers_see() -> None:
    """Siblings are written, too, whether they change or not."""
    talk = Talk()
    assert talk.ask("GET", DOCUMENT) is None
    asked = talk.ask("PUT", DOCUMENT, talk.document(2, 1))
    numbers = (Number("1001:200=plain", 2), Number("1001:200=rose", 1, as_read=True))
    assert asked == Asked(numbers, whole=True)


@pytest.mark.parametrize(("takes_s", "late"), [(1.0, False), (60.0, True)])
def test_a_hidden_document_that_comes_late_is_nobodys_number(takes_s: float, late: bool) -> None:
    """What was sent while the listing was off sale meets it on sale: excused after its deadline."""
    talk = Talk()
    talk.ask("PATCH", STATE, b"state=inactive")
    talk.ask("GET", DOCUMENT)
    talk.ask("PATCH", STATE, b"state=active")
    asked = talk.ask("PUT", DOCUMENT, talk.document(1, 0), sent_at=0.2, takes_s=takes_s)
    assert asked is not None
    assert (asked.seen == "hidden_late", asked.numbers == ()) == (late, late)


@pytest.mark.parametrize(
    ("price", "edits", "waits_s", "sound"),
    [
        (24.5, False, 0, True),
        (25, False, 0, False),
        (24.5, True, 0, True),
        (24.5, False, 60, False),
    ],
)
def test_what_is_no_number_goes_back_as_it_was_read(
    price: float, edits: bool, waits_s: float, sound: bool
) -> None:
    """I11, F31: another price is found; one that was edited meanwhile nobody could know of."""
    talk = Talk()
    talk.ask("GET", DOCUMENT)
    if edits:
        talk.shop.sets_price_of(1001, 3000)
    talk.at += waits_s
    asked = talk.ask("PUT", DOCUMENT, talk.document(2, 1, price=price))
    assert asked is not None
    assert (not asked.odd) == sound


def test_taking_off_sale_and_putting_back_make_numbers_of_what_buyers_see() -> None:
    """The hidden document is nobody's number (F32)."""
    talk = Talk()
    asked = talk.ask("PATCH", STATE, b"state=inactive")
    assert asked is not None
    assert set(asked.numbers) == {Number("1001:200=plain", 0), Number("1001:200=rose", 0)}
    assert asked.seen == "took_off_sale"
    talk.ask("GET", DOCUMENT)
    assert talk.ask("PUT", DOCUMENT, talk.document(0, 2)) == Asked()
    asked = talk.ask("PATCH", STATE, b"state=active")
    assert asked == Asked((Number("1001:200=rose", 2),), seen="put_on_sale", whole=True)


def test_a_renewal_is_the_platforms_own_doing() -> None:
    """It puts one unit on sale that no push asked for."""
    talk = Talk()
    talk.shop.checkout([("1001:200=plain", 3), ("1001:200=rose", 1)])
    asked = talk.ask("PATCH", STATE, b"state=active")
    assert asked == Asked(by_platform=("1001:200=plain",), seen="renewed")


def test_faire_takes_what_is_on_hand_and_nothing_else() -> None:
    """Another field beside it is found (I11)."""
    entry = {"product_variant_id": "po_1", "on_hand_quantity": 4}
    for extra, sound in (({}, True), ({"sku": "x"}, False)):
        body = json.dumps({"inventories": [entry | extra]}).encode()
        exchange = Exchange(1, FAIRE, ShopRequest("PATCH", INVENTORY, (), {}, body), 0.0)
        asked = Faire().written(exchange)
        assert asked is not None
        assert asked.numbers == (Number("po_1", 4),)
        assert (not asked.odd) == sound


def test_a_shop_of_ones_own_tells_orders_whole_and_may_compare() -> None:
    """A delivery with an order names its lines, one with a number is an echo."""
    shop = GenericShop(
        SITE,
        clock=lambda: EPOCH,
        dice=random.Random(1),
        access_token=SITE_TOKEN,
        webhook_key=SITE_KEY,
        compares=False,
    )
    language = Site(shop)
    assert not language.compares
    shop.add_product("soap", 3)
    shop.subscribe("https://stock.example.com/webhooks/site")
    order = shop.checkout([("soap", 1)])
    (out,) = shop.webhooks_due()
    told = language.told(out)
    assert (told.order, len(told.lines), told.echo) == (order, 1, False)
    body = b'{"type":"quantity.changed","product":"soap","quantity":2}'
    assert language.told(WebhookOut(1, "", {}, body)).echo
    write = ShopRequest("PUT", "/quantities/soap", (), {}, b'{"expected":2,"quantity":5}')
    assert language.written(Exchange(1, SITE, write, 0.0)) == Asked((Number("soap", 5, 2),))
