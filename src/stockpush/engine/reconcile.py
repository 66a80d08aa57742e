"""Reads of a channel: its orders, the orders that hints point at, its quantities, its listings.

Webhooks are news, polls are the truth: a sale whose delivery was lost is found here. Nothing is
decided here; whatever is read becomes a command of the commit lane.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from stockpush import logs
from stockpush.connectors.base import OrderPage, Stocking
from stockpush.engine.channel import IDLE_MAX_S, Channel, FetchNumbers, seconds_until, wait_for
from stockpush.engine.commit import CommitLane, in_parts
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.messages import (
    ApplyOrders,
    Event,
    FieldsUnreadable,
    ListingResolved,
    Observe,
    OrderHint,
    PollCompleted,
    QuantitySeen,
    ReceiveDelivery,
    ResolveListings,
    StartChannel,
)
from stockpush.model import Delivery, DeliveryState, Field, FieldKey, Listing, ListingKey, Mode
from stockpush.ports import Clock, Ids, Store

HINTS_MAX = 100
"""Most hints taken from the inbox at once."""
TRIES_MAX = 10
"""After how many failures in a row an order's fetch is given up."""
READ_TRIES_MAX = 3
"""After how many readings without a number a field is parked, and a listing that nobody can read.
"""
RECHECK_POLLS = 10
RECHECK_MAX = 20
"""After how many polls how many open orders are read by their ids."""
LISTINGS_MAX = 2_000
"""Most listings that are read at once to be resolved."""
START_PART_MAX = 200
"""How many fields of a large channel are looked at in one transaction when the daemon starts."""
WAIT_MIN_S = 0.01
"""Shortest wait for what is due: the wall clock and the timer are two clocks."""


class Retries:
    """What failed by itself, and when each may be tried again: kept in memory, by key."""

    def __init__(self, channel: Channel, clock: Clock, ids: Ids) -> None:
        """Nothing has failed yet."""
        self._channel = channel
        self._clock = clock
        self._ids = ids
        self._failed: dict[object, tuple[int, float]] = {}

    def is_due(self, key: object) -> bool:
        """Answer whether the key may be tried now."""
        return self.wait_s(key) == 0

    def wait_s(self, key: object) -> float:
        """Return the seconds until the key may be tried, 0 if it may be now."""
        known = self._failed.get(key)
        return 0.0 if known is None else max(0.0, known[1] - self._clock.monotonic())

    def fail(self, key: object) -> int:
        """Note one more failure; return how many in a row that makes."""
        tries = self._failed.get(key, (0, 0.0))[0] + 1
        wait_s = self._channel.backoff_s(tries, self._ids)
        self._failed[key] = (tries, self._clock.monotonic() + wait_s)
        return tries

    def forget(self, key: object) -> None:
        """Note that it went well."""
        self._failed.pop(key, None)


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
        self._wanted: set[ListingKey] = set()
        self._resolve_all_at = clock.monotonic()
        self._try_again_at = clock.monotonic()
        self._tried_again = 0
        self._polls = 0
        self._recheck_all = False
        self._rechecked = ""
        self._hints = Retries(channel, clock, ids)
        self._unread = Retries(channel, clock, ids)
        self._asked_again = Retries(channel, clock, ids)
        self._untold: set[ListingKey] = set()
        """Listings of which an answer told nothing: they are asked about again."""
        self._stopped = False
        self._hint_wait_s = IDLE_MAX_S
        self._asleep_until: datetime | None = None

    async def run_polls(self) -> None:
        """Poll orders at once, then every `poll_s` and whenever asked."""
        while True:
            wait_s = self._channel.poll_s
            if not await self.poll():
                wait_s = min(wait_s, self._channel.backoff_s(self._channel.failures, self._ids))
            await wait_for(self._channel.poll_wake, seconds=wait_s)

    async def run_reads(self) -> None:
        """Resolve listings, follow hints and read fields as they become due."""
        await self._start()
        steps = (
            self.resolve_listings,
            self.try_again,
            self.follow_hints,
            self.read_due,
            self.recheck,
        )
        while True:
            again = False
            for step in steps:
                # Each by itself: what one of them cannot read does not keep the others waiting.
                try:
                    again = await step() > 0 or again
                except ChannelError as error:
                    again = True
                    self._channel.failed(error)
                    wait_s = self._channel.backoff_s(self._channel.failures, self._ids)
                    await self._clock.sleep(wait_s)
            if not again:
                await wait_for(self._channel.read_wake, seconds=await self._idle_s())
                self._asleep_until = None

    async def _start(self) -> None:
        """Have every field of the channel looked at, in parts where they are many."""
        name = self._channel.name
        done = await self._lane.submit(StartChannel(name))
        if not done.outcome.facts.get("too_many"):
            return
        after = ""
        while keys := await self._store.fields_after(name, after, limit=START_PART_MAX):
            if self._stopped:
                return
            await self._lane.submit(StartChannel(name, tuple(keys)))
            after = keys[-1].key

    def stop(self) -> None:
        """Begin no further part of a start: the next start looks at everything again."""
        self._stopped = True

    def wake_at(self, instant: datetime) -> None:
        """Wake the reads if they would sleep beyond `instant`, when a reading becomes due."""
        if self._asleep_until is None or instant < self._asleep_until:
            self._channel.read_wake.set()

    async def _idle_s(self) -> float:
        """Return how long nothing can be due; whoever makes something due sooner wakes us."""
        due = await self._store.next_read_due(self._channel.name)
        now = self._clock.now()
        again_at = min(self._resolve_all_at, self._try_again_at)
        waits = [IDLE_MAX_S, self._hint_wait_s, again_at - self._clock.monotonic()]
        if due is not None:
            waits.append(seconds_until(due, now))
        waits += [self._asked_again.wait_s(key) for key in self._untold]
        wait_s = max(WAIT_MIN_S, min(waits))
        # Set together with the end of the query: what is committed later than it asked is compared
        # with this, what was committed earlier has set the event already.
        self._asleep_until = now + timedelta(seconds=wait_s)
        return wait_s

    async def poll(self) -> bool:
        """Poll once, from after this call on; answer whether it was complete.

        Nothing is shared: but for the worker that polls by itself only the pusher asks, one call
        at a time. A channel that cannot be reached raises nothing here: its health says so.
        """
        async with self._polling:
            return await self._attempt()

    async def _attempt(self) -> bool:
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
        self._polls += 1
        if self._polls >= RECHECK_POLLS:
            self._channel.read_wake.set()
        logs.emit(Event("poll.completed", {"channel": self._channel.name, "orders": found}))

    async def recheck(self) -> int:
        """Read some open orders by their ids, in turn; return how many.

        An order that was thrown away vanishes from polls: whoever waits to hear of it waits for
        ever, with its units reserved.
        """
        if self._polls < RECHECK_POLLS and not self._recheck_all:
            return 0
        self._polls = 0
        orders = await self._store.open_orders(
            self._channel.name, after=self._rechecked, limit=RECHECK_MAX
        )
        more = len(orders) == RECHECK_MAX
        self._rechecked = orders[-1] if more else ""
        self._recheck_all = self._recheck_all and more
        for order_id in orders:
            with suppress(PayloadInvalid):  # its turn comes again
                await self._fetch(order_id, ())
        return len(orders)

    async def _quarantine(self, page: OrderPage) -> None:
        """Keep the orders of a page that could not be read; the others go on.

        One whose id is known is fetched by itself, and quarantined only if that fails too.
        """
        for order_id, reason, body, digest in page.unreadable:
            kept = Delivery(
                channel=self._channel.name,
                digest=digest,
                topic="poll",
                received_at=self._clock.now(),
                state=DeliveryState.APPLIED if order_id else DeliveryState.QUARANTINED,
                reason=reason,
                body=None if order_id else self._seal(body, self._channel.name),
            )
            hints = (OrderHint(self._channel.name, order_id),) if order_id else ()
            await self._lane.submit(ReceiveDelivery(kept, hints))

    async def follow_hints(self) -> int:
        """Fetch the orders that pending deliveries point at, each once; return how many.

        One that cannot be fetched waits by itself, longer each time, and is quarantined in the end.
        """
        followed, failed = 0, None
        self._hint_wait_s = IDLE_MAX_S
        for order_id, deliveries in (await self._hints_due()).items():
            try:
                await self._fetch(order_id, deliveries)
            except (ChannelUnavailable, PayloadInvalid) as error:
                # What cannot be read may be a proxy's page in the place of an answer; it says
                # nothing of the channel, for another order may be read well.
                failed = error if isinstance(error, ChannelUnavailable) else failed
                if self._hints.fail(order_id) >= TRIES_MAX:
                    await self._give_up(order_id, deliveries, error)
                    self._hints.forget(order_id)
                else:
                    self._hint_wait_s = min(self._hint_wait_s, self._hints.wait_s(order_id))
            else:
                followed += 1
                self._hints.forget(order_id)
        if failed is not None and not followed:
            raise failed
        return followed

    async def _hints_due(self) -> Mapping[str, Sequence[Delivery]]:
        """Return the oldest hints that may be followed now, by order.

        Those that wait after a failure are passed over: however many there are, a newer one is not
        kept waiting by them.
        """
        orders: defaultdict[str, list[Delivery]] = defaultdict(list)
        after, more = 0, True
        while more and len(orders) < HINTS_MAX:
            page = await self._store.hints(self._channel.name, limit=HINTS_MAX, after=after)
            for delivery in page:
                assert delivery.order_id is not None
                assert delivery.id is not None
                after = delivery.id
                if self._hints.is_due(delivery.order_id):
                    orders[delivery.order_id].append(delivery)
                else:
                    wait_s = self._hints.wait_s(delivery.order_id)
                    self._hint_wait_s = min(self._hint_wait_s, wait_s)
            more = len(page) == HINTS_MAX
        return orders

    async def try_again(self) -> int:
        """Point at orders again that were given up, some every `reconcile_s`, all of them in turn;
        return how many.

        What made an order unreadable may have been the way and not the order, and as long as one is
        unread nothing of the channel is taken for an edit by hand.
        """
        if self._clock.monotonic() < self._try_again_at:
            return 0
        self._try_again_at = self._clock.monotonic() + self._channel.policy.reconcile_s
        given_up = await self._store.given_up(
            self._channel.name, limit=HINTS_MAX, after=self._tried_again
        )
        more = len(given_up) == HINTS_MAX
        self._tried_again = (given_up[-1].id or 0) if more else 0
        rows = tuple(
            replace(row, state=DeliveryState.PENDING, reason="to be fetched again")
            for row in given_up
        )
        if rows:
            await self._lane.submit(ApplyOrders(self._channel.name, (), deliveries=rows))
        return len(rows)

    async def _give_up(
        self, order_id: str, deliveries: Sequence[Delivery], error: ChannelError
    ) -> None:
        """Quarantine the deliveries that point at an order which cannot be read."""
        reason = f"order {order_id}: {error.message}"
        rows = tuple(
            replace(row, state=DeliveryState.QUARANTINED, reason=reason) for row in deliveries
        )
        await self._lane.submit(ApplyOrders(self._channel.name, (), deliveries=rows))

    async def _fetch(self, order_id: str, deliveries: Sequence[Delivery]) -> None:
        """Fetch one order and apply it, settling the deliveries that pointed at it."""
        name = self._channel.name
        fetch = await self._fetches.take()
        seen = await self._channel.connector.fetch_order(self._channel.api, order_id, fetch=fetch)
        self._channel.succeeded()
        await self._lane.submit(
            ApplyOrders(
                name,
                orders=() if seen is None else (seen,),
                gone=((order_id, fetch),) if seen is None else (),
                settles=tuple(
                    (row.id, row.received_at) for row in deliveries if row.id is not None
                ),
            )
        )

    async def read_due(self) -> int:
        """Read the fields whose reading is due, in one call; return how many."""
        limit = self._channel.connector.manifest.read_max
        due = await self._store.reads_due(self._channel.name, at=self._clock.now(), limit=limit)
        if due:
            await self._read_apart(due)
        return len(due)

    async def _read_apart(self, keys: Sequence[FieldKey]) -> None:
        """Read fields in one call, or by halves where one of them makes the answer unreadable."""
        try:
            await self.read(keys)
        except PayloadInvalid as error:
            if len(keys) == 1:
                await self._unreadable({keys[0]: error.message})
                return
            middle = len(keys) // 2
            await self._read_apart(keys[:middle])
            await self._read_apart(keys[middle:])

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
                        committed=reading.committed,
                        open_sent=row.undeducted,
                    )
                )
        if seen:
            for part in in_parts(seen):
                await self._lane.submit(Observe(part))
            for each in seen:
                self._unread.forget(each.field)
        problems = {each.field: each.problem for each in answer.readings if each.quantity is None}
        if problems:
            await self._unreadable(problems)

    async def _unreadable(self, problems: Mapping[FieldKey, str | None]) -> None:
        """Ask once more, by its listings, about each field that gave no number; then park it.

        A listing may have moved to another field, and one odd answer is no evidence.
        """
        catalogue = await self._store.catalogue()
        listings = [
            row
            for row in catalogue.listings
            if row.field_key is not None and FieldKey(row.key.channel, row.field_key) in problems
        ]
        listed = {FieldKey(row.key.channel, row.field_key or "") for row in listings}
        await self._resolve(listings)
        parked = tuple(
            (key, problem or "it has no number")
            for key, problem in problems.items()
            if key not in listed or self._unread.fail(key) >= READ_TRIES_MAX
        )
        if parked:
            await self._lane.submit(FieldsUnreadable(parked))

    async def resolve_listings(self) -> int:
        """Ask the channel how it names the listings that it has not told us about yet.

        All of them are asked about at the start and every `reconcile_s`, parked ones too.
        """
        if self._clock.monotonic() >= self._resolve_all_at:
            self._resolve_all_at = self._clock.monotonic() + self._channel.policy.reconcile_s
            self._channel.resolve_wanted = self._all_wanted = True
        if again := {key for key in self._untold if self._asked_again.is_due(key)}:
            self._untold -= again
            self._wanted |= again
            self._channel.resolve_wanted = True
        if not self._channel.resolve_wanted:
            return 0
        # Cleared before anything is awaited: what is wanted meanwhile is another round.
        everything, named = self._all_wanted, frozenset(self._wanted)
        self._channel.resolve_wanted = self._all_wanted = False
        self._wanted.clear()
        try:
            asked = await self._resolve_each(
                lambda row: (
                    everything
                    or row.key in named
                    or (row.field_key is None and row.parked_reason is None)
                )
            )
        except BaseException:
            self._channel.resolve_wanted = True
            self._all_wanted = self._all_wanted or everything
            self._wanted |= named
            raise
        return asked

    async def _resolve_each(self, is_wanted: Callable[[Listing], bool]) -> int:
        """Resolve the channel's listings that are wanted, few in memory at a time; return how many.

        No call is smaller for it than the channel takes, but for the last.
        """
        step = self._channel.connector.manifest.read_max
        count, after, waiting, more = 0, "", list[Listing](), True
        while more:
            page = await self._store.listings(self._channel.name, after=after, limit=LISTINGS_MAX)
            more = len(page) == LISTINGS_MAX
            waiting += filter(is_wanted, page)
            whole = len(waiting) - len(waiting) % step if more else len(waiting)
            await self._resolve(waiting[:whole])
            count += whole
            del waiting[:whole]
            after = page[-1].key.ref if page else after
        return count

    def want(self, listings: Iterable[ListingKey]) -> None:
        """Ask the channel about these listings again."""
        self._wanted |= set(listings)
        self._channel.resolve_wanted = True
        self._channel.read_wake.set()

    def want_all(self) -> None:
        """Ask the channel about every listing again, parked ones too: a person wants a resync."""
        self._channel.resolve_wanted = True
        self._all_wanted = True
        self._recheck_all = True
        self._rechecked = ""

    async def _resolve(self, listings: Sequence[Listing]) -> None:
        """Resolve listings in calls of the size that the channel takes."""
        step = self._channel.connector.manifest.read_max
        for start in range(0, len(listings), step):
            asked = await self._ask(listings[start : start + step])
            resolved = await self._stocked(asked)
            self._channel.succeeded()
            if resolved:
                await self._lane.submit(ResolveListings(resolved))
            self._note_untold(asked, resolved)

    def _note_untold(
        self, asked: Iterable[ListingResolved], resolved: Iterable[ListingResolved]
    ) -> None:
        """Have those asked about again, longer apart each time, that were left out."""
        told = {each.listing for each in resolved}
        for key in (each.listing for each in asked):
            if key in told:
                self._untold.discard(key)
                self._asked_again.forget(key)
            else:
                self._untold.add(key)
                self._asked_again.fail(key)

    async def _stocked(self, resolved: tuple[ListingResolved, ...]) -> tuple[ListingResolved, ...]:
        """Have what is not on stock put there, where platform and owner let us; never in shadow.

        Without those of which nobody knows whether they are by now.
        """
        connector = self._channel.connector
        troubled = any(each.problem is not None for each in resolved)
        live = self._channel.policy.mode is Mode.LIVE
        if not (troubled and live and isinstance(connector, Stocking)):
            return resolved
        return await connector.put_on_stock(self._channel.api, resolved, call_id=self._ids.new())

    async def _ask(self, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Resolve listings in one call, or by halves where one makes the answer unreadable.

        One that is unreadable by itself is left out and asked about again, and is a person's when
        that goes on: an answer that broke on the way parks nothing.
        """
        try:
            return await self._channel.connector.resolve(self._channel.api, listings)
        except PayloadInvalid as error:
            if len(listings) == 1:
                key = listings[0].key
                self._untold.add(key)
                if self._asked_again.fail(key) < READ_TRIES_MAX:
                    return ()
                return (ListingResolved(key, None, None, error.message),)
            middle = len(listings) // 2
            return await self._ask(listings[:middle]) + await self._ask(listings[middle:])
