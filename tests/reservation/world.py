"""The core's rows held in memory: a fake of the store that gives a command only what it asked for.

A command that forgets to ask for a row decides without it here as it would in production, so the
tests of the rules also test `needs` and `widen`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stockpush.messages import (
    AdoptListings,
    ApplyOrders,
    Command,
    Decision,
    ImportCatalogue,
    ListingResolved,
    MoveStock,
    Needs,
    Observe,
    OpenPushes,
    OrderLineSeen,
    OrderSeen,
    PlaceHold,
    PollCompleted,
    PushSettled,
    QuantitySeen,
    ReceiveDelivery,
    ResolveListings,
    Rows,
    SettlePushes,
    StockMove,
)
from stockpush.model import (
    MAIN,
    BillLine,
    BillOfMaterials,
    ChannelPolicy,
    Delivery,
    DeliveryState,
    Field,
    FieldKey,
    HoldLine,
    Item,
    Kind,
    Listing,
    ListingKey,
    Mode,
    MovementKind,
    OrderVersion,
    Push,
    PushOutcomeKind,
    shelf_key,
    sku_of,
)
from stockpush.reservation import reach
from stockpush.reservation.atp import atp_all
from stockpush.reservation.catalogue import Catalogue, build
from stockpush.reservation.decide import decide, mark, needs, widen
from stockpush.reservation.pushes import Reached
from stockpush.reservation.view import View

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
POLICIES = {
    "shopify": ChannelPolicy("shopify", "shopify", Mode.LIVE, compare_and_set=True, orders_lag_s=0),
    "woo": ChannelPolicy("woo", "woocommerce", Mode.LIVE, compare_and_set=False, orders_lag_s=0),
    "faire": ChannelPolicy("faire", "faire", Mode.LIVE, orders_lag_s=0, committed_apart=True),
    "etsy": ChannelPolicy("etsy", "etsy", Mode.LIVE, orders_lag_s=0, holds_unpaid=False),
    "shadow": ChannelPolicy("shadow", "shopify", Mode.SHADOW, compare_and_set=True, orders_lag_s=0),
}


@dataclass
class World:
    """Stored rows, a catalogue and a clock that tests move."""

    rows: Rows = field(default_factory=Rows)
    catalogue: Catalogue = field(default_factory=lambda: build(0, (), (), (), POLICIES))
    now: datetime = START
    log: list[Decision] = field(default_factory=list)
    movements: list[object] = field(default_factory=list)
    _seen: tuple[Rows, Any] | None = field(default=None, init=False, repr=False, compare=False)
    """The newest rows that were written here, and their reservations by order."""

    def do(self, command: Command) -> Decision:
        """Carry out one command as the commit lane does; return its decision."""
        view = View(self.catalogue, self._gathered(command))
        decision = decide(view, command, self.now)
        after, reached = self._reached(view, view.after(decision), decision)
        if reached is not None and reached.atps:
            assert reached.atps == atp_all(after.net(reached.atps), reached.atps)
        marking = mark(after, [decision], self.now, reached)
        for each in (decision, marking):
            self._apply(each)
            self.log.append(each)
        self.now += timedelta(milliseconds=1)
        return decision

    def _gathered(self, command: Command) -> Rows:
        """Return what a command asks for, as the commit lane gathers it."""
        asked = needs(command, self.catalogue)
        had = widen(asked, self._gather(asked), self.catalogue)
        rows = self._gather(Needs.union([asked, had]))
        while True:
            followed = widen(asked, rows, self.catalogue)
            followed = replace(followed, fields=followed.fields.union(rows.fields))
            known = followed.skus <= had.skus and followed.fields <= had.fields
            if known and followed.lots <= had.lots and followed.orders <= had.orders:
                break
            had = Needs.union([had, followed])
            rows = self._gather(Needs.union([asked, had]))
        return replace(rows, partial=had.skus.union(rows.shelves)) if had.leaders else rows

    def _reached(
        self, before: View, after: View, decision: Decision
    ) -> tuple[View, Reached | None]:
        """Gather what has changed besides, as the commit lane does."""
        if after.rows.partial is None:
            return after, None
        known = filter(after.catalogue.knows, decision.touched_skus)
        part = reach.part(before, after, known)
        before, after = self._with_shelves(before, after, part)
        items = reach.items(before, after, decision.touched_skus)
        part = reach.part(before, after, items)
        before, after = self._with_shelves(before, after, part)
        reached = reach.reached(before, after, items, part)
        after = after.after(Decision(shelves=reached.shelves))
        unread = reached.fields | after.catalogue.fields_showing(decision.touched_skus)
        return after.joined(self._gather(Needs(fields=unread - after.rows.fields.keys()))), reached

    def _with_shelves(self, before: View, after: View, part: tuple[str, ...]) -> tuple[View, View]:
        unread = reach.shelves(after, part)
        rows = replace(self._gather(Needs(skus=unread)), partial=unread)
        return before.joined(rows), after.joined(rows)

    def _gather(self, asked: Needs) -> Rows:
        rows = self.rows
        shelves, fields = asked.skus, asked.fields
        if asked.leaders:
            shelves = shelves | {
                key for key, row in rows.shelves.items() if row.reserved + row.held > row.on_hand
            }
            fields = fields | {key for key, row in rows.fields.items() if row.hold}
        skus = set(map(sku_of, shelves))  # as the store does: an item's shelves in every pool
        causes = {rows.movements[i].cause for i in asked.movements if i in rows.movements}
        return Rows(
            shelves={key: row for key, row in rows.shelves.items() if row.sku in skus},
            fields={key: row for key, row in rows.fields.items() if key in fields},
            dirty={key: row for key, row in rows.dirty.items() if key in asked.fields},
            in_flight={key: row for key, row in rows.in_flight.items() if key in asked.fields},
            reservations={
                key: row
                for key, row in rows.reservations.items()
                if key[:2] in asked.orders
                or (key.channel in asked.open_on and row.open > 0)
                or (
                    (key.channel, row.order_key) in asked.order_keys
                    and (row.open > 0 or row.sku is None)
                )
            },
            deliveries={k: row for k, row in rows.deliveries.items() if k in asked.digests},
            commands={key: row for key, row in rows.commands.items() if key in asked.keys},
            movements={row.id: row for row in rows.movements.values() if row.cause in causes}
            if causes
            else {},
            undone=rows.undone,
            moved=rows.moved & asked.moved,
            unread=rows.unread & asked.unread,
            holds={
                number: row
                for number, row in rows.holds.items()
                if number in asked.holds or row.key in asked.hold_keys
            },
            next_hold=max(rows.holds, default=0) + 1 if asked.hold_keys else 1,
            channels=rows.channels,
            lots={
                key: row
                for key, row in rows.lots.items()
                if key.sku in asked.lots or key.location in asked.lots_at
            },
        )

    def _apply(self, decision: Decision) -> None:
        orders = self._seen[1] if self._seen and self._seen[0] is self.rows else None
        after = View(self.catalogue, self.rows, orders).after(decision)
        written = {}
        ids = []
        for movement in decision.movements:
            number = len(self.rows.movements) + len(written) + 1
            written[number] = replace(movement, id=number)
            ids += [] if movement.is_note else [number]
        commands = {row.key: replace(row, movement_ids=tuple(ids)) for row in decision.commands}
        deliveries = dict(after.rows.deliveries)
        for key, row in deliveries.items():
            if row.id is None:
                deliveries[key] = replace(row, id=len(deliveries) + 1)
            if (row.id, row.received_at) in decision.deliveries_applied:
                deliveries[key] = replace(row, state=DeliveryState.APPLIED)
        self.catalogue = after.catalogue
        self.rows = replace(
            after.rows,
            movements={**self.rows.movements, **written},
            commands={**after.rows.commands, **commands},
            deliveries=deliveries,
        )
        self._seen = self.rows, after.orders

    # -- what tests say -----------------------------------------------------------------------

    def stock(self, **on_hand: int) -> World:
        """Import pieces with this much on hand; `_` in a name stands for `-`."""
        names = {name.replace("_", "-"): quantity for name, quantity in on_hand.items()}
        self.do(
            ImportCatalogue(
                items=tuple(Item(sku, sku, Kind.PRODUCT, "piece") for sku in names),
                bills=(),
                listings=(),
                opening=tuple(
                    StockMove(sku, quantity, MovementKind.OPENING)
                    for sku, quantity in names.items()
                ),
                key=f"import {sorted(names)}",
                actor="test",
            )
        )
        return self

    def item(self, sku: str, **columns: Any) -> World:
        """Import an item again with other columns."""
        item = replace(self.catalogue.items[sku], **columns)
        self.do(ImportCatalogue((item,), (), (), (), f"item {len(self.log)}", "test"))
        return self

    def bill(
        self,
        sku: str,
        made: int = 1,
        *,
        batch: bool = False,
        backflush: bool = False,
        **uses: int,
    ) -> World:
        """Import a bill: `made` of sku from `uses`."""
        lines = tuple(BillLine(name.replace("_", "-"), n) for name, n in uses.items())
        bill = BillOfMaterials(sku, made, lines, batch_only=batch, backflush=backflush)
        self.do(ImportCatalogue((), (bill,), (), (), f"bill {bill}", "test"))
        return self

    def alike(self, name: str, *skus: str) -> World:
        """Import known items as substitutes that bills take under one name."""
        known = self.catalogue.items
        items = tuple(replace(known[sku], substitute_for=name) for sku in skus)
        named = () if name in known else (Item(name, name, Kind.MATERIAL, "piece"),)
        self.do(ImportCatalogue((*named, *items), (), (), (), f"alike {name} {skus}", "test"))
        return self

    def list(
        self,
        channel: str,
        ref: str,
        sku: str,
        *,
        pack: int = 1,
        shows: int | None = None,
        field: str | None = None,
        adopt: bool = True,
        weight: int = 1,
        cap: int | None = None,
        buffer: int | None = None,
        horizon_s: int | None = None,
    ) -> World:
        """Import, resolve, adopt and read one listing, with all open orders read after it."""
        key = ListingKey(channel, ref)
        listing = Listing(
            key,
            sku,
            pack,
            {"id": ref},
            weight=weight,
            cap=cap,
            buffer=buffer,
            horizon_s=horizon_s,
        )
        self.do(ImportCatalogue((), (), (listing,), (), f"list {key}", "test"))
        self.do(ResolveListings((ListingResolved(key, ref, field or ref),)))
        if adopt:
            self.do(AdoptListings((key,)))
        if shows is not None:
            self.reads(channel, field or ref, shows)
            self.polls(channel)
        return self

    def polls(self, channel: str, *orders: OrderSeen) -> Decision:
        """A complete poll that began now."""
        self.now += timedelta(milliseconds=1)
        begun = self.now
        return self.do(ApplyOrders(channel, orders, completes=PollCompleted(begun, "c", self.now)))

    def reads(
        self,
        channel: str,
        key: str,
        quantity: int,
        *,
        before: Field | None = None,
        sent_at: datetime | None = None,
        committed: int | None = None,
    ) -> Decision:
        """Take a reading sent just now, or when the field was as `before`."""
        row = before or self.field(channel, key)
        return self.do(
            Observe(
                (
                    QuantitySeen(
                        FieldKey(channel, key),
                        quantity,
                        sent_at or self.now,
                        row.expected,
                        row.revision,
                        self.now,
                        committed,
                        row.undeducted,
                    ),
                )
            )
        )

    def order(
        self,
        channel: str,
        order_id: str,
        *lines: OrderLineSeen,
        version: int = 1,
        fetch: int = 0,
        placed: datetime | None = None,
        deducted_at: datetime | None = None,
        state: str = "open",
        known: bool = True,
    ) -> OrderSeen:
        """An order fact whose version is `version` seconds after the start."""
        at = placed or self.now
        return OrderSeen(
            channel,
            order_id,
            OrderVersion(START + timedelta(seconds=version), fetch),
            at,
            deducted_at or at,
            state,
            lines,
            known,
        )

    def hears(self, order: OrderSeen, digest: str | None = None) -> Decision:
        """A webhook delivery that carries an order."""
        body = digest or f"{order.order_id} {order.version} {order.lines}"
        delivery = Delivery(
            order.channel, body, "order", self.now, DeliveryState.APPLIED, body=b"x"
        )
        return self.do(ReceiveDelivery(delivery, (order,)))

    def moves(
        self,
        sku: str,
        quantity: int,
        kind: MovementKind,
        key: str = "k",
        *,
        location: str | None = None,
        pool: str = MAIN,
    ) -> Decision:
        """Move stock by hand."""
        move = StockMove(sku, quantity, kind, location=location)
        return self.do(MoveStock((move,), key, "test", pool=pool))

    def holds(
        self,
        *lines: tuple[str, int],
        days: float = 7,
        key: str | None = None,
        pool: str = MAIN,
        lower: bool = False,
    ) -> Decision:
        """Place a hold of (item, units) for so many days."""
        return self.do(
            PlaceHold(
                tuple(HoldLine(sku, units) for sku, units in lines),
                timedelta(days=days),
                "",
                key or f"hold {len(self.log)}",
                "test",
                pool=pool,
                lower=lower,
            )
        )

    def pushes(
        self, channel: str, *, call: str = "call", groups: tuple[tuple[str, ...], ...] = ()
    ) -> tuple[Push, ...]:
        """Open the pushes of everything dirty on the channel."""
        due = tuple(sorted(key for key in self.rows.dirty if key.channel == channel))
        together = tuple(tuple(FieldKey(channel, key) for key in group) for group in groups)
        decision = self.do(OpenPushes(channel, due, call, groups=together))
        return decision.outcome.facts["pushes"]

    def settles(
        self, push: Push, outcome: PushOutcomeKind = PushOutcomeKind.APPLIED, **more: object
    ) -> Decision:
        """One push ended so."""
        return self.do(SettlePushes((PushSettled(push.call_id, push.field, outcome, **more),)))

    def syncs(self) -> dict[tuple[str, str], int]:
        """Push everything dirty and have it all applied; return what was written where."""
        written = {}
        for channel in sorted(POLICIES):
            for push in self.pushes(channel, call=f"call {len(self.log)}"):
                self.settles(push)
                written[push.field] = push.target
        return written

    def field(self, channel: str, key: str) -> Field:
        """The field's row."""
        return self.rows.fields[FieldKey(channel, key)]

    def expected(self) -> dict[str, int | None]:
        """E of every field, by "channel/key"."""
        return {"/".join(key): row.expected for key, row in sorted(self.rows.fields.items())}

    def atp(self, sku: str, pool: str = MAIN) -> int:
        """The item's ATP in a pool."""
        from stockpush.reservation.atp import atp

        shelf = shelf_key(sku, pool)
        return atp(View(self.catalogue, self.rows).net([shelf]), shelf)

    @property
    def dirty(self) -> set[str]:
        """The dirty fields, as "channel/key"."""
        return {"/".join(key) for key in self.rows.dirty}


def line(
    key: str,
    units: int,
    *,
    line_id: str = "1",
    open: int | None = None,
    shipped: int = 0,
    written_off: int = 0,
    deducted: int | None = -1,
) -> OrderLineSeen:
    """An order line: all open and deducted unless said otherwise."""
    still = units - shipped - written_off if open is None else open
    return OrderLineSeen(
        line_id,
        key,
        units,
        still,
        shipped,
        written_off,
        units if deducted == -1 else deducted,
    )
