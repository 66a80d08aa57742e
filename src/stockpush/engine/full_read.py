"""Once a day, everything that a large channel holds, read by the platform itself.

Theory of operation. Every field is read by itself each `reconcile_s` (R9), a page of them in a
request. Of thousands of listings the platform can write down everything at once, which costs
nothing of its rate limit and finds besides what a reading of numbers does not: that a variant sells
below zero now, or became a bundle. What it wrote is minutes to hours old, so it is no observation:
where it agrees with what we believe nothing follows; what differs, and what it does not name, is
asked about by itself, now. Where it cannot be had, or not in time, every field is read in pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

from stockpush import logs
from stockpush.connectors.base import FullReading, Reading, ReadsWhole
from stockpush.engine.channel import Channel
from stockpush.engine.commit import CommitLane, in_parts
from stockpush.engine.reconcile import Reconciler
from stockpush.errors import ChannelError, ChannelUnavailable, PayloadInvalid, RateLimited
from stockpush.messages import Event, RequestReads
from stockpush.model import Field, FieldKey, Health, ListingKey
from stockpush.ports import Clock, Store

FULL_FROM: Final = 1000
"""From how many fields on it is worth it: below, a handful of requests an hour reads them all."""
FIRST_S: Final = 3600.0
"""How long after the start the first one begins: at the start everything is read anyway."""
EVERY_S: Final = 86_400.0
"""How often."""
LOOK_S: Final = 10.0
LOOK_MAX_S: Final = 60.0
"""How long to wait before it is asked whether the platform is done: growing, at most so long."""
TAKES_MAX_S: Final = 4 * 3600.0
"""How long the platform is given."""
BEGIN_TRIES_MAX: Final = 3
"""How often it is tried to begin where the platform has too much to do."""
DOWNLOAD_MAX_S: Final = 1800.0
"""How long the file may take."""
UNREADABLE_MAX: Final = 100
"""Lines that may be unreadable before the file is not believed."""

Download = Callable[[str], AsyncGenerator[bytes]]
"""The lines at an address."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What must be asked about: fields whose `numbers` may be others than we believe, and fields
    that seem to be writable now, or not to be any more (`standing`).
    """

    numbers: tuple[FieldKey, ...]
    standing: tuple[FieldKey, ...] = ()


class FullReader:
    """Has one channel read whole, again and again, until cancelled."""

    def __init__(
        self,
        channel: Channel,
        lane: CommitLane,
        store: Store,
        clock: Clock,
        reconciler: Reconciler,
        *,
        download: Download,
        from_fields: int = FULL_FROM,
    ) -> None:
        """`reconciler` is the channel's own, which asks about what differs."""
        self._channel = channel
        self._lane = lane
        self._store = store
        self._clock = clock
        self._reconciler = reconciler
        self._download = download
        self._from_fields = from_fields

    async def run(self) -> None:
        """Read everything an hour after the start and then once a day."""
        await self._clock.sleep(FIRST_S)
        while True:
            await self.read()
            await self._clock.sleep(EVERY_S)

    async def read(self) -> None:
        """Have everything read once, if there is enough to be worth it."""
        connector = self._channel.connector
        keys = await self._store.field_keys(self._channel.name)
        if len(keys) < self._from_fields or not isinstance(connector, ReadsWhole):
            return
        if self._channel.health is Health.NEEDS_LOGIN:
            return
        try:
            doubt = await self._by_file(connector, keys)
        except ChannelError as error:
            # How the channel is doing, polls tell: this may fail by itself.
            doubt = Doubt(tuple(keys))
            self._tell("read in pages", error.message, doubt)
        for part in in_parts(doubt.numbers):
            await self._lane.submit(RequestReads(part, due_at=self._clock.now()))
        if doubt.standing:
            self._reconciler.want(await self._listings(doubt.standing))

    async def _by_file(self, connector: ReadsWhole, keys: Sequence[FieldKey]) -> Doubt:
        """Return what the platform's own reading leaves in doubt."""
        name = await self._begin(connector)
        done = await self._wait(connector, name)
        try:
            doubt = await self._compared(connector, done, keys)
        except ChannelUnavailable:
            # Its address may have run out: the platform gives a new one to whoever asks.
            done = await connector.full(self._channel.api, name)
            doubt = await self._compared(connector, done, keys)
        self._tell("whole" if done.whole else "in part", done.reason, doubt)
        return doubt

    async def _begin(self, connector: ReadsWhole) -> str:
        """Begin the reading, later where the platform has too much to do."""
        for _ in range(BEGIN_TRIES_MAX - 1):
            try:
                return await connector.begin_full(self._channel.api)
            except RateLimited as busy:
                await self._clock.sleep(busy.retry_after_s)
        return await connector.begin_full(self._channel.api)

    async def _wait(self, connector: ReadsWhole, name: str) -> FullReading:
        """Return how the reading ended; one that takes too long is ended."""
        until = self._clock.monotonic() + TAKES_MAX_S
        wait_s = LOOK_S
        while True:
            await self._clock.sleep(wait_s)
            found = await connector.full(self._channel.api, name)
            if found.done:
                return found
            if self._clock.monotonic() > until:
                with suppress(ChannelError):
                    await connector.end_full(self._channel.api, name)
                raise ChannelUnavailable("The platform took too long to read everything.")
            wait_s = min(LOOK_MAX_S, wait_s * 2)

    async def _compared(
        self, connector: ReadsWhole, done: FullReading, keys: Sequence[FieldKey]
    ) -> Doubt:
        """Return the fields of which the file says otherwise than we believe, or nothing."""
        ours: dict[FieldKey, Field] = {}
        for part in in_parts(keys):  # no sale waits for a hundred thousand rows
            ours |= {row.key: row for row in await self._store.fields(part)}
        if done.url is None:
            return Doubt(tuple(ours))
        named: set[FieldKey] = set()
        numbers: set[FieldKey] = set()
        standing: set[FieldKey] = set()
        try:
            async with asyncio.timeout(DOWNLOAD_MAX_S):
                async for reading in self._records(connector, done.url):
                    row = ours.get(reading.field)
                    if row is None:
                        continue  # not one of ours
                    named.add(row.key)
                    if (reading.quantity is None) != (row.parked_reason is not None):
                        standing.add(row.key)
                    elif reading.quantity is not None and reading.quantity != row.expected:
                        numbers.add(row.key)
        except TimeoutError:
            raise ChannelUnavailable("The file took too long to come.") from None
        return Doubt(
            tuple(key for key in ours if key in numbers or key not in named),
            tuple(key for key in ours if key in standing),
        )

    async def _records(self, connector: ReadsWhole, url: str) -> AsyncGenerator[Reading]:
        """Yield what each line says; a few may be unreadable, and are then as if they were not."""
        unreadable = 0
        async with aclosing(self._download(url)) as lines:
            async for line in lines:
                try:
                    yield connector.full_record(line)
                except PayloadInvalid:
                    unreadable += 1
                    if unreadable > UNREADABLE_MAX:
                        raise

    async def _listings(self, fields: Iterable[FieldKey]) -> Sequence[ListingKey]:
        """Return the listings on the fields."""
        wanted = set(fields)
        return [
            row.key
            for row in (await self._store.catalogue()).listings
            if row.field_key is not None and FieldKey(row.key.channel, row.field_key) in wanted
        ]

    def _tell(self, state: str, reason: str, doubt: Doubt) -> None:
        count = len(doubt.numbers) + len(doubt.standing)
        where = {"channel": self._channel.name, "state": state, "count": count}
        logs.emit(Event("channel.read", where | ({"reason": reason} if reason else {})))
