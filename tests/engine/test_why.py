"""Why a number is what it is: what is derived now, and what was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.engine import report
from stockpush.engine.why import ListingWhy, Why, why_now, why_then
from stockpush.engine.wording import OUTCOMES, WORDINGS
from stockpush.messages import (
    BuildStock,
    ImportCatalogue,
    LotTerms,
    MoveStock,
    QuarantineLot,
    StockMove,
)
from stockpush.model import (
    ChannelPolicy,
    ChannelState,
    Exposure,
    FieldKey,
    Health,
    Kind,
    Location,
    LotKey,
    MovementKind,
    OrderSupply,
    Promise,
    Push,
    PushOutcomeKind,
    Reservation,
    StockMovement,
    StockPolicy,
)
from stockpush.ports import KEPT
from stockpush.reservation import pushes
from stockpush.reservation.atp import Times, asking
from stockpush.reservation.exposure import item_terms
from stockpush.reservation.view import View
from tests.reservation.test_pools import recipes, wicks
from tests.reservation.world import POLICIES, START, World, line


@dataclass(frozen=True)
class Open:
    """Open units of one channel."""

    channel: str
    orders: int
    units: int


@dataclass(frozen=True)
class Found:
    """What the store would find about one item in a world's rows."""

    last: StockMovement | None
    open: Sequence[Open]
    lines: Sequence[Reservation]

    @classmethod
    def of(cls, world: World, sku: str) -> Found:
        """Look it up."""
        moved = [row for row in world.rows.movements.values() if row.sku == sku]
        lines = [row for row in world.rows.reservations.values() if row.sku == sku and row.open]
        lines.sort(key=lambda row: (row.placed_at, row.key), reverse=True)
        return cls(
            moved[-1] if moved else None,
            [
                Open(
                    name,
                    len({row.key.order_id for row in lines if row.key.channel == name}),
                    sum(row.open * row.pack for row in lines if row.key.channel == name),
                )
                for name in sorted({row.key.channel for row in lines})
            ],
            lines,
        )


def why(world: World, sku: str, **settings: str) -> Why:
    """Ask a world why."""
    view = View(world.catalogue, world.rows)
    return why_now(view, Found.of(world, sku), sku, at=world.now, settings=settings, zone=UTC)


def notes(terms: Sequence[object]) -> dict[str, tuple[object, str]]:
    """Each term that is not nothing, with its note."""
    return {
        each.name: (each.quantity, each.note)  # type: ignore[attr-defined]
        for each in terms
        if each.quantity not in (0, "0")  # type: ignore[attr-defined]
    }


def shop() -> World:
    """Candles and a gift box of them, listed on four channels."""
    world = World().stock(candle=24, gift=1, wax=9000, box=4)
    world.bill("candle", 10, wax=1500).bill("gift", candle=2, box=1)
    world.list("shopify", "a", "candle", shows=84)
    world.list("woo", "b", "candle", shows=84)
    world.list("etsy", "e", "candle", pack=6, shows=14)
    world.list("shopify", "g", "gift", shows=5)
    return world


# -- now -------------------------------------------------------------------------------------


def test_an_item_s_terms_say_who_and_what() -> None:
    """Which orders reserve, which field is in suspense, whose builds take, what ends first."""
    world = shop()
    world.syncs()
    world.hears(world.order("shopify", "1001", line("a", 2)))
    world.hears(world.order("woo", "501", line("b", 3)))
    world.hears(world.order("shopify", "1002", line("a", 1)))
    world.hears(world.order("shopify", "1003", line("g", 3)))
    world.reads("woo", "b", world.field("woo", "b").expected - 1)
    found = why(world, "candle")
    assert notes(found.terms) == {
        "on_hand": ("24", ("what is there, ordered units included; last opening +24, "
                          "2026-11-22 10:00:00 UTC (mv-1)")),
        "reserved": ("-6", "shopify: order 1002 (1) and 1001 (2); woo: order 501 (3)"),
        "suspense": ("-1", ("woo shows 1 fewer than it should since 2026-11-22 10:00:00 UTC; "
                           "seemingly sold there: the order is looked for")),
        "used_in_builds": ("-4", "to make what is ordered: 4 for 2 gift"),
        "to_build": ("4", WORDINGS["to_build"].means),
        "buildable": ("56", "wax ends first: 9000 on hand, none of it claimed"),
    }  # fmt: skip
    assert found.atp == "73"
    sources = {term.name: term.source for term in found.terms}
    assert sources["reserved"] == "order shopify/1002/1, order shopify/1001/1, order woo/501/1"
    assert sources["suspense"] == "field woo/b"
    assert sources["used_in_builds"] == "bill gift"
    assert sources["on_hand"] == "mv-1"
    assert sources["buildable"] == "bill candle, item wax"


def test_what_is_held_says_by_which_holds_and_until_when() -> None:
    """The newest first, no more than a handful of them by name."""
    world = shop()
    for units in range(1, 8):
        world.holds(("candle", units), ("wax", 1))
    found = why(world, "candle")
    (held,) = [term for term in found.terms if term.name == "held"]
    assert held.quantity == "-28"
    assert held.note.startswith("hold-7 (7) until 2026-11-29 10:00:00 UTC, hold-6 (6) until ")
    assert held.note.endswith(" and 2 more (3)")
    assert held.source == "hold-7, hold-6, hold-5, hold-4, hold-3"
    (held,) = [term for term in why(world, "gift").terms if term.name == "held"]
    assert (held.quantity, held.note) == ("0", "nothing is set aside")


def test_what_ends_first_says_who_has_the_rest() -> None:
    """How much of it there is, which orders have some of it made up, and what is left."""
    world = shop()
    world.hears(world.order("shopify", "1", line("g", 14)))
    found = why(world, "gift")
    assert found.note == "9 short: more is ordered than can be made"
    box = {term.name: term.note for term in found.terms}
    assert box["buildable"] == "box has ended: 4 on hand, 13 for 13 gift, 9 short"
    wax = {term.name: term.note for term in why(world, "candle").terms}
    assert wax["buildable"].startswith("wax ends first: 9000 on hand, ")
    assert "(ordered as gift)" in wax["buildable"]


@pytest.mark.parametrize(
    ("sku", "rules", "note"),
    [
        ("candle", {"candle": 0}, "its promise rule: only what is finished is promised"),
        ("candle", {"candle": 40}, "its promise rule: at most 40 may wait to be built"),
        ("gift", {"candle": 0, "box": 9},
         "box ends first: 4 on hand, none of it claimed"),
        ("gift", {"gift": 3}, "its promise rule: at most 3 may wait to be built"),
        ("gift", {"candle": 0, "gift": 4},
         ("box ends first: 4 on hand, none of it claimed; "
          "its promise rule: at most 4 may wait to be built")),
        ("gift", {"candle": -17},
         "the promise rule of candle: only what is finished is promised"),
    ],
)  # fmt: skip
def test_a_promise_rule_that_ends_it_says_so(sku: str, rules: dict[str, int], note: str) -> None:
    """Its own or that of what it is made from, beside the material that ends with it if any."""
    world = shop()
    for ruled, most in rules.items():
        item = replace(world.catalogue.items[ruled], buildable_max=most)
        if most <= 0:
            item = replace(item, promise=Promise.FINISHED, buildable_max=None)
            world.moves(ruled, most, MovementKind.ADJUSTMENT)
        world.do(ImportCatalogue((item,), (), (), (), f"rule {ruled}", "test"))
    (buildable,) = [term for term in why(world, sku).terms if term.name == "buildable"]
    assert buildable.note == note


def test_what_comes_and_what_is_late_is_told_in_words() -> None:
    """The lots that are promised already, and what would take too long; the sum is the ATP."""
    world = World().stock(soap=4, oil=900, gift=0).bill("soap", oil=100).bill("gift", soap=2)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=42 * 86_400)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=3 * 86_400)
    for lot, days in (("A", 3), ("B", 2), ("C", 4)):
        terms = LotTerms(available_from=world.now + timedelta(days=days))
        world.do(BuildStock("soap", 2, f"build {lot}", "test", lot=lot, terms=terms))
    found = why(world, "soap")
    said = notes(found.terms)
    lots = "lot A (2) from 2026-11-25 10:00:00 UTC and lot B (2) from 2026-11-24 10:00:00 UTC"
    assert said["coming"] == (
        "4",
        f"{WORDINGS['coming'].means}: {lots}",
    )
    late = "not promised from oil: building takes 42 days, promised are 3 days"
    assert (found.atp, found.note) == ("8", late)
    assert sum(int(term.quantity) for term in found.terms) == 8
    assert notes(why(world, "gift").terms)["buildable"] == (
        "4",
        "not promised from soap made of oil: building takes 42 days, left for it are 3 days",
    )
    (row,) = report.stock(View(world.catalogue, world.rows), ["soap"])
    assert (row.coming, row.horizon, row.late) == ("4", "3 days", late)
    assert row.limited_by == ("horizon",)


def test_a_planned_push_says_what_is_not_promised_in_time() -> None:
    """The number is lower than the materials would let it be, so the plan says why."""
    world = World().stock(soap=4, oil=900).bill("soap", oil=100)
    world.list("shopify", "a", "soap", shows=13)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=7200)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=3600)
    (row,) = report.plan(View(world.catalogue, world.rows))
    assert (row.was, row.to) == (13, 4)
    assert row.because == (
        "4 piece to promise; not promised from oil: building takes 2 hours, promised are 1 hour"
    )


def test_a_listing_with_another_horizon_has_a_sum_of_its_own() -> None:
    """What comes by it and what is late for it; others that take of the oil are told of all the
    same, and what the item itself is told is by the item's.
    """
    world = World().stock(soap=4, oil=900, balm=0).bill("soap", oil=100).bill("balm", oil=50)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=10 * 86_400)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=3 * 86_400)
    for lot, days in (("A", 2), ("B", 9)):
        ready = LotTerms(available_from=world.now + timedelta(days=days))
        world.do(BuildStock("soap", 2, f"build {lot}", "test", lot=lot, terms=ready))
    world.list("woo", "x", "balm", shows=0).hears(world.order("woo", "1", line("x", 2)))
    world.list("shopify", "a", "soap", shows=4)
    world.list("etsy", "b", "soap", shows=4, horizon_s=86_400)
    world.list("faire", "c", "soap", shows=4, pack=2, horizon_s=14 * 86_400)
    found = why(world, "soap")
    etsy, faire, shop = found.listings
    assert (found.atp, shop.horizon, etsy.horizon, faire.horizon) == ("6", None, "1 day", "14 days")
    assert (shop.shown, etsy.shown, faire.shown) == (6, 4, 6)
    for listing in found.listings:
        assert sum(term.quantity for term in listing.terms) == listing.shown
    assert "coming" not in notes(etsy.terms)
    said = {term.name: term.note for term in etsy.terms}
    assert said["buildable"] == "not promised from oil: building takes 10 days, promised are 1 day"
    lots = "lot A (2) from 2026-11-24 10:00:00 UTC and lot B (2) from 2026-12-01 10:00:00 UTC"
    assert notes(faire.terms)["coming"] == (
        2,
        f"4 in packs of 2: {WORDINGS['coming'].means}: {lots}",
    )
    assert notes(faire.terms)["buildable"] == (
        2,
        "4 in packs of 2: oil ends first: 500 on hand, 100 for 2 balm, 400 left",
    )
    (row,) = report.stock(View(world.catalogue, world.rows), ["soap"])
    told = {each.channel: (each.horizon, each.offer) for each in row.listings}
    assert told == {"shopify": (None, 6), "etsy": ("1 day", 4), "faire": ("14 days", 6)}
    assert (row.coming, row.horizon) == ("2", "3 days")
    plan = {each.channel: each.because for each in report.plan(View(world.catalogue, world.rows))}
    assert plan["faire"] == "12 piece to promise, 2 to a pack"


def test_what_builds_take_is_told_less_what_roundings_have_left() -> None:
    """Five soaps took 417 of a thousand for twelve: seven more take 583, and not 584."""
    world = World().stock(soap=0, oil=2000).bill("soap", 12, oil=1000)
    world.do(BuildStock("soap", 5, "build", "test"))
    world.list("shopify", "a", "soap", shows=5)
    world.hears(world.order("shopify", "1", line("a", 12)))
    (used,) = [term for term in why(world, "oil").terms if term.name == "used_in_builds"]
    assert (used.quantity, used.note) == ("-583", "to make what is ordered: 583 for 7 soap")


def test_an_item_that_is_bought_says_so() -> None:
    """Without a bill of materials nothing is buildable, and nothing else is made up."""
    found = why(World().stock(box=4), "box")
    assert {term.name: term.note for term in found.terms}["buildable"] == (
        "it has no bill of materials: it is not made here"
    )
    assert (found.atp, found.listings) == ("4", ())


def test_many_orders_are_counted_not_listed() -> None:
    """Of a channel the newest five orders are named, and the rest with its units."""
    world = World().stock(soap=100).list("shopify", "a", "soap", shows=100)
    for number in range(8):
        world.hears(world.order("shopify", str(number), line("a", number + 1)))
    (reserved,) = [term for term in why(world, "soap").terms if term.name == "reserved"]
    assert reserved.note == ("shopify: order 7 (8), 6 (7), 5 (6), 4 (5), 3 (4) and 3 more (6)")
    assert reserved.source.count("order ") == 5


def test_whoever_takes_the_most_is_named_first() -> None:
    """Three of many, by how much they take, and how many more there are."""
    world = World().stock(wax=100, a=0, b=0, c=0, d=0, e=0)
    for sku, units in (("a", 1), ("b", 3), ("c", 2), ("d", 5), ("e", 4)):
        world.bill(sku, wax=1).list("shopify", sku, sku, shows=100)
        world.hears(world.order("shopify", sku, line(sku, units)))
    (used,) = [term for term in why(world, "wax").terms if term.name == "used_in_builds"]
    assert used.quantity == "-15"
    assert used.note == "to make what is ordered: 5 for 5 d, 4 for 4 e, 3 for 3 b and 2 more items"
    assert used.source == "bill d, bill e, bill b"


def test_a_listing_s_terms_say_which_setting_and_which_order() -> None:
    """The buffer's setting, the cap, the orders that the channel has not taken off yet."""
    world = World(
        catalogue=replace(
            World().catalogue,
            policies={
                **POLICIES,
                "woo": replace(POLICIES["woo"], buffer=Decimal(2), cap=20),
            },
        )
    )
    world.stock(soap=30).list("woo", "b", "soap", shows=20)
    world.hears(world.order("woo", "501", line("b", 3, deducted=1)))
    found = why(world, "soap", woo="channels.woo.buffer")
    (listing,) = found.listings
    said = {term.name: (term.quantity, term.note, term.source) for term in listing.terms}
    kept = "setting channels.woo.buffer"
    assert said["buffer"] == (-2, f"2 piece kept back: {kept}", kept)
    assert said["cap"] == (-7, "the channel can hold 20 at the most", "connector woocommerce cap")
    assert said["undeducted"] == (
        2, f"{WORDINGS['undeducted'].means}: order 501 (2)", "order woo/501/1",
    )  # fmt: skip
    assert listing.shown == 20


def test_a_listing_s_own_buffer_and_cap_are_named() -> None:
    """They count instead of the settings, and say which listing they are of."""
    world = World()
    buffered = replace(POLICIES["woo"], buffer=Decimal(2))
    world.catalogue = replace(world.catalogue, policies={**POLICIES, "woo": buffered})
    world.stock(soap=30).list("woo", "b", "soap", shows=5, cap=5, buffer=4)
    listing = why(world, "soap", woo="channels.woo.buffer").listings[0]
    said = {term.name: (term.quantity, term.note, term.source) for term in listing.terms}
    kept, capped = "4 piece kept back", "it shows 5 at the most"
    assert said["buffer"] == (-4, f"{kept}: listing woo/b", "listing woo/b")
    assert said["listing_cap"] == (-21, f"{capped}: listing woo/b", "listing woo/b")
    assert listing.shown == 5


def test_a_cap_of_all_listings_is_named_by_its_setting() -> None:
    """Where it bounds the number, and where it does not; `stock` says what holds."""
    world = World().stock(soap=30)
    world.catalogue = replace(world.catalogue, stock=StockPolicy(cap=20))
    world.list("woo", "b", "soap", shows=20, pack=2).list("shopify", "a", "soap", shows=20)
    found = why(world, "soap")
    said = [
        (term.quantity, term.note, term.source)
        for listing in found.listings
        for term in listing.terms
        if term.name == "listing_cap"
    ]
    source = "setting stock.cap"
    assert said == [
        (-10, f"it shows 20 at the most: {source}", source),
        (0, "no more than it may show", source),
    ]
    (row,) = report.stock(View(world.catalogue, world.rows))
    assert [(each.cap, each.buffer) for each in row.listings] == [(20, "0"), (20, "0")]


def test_packs_say_what_they_are_made_of() -> None:
    """An item's line is a count of packs, and its note says of what quantity."""
    (listing,) = [each for each in why(shop(), "candle").listings if each.channel == "etsy"]
    said = {term.name: term for term in listing.terms}
    assert said["on_hand"].quantity == 4
    assert said["on_hand"].note.startswith("24 in packs of 6: what is there")
    assert sum(term.quantity for term in listing.terms) == listing.shown == 14


def one(found: Why, channel: str) -> ListingWhy:
    """The listing on a channel."""
    (listing,) = [each for each in found.listings if each.channel == channel]
    return listing


@pytest.mark.parametrize(
    ("case", "state", "reason"),
    [
        ("synced", "in_sync", None),
        ("sold", "dirty", "next in line (fewer to promise): stockpush run"),
        ("flying", "pushing", "it is being written"),
        ("unknown", "unknown", "a write got no answer"),
        ("parked", "parked", "gone"),
        ("retried", "dirty", "tried 2 times in vain, again at 2026-11-22 10:00:20 UTC"),
        ("unreachable", "dirty", "the channel is unreachable: no route"),
        ("unqueued", "dirty", "the daemon looks at it when it starts: stockpush run"),
        ("unpolled", "dirty", "the channel's open orders have to be read first: stockpush run"),
        ("doubted", "dirty", "it is raised once its number has been read again: stockpush run"),
        ("quiet", "dirty", "it waits until 2026-11-22 10:01:00 UTC"),
    ],
)
def test_why_a_listing_does_not_show_what_it_should(
    case: str, state: str, reason: str | None
) -> None:
    """One table of everything that can stand between a number and its channel."""
    world = World().stock(soap=10).list("shopify", "a", "soap", shows=10)
    key = FieldKey("shopify", "a")
    world.now = START + timedelta(seconds=20)
    if case != "synced":
        world.moves("soap", -2, MovementKind.SCRAP)
    if case in {"flying", "unknown"}:
        (push,) = world.pushes("shopify")
        if case == "unknown":
            world.settles(push, PushOutcomeKind.UNKNOWN)
    rows = world.rows
    fields, dirty, channels = dict(rows.fields), dict(rows.dirty), dict(rows.channels)
    if case == "parked":
        listings = {
            each: replace(listing, parked_reason="gone")
            for each, listing in world.catalogue.listings.items()
        }
        world.catalogue = replace(world.catalogue, listings=listings)
    if case == "retried":
        dirty[key] = replace(dirty[key], attempts=2)
    if case == "unreachable":
        channels["shopify"] = replace(
            channels["shopify"], health=Health.UNREACHABLE, health_reason="no route"
        )
    if case == "unqueued":
        del dirty[key]
    if case == "unpolled":
        channels["shopify"] = ChannelState("shopify")
    if case == "doubted":
        fields[key] = replace(fields[key], expected=3, uneaten=1)
    if case == "quiet":
        dirty[key] = replace(dirty[key], due_at=START + timedelta(seconds=60))
    world.rows = replace(rows, fields=fields, dirty=dirty, channels=channels)
    listing = one(why(world, "soap"), "shopify")
    assert listing.state == state
    assert listing.reason == reason
    assert (listing.push is not None) == (case in {"flying", "unknown"})


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("shadow", "shadow mode: nothing is written"),
        ("shopify", "not adopted yet: stockpush adopt"),
    ],
)
def test_a_number_that_is_not_ours_says_so(channel: str, reason: str) -> None:
    """In shadow mode, and until it is adopted, a listing is derived and not written."""
    world = World().stock(soap=10).list(channel, "a", "soap", shows=3, adopt=False)
    listing = one(why(world, "soap"), channel)
    assert (listing.shown, listing.expected, listing.reason) == (10, 3, reason)


def test_what_was_recorded_in_shadow_is_told() -> None:
    """The last target that would have been written."""
    world = World().stock(soap=10).list("shadow", "a", "soap", shows=3)
    world.pushes("shadow")
    assert one(why(world, "soap"), "shadow").reason == (
        "shadow mode: nothing is written; 10 was recorded last"
    )


def test_a_channel_that_is_not_configured_has_no_number() -> None:
    """Nothing to sum up, and the reason why."""
    world = World().stock(soap=10).list("shopify", "a", "soap", shows=10)
    world.catalogue = replace(world.catalogue, policies={})
    listing = one(why(world, "soap"), "shopify")
    assert (listing.terms, listing.shown) == ((), None)
    assert listing.reason == "channel shopify is not in the configuration"


def test_each_pool_tells_of_its_own_substitutes() -> None:
    """Three candles that were sold at the market take the wicks that lie there, none at home."""
    world = wicks()
    world.hears(world.order("woo", "1", line("w1", 3)))
    for sku, taken in (("cotton", 1), ("hemp", 2)):
        [market] = why(world, sku).elsewhere
        assert (market.pool, market.atp) == ("market", "0")
        assert notes(market.terms)["substitutes"] == (
            str(-taken),
            "taken as wick: 3 for 3 candle, beyond what is left of "
            + ("hemp" if sku == "cotton" else "cotton"),
        )
    assert why(world, "cotton").atp == "4"
    [market] = why(world, "wick").elsewhere
    assert notes(market.terms)["substitutes"] == (
        "3",
        "what is left of its substitutes: 1 of cotton and 2 of hemp",
    )


def test_each_pool_tells_what_goes_by_an_older_bill() -> None:
    """Three of soy at home and two at the market, each from the soy that lies there."""
    world = recipes()
    for found, units in ((why(world, "candle"), 3), (why(world, "candle").elsewhere[0], 2)):
        said = notes(found.terms)
        assert said["to_build"] == (
            str(units),
            f"can be built, to make up for what is ordered and used above; {units} by its bill 1",
        )
        assert sum(Decimal(term.quantity) for term in found.terms) == Decimal(found.atp) == 10
    for found, units in ((why(world, "soy"), 3), (why(world, "soy").elsewhere[0], 2)):
        assert notes(found.terms)["used_in_builds"] == (
            str(-2 * units),
            f"to make what is ordered: {2 * units} for {units} candle (ordered by its bill 1)",
        )


# -- every world -----------------------------------------------------------------------------

CHANNELS = ("shopify", "woo", "faire", "etsy")
SKUS = ("candle", "gift", "wax", "box")
moves = st.tuples(
    st.sampled_from(("order", "read", "move", "sync", "ship", "bill", "comes")),
    st.sampled_from(CHANNELS),
    st.sampled_from(SKUS),
    st.integers(0, 9),
)


@dataclass
class Random:
    """A world in which anything happens; candles are made in time or not, and sent in parcels."""

    packs: Sequence[int]
    buffers: Sequence[int]
    cap: int
    batch: bool
    takes_s: int
    own: Sequence[tuple[int | None, int | None]]
    world: World = field(init=False)
    orders: int = 0

    def __post_init__(self) -> None:
        policies: dict[str, ChannelPolicy] = {
            name: replace(POLICIES[name], buffer=Decimal(buffer), cap=self.cap)
            for name, buffer in zip(CHANNELS, self.buffers, strict=True)
        }
        world = World()
        world.catalogue = replace(world.catalogue, policies=policies)
        world.stock(candle=3, gift=0, wax=40, box=3, tin=2).alike("case", "box", "tin")
        world.bill("candle", 4, batch=self.batch, wax=10).bill("gift", candle=1, case=1)
        world.stock(parcel=2).item("parcel", kind=Kind.SUPPLY, horizon_s=9)
        gate = (OrderSupply("parcel", 1, gate=True),)
        world.item("candle", horizon_s=5, per_order=gate).item("wax", horizon_s=3)
        slow = replace(world.catalogue.bills.by_item["candle"], build_time_s=self.takes_s)
        world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
        for name, pack, (own_cap, kept) in zip(CHANNELS, self.packs, self.own, strict=True):
            for sku in SKUS:
                world.list(name, sku, sku, pack=pack, shows=2, cap=own_cap, buffer=kept)
        self.world = world

    def does(self, what: str, channel: str, sku: str, units: int) -> None:
        """One thing happens."""
        world = self.world
        match what:
            case "order":
                self.orders += 1
                world.hears(
                    world.order(
                        channel,
                        str(self.orders),
                        line(sku, units, deducted=units // 2),
                        version=self.orders,
                    )
                )
            case "ship":
                world.hears(
                    world.order(
                        channel,
                        str(self.orders),
                        line(sku, units + 1, shipped=1),
                        version=self.orders + 100,
                    )
                )
            case "read":
                world.now += timedelta(seconds=3)
                world.reads(channel, sku, units)
            case "move":
                self.orders += 1
                world.moves(sku, units - 5, MovementKind.ADJUSTMENT, key=f"m{self.orders}")
            case "bill":
                world.bill("candle", 4, batch=self.batch, wax=units + 7)
            case "comes":
                self.orders += 1
                sku = "parcel" if sku in ("gift", "box") else sku
                terms = LotTerms(available_from=world.now + timedelta(seconds=units))
                lot, key = f"lot {self.orders}", f"c{self.orders}"
                if sku == "candle":
                    world.do(BuildStock(sku, units + 1, key, "test", lot=lot, terms=terms))
                else:
                    move = StockMove(sku, units + 1, MovementKind.RECEIPT, lot=lot, terms=terms)
                    world.do(MoveStock((move,), key, "test"))
            case _:
                for push in world.pushes(channel, call=f"call {self.orders} {world.now}"):
                    world.settles(push)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(moves, max_size=12),
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.integers(0, 12),
    st.booleans(),
    st.sampled_from((0, 3, 4, 9)),
    st.lists(
        st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(0, 3)),
        min_size=4,
        max_size=4,
    ),
)
def test_in_any_world_the_terms_sum_to_what_is_promised_and_shown(
    happens: list[tuple[str, str, str, int]],
    packs: list[int],
    buffers: list[int],
    cap: int,
    batch: bool,
    takes_s: int,
    own: list[tuple[int | None, int | None]],
) -> None:
    """Orders, readings, movements, shipments, other bills, what comes: `why`, `stock`, `plan` and
    the pushes agree, and no key of a shelf or bill is told to anybody.
    """
    made = Random(packs, buffers, cap, batch, takes_s, own)
    for each in happens:
        made.does(*each)
    world = made.world
    view = View(world.catalogue, world.rows)
    planned = {(row.channel, row.sku): row.to for row in report.plan(view)}
    net = view.net(SKUS)
    for row in report.stock(view):
        found = why(world, row.sku)
        assert sum(Decimal(term.quantity) for term in found.terms) == Decimal(row.atp)
        assert found.atp == row.atp
        assert found.on_hand == ("0" if row.substitutes else row.on_hand)
        said = {term.name: -int(term.quantity) for term in found.terms}
        assert (str(said["reserved"]), str(said["suspense"])) == (row.reserved, row.suspense)
        for listing, listed in zip(found.listings, row.listings, strict=True):
            key = FieldKey(listed.channel, row.sku)
            policy, kept = world.catalogue.policies[key.channel], world.rows.fields[key]
            wanted = pushes.target_of(view, kept, atp=int(row.atp), policy=policy)
            assert sum(term.quantity for term in listing.terms) == wanted
            assert listing.shown == listed.offer == wanted
            assert planned.get((key.channel, row.sku), listed.expected) == wanted
            sent = pushes.derivation(view, net, kept, policy)
            assert tuple((term.name, term.quantity) for term in listing.terms) == sent
            assert all(term.note for term in (*listing.terms, *found.terms))
            assert all(term.note.isprintable() for term in (*listing.terms, *found.terms))
            assert {term.name for term in listing.terms} <= WORDINGS.keys()


def test_every_term_that_a_push_can_have_has_a_wording() -> None:
    """A new term needs a row in the table, and no row is left over."""
    world = shop()
    view = View(world.catalogue, world.rows)
    net = view.net(["candle"])
    kept = world.field("shopify", "a")
    named = {name for name, _ in pushes._terms(view, net, kept, POLICIES["shopify"], -1)}
    comes = asking(net, Times({"candle": 9}, frozenset({"candle"}), {"candle": 1}))
    named |= {name for name, _ in item_terms(comes, "candle", held=0, suspense=0)}
    gated = World().stock(candle=9, box=2).item("box", kind=Kind.SUPPLY)
    gated.item("candle", per_order=(OrderSupply("box", 1, gate=True),))
    gated.list("shopify", "a", "candle", shows=9)
    other = View(gated.catalogue, gated.rows)
    bounded = pushes._terms(other, other.net(["candle"]), kept, POLICIES["shopify"], 0)
    named |= {name for name, _ in bounded}
    for shared in ({"guard_min": 99}, {"exposure_max": 0}, {"exposure": Exposure.SPLIT}):
        world = shop().item("candle", **shared)
        view = View(world.catalogue, world.rows)
        named |= {name for name, _ in pushes._terms(view, net, kept, POLICIES["shopify"], 0)}
    world = shop().stock(tin=2).alike("case", "box", "tin")
    world.list("shopify", "x", "box", shows=4, cap=1)
    view, box = View(world.catalogue, world.rows), world.field("shopify", "x")
    named |= {
        name for name, _ in pushes._terms(view, view.net(["box"]), box, POLICIES["shopify"], 0)
    }
    assert named == WORDINGS.keys()
    assert set(OUTCOMES) == set(PushOutcomeKind)


def test_a_gate_says_what_each_order_takes_and_what_is_left() -> None:
    """With a box left for the last pack nothing is held back, with one too few it is; the box says
    whose orders take it.
    """
    world = World().stock(candle=9, box=4)
    world.item("box", kind=Kind.SUPPLY)
    world.item("candle", per_order=(OrderSupply("box", 1, gate=True),))
    world.list("shopify", "a", "candle", pack=3, shows=3)
    for number in range(2):
        world.hears(world.order("shopify", str(number), line("a", 1)))
    world.moves("box", -1, MovementKind.SCRAP)
    (found, box) = (why(world, sku) for sku in ("candle", "box"))
    assert (found.atp, box.atp) == ("3", "1")
    assert sum(int(term.quantity) for term in found.terms) == 3
    assert (found.terms[-1].name, found.terms[-1].note) == ("per_order", WORDINGS["per_order"].none)
    assert found.listings[0].shown == sum(term.quantity for term in found.listings[0].terms) == 1
    assert notes(box.terms)["reserved"] == ("-2", "to go once with each open order of candle")
    world.moves("box", -2, MovementKind.SCRAP, "k2")
    found = why(world, "candle")
    assert notes(found.terms)["per_order"] == (
        "-6",
        "each order takes 1 box, of which there is 1 short",
    )
    world.item("box", horizon_s=86_400)
    terms = LotTerms(available_from=world.now + timedelta(days=1))
    comes = StockMove("box", 5, MovementKind.RECEIPT, lot="L1", terms=terms)
    world.do(MoveStock((comes,), "k3", "test"))
    found = why(world, "candle")
    assert notes(found.terms)["per_order"] == (
        "-3",
        "each order takes 1 box, of which there is 0 left (5 still to come and not counted)",
    )


def test_what_is_late_and_what_lacks_boxes_are_both_told() -> None:
    """What cannot be made in time is a reason of the soaps, and the boxes one of their orders."""
    world = World().stock(soap=4, oil=900, box=2).bill("soap", oil=100)
    world.item("box", kind=Kind.SUPPLY)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=2 * 86_400)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    world.item("soap", horizon_s=86_400, per_order=(OrderSupply("box", 1, gate=True),))
    found, late = why(world, "soap"), "building takes 2 days, promised are 1 day"
    assert (found.atp, found.note) == ("2", f"not promised from oil: {late}")
    assert notes(found.terms)["per_order"] == (
        "-2",
        "each order takes 1 box, of which there is 2 left",
    )
    assert sum(int(term.quantity) for term in found.terms) == 2
    (row,) = report.stock(View(world.catalogue, world.rows), ["soap"])
    assert (row.limited_by, row.late) == (("box",), found.note)
    assert (row.horizon, [each.sku for each in row.per_order]) == ("1 day", ["box"])


def test_a_share_says_how_much_of_what_is_left_it_is() -> None:
    """Of five candles the level shares, each listing's line has its part, and the sum holds."""
    world = World().stock(candle=5).item("candle", guard_min=5, home_channel="woo")
    world.list("shopify", "a", "candle", shows=0).list("woo", "b", "candle", shows=0)
    world.list("etsy", "e", "candle", pack=2, shows=0)
    found = why(world, "candle")
    shared = {
        each.channel: notes(each.terms)["guard"]
        for each in found.listings
        if each.shown is not None
    }
    assert shared == {
        "etsy": (
            -1,
            "2 of 5 for this listing: the guard level is 5 (yours), and the last one is at woo",
        ),
        "shopify": (
            -4,
            "1 of 5 for this listing: the guard level is 5 (yours), and the last one is at woo",
        ),
        "woo": (
            -3,
            "2 of 5 for this listing: the guard level is 5 (yours), and the last one is at woo",
        ),
    }
    for each in found.listings:
        assert sum(term.quantity for term in each.terms) == each.shown


def test_a_limit_says_what_it_is_for() -> None:
    """Five candles on two channels, of which two may be sold too much."""
    world = World().stock(candle=5).item("candle", exposure_max=2)
    world.list("shopify", "a", "candle", shows=0).list("woo", "b", "candle", shows=0)
    said = {notes(each.terms)["exposure_max"] for each in why(world, "candle").listings}
    told = "no more than 2 may be sold that are not there, if all its listings sold out at once"
    assert said == {(-1, told), (-2, told)}


def test_exposure_is_what_would_be_sold_too_much() -> None:
    """What channels show, in units of the item, less what there is; what is sold does not count."""
    world = World().stock(candle=5)
    world.list("shopify", "a", "candle", shows=0).list("woo", "b", "candle", shows=0)
    world.list("etsy", "e", "candle", pack=2, shows=0)

    def exposure() -> str:
        (row,) = report.stock(View(world.catalogue, world.rows), ["candle"])
        assert why(world, "candle").exposure == row.exposure
        return row.exposure

    assert exposure() == "0"
    (push,) = world.pushes("woo", call="under way")
    assert exposure() == "0"  # 5 on one channel, and 5 there are
    world.syncs()
    assert world.expected() == {"etsy/e": 2, "shopify/a": 5, "woo/b": 0}
    assert exposure() == "9"  # 4, 5, and 5 on their way
    world.settles(push)
    world.hears(world.order("shopify", "1", line("a", 2, deducted=0)))
    world.item("candle", exposure_max=1)
    world.syncs()
    assert world.expected()["shopify/a"] >= 2  # those two still stand on it
    assert exposure() == "1"


def test_the_stock_table_tells_how_an_item_is_shared() -> None:
    """Policy, level, whether it holds, home and limit of the item; weight and share by listing."""
    world = World().stock(candle=3, soap=9).item("candle", guard_min=3, home_channel="woo")
    world.item("soap", exposure=Exposure.MIRROR, exposure_max=20)
    world.list("shopify", "a", "candle", shows=0, weight=2).list("woo", "b", "candle", shows=0)
    world.list("woo", "s", "soap", shows=0)
    candle, soap = report.stock(View(world.catalogue, world.rows))
    told = (candle.policy, candle.guard_level, candle.guarded, candle.home_channel)
    assert told == ("guard", "3", True, "woo")
    assert [(each.weight, each.share) for each in candle.listings] == [(2, 2), (1, 1)]
    assert (soap.policy, soap.guard_level, soap.guarded) == ("mirror", "0", False)
    assert (soap.exposure_max, soap.listings[0].share) == ("20", None)


# -- then ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Then:
    """What the store would find about a past instant."""

    push: Push | None = None
    oldest_at: object = None
    since: None = None
    on_hand: int = 7
    lots: Mapping[LotKey, int] = field(default_factory=dict)
    last: None = None

    @property
    def fields(self) -> dict[FieldKey, Then]:
        """One field."""
        return {FieldKey("shopify", "a"): self}


def then(world: World, kept: Then, **ago: float) -> Why:
    """Ask a world why it was."""
    view = View(world.catalogue, world.rows)
    return why_then(
        view,
        kept,  # type: ignore[arg-type]  # what is asked of it
        "soap",
        at=world.now - timedelta(**ago),
        asked_at=world.now,
        zone=UTC,
    )


def test_the_past_is_read_not_derived() -> None:
    """The stored terms, whatever they are called and whatever is so now; of the item the ledger."""
    world = World().stock(soap=10).list("shopify", "a", "soap", shows=10)
    sent = Push(
        "c", 0, FieldKey("shopify", "a"), 9, 3, 1, START, (("on_hand", 5), ("moonlight", -2)),
        settled_at=START, outcome=PushOutcomeKind.APPLIED, id=41,
    )  # fmt: skip
    found = then(world, Then(sent), hours=1)
    assert (found.past, found.terms, found.atp, found.on_hand) == (True, (), None, "7")
    listing = one(found, "shopify")
    assert listing.shown == 3
    assert [(term.name, term.quantity, term.source) for term in listing.terms] == [
        ("on_hand", 5, "push 41"),
        ("moonlight", -2, "push 41"),
    ]
    assert listing.reason is None
    assert listing.push is not None
    assert (listing.push.was, listing.push.told) == (9, "the channel took it")
    lost = replace(sent, outcome=PushOutcomeKind.CONFLICT)
    assert one(then(world, Then(lost), hours=1), "shopify").reason == (
        "not written: the channel held another number than expected"
    )


@pytest.mark.parametrize(
    ("terms", "location", "quarantined", "ago_h", "sold"),
    [
        (LotTerms(), None, False, 1, "9"),
        (LotTerms(expires_at=START - timedelta(hours=2)), None, False, 1, "5"),
        (LotTerms(expires_at=START - timedelta(hours=2)), None, False, 3, "9"),
        (LotTerms(available_from=START - timedelta(hours=2)), None, False, 1, "9"),
        (LotTerms(available_from=START - timedelta(hours=2)), None, False, 3, "5"),
        (LotTerms(), "fair", False, 1, "9"),
        (LotTerms(), "store", False, 1, "5"),
        (LotTerms(), None, True, 1, "5"),
    ],
)
def test_what_was_not_sold_then_is_told_beside_what_was(
    terms: LotTerms, location: str | None, quarantined: bool, ago_h: int, sold: str
) -> None:
    """By the days of its lot; by its quarantine and its place as they are now."""
    world = World(now=START - timedelta(days=1)).stock(soap=5)
    places = (Location("fair"), Location("store", sellable=False))
    world.do(ImportCatalogue((), (), (), (), "places", "test", locations=places))
    lot = StockMove("soap", 4, MovementKind.RECEIPT, location=location, lot="A", terms=terms)
    world.do(MoveStock((lot,), "lot", "test"))
    world.do(QuarantineLot("soap", "A", quarantined, "test"))
    world.now = START
    kept = Then(on_hand=9, lots={LotKey("soap", location or "main", "A"): 4})
    found = then(world, kept, hours=ago_h)
    assert found.on_hand == sold
    assert (found.note == "it had never moved by then") == (sold == "9")
    assert ("besides, and not sold then: 4" in str(found.note)) == (sold == "5")


@pytest.mark.parametrize(
    ("kept", "days", "reason"),
    [
        (Then(), 1, ("nothing was sent from 2026-08-24 10:00:00 UTC until then; older pushes are "
                    "not kept; nothing has been written since it was mapped")),
        (Then(oldest_at=START), 1, ("nothing was sent from 2026-08-24 10:00:00 UTC until then; "
                                   "older pushes are not kept; the oldest one is of 2026-11-22 "
                                   "10:00:00 UTC")),
        (Then(oldest_at=START), 91, ("not known any more: pushes are kept for 90 days; the oldest "
                                    "one is of 2026-11-22 10:00:00 UTC")),
    ],
)  # fmt: skip
def test_what_is_not_kept_is_not_made_up(kept: Then, days: int, reason: str) -> None:
    """Pushes are kept for 90 days: before, nothing is known, and within them nothing was sent."""
    assert timedelta(days=90) == KEPT
    world = World().stock(soap=10).list("shopify", "a", "soap", shows=10)
    world.now = START
    listing = one(then(world, kept, days=days), "shopify")
    assert (listing.terms, listing.shown, listing.push) == ((), None, None)
    assert listing.reason == reason


def test_what_could_be_sold_twice_of_a_split_item_is_told_where_nothing_compares() -> None:
    """WooCommerce takes any number: who buys in the moment of a write is overwritten, at most all
    that it shows. Shopify compares, and of an item that is not split it is another question.
    """
    world = World().stock(candle=6)
    world.list("shopify", "a", "candle", shows=3).list("woo", "w", "candle", shows=3)
    assert [each.bound for each in why(world, "candle").listings] == [None, None]
    world.item("candle", exposure=Exposure.SPLIT)
    assert {each.channel: each.bound for each in why(world, "candle").listings} == {
        "shopify": 0,
        "woo": 3,
    }
    (row,) = report.stock(View(world.catalogue, world.rows))
    assert [each.bound for each in row.listings] == [0, 3]
