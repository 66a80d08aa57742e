"""Lots: which goes first, what leaves by the clock, and that every balance stays the ledger's."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.messages import (
    Accepted,
    ApplyOrders,
    BuildStock,
    CountStock,
    Decision,
    ImportCatalogue,
    LotTerms,
    MoveStock,
    OpenPushes,
    QuarantineLot,
    Refused,
    Replayed,
    Rows,
    SellHold,
    StockMove,
    TransferStock,
    TurnLots,
    UndoMovement,
)
from stockpush.model import (
    MAIN,
    QUANTITY_MAX,
    BillLine,
    BillOfMaterials,
    FieldKey,
    Location,
    Lot,
    LotKey,
    LotRule,
    MovementKind,
    Promise,
)
from stockpush.reservation import catalogue, ledger, lots
from stockpush.reservation.catalogue import LARGE_MIN
from stockpush.reservation.decide import needs, widen
from stockpush.reservation.ledger import Books
from stockpush.reservation.lots import LotState, pick, state, turned
from tests.reservation import oracle
from tests.reservation.oracle import worlds
from tests.reservation.world import START, World, line

DAY = timedelta(days=1)
IN_10_DAYS = START + 10 * DAY
IN_20_DAYS = START + 20 * DAY


def lot(name: str, on_hand: int, *, at: str = MAIN, since: int = 0, **more: object) -> Lot:
    """A lot of soap that came `since` days after the start."""
    made = Lot(LotKey("soap", at, name), START + since * DAY, on_hand)
    return turned(replace(made, **more), START, place_sells=True)


# -- what goes first -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "unlotted", "asked", "taken"),
    [
        pytest.param([], 9, 4, "none 4", id="an item without lots"),
        pytest.param([], 3, 4, "none 4", id="more than there is goes below zero"),
        pytest.param(
            [lot("new", 5, since=2), lot("old", 5, since=1)], 9, 7, "old 5, new 2", id="FIFO"
        ),
        pytest.param(
            [lot("old", 5), lot("due", 5, since=3, expires_at=IN_10_DAYS)],
            0,
            7,
            "due 5, old 2",
            id="FEFO before FIFO",
        ),
        pytest.param(
            [lot("later", 5, expires_at=IN_20_DAYS), lot("sooner", 5, expires_at=IN_10_DAYS)],
            0,
            3,
            "sooner 3",
            id="the sooner of two",
        ),
        pytest.param(
            [lot("off", 5, expires_at=START), lot("ok", 2)], 0, 4, "ok 2, none 2", id="expired"
        ),
        pytest.param(
            [lot("held", 5, quarantined=True), lot("ok", 2)], 0, 2, "ok 2", id="quarantined"
        ),
        pytest.param(
            [lot("curing", 5, available_from=IN_10_DAYS)], 1, 2, "none 2", id="not available yet"
        ),
        pytest.param([lot("owed", -3), lot("ok", 2)], 0, 4, "ok 2, none 2", id="an overdrawn lot"),
        pytest.param([lot("ok", 2)], 3, 4, "ok 2, none 2", id="the rest of no lot"),
        pytest.param(
            [lot("a", 2, at="fair"), lot("a", 2)], 0, 3, "a 2, a@fair 1", id="MAIN before others"
        ),
        pytest.param(
            [lot("", 4, at="fair"), lot("a", 1)],
            2,
            9,
            "a 1, none 4, none@fair 4",
            id="no lot: MAIN, then others, then below zero at MAIN",
        ),
    ],
)
def test_what_goes_first(rows: list[Lot], unlotted: int, asked: int, taken: str) -> None:
    """What expires first, then what came first; nothing that is not sold; the rest of no lot."""
    picks = pick(rows, asked, at=START, unlotted=unlotted)
    said = ", ".join(
        f"{each.lot or 'none'}{'' if each.location == MAIN else '@' + each.location} "
        f"{each.quantity}"
        for each in picks
    )
    assert said == taken


def some_lots() -> st.SearchStrategy[list[Lot]]:
    """Lots of soap at two locations, each place once."""
    instants = st.none() | st.integers(-3, 3).map(lambda days: START + days * DAY)
    one = st.builds(
        lambda key, since, on_hand, expires, available, quarantined: turned(
            Lot(
                LotKey("soap", *key), START + since * DAY, on_hand, expires, available, quarantined
            ),
            START,
            place_sells=key[0] != "cellar",
        ),
        st.sampled_from(
            [(place, name) for place in (MAIN, "fair", "cellar") for name in "abc"]
            + [("fair", ""), ("cellar", "")]
        ),
        st.integers(-3, 3),
        st.integers(-5, 20),
        instants,
        instants,
        st.booleans(),
    )
    return st.lists(one, max_size=8, unique_by=lambda row: row.key)


@given(some_lots(), st.integers(1, 60), st.integers(-10, 30))
def test_picks_are_whole_in_order_and_never_of_what_is_not_sold(
    rows: list[Lot], asked: int, unlotted: int
) -> None:
    """They sum to what was asked for; no lot gives more than it holds, none that is not sold gives
    anything, and a lot gives something only when all that go before it are empty.
    """
    picks = pick(rows, asked, at=START, unlotted=unlotted)
    by_key = {row.key: row for row in rows}
    assert sum(each.quantity for each in picks) == asked
    assert all(each.quantity > 0 for each in picks)
    assert len({(each.location, each.lot) for each in picks}) == len(picks)
    taken = {LotKey("soap", each.location, each.lot or ""): each.quantity for each in picks}
    rest = taken.pop(LotKey("soap", MAIN, ""), 0)
    for key, units in taken.items():
        row = by_key[key]
        assert units <= row.on_hand
        assert state(row, START, place_sells=key.location != "cellar") is LotState.SELLABLE
    sold = [row for row in rows if row.counts and row.on_hand > 0]
    never = datetime.max.replace(tzinfo=START.tzinfo)
    named = sorted(
        (row for row in sold if row.key.lot), key=lambda row: (row.expires_at or never, row.since)
    )
    for first, later in itertools.pairwise(named):
        if taken.get(later.key, 0) and (first.expires_at or never, first.since) < (
            later.expires_at or never,
            later.since,
        ):
            assert taken.get(first.key, 0) == first.on_hand
    if rest > max(0, unlotted):
        assert all(taken.get(row.key, 0) == row.on_hand for row in sold)


@given(some_lots(), st.integers(-4, 4))
def test_a_lot_counts_until_the_instant_that_it_names(rows: list[Lot], days: int) -> None:
    """Between now and `turns_at` nothing changes by the clock alone; at it something does."""
    later = START + days * DAY
    for row in rows:
        sells = row.key.location != "cellar"
        if row.turns_at is None:
            assert turned(row, START + 100 * DAY, place_sells=sells).counts == row.counts
            continue
        assert row.turns_at > START
        if START <= later < row.turns_at:
            assert turned(row, later, place_sells=sells) == row
        assert turned(row, row.turns_at, place_sells=sells).counts != row.counts


# -- in the ledger ---------------------------------------------------------------------------


def workshop() -> World:
    """Four soaps of no lot, and oil for them."""
    world = World().stock(soap=4, oil=1000)
    world.do(
        ImportCatalogue(
            (),
            (),
            (),
            (),
            "places",
            "test",
            locations=(Location("fair"), Location("cellar", sellable=False)),
        )
    )
    return world.bill("soap", 1, oil=10)


def receive(
    world: World, sku: str, quantity: int, name: str, *, at: str | None = None, **terms: datetime
) -> Decision:
    """Receive into a lot."""
    move = StockMove(
        sku,
        quantity,
        MovementKind.RECEIPT,
        location=at,
        lot=name,
        terms=LotTerms(**terms),
    )
    return world.do(MoveStock((move,), f"receive {len(world.log)}", "test"))


def takes(world: World, sku: str, quantity: int, **place: str) -> Decision:
    """Scrap some."""
    move = StockMove(sku, -quantity, MovementKind.SCRAP, **place)
    return world.do(MoveStock((move,), f"take {len(world.log)}", "test"))


def balances(world: World, sku: str = "soap") -> dict[str, int]:
    """What is sold of an item, and what lies in each lot."""
    found = {"sold": world.rows.shelves[sku].on_hand}
    for key, row in sorted(world.rows.lots.items()):
        if key.sku == sku:
            where = "" if key.location == MAIN else f"@{key.location}"
            found[(key.lot or "none") + where] = row.on_hand
    return found


def sound(world: World) -> None:
    """Every invariant of the ledger holds."""
    rows = world.rows
    books = Books(
        tuple(rows.movements.values()),
        tuple(rows.shelves.values()),
        tuple(rows.reservations.values()),
        tuple(rows.commands.values()),
        tuple(rows.holds.values()),
        tuple(rows.lots.values()),
        per_order=world.catalogue.per_order,
        listed_horizons=world.catalogue.listed_horizons,
    )
    assert ledger.check(books) == []


def refusal(decision: Decision) -> str:
    """Why a command was refused."""
    assert isinstance(decision.outcome, Refused), decision.outcome
    return decision.outcome.refusal


def test_an_item_has_lots_from_the_first_one_on() -> None:
    """Until then nothing asks for any; the catalogue's own row says so."""
    world = workshop()
    assert world.catalogue.lotted == frozenset()
    receive(world, "soap", 5, "A")
    assert world.catalogue.items["soap"].lots is LotRule.SOME
    assert balances(world) == {"sold": 9, "A": 5}
    sound(world)


def test_only_what_moves_an_item_with_lots_asks_for_them() -> None:
    """A sale of any other item, and a push of this one, have no further question."""
    world = workshop().list("shopify", "a", "soap", shows=4).list("woo", "b", "oil", shows=1000)
    receive(world, "soap", 5, "A")
    sale_of_oil = ApplyOrders("woo", (world.order("woo", "1", line("b", 1)),))
    sale_of_soap = ApplyOrders("shopify", (world.order("shopify", "1", line("a", 1)),))
    push = OpenPushes("shopify", (FieldKey("shopify", "a"),), "call")
    asked = {
        name: widen(needs(command, world.catalogue), Rows(), world.catalogue).lots
        for name, command in (("oil", sale_of_oil), ("soap", sale_of_soap), ("push", push))
    }
    assert asked == {"oil": frozenset(), "soap": frozenset({"soap"}), "push": frozenset()}


def test_sales_builds_and_scrap_go_out_where_lots_say() -> None:
    """One movement for each lot, FEFO; the rest from no lot, and undo puts each back."""
    world = workshop().list("shopify", "a", "soap", shows=4)
    receive(world, "soap", 5, "old")
    receive(world, "soap", 3, "due", expires_at=IN_10_DAYS)
    world.hears(world.order("shopify", "1", line("a", 4, shipped=4)))
    assert balances(world) == {"sold": 8, "due": 0, "old": 4}
    takes(world, "soap", 6)
    assert balances(world) == {"sold": 2, "due": 0, "old": 0}
    last = max(world.rows.movements)
    assert [
        (world.rows.movements[i].lot, world.rows.movements[i].quantity) for i in (last - 1, last)
    ] == [
        ("old", -4),
        (None, -2),
    ]
    world.do(UndoMovement(last, "u", "test"))
    assert balances(world) == {"sold": 8, "due": 0, "old": 4}
    receive(world, "oil", 100, "barrel")
    world.do(BuildStock("soap", 20, "b", "test"))
    assert balances(world, "oil") == {"sold": 900, "barrel": 0}
    sound(world)


def test_a_return_that_nobody_says_the_lot_of_belongs_to_none() -> None:
    """The buyer sent it back; which lot it was of is not known."""
    world = workshop().list("shopify", "a", "soap", shows=4)
    receive(world, "soap", 5, "A")
    world.hears(world.order("shopify", "1", line("a", 2, shipped=2)))
    world.hears(world.order("shopify", "1", line("a", 2, open=0, shipped=1), version=2))
    assert balances(world) == {"sold": 8, "A": 3}
    sound(world)


def test_a_build_makes_a_lot_and_loses_of_that_very_one() -> None:
    """Named, or where every lot is kept by itself: the day's, numbered from the second on."""
    world = workshop()
    terms = LotTerms(available_from=IN_10_DAYS)
    world.do(BuildStock("soap", 10, "b", "test", scrapped=2, lot="batch 7", terms=terms))
    assert balances(world) == {"sold": 4, "batch 7": 8}
    item = replace(world.catalogue.items["soap"], lots=LotRule.ALWAYS)
    world.do(ImportCatalogue((item,), (), (), (), "always", "test"))
    world.do(BuildStock("soap", 5, "b2", "test", scrapped=1))
    world.do(BuildStock("soap", 5, "b3", "test"))
    assert balances(world) == {"sold": 13, "2026-11-22": 4, "2026-11-22-2": 5, "batch 7": 8}
    again = world.do(BuildStock("soap", 5, "b3", "test")).outcome
    assert isinstance(again, Replayed)
    sound(world)


def test_an_import_takes_no_item_its_lots() -> None:
    """A catalogue that says nothing of lots is one of before; there are some now."""
    world = workshop()
    receive(world, "soap", 5, "A")
    item = replace(world.catalogue.items["soap"], lots=LotRule.NEVER, name="Soap")
    world.do(ImportCatalogue((item,), (), (), (), "again", "test"))
    assert world.catalogue.items["soap"].lots is LotRule.SOME


# -- by the clock ----------------------------------------------------------------------------


def test_a_lot_leaves_and_comes_by_the_clock() -> None:
    """At that instant what is sold changes, listings are dirty, and nothing moved in the ledger."""
    world = workshop().list("shopify", "a", "soap", shows=104)
    receive(world, "oil", 100, "rancid soon", expires_at=IN_10_DAYS)
    receive(world, "soap", 6, "curing", available_from=IN_20_DAYS)
    assert world.rows.shelves["oil"].on_hand == 1100
    world.syncs()
    moved = len(world.rows.movements)
    world.now = IN_10_DAYS - timedelta(microseconds=1)
    assert world.do(TurnLots(("soap", "oil"))) == Decision()
    world.now = IN_10_DAYS
    world.do(TurnLots(("oil",)))
    assert world.rows.shelves["oil"].on_hand == 1000
    assert world.dirty == {"shopify/a"}, "the soap that the oil would have made"
    world.syncs()
    world.now = IN_20_DAYS
    world.do(TurnLots(("soap",)))
    assert balances(world) == {"sold": 10, "curing": 6}
    assert world.dirty == {"shopify/a"}
    assert len(world.rows.movements) == moved
    sound(world)


@pytest.mark.parametrize(
    ("horizon", "expires", "day", "stands", "turns_on"),
    [
        (None, None, 0, "waits", 10),
        (3, None, 0, "waits", 7),
        (3, None, 7, "comes", 10),
        (3, None, 10, "counts", None),
        (20, None, 0, "comes", 10),
        (0, None, 9, "waits", 10),
        (3, 12, 7, "comes", 10),
        (3, 12, 10, "counts", 12),
        (3, 10, 8, "waits", None),
    ],
)
def test_a_lot_comes_when_its_horizon_reaches_its_first_day(
    horizon: int | None, expires: int | None, day: int, stands: str, turns_on: int | None
) -> None:
    """Sold from day 10 on: it comes so many days before, and never if it ends then."""
    curing = Lot(
        LotKey("soap", MAIN, "A"),
        START,
        5,
        available_from=IN_10_DAYS,
        expires_at=None if expires is None else START + expires * DAY,
    )
    horizon_s = None if horizon is None else horizon * 86_400
    found = turned(curing, START + day * DAY, place_sells=True, horizon_s=horizon_s)
    assert (found.counts, found.comes) == (stands == "counts", stands == "comes")
    assert found.turns_at == (None if turns_on is None else START + turns_on * DAY)
    apart = turned(curing, START + day * DAY, place_sells=False, horizon_s=horizon_s)
    assert not apart.counts
    assert not apart.comes


def test_what_cures_is_promised_when_it_comes_by_the_horizon() -> None:
    """Three days before its first day the listing is raised, by the clock alone, and only then.

    What comes is not sent: a sale beyond what is there takes nothing of it.
    """
    world = workshop().item("soap", horizon_s=3 * 86_400, promise=Promise.FINISHED)
    world.list("shopify", "a", "soap", shows=4)
    receive(world, "soap", 6, "curing", available_from=IN_20_DAYS)
    world.syncs()
    assert (world.atp("soap"), world.dirty) == (4, set())
    world.now = IN_20_DAYS - 3 * DAY - timedelta(microseconds=1)
    assert world.do(TurnLots(("soap",))) == Decision()
    world.now = IN_20_DAYS - 3 * DAY
    turned_lots = world.do(TurnLots(("soap",)))
    assert [event.fields["state"] for event in turned_lots.events] == ["coming"]
    assert (world.atp("soap"), world.dirty) == (10, {"shopify/a"})
    assert balances(world) == {"sold": 4, "curing": 6}
    world.reads("shopify", "a", 4)  # before its number is raised
    world.syncs()
    takes(world, "soap", 5)
    assert balances(world) == {"sold": -1, "curing": 6}
    assert world.atp("soap") == 5
    sound(world)
    world.syncs()
    world.now = IN_20_DAYS
    world.do(TurnLots(("soap",)))
    assert (world.atp("soap"), world.dirty) == (5, set())
    assert balances(world) == {"sold": 5, "curing": 6}
    sound(world)


@pytest.mark.parametrize("horizon", [None, 30])
def test_no_more_may_come_than_a_shelf_can_hold(horizon: int | None) -> None:
    """It is refused when it is told, and not by the clock on its first day, unheard."""
    world = workshop().item("soap", horizon_s=None if horizon is None else horizon * 86_400)
    receive(world, "soap", QUANTITY_MAX - 5, "first", available_from=IN_10_DAYS)
    for lot in ("second", ""):
        terms = {"available_from": IN_20_DAYS} if lot else {}
        refused = receive(world, "soap", 2, lot, **terms).outcome
        assert isinstance(refused, Refused)
        assert refused.refusal == "out_of_bounds"
        assert refused.message == "soap would pass the largest quantity, 1000000000000000 piece"
    assert isinstance(
        receive(world, "soap", 1, "second", available_from=IN_20_DAYS).outcome, Accepted
    )
    world.now = IN_20_DAYS
    world.do(TurnLots(("soap",)))
    assert balances(world)["sold"] == QUANTITY_MAX
    sound(world)


def test_another_horizon_looks_at_the_lots_that_are_there() -> None:
    """Said in an import, longer, shorter and none; what is in quarantine does not come."""
    world = workshop().item("soap", promise=Promise.FINISHED)
    receive(world, "soap", 6, "curing", available_from=IN_20_DAYS)
    receive(world, "soap", 3, "suspect", available_from=IN_10_DAYS)
    world.do(QuarantineLot("soap", "suspect", quarantined=True, actor="test"))
    for horizon, promised in ((30, 10), (5, 4), (19, 4), (20, 10), (None, 4)):
        world.item("soap", horizon_s=None if horizon is None else horizon * 86_400)
        assert world.atp("soap") == promised, horizon
        sound(world)
    assert world.rows.lots["soap", MAIN, "curing"].turns_at == IN_20_DAYS


def test_what_takes_too_long_to_make_is_not_promised_and_the_listing_says_so_at_once() -> None:
    """A horizon that is imported lowers the listing; what was ordered beyond it stands."""
    world = workshop().list("shopify", "a", "soap", shows=104)
    slow = replace(world.catalogue.bills.by_item["soap"], build_time_s=42 * 86_400)
    world.do(ImportCatalogue((), (slow,), (), (), "slow", "test"))
    assert (world.atp("soap"), world.dirty) == (104, set())
    world.item("soap", horizon_s=3 * 86_400)
    assert (world.atp("soap"), world.dirty) == (4, {"shopify/a"})
    world.hears(world.order("shopify", "1", line("a", 6)))
    assert (world.atp("soap"), world.atp("oil")) == (0, 980)


def test_whoever_moves_an_item_takes_account_of_the_clock_first() -> None:
    """A sale between the expiry and its sweep takes nothing of the lot, and counts it out."""
    world = workshop()
    receive(world, "soap", 5, "A", expires_at=IN_10_DAYS)
    world.now = IN_10_DAYS
    takes(world, "soap", 3)
    assert balances(world) == {"sold": 1, "A": 5}
    sound(world)


def test_quarantine_withholds_and_release_gives_back() -> None:
    """Wherever the lot lies; who did it is kept; doing it twice changes nothing."""
    world = workshop()
    receive(world, "soap", 5, "A")
    receive(world, "soap", 2, "A", at="fair")
    world.do(QuarantineLot("soap", "A", quarantined=True, actor="anna", reason="smells"))
    assert balances(world) == {"sold": 4, "A": 5, "A@fair": 2}
    assert world.rows.lots["soap", MAIN, "A"].note == "quarantined by anna: smells"
    again = world.do(QuarantineLot("soap", "A", quarantined=True, actor="bo"))
    assert (again.outcome, again.lots) == (Accepted(facts={"changed": 0}), ())
    takes(world, "soap", 5)
    assert balances(world) == {"sold": -1, "A": 5, "A@fair": 2}
    sound(world)
    world.do(QuarantineLot("soap", "A", quarantined=False, actor="anna"))
    assert balances(world) == {"sold": 6, "A": 5, "A@fair": 2}
    outcome = world.do(QuarantineLot("soap", "B", quarantined=True, actor="anna")).outcome
    assert isinstance(outcome, Refused)
    assert "there are A" in outcome.message
    sound(world)


def test_what_goes_into_a_quarantined_lot_is_quarantined() -> None:
    """The lot is suspect, not the crate."""
    world = workshop()
    receive(world, "soap", 5, "A")
    world.do(QuarantineLot("soap", "A", quarantined=True, actor="anna"))
    receive(world, "soap", 2, "A", at="fair")
    assert balances(world) == {"sold": 4, "A": 5, "A@fair": 2}
    sound(world)


# -- what is refused -------------------------------------------------------------------------


def test_a_lot_has_one_expiry_while_anything_of_it_is_left() -> None:
    """Another one under the same name is a slip; a name that was used up begins anew."""
    world = workshop()
    receive(world, "soap", 5, "A", expires_at=IN_10_DAYS)
    assert refusal(receive(world, "soap", 5, "A", expires_at=IN_20_DAYS)) == "lot_differs"
    receive(world, "soap", 1, "A")
    assert world.rows.lots["soap", MAIN, "A"].expires_at == IN_10_DAYS
    takes(world, "soap", 6, lot="A")
    receive(world, "soap", 5, "A", expires_at=IN_20_DAYS)
    assert world.rows.lots["soap", MAIN, "A"].expires_at == IN_20_DAYS
    sound(world)


@pytest.mark.parametrize(
    ("place", "units", "refused"),
    [
        ({"lot": "B"}, 1, "not_found"),
        ({"lot": "A", "location": "cellar"}, 1, "not_found"),
        ({"location": "moon"}, 1, "not_found"),
        ({"lot": "A"}, 1, "several_places"),
        ({"lot": "A", "location": "fair"}, 3, "not_there"),
        ({"location": "fair"}, 3, "not_there"),
    ],
)
def test_a_place_that_does_not_hold_it_is_refused(
    place: dict[str, str], units: int, refused: str
) -> None:
    """Nothing moves, and the refusal says what there is."""
    world = workshop()
    receive(world, "soap", 5, "A")
    receive(world, "soap", 2, "A", at="fair")
    before = balances(world)
    decision = takes(world, "soap", units, **place)
    assert refusal(decision) == refused
    assert balances(world) == before


# -- locations and counts --------------------------------------------------------------------


def test_what_lies_where_nothing_is_sold_is_not_sold() -> None:
    """A transfer there lowers what is sold, one back raises it; each lot stays what it is."""
    world = workshop()
    receive(world, "soap", 5, "A", expires_at=IN_10_DAYS)
    world.do(TransferStock("soap", 7, MAIN, "cellar", "t1", "test"))
    assert balances(world) == {"sold": 2, "none@cellar": 2, "A@cellar": 5, "A": 0}
    assert world.rows.lots["soap", "cellar", "A"].expires_at == IN_10_DAYS
    first = next(i for i, row in world.rows.movements.items() if row.cause == "cmd t1")
    world.do(TransferStock("soap", 6, "cellar", "fair", "t2", "test"))
    assert balances(world)["sold"] == 8
    world.do(UndoMovement(first, "u1", "test"))
    sound(world)
    short = world.do(TransferStock("soap", 9, "fair", MAIN, "t3", "test"))
    assert refusal(short) == "not_there"
    assert refusal(world.do(TransferStock("soap", 1, MAIN, MAIN, "t4", "test"))) == "same_place"
    assert refusal(world.do(TransferStock("soap", 1, MAIN, "moon", "t5", "test"))) == "not_found"


def test_a_location_that_is_sold_from_no_more_takes_its_stock_off() -> None:
    """The import that says so counts it out in the same transaction, and in again."""
    world = workshop()
    world.do(TransferStock("soap", 3, MAIN, "fair", "t", "test"))
    assert balances(world)["sold"] == 4
    for sellable, sold in ((False, 1), (True, 4)):
        places = (Location("fair", sellable),)
        world.do(ImportCatalogue((), (), (), (), f"{sellable}", "test", locations=places))
        assert balances(world)["sold"] == sold
        sound(world)


@pytest.mark.parametrize(
    ("counted", "place", "expected"),
    [
        (9, {}, {"sold": 9, "A": 2, "B": 2, "none@fair": 1}),
        (14, {}, {"sold": 14, "A": 5, "B": 2, "none@fair": 1}),
        (5, {}, {"sold": 5, "A": 0, "B": 0, "none@fair": 1}),
        (4, {"lot": "A"}, {"sold": 11, "A": 4, "B": 2, "none@fair": 1}),
        (0, {"location": "fair"}, {"sold": 11, "A": 5, "B": 2, "none@fair": 0}),
    ],
)
def test_a_count_makes_true_what_was_counted(
    counted: int, place: dict[str, str], expected: dict[str, int]
) -> None:
    """All that is sold, or one lot, or what lies at a place; missing units are the next to go."""
    world = workshop()
    world.do(TransferStock("soap", 1, MAIN, "fair", "t", "test"))
    receive(world, "soap", 5, "A", expires_at=IN_10_DAYS)
    receive(world, "soap", 2, "B", expires_at=IN_20_DAYS)
    world.do(CountStock("soap", 12, "c0", "test"))
    world.do(CountStock("soap", counted, "c", "test", **place))
    assert balances(world) == expected
    sound(world)


def test_a_count_and_a_transfer_take_account_of_the_clock_first() -> None:
    """What has expired is not among what was counted; all that lies there can be moved, no more."""
    world = workshop()
    receive(world, "soap", 5, "A", expires_at=IN_10_DAYS)
    receive(world, "soap", 2, "B", expires_at=IN_20_DAYS)
    world.now = IN_10_DAYS
    sold = balances(world)["sold"] - 5
    world.do(CountStock("soap", sold, "c", "test"))
    assert balances(world)["sold"] == sold
    assert world.log[-2].movements[0].quantity == 0
    beyond = world.do(TransferStock("soap", sold + 1, MAIN, "fair", "t1", "test"))
    assert refusal(beyond) == "not_there"
    world.do(TransferStock("soap", sold, MAIN, "fair", "t2", "test"))
    there = balances(world)
    assert (there["B@fair"], there["none@fair"]) == (2, sold - 2)
    sound(world)


def test_a_place_with_lots_is_counted_lot_by_lot() -> None:
    """One number for several lots says nothing of any."""
    world = workshop()
    receive(world, "soap", 5, "A", at="fair")
    decision = world.do(CountStock("soap", 5, "c", "test", location="fair"))
    assert refusal(decision) == "lots_there"


# -- what is built as it leaves ---------------------------------------------------------------


def gift_sets(*, boxed: bool = True) -> World:
    """Sets of two soaps and a box; soap is built as it leaves too, of which one is finished.

    Soap, oil and boxes are kept in lots.
    """
    world = World().stock(set=0, soap=0, oil=0, box=0, card=50)
    parts = (BillLine("soap", 2), BillLine("box", 1), BillLine("card", 1))
    bills = (
        BillOfMaterials("set", 1, parts, backflush=True, kit=boxed),
        BillOfMaterials("soap", 12, (BillLine("oil", 1000),), backflush=True),
    )
    world.do(ImportCatalogue((), bills, (), (), "bills", "test"))
    world.list("shopify", "s", "set", shows=0)
    receive(world, "soap", 1, "last")
    receive(world, "box", 5, "red", expires_at=IN_20_DAYS)
    receive(world, "box", 1, "blue", expires_at=IN_10_DAYS)
    receive(world, "oil", 200, "A")
    receive(world, "oil", 800, "B", expires_at=IN_10_DAYS)
    return world


@pytest.mark.parametrize("large_min", [1, LARGE_MIN])
@pytest.mark.parametrize("way", ["order", "stall", "hold"])
def test_what_is_built_as_it_leaves_takes_its_parts_out_of_their_lots(
    monkeypatch: pytest.MonkeyPatch, way: str, large_min: int
) -> None:
    """At any depth, by an order, at a stall or by a hold, of groups that are read in part too."""
    monkeypatch.setattr(catalogue, "LARGE_MIN", large_min)
    world = gift_sets()
    before = world.atp("set")
    if way == "order":
        world.hears(world.order("shopify", "1", line("s", 5, shipped=5)))
    elif way == "stall":
        world.moves("set", -5, MovementKind.SALE, "stall")
    else:
        world.holds(("set", 5))
        world.do(SellHold(1, "market", "sell", "test"))
    assert {sku: row.on_hand for sku, row in sorted(world.rows.shelves.items())} == {
        "box": 1,
        "card": 45,
        "oil": 250,
        "set": 0,
        "soap": 0,
    }
    assert balances(world, "box") == {"sold": 1, "blue": 0, "red": 1}
    assert balances(world, "soap") == {"sold": 0, "last": 0}
    assert balances(world, "oil") == {"sold": 250, "A": 200, "B": 50}
    assert world.rows.shelves["soap"].rests == ()
    assert world.atp("set") == before - 5
    sound(world)
    if way != "order":
        world.do(UndoMovement(max(world.rows.movements), "u", "test"))
        assert balances(world, "box") == {"sold": 6, "blue": 1, "red": 5}
        assert balances(world, "oil") == {"sold": 1000, "A": 200, "B": 800}
        assert balances(world, "soap") == {"sold": 1, "last": 1}
        sound(world)


def test_a_build_by_hand_takes_what_its_parts_are_built_from() -> None:
    """The parts of a part that nobody logged go out of their lots as well."""
    world = gift_sets()
    world.do(BuildStock("set", 2, "b", "test", used=(("card", 3),), lot="gifts"))
    assert balances(world, "set") == {"sold": 2, "gifts": 2}
    assert balances(world, "box") == {"sold": 4, "blue": 0, "red": 4}
    assert balances(world, "oil") == {"sold": 750, "A": 200, "B": 550}
    assert [
        row.reason for row in world.rows.movements.values() if row.sku in {"card", "oil"}
    ].count("planned 2 piece, used 3 piece") == 1
    sound(world)


def test_what_is_lost_of_a_lot_that_was_not_sold_builds_nothing() -> None:
    """It was on no shelf: nothing that is finished is missing for it, whatever else is."""
    world = gift_sets()
    receive(world, "soap", 5, "curing", available_from=IN_20_DAYS)
    world.do(CountStock("soap", -3, "c", "test"))
    takes(world, "soap", 2, lot="curing")
    assert balances(world, "oil") == {"sold": 1000, "A": 200, "B": 800}
    assert world.rows.shelves["soap"].on_hand == -3


@settings(max_examples=60, deadline=None)
@given(worlds(ruled=False), st.sampled_from((1, LARGE_MIN)), st.data())
def test_nothing_is_missing_of_no_lot_while_a_lot_has_it(
    case: oracle.World, large_min: int, data: st.DataObject
) -> None:
    """In any world in which all is built as it leaves: lots are emptied before anything else."""
    bills = tuple(replace(each, backflush=True) for each in case.bills)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "LARGE_MIN", large_min)
        world = World().stock(**dict.fromkeys(case.on_hand, 0))
        world.do(ImportCatalogue((), bills, (), (), "bills", "test"))
        for sku in sorted(case.on_hand):
            for name in data.draw(st.sampled_from(((), ("A",), ("A", "B")))):
                receive(world, sku, data.draw(st.integers(1, 40)), name)
        sku = data.draw(st.sampled_from(sorted(case.skus)))
        world.list("shopify", sku, sku, shows=0)
        sold = data.draw(st.integers(1, 9))
        world.hears(world.order("shopify", "1", line(sku, sold, shipped=sold)))
        sound(world)
    for each, shelf in world.rows.shelves.items():
        in_lots = [row.on_hand for row in world.rows.lots.values() if row.key.sku == each]
        assert min(in_lots, default=0) >= 0
        assert shelf.on_hand >= sum(in_lots) or not any(in_lots)


# -- whatever happens ------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                (
                    "receive",
                    "take",
                    "sell",
                    "build",
                    "count",
                    "move",
                    "hold",
                    "free",
                    "wait",
                    "undo",
                )
            ),
            st.integers(1, 12),
            st.sampled_from(("A", "B", "")),
            st.sampled_from((MAIN, "fair", "cellar")),
        ),
        max_size=14,
    )
)
def test_the_books_are_sound_whatever_happens(
    steps: list[tuple[str, int, str, str]],
) -> None:
    """Every balance is the fold of its movements, sold or withheld, after any commands."""
    world = workshop()
    for number, (what, units, name, place) in enumerate(steps):
        key = f"{number}"
        match what:
            case "receive":
                terms = {"expires_at": world.now + units * DAY} if units % 2 else {}
                receive(world, "soap", units, name or "C", at=place, **terms)
            case "take":
                takes(world, "soap", units, **({"lot": name} if name else {"location": place}))
            case "sell":
                takes(world, "soap", units)
            case "build":
                world.do(
                    BuildStock("soap", units, key, "test", scrapped=units // 3, lot=name or None)
                )
            case "count":
                world.do(CountStock("soap", units, key, "test", lot=name or None))
            case "move":
                world.do(TransferStock("soap", units, place, "fair", key, "test", lot=name or None))
            case "hold" | "free":
                world.do(QuarantineLot("soap", name, quarantined=what == "hold", actor="test"))
            case "wait":
                world.now += units * DAY
                world.do(TurnLots(("soap",)))
            case "undo":
                world.do(UndoMovement(max(world.rows.movements), key, "test"))
        sound(world)
    for row in world.rows.lots.values():
        sells = world.catalogue.sells_from(row.key.location)
        assert row == lots.turned(row, world.now, place_sells=sells) or row.turns_at is not None
