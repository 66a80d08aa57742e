"""Which location is ours, and what is not stocked there: chosen and agreed to by a person."""

from __future__ import annotations

import json

import pytest

from stockpush.connectors.base import Checkup, Choosing, Stocking
from stockpush.connectors.shopify import levels, stocking
from stockpush.connectors.shopify.connector import ShopifyConnector
from stockpush.errors import ConfigInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey, Listing, ListingKey
from tests.connectors.shopify_world import (
    LOCATION,
    World,
    connector,
    needs_schema,
    settings,
    world,
)

CHECKED = [False, pytest.param(True, marks=needs_schema)]
SECOND = 77


def unlocated() -> ShopifyConnector:
    """A connector whose location nobody has chosen yet."""
    made = connector()
    given = {key: value for key, value in settings().items() if key != "location"}
    from stockpush.connectors.shopify.settings import read_settings

    return ShopifyConnector("s", made.manifest, read_settings(given))


def listing(w: World, variant: str) -> Listing:
    """Make a mapped listing."""
    ref = {"variant_id": variant}
    return Listing(ListingKey("s", w.connector.ref(ref)), "SKU", ref=ref)


async def resolved(w: World, *variants: str) -> tuple[ListingResolved, ...]:
    """Ask how listings stand, and have them stocked if that may be."""
    told = await w.connector.resolve(w.api, [listing(w, each) for each in variants])
    assert isinstance(w.connector, Stocking)
    return await w.connector.put_on_stock(w.api, told, call_id="c")


def agreeing(*, checked: bool = False) -> World:
    """A shop whose owner lets items be stocked from here."""
    w = world(checked=checked)
    w.connector = connector(activate="true")
    w.api.connector = w.connector
    return w


# -- the location --------------------------------------------------------------------------------


def test_a_channel_without_a_location_is_not_worked_and_says_what_to_type() -> None:
    """The command that lists the shop's locations is named; with one chosen nothing is open."""
    assert isinstance(connector(), Choosing)
    assert connector().undecided() is None
    missing = unlocated().undecided()
    assert isinstance(missing, ConfigInvalid)
    assert missing.field == "channels.s.location"
    assert missing.next.startswith("stockpush connect s ")


@pytest.mark.parametrize("checked", CHECKED)
async def test_the_locations_to_choose_from_are_listed(checked: bool) -> None:
    """Every location with its name, as the line to set; none of them is taken by itself."""
    w = world(checked=checked, other_locations=(SECOND,))
    made = unlocated()
    assert isinstance(made, Checkup)
    found = {each.what: each for each in await made.check(w.api)}
    assert [each.what for each in found.values() if not each.ok] == ["location"]
    assert found["location"].told == "none is chosen; the shop has 2"
    for number in (LOCATION, SECOND):
        line = f'location = "gid://shopify/Location/{number}" (Shelf {number})'
        assert line in found["location"].mend


async def test_the_only_location_is_named_and_still_a_persons_to_set() -> None:
    """One location is no choice, but deliveries are counted for it without asking the shop."""
    w = world()
    found = {each.what: each for each in await unlocated().check(w.api)}
    assert found["location"].told == "none is chosen; the shop has one"
    assert found["location"].mend.startswith('set location = "gid://shopify/Location/')


@pytest.mark.parametrize("checked", CHECKED)
async def test_what_else_shopify_sells_from_is_told(checked: bool) -> None:
    """Shopify sells the sum over its locations: the others that sell online are named."""
    w = world(checked=checked, other_locations=(SECOND,))
    found = {each.what: each for each in await w.connector.check(w.api)}
    assert found["location"].ok
    assert found["location"].told.startswith(f"Shelf {LOCATION}; what is stocked at Shelf {SECOND}")
    w.shop.inventory.offline = frozenset({SECOND})
    found = {each.what: each for each in await w.connector.check(w.api)}
    assert found["location"].told == f"Shelf {LOCATION}"


async def test_a_location_that_sells_nothing_online_is_no_location_of_ours() -> None:
    """What we write there would be shown to nobody."""
    w = world()
    w.shop.inventory.offline = frozenset({LOCATION})
    found = {each.what: each for each in await w.connector.check(w.api)}
    assert (found["location"].ok, found["location"].told) == (
        False,
        f"nothing is sold online from Shelf {LOCATION}",
    )


# -- stocking an item there ----------------------------------------------------------------------


@pytest.mark.parametrize("value", ["yes", "True", "1", ""])
def test_agreement_is_a_plain_word(value: str) -> None:
    """Anything but true and false is an error: nobody agrees by a slip."""
    with pytest.raises(ConfigInvalid) as caught:
        connector(activate=value)
    assert caught.value.field == "activate"


@pytest.mark.parametrize("checked", CHECKED)
async def test_what_is_not_stocked_is_stocked_once_its_owner_agreed(checked: bool) -> None:
    """It then has a number, zero, and no problem any more; what is stocked is not touched."""
    w = agreeing(checked=checked)
    a, b = w.sell("A", 0, stocked=False), w.sell("B", 4)
    assert [each.problem for each in await resolved(w, a, b)] == [None, None]
    assert w.shop.faults.writes_seen == [f"Activate {key}" for key in w.shop.inventory.keys]
    assert len(w.shop.faults.writes_seen) == 1
    reading = await w.connector.observe(w.api, [w.field(a), w.field(b)])
    assert [each.quantity for each in reading.readings] == [0, 4]


async def test_without_agreement_it_is_told_and_not_done() -> None:
    """The reason names both ways out: in Shopify, or by the setting."""
    w = world()
    a = w.sell("A", 0, stocked=False)
    (told,) = await resolved(w, a)
    assert told.problem == levels.NOT_STOCKED
    assert "activate = true" in told.problem
    assert w.shop.faults.writes_seen == []


@pytest.mark.parametrize("how", [{"tracked": False}, {"policy": "CONTINUE"}, {"bundle": True}, {}])
async def test_agreement_is_to_stocking_and_to_nothing_else(how) -> None:
    """Whatever else keeps a listing from being written stays a person's to mend."""
    w = agreeing()
    a = w.sell("A", 0, stocked=not how, **how)
    await resolved(w, a)
    assert w.shop.faults.writes_seen == []


async def test_an_earlier_number_is_kept_and_compared_like_any_other() -> None:
    """An item that had been taken off the location brings back what it had there."""
    w = agreeing()
    a = w.sell("A", 3)
    w.shop.variants[int(a)].levels[LOCATION].active = False
    assert [each.problem for each in await resolved(w, a)] == [None]
    outcomes = await w.connector.push(w.api, [w.line(a, expected=0, target=9)], call_id="p")
    assert [each.actual for each in outcomes] == [3]


async def test_a_number_alone_stocks_nothing() -> None:
    """Since 2026-10 a level that is not active takes a number all the same: it is still told."""
    w = world()
    a = w.sell("A", 0, stocked=False)
    await w.connector.push(w.api, [w.line(a, expected=0, target=4)], call_id="c")
    (told,) = await resolved(w, a)
    assert told.problem == levels.NOT_STOCKED


async def test_a_refusal_is_told_in_shopifys_words() -> None:
    """A fulfilment service's location wants a SKU: no more attempts are made until it is mended."""
    w = agreeing()
    w.shop.inventory.needs_sku = frozenset({LOCATION})
    a = w.sell("", 0, stocked=False)
    (told,) = await resolved(w, a)
    assert told.problem == stocking.REFUSED.format(reason="The variant is missing a SKU.")


async def test_shopifys_words_are_kept_as_they_may_be_shown() -> None:
    """A reason stands in the database and on a terminal: no zero bytes, no escapes, no novel."""
    w = agreeing()
    a = w.sell("A", 0, stocked=False)
    told = "No\x00 way\x1b[31m " + "x" * 999
    answer = {"inventoryLevel": None, "userErrors": [{"field": None, "message": told}]}
    refusing = {"Activate": lambda _: {"inventoryActivate": answer}}
    w.shop.door.handlers = {**w.shop.door.handlers, **refusing}
    (found,) = await resolved(w, a)
    assert found.problem.isprintable()
    assert "No way[31m xxx" in found.problem
    assert len(found.problem) < 300


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
async def test_an_attempt_without_an_answer_is_asked_after_and_made_anew(fault: str) -> None:
    """Nobody knows whether it was done; how it stands tells, and a new attempt has its own key."""
    w = agreeing()
    a = w.sell("A", 0, stocked=False)
    told = await w.connector.resolve(w.api, [listing(w, a)])
    setattr(w.shop.faults, fault, 1.0)
    assert await w.connector.put_on_stock(w.api, told, call_id="first") == ()
    setattr(w.shop.faults, fault, 0.0)
    told = await w.connector.resolve(w.api, [listing(w, a)])
    (told,) = await w.connector.put_on_stock(w.api, told, call_id="second")
    assert told.problem is None
    assert len(set(w.shop.faults.writes_seen)) == (2 if fault == "drop_before" else 1)


async def test_an_item_without_an_answer_holds_up_no_other() -> None:
    """It alone is left out; what stands before it and behind it is told as it is."""
    w = agreeing()
    a, b, c, d = (w.sell(sku, 3, stocked=sku == "A") for sku in "ABCD")
    told = await w.connector.resolve(w.api, [listing(w, each) for each in (a, b, c, d)])
    w.shop.faults.drop_after_next = 1
    found = await w.connector.put_on_stock(w.api, told, call_id="c")
    (missing,) = set(told) - {next(t for t in told if t.listing == f.listing) for f in found}
    assert missing.field_key in {w.field(each).key for each in (b, c, d)}
    assert [each.listing for each in found] == [
        each.listing for each in told if each is not missing
    ]
    assert [each.problem for each in found] == [None, None, None]


async def test_a_shop_that_answers_none_is_not_asked_for_every_item() -> None:
    """Each may take a whole deadline; who has not had a turn has one in another attempt."""
    w = agreeing()
    rows = [listing(w, w.sell(f"S{each}", 0, stocked=False)) for each in range(12)]
    told = await w.connector.resolve(w.api, rows)
    w.shop.faults.drop_before = 1.0
    asked = set()
    for attempt in range(9):
        w.api.sent.clear()
        assert await w.connector.put_on_stock(w.api, told, call_id=f"c{attempt}") == ()
        assert len(w.api.sent) == stocking.UNKNOWN_MAX
        asked |= {json.loads(each.body)["variables"]["item"] for each in w.api.sent}
    assert len(asked) > stocking.UNKNOWN_MAX * 2


async def test_an_answer_that_was_remembered_is_not_believed() -> None:
    """A key of a day ago is answered from now: not stocked is not stocked, whatever it once did."""
    w = agreeing()
    a = w.sell("A", 0, stocked=False)
    await resolved(w, a)
    w.shop.variants[int(a)].levels[LOCATION].active = False
    (told,) = await resolved(w, a)
    assert told.problem == levels.NOT_STOCKED
    assert told.field_key == FieldKey("s", str(w.shop.variants[int(a)].item_id)).key
