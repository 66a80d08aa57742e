"""What every store must do: run by test_sqlite.py and test_postgres.py, each on its database.

A new kind of database joins by subclassing `StoreConformance` and providing `database_url`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

import pytest

from stockpush.errors import AlreadyRunning, StoreConflict, StoreRuleBroken, StoreUnavailable
from stockpush.messages import Decision, Needs, Rows
from stockpush.model import (
    DURATION_MAX_S,
    QUANTITY_MAX,
    WIRE_QUANTITY_MAX,
    BillLine,
    BillOfMaterials,
    ChannelState,
    DeliveryState,
    Dirty,
    DriftClass,
    Feed,
    Field,
    FieldKey,
    Hold,
    HoldLine,
    HoldState,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    Lot,
    LotKey,
    MovementKind,
    Owed,
    PushOutcomeKind,
    ReservationKey,
    Scrap,
    Shelf,
    StockMovement,
)
from stockpush.packed import Packed
from stockpush.ports import Sold
from stockpush.store import SqlStore, reads, transaction
from stockpush.store.dialects import Session, postgres, sqlite
from stockpush.store.transaction import SqlTransaction
from tests.store import samples
from tests.store.samples import (
    BILL,
    CHANNEL,
    COMMAND,
    CREDENTIAL,
    DELIVERY,
    DIRTY,
    DRIFT,
    EVERYTHING,
    FEED,
    FIELD,
    FIELD_ROW,
    HOLD,
    ITEM,
    LISTING,
    LOCATION,
    LOT,
    MOVEMENT,
    OLDER_BILL,
    PUSH,
    RESERVATION,
    SHELF,
    WAX,
    WICK,
    at,
    at_default,
)

OpenStore = Callable[..., Awaitable[SqlStore]]
V = TypeVar("V")
TRIES_MAX = 200

ALL = Needs(
    skus=frozenset({"candle-lav", "beeswax", "absent"}),
    fields=frozenset({FIELD, FieldKey("my-shopify", "absent")}),
    orders=frozenset({("my-shopify", "5001"), ("my-shopify", "absent")}),
    digests=frozenset({("my-shopify", DELIVERY.digest)}),
    keys=frozenset({"key-1", "absent"}),
    moved=frozenset({"candle-lav", "beeswax"}),
    holds=frozenset({HOLD.id, 4711}),
    hold_keys=frozenset({HOLD.key, "absent"}),
    lots=frozenset({"candle-lav", "absent"}),
)


async def write(store: SqlStore, *decisions: Decision) -> list[tuple[int, ...]]:
    """Apply decisions in a transaction of their own."""
    async with store.transaction() as transaction:
        await transaction.gather(ALL)
        return await transaction.apply(decisions)


async def write_and_fail(store: SqlStore, decision: Decision) -> None:
    """Apply a decision in a transaction whose block then raises ZeroDivisionError."""
    async with store.transaction() as transaction:
        await transaction.apply([decision])
        raise ZeroDivisionError


async def gathered(store: SqlStore, needs: Needs = ALL) -> Rows:
    """Return rows, read in a transaction of their own."""
    async with store.transaction() as transaction:
        return await transaction.gather(needs)


async def on_hand(store: SqlStore, sku: str) -> int:
    """Return what the item's shelf holds; an item that never moved has none."""
    _, kept = await reads.snapshot(store)
    return kept.shelves.get(sku, Shelf(sku)).on_hand


async def until_won(store: SqlStore, work: Callable[[SqlTransaction], Awaitable[V]]) -> V:
    """Run `work` in a transaction, again while it loses races."""
    for _ in range(TRIES_MAX):
        try:
            async with store.transaction() as transaction:
                return await work(transaction)
        except StoreConflict:
            continue
    pytest.fail("the transaction never won")


def moved(
    sku: str, quantity: int, cause: str = "cmd k", undoes: int | None = None
) -> StockMovement:
    """Return a movement."""
    return StockMovement(
        at(0), sku, quantity, MovementKind.ADJUSTMENT, cause, "anna", undoes=undoes
    )


def field_of(key: str, **values: Any) -> Field:
    """Return a field of my-shopify."""
    return Field(FieldKey("my-shopify", key), "candle-lav", 1, **values)


def a_hold(number: int, *, key: str | None = None, until: float = 9000) -> Hold:
    """Return a hold of three wicks."""
    return replace(
        HOLD, id=number, key=key or f"key {number}", lines=HOLD.lines[:1], until=at(until)
    )


BROKEN = {
    "on_hand_bound": Decision(shelves=(Shelf("candle-lav", QUANTITY_MAX + 1),)),
    "on_hand_past_64_bits": Decision(shelves=(Shelf("candle-lav", 2**70),)),
    "reserved_negative": Decision(shelves=(Shelf("candle-lav", 0, -1),)),
    "shelf_without_pool": Decision(shelves=(Shelf("candle-lav", pool=""),)),
    "location_without_pool": Decision(locations=(replace(LOCATION, pool=""),)),
    "hold_without_pool": Decision(holds=(replace(HOLD, pool="", lines=()),)),
    "feed_of_no_pool": Decision(feeds=(Feed("my-shopify", ""),)),
    "shelf_without_item": Decision(shelves=(Shelf("no-such-item"),)),
    "held_negative": Decision(shelves=(Shelf("candle-lav", 0, 0, -1),)),
    "hold_line_0": Decision(holds=(replace(HOLD, lines=(HoldLine("candle-lav", 0),)),)),
    "hold_line_by_bill_0": Decision(holds=(replace(HOLD, lines=(HoldLine("candle-lav", 1, 0),)),)),
    "hold_without_item": Decision(holds=(replace(HOLD, lines=(HoldLine("no-such-item", 1),)),)),
    "hold_0": Decision(holds=(replace(HOLD, id=0, lines=()),)),
    "hold_key_empty": Decision(holds=(replace(HOLD, key="", lines=()),)),
    "held_and_ended": Decision(holds=(replace(HOLD, ended_at=at(1), lines=()),)),
    "sold_without_end": Decision(holds=(replace(HOLD, state=HoldState.SOLD, lines=()),)),
    "hold_negative": Decision(fields=(field_of("f", hold=-1),)),
    "surplus_negative": Decision(fields=(field_of("f", surplus=-1),)),
    "uneaten_negative": Decision(fields=(field_of("f", uneaten=-1),)),
    "uneaten_surplus_negative": Decision(fields=(field_of("f", uneaten_surplus=-1),)),
    "risen_negative": Decision(fields=(field_of("f", risen=-1),)),
    "undeducted_negative": Decision(fields=(field_of("f", undeducted=-1),)),
    "revision_negative": Decision(fields=(field_of("f", revision=-1),)),
    "observed_bound": Decision(fields=(field_of("f", observed=WIRE_QUANTITY_MAX + 1),)),
    "field_pack_0": Decision(fields=(replace(field_of("f"), pack=0),)),
    "listing_cap_negative": Decision(listings=(replace(LISTING, cap=-1),)),
    "listing_cap_bound": Decision(listings=(replace(LISTING, cap=WIRE_QUANTITY_MAX + 1),)),
    "listing_buffer_negative": Decision(listings=(replace(LISTING, buffer=-1),)),
    "listing_buffer_bound": Decision(listings=(replace(LISTING, buffer=QUANTITY_MAX + 1),)),
    "listing_horizon_negative": Decision(listings=(replace(LISTING, horizon_s=-1),)),
    "listing_horizon_bound": Decision(listings=(replace(LISTING, horizon_s=DURATION_MAX_S + 1),)),
    "listing_pack_0": Decision(listings=(replace(LISTING, pack=0),)),
    "listing_without_item": Decision(listings=(replace(LISTING, sku="no-such-item"),)),
    "open_negative": Decision(reservations=(replace(RESERVATION, field=None, open=-1),)),
    "shipped_negative": Decision(reservations=(replace(RESERVATION, field=None, shipped=-1),)),
    "reservation_pack_0": Decision(reservations=(replace(RESERVATION, field=None, pack=0),)),
    "reservation_without_field": Decision(reservations=(RESERVATION,)),
    "dirty_without_field": Decision(dirty=(DIRTY,)),
    "push_without_field": Decision(pushes=(PUSH,)),
    "movement_bound": Decision(movements=(moved("candle-lav", -QUANTITY_MAX - 1),)),
    "undoes_nothing": Decision(movements=(moved("candle-lav", 1, undoes=4711),)),
    "yield_0": Decision(bills=(BillOfMaterials("candle-lav", 0, (BillLine("beeswax", 1),)),)),
    "line_0": Decision(bills=(BillOfMaterials("candle-lav", 1, (BillLine("beeswax", 0),)),)),
    "bill_of_itself": Decision(
        bills=(BillOfMaterials("candle-lav", 1, (BillLine("candle-lav", 1),)),)
    ),
    "lot_without_item": Decision(lots=(Lot(LotKey("no-such-item", "main", "A"), at(0)),)),
    "lot_nowhere": Decision(lots=(Lot(LotKey("candle-lav", "", "A"), at(0)),)),
    "lot_bound": Decision(
        lots=(Lot(LotKey("candle-lav", "main", "A"), at(0), on_hand=QUANTITY_MAX + 1),)
    ),
    "lot_within_negative": Decision(
        lots=(Lot(LotKey("candle-lav", "main", "A"), at(0), within_s=-1),)
    ),
    "location_empty": Decision(locations=(Location(""),)),
    "sku_empty": Decision(items=(Item("", "nameless", Kind.PRODUCT, "piece"),)),
    "scale_16": Decision(items=(replace(ITEM, scale=16),)),
    "half_a_character": Decision(items=(replace(ITEM, name="half a \ud83d"),)),
}
"""Changes that break one rule each: a range of the model, a key that refers to nothing."""


class CancelledAt:
    """A session that cancels the task which uses it, in the middle of its n-th call."""

    def __init__(self, session: Session, call: int) -> None:
        self._session = session
        self._left = call

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._session, name)
        if name == "rollback":
            return call
        self._left -= 1
        if self._left == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return call


class StoreConformance:
    """The suite. Each test gets `store` (empty) and may `open_store` more on its database."""

    # -- rows --------------------------------------------------------------------------------

    def test_the_samples_leave_no_field_at_its_default(self) -> None:
        """The round trip below would not see a column that is forgotten for a default value."""
        unwritten = {
            MOVEMENT: {"id", "undoes"},
            PUSH: {"id", "settled_at", "outcome"},
            DELIVERY: {"id"},
            DRIFT: {"id", "closed_at"},
            COMMAND: {"movement_ids"},
            HOLD: {"ended_at"},
            LISTING.key: set(),
        }
        values = [ITEM, BILL, SHELF, FIELD_ROW, RESERVATION, DIRTY, CHANNEL, LISTING]
        values += [LOCATION, LOT]
        assert [at_default(value) for value in values] == [[]] * len(values)
        for value, but in list(unwritten.items())[:-1]:
            assert at_default(value, but=frozenset(but)) == []

    async def test_every_row_survives_the_round_trip(self, store: SqlStore) -> None:
        """What was written in one transaction is read by the next one, equal in every field."""
        [(movement_id,)] = await write(store, EVERYTHING)
        async with store.transaction() as transaction:
            rows = await transaction.gather(replace(ALL, movements=frozenset({movement_id})))
            catalogue = await transaction.catalogue()
        assert rows.shelves == {SHELF.key: SHELF}
        assert rows.lots == {LOT.key: LOT}
        assert rows.fields == {FIELD: FIELD_ROW}
        assert rows.reservations == {RESERVATION.key: RESERVATION}
        assert rows.dirty == {FIELD: DIRTY}
        push = rows.in_flight[FIELD]
        assert push == replace(PUSH, id=push.id)
        delivery = rows.deliveries["my-shopify", DELIVERY.digest]
        assert delivery == replace(DELIVERY, id=delivery.id)
        assert rows.commands == {"key-1": replace(COMMAND, movement_ids=(movement_id,))}
        assert (rows.holds, rows.next_hold) == ({HOLD.id: HOLD}, HOLD.id + 1)
        assert rows.movements == {movement_id: replace(MOVEMENT, id=movement_id)}
        assert rows.channels == {"my-shopify": CHANNEL}
        assert rows.moved == {"candle-lav"}
        assert catalogue.items == (WAX, ITEM, WICK)
        assert catalogue.bills == (BILL,)
        assert catalogue.listings == (LISTING,)
        assert catalogue.locations == (LOCATION,)
        assert catalogue.feeds == (FEED,)
        assert catalogue.older_bills == (OLDER_BILL,)
        await write(store, Decision(forgotten_bills=frozenset({("candle-lav", 2)})))
        assert (await store.catalogue()).older_bills == ()
        [drift] = (await reads.drifts(store, limit=10)).data
        assert drift.drift == replace(DRIFT, id=drift.drift.id)
        assert drift.refs == (LISTING.ref,)

    async def test_an_item_has_a_shelf_in_each_pool(self, store: SqlStore) -> None:
        """Two shelves of one item are two rows; whoever asks for one is given all of that item."""
        market = Shelf("candle-lav", 7, pool="market")
        await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 5), market)))
        for asked in ("candle-lav", market.key):
            found = await gathered(store, Needs(skus=frozenset({asked})))
            assert found.shelves == {"candle-lav": Shelf("candle-lav", 5), market.key: market}
        await write(store, Decision(shelves=(replace(market, on_hand=6),)))
        found = await gathered(store, Needs(skus=frozenset({market.key})))
        assert [row.on_hand for row in found.shelves.values()] == [5, 6]

    async def test_what_is_open_on_a_channel_is_found_by_it(self, store: SqlStore) -> None:
        """Its reservations with open units and no other, whatever they name."""
        key = RESERVATION.key
        done = replace(RESERVATION, key=key._replace(line_id="done"), open=0)
        other = replace(RESERVATION, key=key._replace(channel="my-etsy"), field=None)
        await write(store, EVERYTHING, Decision(reservations=(done, other)))
        found = await gathered(store, Needs(open_on=frozenset({key.channel, "absent"})))
        assert found.reservations == {key: RESERVATION}

    async def test_an_empty_database_has_nothing(self, store: SqlStore) -> None:
        """Before the first write every answer is empty and the catalogue's revision is 0."""
        assert await gathered(store, ALL) == Rows()
        async with store.transaction() as transaction:
            assert await transaction.catalogue_revision() == 0
        assert await store.dirty("my-shopify", at=at(0), limit=10) == []
        assert await store.next_due("my-shopify") is None
        assert await store.channel_state("my-shopify") == ChannelState("my-shopify")

    async def test_a_second_row_of_a_key_replaces_the_first(self, store: SqlStore) -> None:
        """A row is a whole value: what it no longer says is gone."""
        await write(store, EVERYTHING)
        plain = [
            Shelf("candle-lav"),
            field_of(FIELD.key),
            replace(RESERVATION, sku=None, field=None, open=0),
            Dirty(FIELD, 7, at(1), decrease=False),
            ChannelState("my-shopify"),
        ]
        shelf, field, reservation, dirty, channel = plain
        await write(
            store,
            Decision(
                shelves=(shelf,),
                fields=(field,),
                reservations=(reservation,),
                dirty=(dirty,),
                channels=(channel,),
            ),
        )
        rows = await gathered(store)
        assert rows.shelves["candle-lav"] == shelf
        assert rows.fields[FIELD] == field
        assert rows.reservations[RESERVATION.key] == reservation
        assert rows.dirty[FIELD] == dirty
        assert rows.channels["my-shopify"] == channel

    async def test_of_several_decisions_the_last_row_stands(self, store: SqlStore) -> None:
        """Rows of one key fold to the last; appended rows are all written, ids per decision."""
        first = Decision(
            items=(ITEM, WAX),
            shelves=(Shelf("candle-lav", 5),),
            movements=(moved("candle-lav", 5), moved("beeswax", 2)),
        )
        second = Decision(shelves=(Shelf("beeswax", 2),))
        third = Decision(shelves=(Shelf("candle-lav", 4),), movements=(moved("candle-lav", -1),))
        ids = await write(store, first, second, third)
        assert [len(each) for each in ids] == [2, 0, 1]
        assert len({each for group in ids for each in group}) == 3
        assert (await gathered(store)).shelves["candle-lav"] == Shelf("candle-lav", 4)
        page = await reads.movements(store, limit=10)
        assert [(each.id, each.quantity) for each in page.data] == [
            (ids[2][0], -1),
            (ids[0][1], 2),
            (ids[0][0], 5),
        ]

    # -- what guard levels are measured from ------------------------------------------------

    async def test_sales_are_counted_by_item_and_channel(self, store: SqlStore) -> None:
        """Lines and units since an instant, those of late apart; unmapped ones are nobody's."""
        shop, etsy = (
            replace(RESERVATION, key=ReservationKey(name, "1", "1"), field=None, ordered=2, pack=3)
            for name in ("shop", "etsy")
        )
        old = replace(shop, key=ReservationKey("shop", "2", "1"), placed_at=at(-100))
        great = replace(
            etsy,
            key=ReservationKey("etsy", "3", "1"),
            ordered=WIRE_QUANTITY_MAX,
            pack=QUANTITY_MAX,
            placed_at=at(50),
        )
        unmapped = replace(shop, key=ReservationKey("shop", "4", "1"), sku=None)
        older = replace(shop, key=ReservationKey("shop", "5", "1"), placed_at=at(-200))
        lines = [
            replace(row, placed_at=at(0)) if row in (shop, etsy) else row
            for row in (shop, etsy, old, great, unmapped, older)
        ]
        await write(store, Decision(items=(ITEM, WAX), reservations=tuple(lines)))
        found = await store.sold(since=at(-100), lately=at(0))
        assert found == [
            Sold("candle-lav", "etsy", 2, 6 + float(WIRE_QUANTITY_MAX * QUANTITY_MAX), 2),
            Sold("candle-lav", "shop", 2, 12, 1),
        ]

    async def test_where_what_was_sold_is_shown(self, store: SqlStore) -> None:
        """Fields count once each, of listings that are adopted and not parked."""
        ours = replace(LISTING, parked_reason=None)

        def also(ref: str, **columns: Any) -> Listing:
            return replace(ours, key=ListingKey(ours.key.channel, ref), **columns)

        listings = (
            ours,
            also("same field"),
            also("other field", field_key="other"),
            also("parked", field_key="p", parked_reason="gone"),
            also("theirs", field_key="t", adopted=False),
            also("not resolved", field_key=None),
            also("not sold", field_key="n", sku="beeswax"),
        )
        line = replace(RESERVATION, field=None, placed_at=at(0))
        await write(store, Decision(items=(ITEM, WAX), listings=listings, reservations=(line,)))
        assert await store.shown(since=at(0)) == [("candle-lav", "my-shopify", 2)]
        assert await store.shown(since=at(1)) == []

    async def test_how_long_pushes_took(self, store: SqlStore) -> None:
        """The newest that the channel applied, and no others."""
        pushes = tuple(
            replace(
                PUSH,
                call_id=f"call {number}",
                sent_at=at(number),
                settled_at=at(number + number / 4),
                outcome=outcome,
                id=None,
            )
            for number, outcome in enumerate(
                (PushOutcomeKind.APPLIED, PushOutcomeKind.APPLIED, PushOutcomeKind.CONFLICT), 1
            )
        )
        await write(store, Decision(items=(ITEM,), fields=(FIELD_ROW,), pushes=pushes))
        assert await store.push_seconds("my-shopify", limit=9) == [0.5, 0.25]
        assert await store.push_seconds("my-shopify", limit=1) == [0.5]
        assert await store.push_seconds("other", limit=9) == []

    async def test_guard_levels_above_none(self, store: SqlStore) -> None:
        """Each pool has its own; most items have none, and are left out."""
        market = Shelf("candle-lav", guard_level=2, pool="market")
        shelves = (Shelf("candle-lav", guard_level=3), market, Shelf("beeswax"))
        await write(store, Decision(items=(ITEM, WAX), shelves=shelves))
        assert await store.guard_levels() == {"candle-lav": 3, market.key: 2}

    async def test_which_pool_feeds_a_channel(self, store: SqlStore) -> None:
        """Of a channel that was said none nothing is told."""
        await write(store, Decision(feeds=(Feed("etsy", "market"),)))
        assert await store.feeds() == {"etsy": "market"}

    # -- lots --------------------------------------------------------------------------------

    async def test_lots_are_found_by_item_and_by_location(self, store: SqlStore) -> None:
        """Only those that were asked for, each once, and a second row of a lot replaces it."""
        fair, home = LotKey("candle-lav", "fair", "A"), LotKey("candle-lav", "main", "A")
        wax = LotKey("beeswax", "fair", "")
        rows = tuple(Lot(key, at(0), 5) for key in (fair, home, wax))
        await write(store, Decision(items=(ITEM, WAX), lots=rows))
        by_item = await gathered(store, Needs(lots=frozenset({"candle-lav", "absent"})))
        assert set(by_item.lots) == {fair, home}
        at_fair = await gathered(store, Needs(lots_at=frozenset({"fair"})))
        assert set(at_fair.lots) == {fair, wax}
        both = Needs(lots=frozenset({"candle-lav"}), lots_at=frozenset({"fair"}))
        assert set((await gathered(store, both)).lots) == {fair, home, wax}
        async with store.transaction() as transaction:
            await transaction.gather(both)
            await transaction.apply([Decision(lots=(Lot(fair, at(0), 4),))])
        assert (await gathered(store, both)).lots[fair].on_hand == 4
        _, kept = await reads.snapshot(store)
        assert kept.lots == (await gathered(store, both)).lots

    async def test_two_writers_cannot_both_begin_a_lot(self, store: SqlStore) -> None:
        """Whoever did not find the lot loses to whoever made it meanwhile, and begins again."""
        lot = Lot(LotKey("candle-lav", "main", "A"), at(0), 5)
        await write(store, Decision(items=(ITEM,), lots=(lot,)))
        with pytest.raises(StoreConflict):
            async with store.transaction() as transaction:
                await transaction.apply([Decision(lots=(lot,))])

    async def test_the_next_lot_that_the_clock_changes_is_found(self, store: SqlStore) -> None:
        """The earliest instant of any lot, and the items of those that are due, each once."""
        assert await store.next_lot_turn() is None
        lots = [
            Lot(LotKey("candle-lav", "main", "A"), at(0), 5, turns_at=at(30)),
            Lot(LotKey("candle-lav", "main", "B"), at(0), 5, turns_at=at(20)),
            Lot(LotKey("candle-lav", "main", "C"), at(0), 5),
            Lot(LotKey("beeswax", "main", "A"), at(0), 5, turns_at=at(40)),
        ]
        await write(store, Decision(items=(ITEM, WAX), lots=tuple(lots)))
        assert await store.next_lot_turn() == at(20)
        assert await store.lots_due(at=at(19), limit=10) == []
        assert await store.lots_due(at=at(30), limit=10) == ["candle-lav"]
        assert await store.lots_due(at=at(40), limit=10) == ["candle-lav", "beeswax"]
        assert await store.lots_due(at=at(40), limit=1) == ["candle-lav"]

    # -- all or nothing ----------------------------------------------------------------------

    async def test_an_exception_leaves_nothing(self, store: SqlStore) -> None:
        """A transaction whose block raises writes no row, and the exception comes out as it is."""
        with pytest.raises(ZeroDivisionError):
            await write_and_fail(store, EVERYTHING)
        assert (await gathered(store)) == Rows()
        assert (await store.catalogue()).revision == 0
        assert (await reads.movements(store, limit=1)).data == ()

    async def test_a_cancelled_transaction_leaves_nothing(self, store: SqlStore) -> None:
        """A task cancelled inside the block rolls back, and the next transaction gets through."""
        written = asyncio.Event()

        async def never_ends() -> None:
            async with store.transaction() as transaction:
                await transaction.apply([EVERYTHING])
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(never_ends())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await gathered(store)) == Rows()

    async def test_a_cancellation_at_any_step_leaves_all_or_nothing(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever call to the driver it strikes, the store stays whole and usable."""
        await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 0),)))
        lend = store._database.writing

        async def add_one() -> None:
            async with store.transaction() as transaction:
                rows = await transaction.gather(Needs(skus=frozenset({"candle-lav"})))
                shelf = rows.shelves["candle-lav"]
                grown = replace(shelf, on_hand=shelf.on_hand + 1)
                await transaction.apply(
                    [Decision(shelves=(grown,), movements=(moved("candle-lav", 1),))]
                )

        cancelled = 0
        for call in itertools.count(1):

            @asynccontextmanager
            async def lend_cancelling(call: int = call) -> AsyncIterator[Session]:
                async with lend() as session:
                    yield cast("Session", CancelledAt(session, call))

            monkeypatch.setattr(store._database, "writing", lend_cancelling)
            task = asyncio.create_task(add_one())
            await asyncio.wait([task])
            if not task.cancelled():
                break
            cancelled += 1
        # begin and gather, the movement's id, write and commit
        assert cancelled >= 3
        audit = await reads.audit(store)
        assert audit.shelves["candle-lav"].on_hand == audit.moved["candle-lav"] >= 1

    async def test_a_row_that_breaks_a_rule_is_refused(self, store: SqlStore) -> None:
        """Every range of the model is held by the database; nothing of the group is written."""
        await write(store, Decision(items=(ITEM, WAX), shelves=(Shelf("beeswax", 1),)))
        accepted = []
        for name, broken in BROKEN.items():
            try:
                await write(store, Decision(shelves=(Shelf("beeswax", 2),)), broken)
            except StoreRuleBroken:
                continue
            accepted.append(name)
        assert accepted == []
        beeswax = (await gathered(store)).shelves["beeswax"]
        assert beeswax == Shelf("beeswax", 1)

    # -- writers side by side ----------------------------------------------------------------

    async def test_forty_sales_of_ten_units(self, store: SqlStore) -> None:
        """Of 40 concurrent sales exactly 10 succeed; on hand ends at 0 and is never negative."""
        await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 10),)))
        left: list[int] = []

        async def sell(transaction: SqlTransaction) -> bool:
            rows = await transaction.gather(Needs(skus=frozenset({"candle-lav"})))
            shelf = rows.shelves["candle-lav"]
            left.append(shelf.on_hand)
            if shelf.on_hand == 0:
                return False
            sold = replace(shelf, on_hand=shelf.on_hand - 1)
            await transaction.apply(
                [Decision(shelves=(sold,), movements=(moved("candle-lav", -1),))]
            )
            return True

        answers = await asyncio.gather(*(until_won(store, sell) for _ in range(40)))
        assert sum(answers) == 10
        assert min(left) == 0
        audit = await reads.audit(store)
        assert audit.shelves["candle-lav"].on_hand == 0
        assert audit.moved["candle-lav"] == -10

    async def test_two_stores_lose_no_update(self, store: SqlStore, open_store: OpenStore) -> None:
        """Read-modify-write of one row from two connections: every increment counts."""
        await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 0),)))
        other = await open_store()

        async def add_one(transaction: SqlTransaction) -> None:
            rows = await transaction.gather(Needs(skus=frozenset({"candle-lav"})))
            shelf = rows.shelves["candle-lav"]
            await transaction.apply(
                [Decision(shelves=(replace(shelf, on_hand=shelf.on_hand + 1),))]
            )

        await asyncio.gather(
            *(until_won(each, add_one) for each in (store, other) for _ in range(15))
        )
        assert await on_hand(store, "candle-lav") == 30

    async def test_two_stores_find_a_row_absent(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """Two transactions that both found no row do not overwrite each other."""
        await write(store, Decision(items=(ITEM,)))
        other = await open_store()
        both_looked = asyncio.Barrier(2)
        first_look = {store: True, other: True}

        def adding(me: SqlStore) -> Callable[[SqlTransaction], Awaitable[None]]:
            async def add_one(transaction: SqlTransaction) -> None:
                rows = await transaction.gather(Needs(skus=frozenset({"candle-lav"})))
                shelf = rows.shelves.get("candle-lav", Shelf("candle-lav"))
                if first_look[me]:
                    first_look[me] = False
                    # Where writers exclude each other the second never gets here at once.
                    waiting = asyncio.create_task(both_looked.wait())
                    await asyncio.wait([waiting], timeout=0.2)
                    waiting.cancel()
                await transaction.apply(
                    [Decision(shelves=(replace(shelf, on_hand=shelf.on_hand + 1),))]
                )

            return add_one

        await asyncio.gather(*(until_won(each, adding(each)) for each in (store, other)))
        assert await on_hand(store, "candle-lav") == 2

    async def test_a_row_that_was_not_looked_at_is_never_overwritten(self, store: SqlStore) -> None:
        """A whole row written without having been gathered meets the one that is there."""
        await write(store, EVERYTHING)

        async def blind() -> None:
            async with store.transaction() as transaction:
                await transaction.apply([Decision(dirty=(replace(DIRTY, revision=9),))])

        with pytest.raises(StoreConflict):
            await blind()
        assert (await gathered(store)).dirty[FIELD] == DIRTY

    async def test_two_stores_change_a_channels_state(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """The state of a channel, which is not locked, loses no update either."""
        other = await open_store()

        async def add_one(transaction: SqlTransaction) -> None:
            rows = await transaction.gather(Needs())
            state = rows.channels.get("my-shopify", ChannelState("my-shopify", cursor="0"))
            grown = replace(state, cursor=str(int(state.cursor or "0") + 1))
            await transaction.apply([Decision(channels=(grown,))])

        await asyncio.gather(
            *(until_won(each, add_one) for each in (store, other) for _ in range(10))
        )
        assert (await store.channel_state("my-shopify")).cursor == "20"

    async def test_a_busy_writer_is_not_waited_for_forever(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """Where another connection holds the row longer than the bound, the store says so."""
        await write(store, Decision(items=(ITEM,), shelves=(Shelf("candle-lav", 1),)))
        impatient = await open_store(busy_timeout_s=0.1)
        async with store.transaction() as transaction:
            await transaction.gather(ALL)
            async with asyncio.timeout(3):
                with pytest.raises(StoreUnavailable):
                    await gathered(impatient)
        assert (await gathered(impatient)).shelves == {"candle-lav": Shelf("candle-lav", 1)}

    async def test_a_closed_database_is_unavailable_not_a_crash(self, database_url: str) -> None:
        """What cannot be opened is `StoreUnavailable` with the driver's words."""
        missing = (
            "sqlite:////no/such/folder/shop.db"
            if database_url.startswith("sqlite")
            else "postgresql://nobody@/none?host=/no/such/folder&schema=s"
        )
        with pytest.raises(StoreUnavailable):
            await SqlStore.open(missing)

    # -- the outbox and pushes ---------------------------------------------------------------

    async def test_an_outbox_row_goes_only_at_the_leased_revision(self, store: SqlStore) -> None:
        """A field that changed while it was being sent stays dirty."""
        await write(store, replace(EVERYTHING, dirty=(replace(DIRTY, revision=6),)))
        await write(store, Decision(clean=((FIELD, 5),)))
        assert (await gathered(store)).dirty[FIELD].revision == 6
        await write(store, Decision(clean=((FIELD, 6),)))
        assert (await gathered(store)).dirty == {}

    async def test_the_outbox_folds_in_order(self, store: SqlStore) -> None:
        """Within one group a deletion sees the row just written, and a later row survives it."""
        await write(store, replace(EVERYTHING, dirty=()))
        row = replace(DIRTY, revision=7)
        await write(store, Decision(dirty=(row,)), Decision(clean=((FIELD, 7),)))
        assert (await gathered(store)).dirty == {}
        await write(
            store, Decision(dirty=(row,)), Decision(clean=((FIELD, 7),)), Decision(dirty=(row,))
        )
        assert (await gathered(store)).dirty == {FIELD: row}

    async def test_a_push_is_settled_once(self, store: SqlStore) -> None:
        """The second of two settlements is a conflict; the first one stands."""
        await write(store, EVERYTHING)
        [push] = await store.open_pushes("my-shopify")
        settled_at, outcome = samples.SETTLED
        await write(
            store, Decision(pushes=(replace(push, settled_at=settled_at, outcome=outcome),))
        )
        late = replace(push, settled_at=at(99), outcome=PushOutcomeKind.UNKNOWN)
        with pytest.raises(StoreConflict):
            await write(store, Decision(pushes=(late,)))
        assert await store.open_pushes("my-shopify") == []
        [kept] = (await reads.pushes(store, limit=5)).data
        assert (kept.settled_at, kept.outcome) == samples.SETTLED
        assert kept.terms == PUSH.terms

    async def test_a_kept_delivery_may_come_to_point_at_an_order(self, store: SqlStore) -> None:
        """A quarantined body that now reads as a hint is found among what is to be fetched."""
        await write(store, Decision(deliveries=(DELIVERY,)))
        [row] = (await reads.deliveries(store, limit=5)).data
        pending = replace(DELIVERY, id=row.id, state=DeliveryState.PENDING, order_id="o-7")
        await write(store, Decision(deliveries=(pending,)))
        assert [each.order_id for each in await store.hints(DELIVERY.channel, limit=5)] == ["o-7"]

    async def test_there_is_one_daemon_on_a_database(
        self, open_store: Callable[..., Awaitable[SqlStore]]
    ) -> None:
        """A second one is refused while the first runs, and takes its place afterwards."""
        first, second = await open_store(), await open_store()
        async with first.only_daemon():
            with pytest.raises(AlreadyRunning):
                async with second.only_daemon():
                    pass
        async with second.only_daemon():
            pass

    async def test_what_is_short_and_what_holds_comes_with_a_large_group(
        self, store: SqlStore
    ) -> None:
        """Of a group that is read in part: its leader, and whatever may take of its materials."""
        holding = replace(FIELD_ROW, hold=2)
        other = replace(FIELD_ROW, key=FieldKey("my-woo", "9"), hold=0)
        await write(store, Decision(items=(ITEM, WAX, WICK), listings=(LISTING,)))
        async with store.transaction() as transaction:
            await transaction.apply(
                [
                    Decision(
                        shelves=(
                            Shelf(ITEM.sku, on_hand=1, reserved=2),
                            Shelf(WAX.sku, on_hand=5, reserved=2, held=3),
                            Shelf(WICK.sku),
                        ),
                        fields=(holding, other),
                    )
                ]
            )
        found = await gathered(store, Needs(leaders=frozenset({WICK.sku})))
        assert found.shelves.keys() == {WICK.sku, ITEM.sku}
        assert found.fields == {holding.key: holding}
        await write(store, Decision(shelves=(Shelf(WAX.sku, on_hand=5, reserved=2, held=4),)))
        found = await gathered(store, Needs(leaders=frozenset({WICK.sku})))
        assert found.shelves.keys() == {WICK.sku, ITEM.sku, WAX.sku}
        alone = await gathered(store, Needs(skus=frozenset({WAX.sku})))
        assert (alone.shelves.keys(), alone.fields) == ({WAX.sku}, {})

    async def test_a_channel_is_unread_while_a_delivery_waits(self, store: SqlStore) -> None:
        """In quarantine or to be fetched; of no other channel, and not once it was applied."""
        needs = Needs(unread=frozenset({"my-shopify", "my-woo"}))
        for state in DeliveryState:
            delivery = replace(DELIVERY, digest=f"unread {state}", state=state)
            await write(store, Decision(deliveries=(delivery,)))
            waits = state is not DeliveryState.APPLIED
            assert ("my-shopify" in (await gathered(store, needs)).unread) == waits
            for row in (await reads.deliveries(store, limit=10)).data:
                assert row.id is not None
                await write(store, Decision(deliveries_applied=((row.id, row.received_at),)))
                applied = replace(DELIVERY, id=row.id, state=DeliveryState.APPLIED, body=None)
                await write(store, Decision(deliveries=(applied,)))

    async def test_a_field_has_one_push_in_flight(self, store: SqlStore) -> None:
        """A second open push of a field is a conflict; after the first is settled it is not."""
        await write(store, EVERYTHING)
        again = replace(PUSH, call_id="call-2")
        with pytest.raises(StoreConflict):
            await write(store, Decision(pushes=(again,)))
        [push] = await store.open_pushes("my-shopify")
        settled = replace(push, settled_at=at(51), outcome=PushOutcomeKind.CONFLICT)
        await write(store, Decision(pushes=(again, settled)))
        assert [each.call_id for each in await store.open_pushes("my-shopify")] == ["call-2"]

    async def test_dirty_rows_come_decreases_first(self, store: SqlStore) -> None:
        """Due rows without a push in flight: decreases, then by instant, then by key."""
        rows = {
            "late": Dirty(FieldKey("my-shopify", "late"), 1, at(9), decrease=True),
            "B": Dirty(FieldKey("my-shopify", "B"), 1, at(2), decrease=False),
            "a": Dirty(FieldKey("my-shopify", "a"), 1, at(2), decrease=False),
            "first": Dirty(FieldKey("my-shopify", "first"), 1, at(3), decrease=True),
            "early": Dirty(FieldKey("my-shopify", "early"), 1, at(1), decrease=False),
            "flying": Dirty(FieldKey("my-shopify", "flying"), 1, at(0), decrease=True),
        }
        elsewhere = Dirty(FieldKey("my-woo", "30"), 1, at(0), decrease=True)
        await write(
            store,
            Decision(
                items=(ITEM,),
                fields=(*(field_of(key) for key in rows), Field(elsewhere.key, "candle-lav", 1)),
                dirty=(*rows.values(), elsewhere),
                pushes=(replace(PUSH, field=FieldKey("my-shopify", "flying")),),
            ),
        )
        due = await store.dirty("my-shopify", at=at(3), limit=10)
        assert [row.key.key for row in due] == ["first", "early", "B", "a"]
        assert due[0] == rows["first"]
        two = await store.dirty("my-shopify", at=at(3), limit=2)
        assert [row.key.key for row in two] == ["first", "early"]
        assert await store.next_due("my-shopify") == at(1)
        assert await store.next_due("my-woo") == at(0)

    async def test_reads_that_are_due_come_longest_due_first(self, store: SqlStore) -> None:
        """Fields whose reading is due at the instant or before it; the others are left out."""
        due = {"c": at(2), "b": at(1), "a": at(2), "later": at(4), "never": None}
        fields = tuple(field_of(key, read_due_at=instant) for key, instant in due.items())
        await write(store, Decision(items=(ITEM,), fields=fields))
        found = await store.reads_due("my-shopify", at=at(2), limit=10)
        assert [key.key for key in found] == ["b", "a", "c"]
        assert len(await store.reads_due("my-shopify", at=at(2), limit=2)) == 2
        assert await store.next_read_due("my-shopify") == at(1)
        assert await store.next_read_due("my-woo") is None
        rows = await store.fields([FieldKey("my-shopify", key) for key in ("c", "none", "b")])
        assert [(row.key.key, row.read_due_at) for row in rows] == [("b", at(1)), ("c", at(2))]
        assert await store.fields([]) == []

    # -- the inbox ---------------------------------------------------------------------------

    async def test_hints_are_pending_deliveries_that_name_an_order(self, store: SqlStore) -> None:
        """Oldest first; applied, quarantined and orderless ones are left out."""
        arrived = [
            replace(DELIVERY, digest="1", order_id="5001"),
            replace(DELIVERY, digest="2", order_id=None),
            replace(DELIVERY, digest="3", state=DeliveryState.QUARANTINED),
            replace(DELIVERY, digest="4", state=DeliveryState.APPLIED),
            replace(DELIVERY, digest="5", order_id="5002"),
            replace(DELIVERY, digest="6", channel="my-woo"),
        ]
        await write(store, Decision(deliveries=tuple(arrived)))
        found = await store.hints("my-shopify", limit=10)
        assert [each.digest for each in found] == ["1", "5"]
        assert len(await store.hints("my-shopify", limit=1)) == 1
        assert await store.hints("my-shopify", limit=9, after=found[0].id or 0) == found[1:]
        first = (found[0].id or 0, found[0].received_at)
        again = replace(found[0], received_at=found[0].received_at + timedelta(microseconds=1))
        await write(store, Decision(deliveries=(again,), deliveries_applied=(first,)))
        assert (await store.hints("my-shopify", limit=1)) == [again], "it has come again since"
        await write(store, Decision(deliveries=(found[0],)))
        await write(store, Decision(deliveries_applied=(first,)))
        assert [each.digest for each in await store.hints("my-shopify", limit=9)] == ["5"]
        applied = await reads.delivery(store, found[0].id or 0)
        assert applied == replace(found[0], state=DeliveryState.APPLIED, body=None)

    async def test_of_one_body_the_newest_delivery_is_gathered(self, store: SqlStore) -> None:
        """A hint whose twin was processed before is seen as the new one that it is."""
        first = replace(DELIVERY, state=DeliveryState.APPLIED)
        await write(store, Decision(deliveries=(first, DELIVERY)))
        found = (await gathered(store)).deliveries["my-shopify", DELIVERY.digest]
        assert found.state is DeliveryState.PENDING

    async def test_a_delivery_is_quarantined_and_released(self, store: SqlStore) -> None:
        """A known inbox row takes a new state, reason and body."""
        await write(store, Decision(deliveries=(DELIVERY,)))
        [known] = await store.hints("my-shopify", limit=1)
        for state, reason, body in (
            (DeliveryState.QUARANTINED, "line 3 is no number", b"sealed"),
            (DeliveryState.PENDING, "", None),
        ):
            changed = replace(known, state=state, reason=reason, body=body)
            await write(store, Decision(deliveries=(changed,)))
            assert await reads.delivery(store, known.id or 0) == changed

    # -- orders ------------------------------------------------------------------------------

    async def test_reservations_are_found_by_order_and_by_listing(self, store: SqlStore) -> None:
        """By order: all its lines. By order key: those that are open or not mapped yet."""
        lines = {
            "open": replace(RESERVATION, field=None),
            "unmapped": replace(RESERVATION, field=None, sku=None, open=0),
            "closed": replace(RESERVATION, field=None, open=0),
            "other": replace(RESERVATION, field=None, order_key="another"),
        }
        rows = tuple(
            replace(row, key=ReservationKey("my-shopify", "5001", line))
            for line, row in lines.items()
        )
        stranger = replace(rows[0], key=ReservationKey("my-woo", "5001", "open"))
        await write(store, Decision(items=(ITEM,), reservations=(*rows, stranger)))
        by_order = await gathered(store, Needs(orders=frozenset({("my-shopify", "5001")})))
        assert set(by_order.reservations.values()) == set(rows)
        key = frozenset({("my-shopify", "808950810")})
        by_key = await gathered(store, Needs(order_keys=key))
        assert {each.line_id for each in by_key.reservations} == {"open", "unmapped"}

    # -- movements ---------------------------------------------------------------------------

    async def test_a_movement_brings_its_whole_command(self, store: SqlStore) -> None:
        """Asked for one movement, the store returns all of its command, and which were undone."""
        build = (moved("candle-lav", 10, "cmd b"), moved("beeswax", -5, "cmd b"))
        [ids] = await write(
            store, Decision(items=(ITEM, WAX), movements=(*build, moved("beeswax", 3, "cmd c")))
        )
        found = await gathered(store, Needs(movements=frozenset({ids[1]})))
        assert list(found.movements) == [ids[0], ids[1]]
        assert found.undone == frozenset()
        await write(store, Decision(movements=(moved("candle-lav", -10, "cmd u", undoes=ids[0]),)))
        found = await gathered(store, Needs(movements=frozenset({ids[1]})))
        assert found.undone == {ids[0]}

    async def test_a_movement_is_undone_once(self, store: SqlStore) -> None:
        """A second undo of one movement is a conflict, whoever tries."""
        [(first,)] = await write(
            store, Decision(items=(ITEM,), movements=(moved("candle-lav", 1),))
        )
        undo = Decision(movements=(moved("candle-lav", -1, "cmd u", undoes=first),))
        await write(store, undo)
        with pytest.raises(StoreConflict):
            await write(store, undo)

    async def test_movement_ids_ascend_over_transactions(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """No id is given out twice, not after a rollback and not by another store."""
        other = await open_store()
        await write(store, Decision(items=(ITEM,)))
        seen: list[int] = []
        for each in (store, other, store):
            [ids] = await write(each, Decision(movements=(moved("candle-lav", 1),) * 3))
            seen.extend(ids)
            with pytest.raises(ZeroDivisionError):
                await write_and_fail(each, Decision(movements=(moved("candle-lav", 1),)))
        assert seen == sorted(set(seen))

    async def test_a_note_of_what_is_owed_is_no_movement_of_its_command(
        self, store: SqlStore
    ) -> None:
        """It is written, and whoever repeats the command is told of what moved alone."""
        note = replace(moved("candle-lav", 0), owed=(Owed(1, 4),))
        counted = replace(moved("candle-lav", 0), kind=MovementKind.COUNT, owed=(Owed(1, -4),))
        await write(store, Decision(items=(ITEM,)))
        written = (note, moved("candle-lav", 1), counted)
        [ids] = await write(store, Decision(movements=written, commands=(COMMAND,)))
        everything = frozenset(range(ids[0] - 1, ids[-1] + 1))
        found = await gathered(store, Needs(keys=frozenset({COMMAND.key}), movements=everything))
        assert [row.owed for row in found.movements.values()] == [row.owed for row in written]
        assert [found.movements[each].kind for each in ids] == [row.kind for row in written[1:]]
        assert found.commands[COMMAND.key].movement_ids == ids

    # -- holds -------------------------------------------------------------------------------

    async def test_a_hold_is_found_by_its_id_and_by_its_key(self, store: SqlStore) -> None:
        """With its lines in their order; only who is to place one is told the next id."""
        await write(store, replace(EVERYTHING, holds=(HOLD, a_hold(3))))
        found = await gathered(store, Needs(holds=frozenset({HOLD.id, 4711})))
        assert (found.holds, found.next_hold) == ({HOLD.id: HOLD}, 1)
        found = await gathered(store, Needs(hold_keys=frozenset({HOLD.key, "absent"})))
        assert (found.holds, found.next_hold) == ({HOLD.id: HOLD}, HOLD.id + 1)

    async def test_a_hold_ends_and_keeps_its_lines(self, store: SqlStore) -> None:
        """Its row is replaced, its lines stay."""
        await write(store, EVERYTHING)
        ended = replace(HOLD, state=HoldState.RELEASED, ended_at=at(99), reason="not needed")
        await write(store, Decision(holds=(ended,)))
        assert (await gathered(store)).holds == {HOLD.id: ended}

    async def test_two_stores_place_a_hold_at_once(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """Both would take the same id: one of them loses, runs again, and gets the next one."""
        other = await open_store()
        await write(store, replace(EVERYTHING, holds=()))

        async def place(name: str, transaction: SqlTransaction) -> int:
            rows = await transaction.gather(Needs(hold_keys=frozenset({name})))
            await transaction.apply([Decision(holds=(a_hold(rows.next_hold, key=name),))])
            return rows.next_hold

        placed = await asyncio.gather(
            *(
                until_won(each, partial(place, f"{number} {at}"))
                for at, each in enumerate((store, other))
                for number in range(5)
            )
        )
        assert sorted(placed) == list(range(1, 11))

    async def test_due_holds_come_longest_due_first(self, store: SqlStore) -> None:
        """Those that are held; at the very instant, too."""
        assert await store.next_hold_due() is None
        holds = [a_hold(1, until=50), a_hold(2, until=40), a_hold(3, until=60)]
        ended = replace(a_hold(4, until=10), state=HoldState.SOLD, ended_at=at(5))
        await write(store, replace(EVERYTHING, holds=(*holds, ended)))
        assert await store.next_hold_due() == at(40)
        assert await store.holds_due(at=at(39), limit=10) == []
        assert await store.holds_due(at=at(50), limit=10) == [2, 1]
        assert await store.holds_due(at=at(99), limit=2) == [2, 1]

    # -- the catalogue -----------------------------------------------------------------------

    async def test_every_catalogue_change_bumps_the_revision(self, store: SqlStore) -> None:
        """Items, bills and listings do, once per transaction; nothing else does."""
        revisions = []
        for decision in (
            Decision(items=(ITEM, WAX, WICK)),
            Decision(bills=(BILL,), listings=(LISTING,)),
            Decision(shelves=(SHELF,), fields=(FIELD_ROW,), movements=(MOVEMENT,)),
            Decision(listings=(replace(LISTING, adopted=False),)),
        ):
            await write(store, decision)
            async with store.transaction() as transaction:
                revisions.append(await transaction.catalogue_revision())
        assert revisions == [1, 2, 2, 3]
        catalogue = await store.catalogue()
        assert (catalogue.revision, catalogue.listings) == (3, (replace(LISTING, adopted=False),))

    async def test_a_bill_replaces_its_lines(self, store: SqlStore) -> None:
        """A line that the new bill does not have is gone; the order of lines is kept."""
        await write(store, Decision(items=(ITEM, WAX, WICK), bills=(BILL,)))
        for lines in ((BillLine("beeswax", 2),), (BillLine("wick", 1), BillLine("beeswax", 3))):
            bill = BillOfMaterials("candle-lav", 1, lines)
            await write(store, Decision(bills=(bill,)))
            assert (await store.catalogue()).bills == (bill,)

    async def test_the_catalogue_stands_still_inside_a_transaction(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """Nobody changes the catalogue between a transaction's look at it and its end."""
        other = await open_store(busy_timeout_s=0.1)
        async with store.transaction() as transaction:
            assert await transaction.catalogue_revision() == 0
            with pytest.raises(StoreUnavailable):
                await write(other, Decision(items=(ITEM,)))
        await write(other, Decision(items=(ITEM,)))
        assert (await store.catalogue()).revision == 1

    # -- drifts ------------------------------------------------------------------------------

    async def test_a_closing_closes_what_is_open_of_its_field(self, store: SqlStore) -> None:
        """With its class and resolution; another field's drift, and a later one, stay open."""
        other = replace(DRIFT, field=FieldKey("my-shopify", "other"))
        await write(store, replace(EVERYTHING, fields=(FIELD_ROW, field_of("other"))))
        await write(store, Decision(drifts=(other,)))
        closing = replace(
            DRIFT, drift_class=DriftClass.MANUAL_EDIT, resolution="restored", closed_at=at(75)
        )
        later = replace(DRIFT, opened_at=at(76))
        await write(store, Decision(drifts=(closing,)), Decision(drifts=(later,)))
        page = await reads.drifts(store, limit=10)
        assert [(row.drift.drift_class, row.drift.closed_at) for row in page.data] == [
            (DriftClass.UNSEEN_SALE, None),
            (DriftClass.UNSEEN_SALE, None),
            (DriftClass.MANUAL_EDIT, at(75)),
        ]
        still = await reads.drifts(store, limit=10, only_open=True)
        assert [row.drift.field.key for row in still.data] == [FIELD.key, "other"]

    async def test_a_drift_opened_and_closed_in_one_group_is_closed(self, store: SqlStore) -> None:
        """A closing also closes what was opened before it in the same transaction."""
        closing = replace(DRIFT, resolution="eaten", closed_at=at(75))
        await write(store, replace(EVERYTHING, drifts=(DRIFT,)), Decision(drifts=(closing,)))
        [row] = (await reads.drifts(store, limit=10)).data
        assert (row.drift.resolution, row.drift.closed_at) == ("eaten", at(75))

    # -- numbers, requests, changes ----------------------------------------------------------

    async def test_fetch_numbers_never_repeat(self, store: SqlStore, open_store: OpenStore) -> None:
        """Not between stores, not at the same time, not after the database was opened again."""
        assert await store.reserve_fetch_numbers(5) == 1
        other = await open_store()
        firsts = await asyncio.gather(
            *(each.reserve_fetch_numbers(2) for each in (store, other) for _ in range(5))
        )
        assert sorted(firsts) == list(range(6, 26, 2))
        await store.close()
        await other.close()
        assert await (await open_store()).reserve_fetch_numbers(1) == 26

    async def test_a_long_catalogue_is_packed_and_says_the_same(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Read in parts of three rows, and packed from four on: the same items, bills and listings
        in the same order, of bills with lines of several parts, too, and older bills.
        """
        items = [replace(ITEM, sku=f"sku-{number:02}") for number in range(11)]
        bills = [
            BillOfMaterials(
                made.sku,
                number,
                tuple(BillLine(each.sku, number + 1, Scrap(1, 20)) for each in items[:number]),
                version=number,
            )
            for number, made in enumerate(items[:8])
            if number
        ]
        older = replace(OLDER_BILL, item=bills[-1].item)
        listings = [
            Listing(ListingKey(each, f"{number:02}"), items[number].sku, ref={"id": number})
            for each in ("shop", "woo")
            for number in range(5)
        ]
        await write(
            store,
            Decision(
                items=tuple(items),
                bills=tuple(bills[::-1]),
                listings=tuple(listings[::-1]),
                older_bills=(older,),
            ),
        )
        plain = await store.catalogue()
        assert not isinstance(plain.bills, Packed)
        monkeypatch.setattr(transaction, "PACKED_MIN", 4)
        for dialect in (sqlite, postgres):
            monkeypatch.setattr(dialect, "PART_ROWS", 3)
        packed = await store.catalogue()
        assert isinstance(packed.items, Packed)
        assert isinstance(packed.bills, Packed)
        assert isinstance(packed.listings, Packed)
        assert tuple(packed.items) == plain.items == tuple(items)
        assert tuple(packed.bills) == plain.bills == tuple(bills)
        assert tuple(packed.listings) == plain.listings == tuple(listings)
        assert packed.older_bills == plain.older_bills == (older,)

    async def test_the_listings_of_a_channel_come_in_pages(self, store: SqlStore) -> None:
        """In the order of their references, of no other channel, as the catalogue has them."""
        known = [
            Listing(ListingKey(channel, ref), ITEM.sku, ref={"id": ref}, order_key=ref)
            for channel, ref in (
                ("my-shop", "b"),
                ("my-shop", "a"),
                ("my-woo", "c"),
                ("my-shop", "d"),
            )
        ]
        await write(store, Decision(items=(ITEM,), listings=tuple(known)))
        b, a, _, d = known
        assert await store.listings("my-shop", after="", limit=2) == [a, b]
        assert await store.listings("my-shop", after="b", limit=2) == [d]
        assert await store.listings("my-shop", after="d", limit=2) == []

    async def test_the_fields_of_a_channel_are_listed(self, store: SqlStore) -> None:
        """In the order of their keys, and of no other channel."""
        await write(store, Decision(items=(ITEM,)), Decision(fields=(field_of("b"), field_of("a"))))
        other = replace(field_of("c"), key=FieldKey("my-woo", "c"))
        await write(store, Decision(fields=(other,)))
        channel = field_of("a").key.channel
        a, b = FieldKey(channel, "a"), FieldKey(channel, "b")
        assert await store.field_keys(channel) == [a, b]
        assert await store.fields_after(channel, "", limit=1) == [a]
        assert await store.fields_after(channel, "a", limit=2) == [b]

    async def test_notes_are_kept_changed_and_forgotten(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """What a connector notes of its channel outlives it; each channel has its own."""
        assert await store.noted("my-etsy") == {}
        await store.note("my-etsy", "off/1001", "today")
        await store.note("my-etsy", "off/1002", "")
        await store.note("my-other", "off/1001", "other")
        await store.note("my-etsy", "off/1001", "later")
        other = await open_store()
        assert await other.noted("my-etsy") == {"off/1001": "later", "off/1002": ""}
        await other.note("my-etsy", "off/1002", None)
        await other.note("my-etsy", "never there", None)
        assert await store.noted("my-etsy") == {"off/1001": "later"}

    async def test_of_two_who_renew_access_the_first_wins(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """Access is stored whole, only over the version before it, also between two processes."""
        other = await open_store()
        assert await store.credential("my-etsy") is None
        assert await store.keep_credential(CREDENTIAL)
        assert await other.credential("my-etsy") == CREDENTIAL
        assert not await other.keep_credential(CREDENTIAL), "the first version is there already"
        second = replace(CREDENTIAL, version=2, sealed=b"second", leased_until=None)
        assert await other.keep_credential(second)
        assert not await store.keep_credential(replace(second, sealed=b"late"))
        assert not await store.keep_credential(replace(second, version=4))
        assert await store.credential("my-etsy") == second

    async def test_requests_are_left_seen_and_answered(self, store: SqlStore) -> None:
        """What was asked is seen oldest first until it has been answered."""
        first = await store.ask("resync", {"channel": "my-shopify", "all": True}, at=at(1))
        second = await store.ask("replay", {"delivery": 7}, at=at(2))
        asked = await store.asked()
        assert [(each.id, each.kind, each.asked_at) for each in asked] == [
            (first, "resync", at(1)),
            (second, "replay", at(2)),
        ]
        assert asked[0].arguments == {"channel": "my-shopify", "all": True}
        await store.answered(first, at=at(3))
        assert [each.id for each in await store.asked()] == [second]

    async def test_changes_sees_the_commits_of_others(
        self, store: SqlStore, open_store: OpenStore
    ) -> None:
        """It differs after another connection's commit, and not without one."""
        other = await open_store()
        before = await store.changes()
        assert await store.changes() == before
        await write(other, Decision(items=(ITEM,)))
        after = await store.changes()
        assert after != before
        assert await store.changes() == after
        await write(store, Decision(items=(WAX,)))
        await gathered(other)
        assert await store.changes() == after
        await other.ask("resync", {}, at=at(0))
        assert await store.changes() != after

    # -- what is deleted -------------------------------------------------------------------------

    async def test_requests_are_pruned_once_they_are_answered(self, store: SqlStore) -> None:
        """One that waits stays however old it is, and so does one that was answered of late."""
        first, second, third = [await store.ask("resync", {}, at=at(0)) for _ in range(3)]
        assert await store.prune(kept_since=at(5000), limit=9) == 0
        await store.answered(first, at=at(4999))
        await store.answered(second, at=at(5000))
        assert await store.prune(kept_since=at(5000), limit=9) == 1
        assert await store.prune(kept_since=at(5000), limit=9) == 0
        assert [each.id for each in await store.asked()] == [third]
        assert await store.ask("resync", {}, at=at(0)) > third, "no id is given twice"

    async def test_the_key_of_a_command_is_never_forgotten(self, store: SqlStore) -> None:
        """However old it is: its movements are named by it, and repeating it would double them."""
        await write(store, EVERYTHING)
        done = (await reads.check_rows(store, deep=True)).books.commands
        assert done
        await store.prune(kept_since=at(10**9), limit=9)
        assert (await reads.check_rows(store, deep=True)).books.commands == done

    async def test_only_what_is_old_and_done_with_is_pruned(self, store: SqlStore) -> None:
        """The oldest first and so many at a time; what waits, and what balances are made of, stays
        however old it is.
        """
        await write(store, EVERYTHING)
        kept_since = at(5000)
        assert await store.prune(kept_since=kept_since, limit=9) == 0, "all of it waits"
        (push,) = await store.open_pushes("my-shopify")
        for settled_at in (at(4999), at(5000)):
            done = replace(push, settled_at=settled_at, outcome=PushOutcomeKind.APPLIED)
            closed = replace(DRIFT, resolution="done", closed_at=settled_at)
            arrived = replace(
                DELIVERY,
                state=DeliveryState.APPLIED,
                received_at=settled_at,
                digest=str(settled_at),
            )
            twin = replace(arrived, digest=f"{settled_at} twin")
            await write(
                store, Decision(pushes=(done,), drifts=(closed,), deliveries=(arrived, twin))
            )
            another = replace(PUSH, call_id=f"call {settled_at}", sent_at=settled_at)
            await write(store, Decision(pushes=(another,), drifts=(DRIFT,)))
            (push,) = await store.open_pushes("my-shopify")
        before = await reads.check_rows(store, deep=True)
        assert await store.prune(kept_since=kept_since, limit=1) == 3
        assert await store.prune(kept_since=kept_since, limit=1) == 1
        assert await store.prune(kept_since=kept_since, limit=9) == 0
        assert await reads.check_rows(store, deep=True) == before
        left = (await reads.deliveries(store, limit=9)).data
        assert {each.received_at for each in left} == {DELIVERY.received_at, at(5000)}
        settled = (await reads.pushes(store, limit=9)).data
        assert {each.settled_at for each in settled} == {None, at(5000)}
        closed_at = {row.drift.closed_at for row in (await reads.drifts(store, limit=9)).data}
        assert closed_at == {None, at(5000)}

    # -- how far time has come -------------------------------------------------------------------

    async def test_the_newest_instant_is_that_of_any_row(self, store: SqlStore) -> None:
        """Whatever happened last; what is due later, and the channels' own clocks, do not count."""
        assert await store.newest_instant() is None
        await write(store, EVERYTHING)
        assert await store.newest_instant() == CHANNEL.polled_begun_at
        (push,) = await store.open_pushes("my-shopify")
        later = [
            Decision(fields=(replace(FIELD_ROW, observed_at=at(1000)),)),
            Decision(fields=(replace(FIELD_ROW, written_at=at(1001)),)),
            Decision(fields=(replace(FIELD_ROW, pushed_at=at(1002)),)),
            Decision(movements=(replace(MOVEMENT, at=at(1003)),)),
            Decision(deliveries=(replace(DELIVERY, received_at=at(1004)),)),
            Decision(drifts=(replace(DRIFT, opened_at=at(1005), closed_at=None),)),
            Decision(drifts=(replace(DRIFT, resolution="done", closed_at=at(1006)),)),
            Decision(pushes=(replace(push, settled_at=at(1007), outcome=PushOutcomeKind.APPLIED),)),
            Decision(pushes=(replace(PUSH, call_id="another", sent_at=at(1008)),)),
            Decision(channels=(replace(CHANNEL, polled_begun_at=at(1009)),)),
            Decision(holds=(replace(a_hold(8), placed_at=at(1010)),)),
            Decision(
                holds=(replace(HOLD, state=HoldState.EXPIRED, ended_at=at(1011)),),
            ),
        ]
        for count, each in enumerate(later):
            await write(store, each)
            assert await store.newest_instant() == at(1000 + count), each
        request = await store.ask("resync", {}, at=at(2000))
        assert await store.newest_instant() == at(2000)
        await store.answered(request, at=at(2001))
        assert await store.newest_instant() == at(2001)
        due = replace(FIELD_ROW, read_due_at=at(9000), observed_date=at(9000))
        await write(store, Decision(fields=(due,), dirty=(replace(DIRTY, due_at=at(9000)),)))
        assert await store.newest_instant() == at(2001)
