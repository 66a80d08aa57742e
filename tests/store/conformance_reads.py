"""What the read side must show, on every database: run by test_sqlite.py and test_postgres.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stockpush.messages import CommandDone, Decision
from stockpush.model import (
    LOOK_AT,
    QUANTITY_MAX,
    ChannelState,
    DeliveryState,
    FieldKey,
    HoldState,
    ListingKey,
    LotKey,
    OrderVersion,
    PushOutcomeKind,
    ReservationKey,
    Shelf,
    shelf_key,
)
from stockpush.reservation.orders import undeducted
from stockpush.store import SqlStore, reads
from stockpush.store.reads import ChannelRow, Latency, OpenUnits, PastField
from tests.store.conformance import a_hold, field_of, gathered, moved, on_hand, write
from tests.store.samples import (
    BILL,
    CHANNEL,
    DELIVERY,
    DRIFT,
    EVERYTHING,
    FEED,
    FIELD,
    FIELD_ROW,
    HOLD,
    ITEM,
    LISTING,
    LOCATION,
    PUSH,
    RESERVATION,
    WAX,
    WICK,
    at,
)


class ReadsConformance:
    """The suite of the read side."""

    async def test_channel_rows_count_what_waits(self, store: SqlStore) -> None:
        """Every name asked for gets a row; latency is over applied pushes only."""
        await write(store, EVERYTHING)
        quarantined = replace(DELIVERY, digest="2", state=DeliveryState.QUARANTINED)
        other = replace(
            LISTING, key=ListingKey("my-shopify", "2"), adopted=False, parked_reason=None
        )
        await write(store, Decision(deliveries=(quarantined,), listings=(other,)))
        shopify, woo = await reads.channel_rows(store, ["my-shopify", "my-woo"])
        assert woo == ChannelRow(ChannelState("my-woo"))
        assert shopify == ChannelRow(
            CHANNEL,
            listings=2,
            adopted=1,
            parked=1,
            backlog=1,
            in_flight=1,
            pending=1,
            quarantined=1,
            drifts=1,
        )
        await store.note("my-shopify", f"{LOOK_AT}30", "its price is another one")
        await store.note("my-shopify", "off-sale:1", "the connector's own")
        await self._settle_after(store, [0.1, 0.2, 0.3, 9.0])
        [shopify] = await reads.channel_rows(store, ["my-shopify"])
        assert shopify.latency_s == Latency(p50=0.2, p95=9.0)
        assert shopify.look_at == {"30": "its price is another one"}

    @staticmethod
    async def _settle_after(store: SqlStore, delays: list[float]) -> None:
        """Settle the open push as refused, then push as often as there are delays, applied."""
        [push] = await store.open_pushes("my-shopify")
        refused = replace(push, settled_at=at(999), outcome=PushOutcomeKind.REJECTED)
        await write(store, Decision(pushes=(refused,)))
        for number, delay in enumerate(delays):
            await write(store, Decision(pushes=(replace(PUSH, call_id=f"again-{number}"),)))
            [push] = await store.open_pushes("my-shopify")
            settled_at = push.sent_at + (at(delay) - at(0))
            applied = replace(push, settled_at=settled_at, outcome=PushOutcomeKind.APPLIED)
            await write(store, Decision(pushes=(applied,)))

    async def test_pages_follow_each_other_without_gap_or_overlap(self, store: SqlStore) -> None:
        """Newest first; the cursor leads to the next page and is None on the last."""
        moves = tuple(moved("candle-lav", number) for number in range(1, 8))
        await write(store, Decision(items=(ITEM, WAX), movements=(*moves, moved("beeswax", 99))))
        seen: list[int] = []
        cursor: int | None = None
        sizes = []
        while True:
            page = await reads.movements(store, limit=3, before=cursor, sku="candle-lav")
            seen.extend(row.quantity for row in page.data)
            sizes.append(len(page.data))
            cursor = page.next
            if cursor is None:
                break
        assert (seen, sizes) == ([7, 6, 5, 4, 3, 2, 1], [3, 3, 1])
        assert len((await reads.movements(store, limit=99)).data) == 8
        assert (await reads.movements(store, limit=8)).next is None

    async def test_movements_are_listed_since_an_instant(self, store: SqlStore) -> None:
        """Those of that very instant and later, page by page; of none the page is empty."""
        moves = tuple(replace(moved("candle-lav", each), at=at(each)) for each in range(1, 6))
        await write(store, Decision(items=(ITEM,), movements=moves))
        page = await reads.movements(store, limit=2, since=at(3))
        assert [row.quantity for row in page.data] == [5, 4]
        page = await reads.movements(store, limit=2, since=at(3), before=page.next)
        assert ([row.quantity for row in page.data], page.next) == ([3], None)
        assert (await reads.movements(store, limit=2, since=at(6))).data == ()

    @pytest.mark.parametrize(("limit", "size"), [(0, 1), (-5, 1), (500, 500), (10**6, 500)])
    async def test_a_page_has_a_limit(self, store: SqlStore, limit: int, size: int) -> None:
        """Whatever is asked for, a page has between 1 and `PAGE_MAX` rows."""
        await write(store, Decision(items=(ITEM,), movements=(moved("candle-lav", 1),) * 501))
        assert len((await reads.movements(store, limit=limit)).data) == size

    async def test_deliveries_are_listed_without_bodies(self, store: SqlStore) -> None:
        """The list filters by channel and state; a single delivery comes with its body."""
        await write(
            store,
            Decision(
                deliveries=(
                    DELIVERY,
                    replace(DELIVERY, channel="my-woo"),
                    replace(DELIVERY, state=DeliveryState.QUARANTINED),
                )
            ),
        )
        everything = await reads.deliveries(store, limit=10)
        assert [row.id for row in everything.data] == [3, 2, 1]
        assert {row.body for row in everything.data} == {None}
        bad = await reads.deliveries(store, limit=10, state=DeliveryState.QUARANTINED)
        assert [row.id for row in bad.data] == [3]
        both = await reads.deliveries(
            store, limit=10, channel="my-shopify", state=DeliveryState.PENDING
        )
        assert [row.id for row in both.data] == [1]
        one = await reads.delivery(store, 1)
        assert one is not None
        assert one.body == DELIVERY.body
        assert await reads.delivery(store, 4711) is None

    async def test_pushes_are_listed_by_channel_and_field(self, store: SqlStore) -> None:
        """The history of one field, of a channel, or of all."""
        await write(store, replace(EVERYTHING, fields=(FIELD_ROW, field_of("other"))))
        other = replace(PUSH, call_id="call-2", field=FieldKey("my-shopify", "other"))
        await write(store, Decision(pushes=(other,)))
        everything = await reads.pushes(store, limit=10)
        assert [push.call_id for push in everything.data] == ["call-2", "call-1"]
        assert len((await reads.pushes(store, limit=10, channel="my-woo")).data) == 0
        of_field = await reads.pushes(store, limit=10, channel="my-shopify", field_key=FIELD.key)
        assert [push.call_id for push in of_field.data] == ["call-1"]

    async def test_a_drift_names_the_listings_of_its_field(self, store: SqlStore) -> None:
        """Two listings may show one number; a field without a listing has none to name."""
        twin = replace(LISTING, key=ListingKey("my-shopify", "twin"), ref={"variant_id": 2})
        lonely = replace(DRIFT, field=FieldKey("my-shopify", "lonely"))
        await write(
            store,
            replace(
                EVERYTHING,
                listings=(LISTING, twin),
                fields=(FIELD_ROW, field_of("lonely")),
                drifts=(DRIFT, lonely),
            ),
        )
        rows = (await reads.drifts(store, limit=10)).data
        assert [row.refs for row in rows] == [(), (twin.ref, LISTING.ref)]
        assert (await reads.drifts(store, limit=10, channel="my-woo")).data == ()

    async def test_evidence_has_an_item_s_open_orders_and_newest_movement(
        self, store: SqlStore
    ) -> None:
        """By channel in smallest units and of how many orders; lines newest first and bounded."""
        woo = FieldKey("my-woo", "30")
        lines = [
            replace(
                RESERVATION,
                key=ReservationKey(field.channel, order, part),
                open=units,
                pack=pack,
                sku=sku,
                field=field,
                placed_at=at(placed),
            )
            for field, order, part, units, pack, sku, placed in (
                (FIELD, "5001", "1", 5, 6, "candle-lav", 1),
                (FIELD, "5001", "2", 1, 1, "candle-lav", 1),
                (FIELD, "5002", "1", 2, 6, "candle-lav", 3),
                (FIELD, "5003", "1", 0, 6, "candle-lav", 4),
                (FIELD, "5004", "1", 9, 1, "beeswax", 5),
                (woo, "77", "1", 4, 1, "candle-lav", 2),
            )
        ]
        await write(
            store,
            Decision(
                items=(ITEM, WAX),
                fields=(FIELD_ROW, replace(FIELD_ROW, key=woo)),
                reservations=tuple(lines),
                movements=(moved("candle-lav", 3), moved("candle-lav", -1), moved("beeswax", 9)),
            ),
        )
        found = await reads.evidence(store, "candle-lav", lines_max=3)
        assert found.open == (OpenUnits("my-shopify", 2, 43), OpenUnits("my-woo", 1, 4))
        assert [line.key[1:] for line in found.lines] == [
            ("5002", "1"),
            ("77", "1"),
            ("5001", "1"),
        ]
        assert found.last is not None
        assert (found.last.id, found.last.quantity) == (2, -1)
        assert {item.sku for item in found.catalogue.items} == {"candle-lav", "beeswax"}
        assert found.kept.fields.keys() == {FIELD, woo}
        nothing = await reads.evidence(store, "wick", lines_max=3)
        assert (nothing.last, nothing.open, nothing.lines) == (None, (), ())

    async def test_the_past_has_the_last_push_by_then_and_what_came_after(
        self, store: SqlStore
    ) -> None:
        """To the microsecond; changes oldest first, of the items asked for, the rest counted."""
        await self._history(store)

        async def asked(seconds: float, most: int = 9) -> reads.Past:
            return await reads.past(
                store,
                "candle-lav",
                at=at(seconds),
                moved={"candle-lav", "beeswax"},
                ordered={"candle-lav"},
                changes_max=most,
            )

        early = await asked(9.999999)
        assert early.fields == {FIELD: PastField(None, at(10), None)}
        assert (early.on_hand, early.last and early.last.id) == (5, 1)
        nothing = await asked(-1)
        assert (nothing.on_hand, nothing.last) == (0, None)
        then = await asked(10)
        known = then.fields[FIELD]
        assert known.push is not None
        assert (known.push.call_id, known.push.terms) == ("call-10", (("on_hand", 10),))
        assert (then.on_hand, then.last and then.last.id) == (5, 1)
        since = known.since
        assert since is not None
        assert [row.id for row in since.movements] == [2, 3, 5]
        assert [row.key.order_id for row in since.orders] == ["2", "1"]
        assert (since.more_movements, since.more_orders) == (0, 0)
        cut = (await asked(25, 1)).fields[FIELD]
        assert cut.push is not None
        assert cut.push.call_id == "call-20"
        assert cut.since is not None
        assert [row.id for row in cut.since.movements] == [3]
        assert (cut.since.more_movements, cut.since.more_orders) == (1, 1)
        assert (await asked(30)).on_hand == 3

    async def test_the_past_says_what_lay_in_which_lot_and_where(self, store: SqlStore) -> None:
        """The sum of each lot and location by then; what lies at `main` in no lot is in none."""
        places = (("main", None), ("main", "A"), ("fair", "A"), ("fair", None), ("main", "A"))
        moves = tuple(
            replace(moved("candle-lav", 10**number), at=at(number), location=location, lot=lot)
            for number, (location, lot) in enumerate(places)
        )
        await write(store, replace(EVERYTHING, listings=(LISTING,), movements=moves))
        sku = "candle-lav"
        found = await reads.past(store, sku, at=at(3), moved={sku}, ordered={sku}, changes_max=9)
        assert found.on_hand == 1111
        assert found.lots == {
            LotKey(sku, "main", "A"): 10,
            LotKey(sku, "fair", "A"): 100,
            LotKey(sku, "fair", ""): 1000,
        }

    @staticmethod
    async def _history(store: SqlStore) -> None:
        """Two pushes, at 10 and 20, and something every few seconds around them."""
        moves = (
            ("candle-lav", 5, 1),
            ("beeswax", 9, 15),
            ("candle-lav", -2, 25),
            ("wick", 1, 26),
            ("candle-lav", -1, 40),
        )
        orders = (("1", 30, "candle-lav"), ("2", 21, "candle-lav"), ("3", 22, "beeswax"))
        await write(
            store,
            replace(
                EVERYTHING,
                listings=(LISTING,),
                pushes=(),
                movements=tuple(
                    replace(moved(sku, quantity), at=at(seconds))
                    for sku, quantity, seconds in moves
                ),
                reservations=tuple(
                    replace(
                        RESERVATION,
                        key=ReservationKey("my-shopify", order, "1"),
                        version=OrderVersion(at(seconds), 0),
                        sku=sku,
                    )
                    for order, seconds, sku in orders
                ),
            ),
        )
        for seconds in (10, 20):
            sent = replace(
                PUSH,
                call_id=f"call-{seconds}",
                sent_at=at(seconds),
                terms=(("on_hand", seconds),),
                settled_at=at(seconds + 1),
                outcome=PushOutcomeKind.APPLIED,
            )
            await write(store, Decision(pushes=(sent,)))

    async def test_an_audit_recomputes_what_is_kept(self, store: SqlStore) -> None:
        """Sums by the database, exact beyond what a float holds, next to the rows as kept."""
        lines = [
            replace(RESERVATION, open=5, deducted=6, shipped=3, written_off=1, pack=6),
            replace(RESERVATION, open=1, deducted=1, shipped=3, written_off=1, pack=1),
            replace(RESERVATION, open=7, deducted=0, pack=1, sku=None, field=None),
        ]
        reservations = tuple(
            replace(line, key=ReservationKey("my-shopify", "5001", str(number)))
            for number, line in enumerate(lines)
        )
        await write(
            store,
            Decision(
                items=(ITEM, WAX),
                shelves=(Shelf("candle-lav", 1, 31),),
                fields=(FIELD_ROW,),
                reservations=reservations,
                movements=(moved("candle-lav", 10**15), *(moved("candle-lav", 10**15 - 1),) * 20),
            ),
        )
        audit = await reads.audit(store)
        assert audit.shelves == {"candle-lav": Shelf("candle-lav", 1, 31)}
        assert audit.moved == {"candle-lav": 21 * 10**15 - 20}
        assert audit.open == {"candle-lav": 31}
        assert audit.fields == {FIELD: FIELD_ROW}
        assert audit.undeducted == {FIELD: 4}
        assert sum(undeducted(line) for line in reservations if line.field == FIELD) == 4

    async def test_an_audit_sums_by_pool(self, store: SqlStore) -> None:
        """What moved at a location counts for its pool, what is open for the channel's."""
        there = replace(moved("candle-lav", 4), location=LOCATION.name)
        await write(store, Decision(items=(ITEM,), locations=(LOCATION,), feeds=(FEED,)))
        elsewhere = replace(RESERVATION, key=ReservationKey("my-etsy", "1", "1"), field=None)
        await write(
            store,
            Decision(
                fields=(FIELD_ROW,),
                reservations=(RESERVATION, elsewhere),
                movements=(moved("candle-lav", 9), there, there),
            ),
        )
        audit = await reads.audit(store)
        shelf, units = shelf_key("candle-lav", LOCATION.pool), RESERVATION.open * RESERVATION.pack
        assert audit.moved == {"candle-lav": 9, shelf: 8}
        assert audit.open == {"candle-lav": units, shelf: units}

    async def test_the_books_are_all_there(self, store: SqlStore) -> None:
        """Every movement, shelf, reservation and command, with ids, as one reading."""
        [(movement_id,)] = await write(store, EVERYTHING)
        books = await reads.books(store)
        assert [movement.id for movement in books.movements] == [movement_id]
        assert books.shelves == EVERYTHING.shelves
        assert books.reservations == (RESERVATION,)
        assert books.commands == (CommandDone("key-1", "digest-1", at(90), (movement_id,)),)

    async def test_a_reading_shows_one_instant(self, store: SqlStore) -> None:
        """What commits between two reads of one snapshot is in neither."""
        await write(store, Decision(items=(ITEM,), bills=(), shelves=(Shelf("candle-lav", 1),)))
        async with store.reading() as session:
            before = await session.fetch("SELECT on_hand FROM shelf")
            await gathered(store)
            await write(store, Decision(shelves=(Shelf("candle-lav", 2),), items=(WAX, WICK)))
            await write(store, Decision(bills=(BILL,)))
            after = await session.fetch("SELECT on_hand FROM shelf")
        assert [tuple(row) for row in before] == [tuple(row) for row in after] == [(1,)]
        assert await on_hand(store, "candle-lav") == 2

    async def test_holds_are_listed_with_their_lines(self, store: SqlStore) -> None:
        """Newest first, in pages; of one state or of all; the snapshot has those that are held."""
        ended = replace(a_hold(8), state=HoldState.SOLD, ended_at=at(5))
        await write(store, replace(EVERYTHING, holds=(HOLD, ended, a_hold(9))))
        first = await reads.holds(store, limit=2)
        assert ([hold.id for hold in first.data], first.next) == ([9, 8], 8)
        rest = await reads.holds(store, limit=2, before=first.next)
        assert (rest.data, rest.next) == ((HOLD,), None)
        held = await reads.holds(store, limit=9, state=HoldState.HELD)
        assert [hold.id for hold in held.data] == [9, 7]
        _, kept = await reads.snapshot(store)
        assert kept.holds == {7: HOLD, 9: a_hold(9)}
        assert await reads.hold(store, 8) == ended
        assert await reads.hold(store, 4711) is None

    async def test_what_is_held_is_summed_over_open_holds(self, store: SqlStore) -> None:
        """By item and pool; the whole books have the others, too."""
        ended = replace(a_hold(8), state=HoldState.SOLD, ended_at=at(5))
        await write(store, replace(EVERYTHING, holds=(HOLD, ended, a_hold(9))))
        candle, wick = (shelf_key(sku, HOLD.pool) for sku in ("candle-lav", "wick"))
        assert (await reads.audit(store)).held == {candle: QUANTITY_MAX, wick: 6}
        checked = await reads.check_rows(store, deep=True)
        assert checked.holds == 3
        assert checked.books.holds == (HOLD, ended, a_hold(9))
