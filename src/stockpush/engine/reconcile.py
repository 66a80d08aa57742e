"""Reads of a channel: its orders, the orders that hints point at, its quantities, its listings.

Webhooks are news, polls are the truth: a sale whose delivery was lost is found here. Nothing is
decided here; whatever is read becomes a command of the commit lane.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stockpush import logs
from stockpush.connectors.base import OrderPage
from stockpush.engine.channel import Channel, FetchNumbers, wait_for
from stockpush.engine.commit import CommitLane
from stockpush.errors import ChannelError, PayloadInvalid
from stockpush.messages import (
    ApplyOrders,
    Event,
    ListingResolved,
    Observe,
    PollCompleted,
    QuantitySeen,
    ReceiveDelivery,
    ResolveListings,
)
from stockpush.model import Delivery, DeliveryState, Field, FieldKey, Listing
from stockpush.ports import Clock, Ids, Store

HINTS_MAX = 100
"""Most hints taken from the inbox at once."""
LOOK_S = 1.0
"""How often due readings and hints are looked for without being woken."""


class Reconciler:
    """Reads one channel until cancelled."""

    def __init__(
        self,
        channel: Channel,
        lane: CommitLane,
        store: Store,
        clock: Clock,
        ids: Ids,
        seal: Callable[[bytes, str], bytes],
    ) -> None:
        """`seal(body, channel)` encrypts the body of an order that cannot be read."""
        self._channel = channel
        self._lane = lane
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal
        self._fetches = FetchNumbers(store)
        self._polling = asyncio.Lock()
        self._all_wanted = False

    async def run_polls(self) -> None:
        """Poll orders at once, then every `poll_s` and whenever asked."""
        while True:
            wait_s = self._channel.poll_s
            if not await self._attempt_poll():
                wait_s = min(wait_s, self._channel.backoff_s(self._channel.failures, self._ids))
            await wait_for(self._channel.poll_wake, seconds=wait_s)

    async def run_reads(self) -> None:
        """Resolve listings, follow hints and read fields as they become due."""
        while True:
            try:
                await self.resolve_listings()
                followed = await self.follow_hints()
                read = await self.read_due()
            except ChannelError as error:
                self._channel.failed(error)
                followed = read = 0
                await self._clock.sleep(self._channel.backoff_s(self._channel.failures, self._ids))
            if not (followed or read):
                await wait_for(self._channel.read_wake, seconds=LOOK_S)

    async def poll(self) -> None:
        """Return after a complete poll that began after this call. Callers share one poll.

        A channel that cannot be reached raises nothing here: its health says so.
        """
        async with self._polling:
            await self._attempt()

    async def _attempt_poll(self) -> bool:
        async with self._polling:
            return await self._attempt()

    async def _attempt(self) -> bool:
        """Poll once; answer whether it was complete."""
        try:
            await self._poll_pages()
        except ChannelError as error:
            self._channel.failed(error)
            return False
        self._channel.succeeded()
        return True

    async def _poll_pages(self) -> None:
        """Read every page; the cursor advances in the transaction of the last one's facts."""
        begun_at = self._clock.now()
        since = await self._store.channel_state(self._channel.name)
        pages = self._channel.connector.poll_orders(
            self._channel.api, since=since.cursor, fetch=await self._fetches.take()
        )
        found = 0
        async for page in pages:
            await self._quarantine(page)
            found += len(page.orders)
            completes = PollCompleted(begun_at, page.cursor, page.date) if page.last else None
            if page.orders or completes is not None:
                await self._lane.submit(
                    ApplyOrders(self._channel.name, page.orders, completes=completes)
                )
        logs.emit(Event("poll.completed", {"channel": self._channel.name, "orders": found}))

    async def _quarantine(self, page: OrderPage) -> None:
        """Keep the orders of a page that could not be read; the others go on."""
        for order_id, reason, body in page.unreadable:
            await self._lane.submit(
                ReceiveDelivery(
                    Delivery(
                        channel=self._channel.name,
                        digest=hashlib.sha256(body).hexdigest(),
                        topic="poll",
                        received_at=self._clock.now(),
                        state=DeliveryState.QUARANTINED,
                        reason=f"order {order_id}: {reason}",
                        body=self._seal(body, self._channel.name),
                    ),
                    (),
                )
            )

    async def follow_hints(self) -> int:
        """Fetch the orders that pending deliveries point at, each once; return how many."""
        orders: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in await self._store.hints(self._channel.name, limit=HINTS_MAX):
            assert delivery.order_id is not None
            orders[delivery.order_id].append(delivery)
        for order_id, deliveries in orders.items():
            await self._fetch(order_id, deliveries)
        return len(orders)

    async def _fetch(self, order_id: str, deliveries: Sequence[Delivery]) -> None:
        """Fetch one order and apply it, settling the deliveries that pointed at it."""
        name = self._channel.name
        fetch = await self._fetches.take()
        try:
            seen = await self._channel.connector.fetch_order(
                self._channel.api, order_id, fetch=fetch
            )
        except PayloadInvalid as error:
            reason = f"order {order_id}: {error.message}"
            unreadable = tuple(
                replace(row, state=DeliveryState.QUARANTINED, reason=reason) for row in deliveries
            )
            await self._lane.submit(ApplyOrders(name, (), quarantines=unreadable))
            return
        self._channel.succeeded()
        settles = tuple(row.id for row in deliveries if row.id is not None)
        if seen is None:
            command = ApplyOrders(name, (), gone=((order_id, fetch),), settles=settles)
        elif seen.state_known:
            command = ApplyOrders(name, (seen,), settles=settles)
        else:
            reason = f"order {order_id} is in a state we do not know: {seen.state!r}"
            command = ApplyOrders(
                name,
                (),
                quarantines=tuple(
                    replace(row, state=DeliveryState.QUARANTINED, reason=reason)
                    for row in deliveries
                ),
            )
        await self._lane.submit(command)

    async def read_due(self) -> int:
        """Read the fields whose reading is due, in one call; return how many."""
        limit = self._channel.connector.manifest.read_max
        due = await self._store.reads_due(self._channel.name, at=self._clock.now(), limit=limit)
        if due:
            await self.read(due)
        return len(due)

    async def read(self, keys: Sequence[FieldKey]) -> None:
        """Read fields now. What each is expected to hold is noted before the request goes out."""
        rows: dict[FieldKey, Field] = {
            row.key: row for row in await self._store.fields(tuple(keys))
        }
        sent_at = self._clock.now()
        answer = await self._channel.connector.observe(self._channel.api, tuple(rows))
        self._channel.succeeded()
        seen = []
        for reading in answer.readings:
            row = rows[reading.field]
            if reading.quantity is not None:
                seen.append(
                    QuantitySeen(
                        field=reading.field,
                        quantity=reading.quantity,
                        sent_at=sent_at,
                        expected_sent=row.expected,
                        revision_sent=row.revision,
                        date=answer.date,
                    )
                )
        unread = {each.field: each.problem for each in answer.readings if each.quantity is None}
        if unread:
            await self._park(unread)
        if seen:
            await self._lane.submit(Observe(tuple(seen)))

    async def _park(self, problems: Mapping[FieldKey, str | None]) -> None:
        """A field that has no number needs a person: park its listings with the reason."""
        catalogue = await self._store.catalogue()
        await self._lane.submit(
            ResolveListings(
                tuple(
                    ListingResolved(
                        row.key, row.order_key, row.field_key, problems[key] or "has no number"
                    )
                    for row in catalogue.listings
                    if row.field_key is not None
                    and (key := FieldKey(row.key.channel, row.field_key)) in problems
                )
            )
        )

    async def resolve_listings(self) -> None:
        """Ask the channel how it names the listings that it has not told us about yet."""
        if not self._channel.resolve_wanted:
            return
        catalogue = await self._store.catalogue()
        unknown = [
            listing
            for listing in catalogue.listings
            if listing.key.channel == self._channel.name
            and (self._all_wanted or (listing.field_key is None and listing.parked_reason is None))
        ]
        if unknown:
            await self._resolve(unknown)
        self._channel.resolve_wanted = self._all_wanted = False

    def want_all(self) -> None:
        """Ask the channel about every listing again, parked ones too: a person wants a resync."""
        self._channel.resolve_wanted = True
        self._all_wanted = True

    async def _resolve(self, listings: Sequence[Listing]) -> None:
        """Resolve listings in calls of the size that the channel takes."""
        step = self._channel.connector.manifest.read_max
        for start in range(0, len(listings), step):
            resolved = await self._channel.connector.resolve(
                self._channel.api, listings[start : start + step]
            )
            self._channel.succeeded()
            await self._lane.submit(ResolveListings(resolved))
