"""Receipts: one, or every one that changed since the cursor.

Theory of operation. Asking for what was modified has not always brought what was cancelled or
refunded, so every poll asks twice: for all that changed, and for the cancelled ones that changed.
A partial refund does not even move the instant of change; open receipts are read again by number
from time to time (the engine's recheck), which finds it.

Pages. Lists are counted by offset, and a receipt that changes while they are read moves to the end
and everything behind it one place up, past the next offset. So a page begins at the newest instant
of the one before, less one second, and offsets are used only where a whole page has one instant.
What comes twice is told once. A page that is not ascending, as Etsy's lists have been where an
order was not asked for, leaves no such place to go on from: the rest is counted (`order_poll`).

The cursor is the newest change seen, by Etsy's clock, never ahead of its Date header and never our
"now"; the overlap is taken off when it is used. A first poll reads all receipts that were not
shipped, whatever their age, by their creation, which never changes, then what changed recently.

One receipt that is not found was, in the past, a cancelled one. It counts as gone only when it is
not found a second time, which the engine's own retry sees to.
Source: getShopReceipts, getShopReceipt; github.com/etsy/open-api issues 604, 513, 160, 185.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from stockpush.connectors.base import Api, OrderPage, Unreadable
from stockpush.connectors.etsy.orders import facts, is_told
from stockpush.connectors.etsy.reading import Memory, read_listings
from stockpush.connectors.etsy.wire import (
    EPOCH_MIN,
    Dated,
    Receipt,
    Receipts,
    ask,
    decode_answer,
    instant,
    is_gone,
)
from stockpush.connectors.order_poll import (
    PAGES_MAX,
    Listed,
    Params,
    Progress,
    counted,
    cursor_of,
    endless,
    instant_of,
    is_ascending,
    set_aside,
)
from stockpush.connectors.payload import Number, decode
from stockpush.errors import PayloadInvalid
from stockpush.messages import OrderSeen

PER_PAGE = 100
"""Receipts of one page, the platform's maximum."""


class _Identified(msgspec.Struct):
    receipt_id: Number


@dataclass(frozen=True, slots=True)
class _List:
    """One of the lists that a poll reads: its filter, and the instant that it is sorted by."""

    filter: Params
    by: str
    """"created" or "updated": what `sort_on` names."""
    since: int
    """Epoch seconds."""

    def params(self, since: int, offset: int) -> Params:
        """Return the query of the page that begins at `since`."""
        bound = "min_created" if self.by == "created" else "min_last_modified"
        return (
            *self.filter,
            (bound, str(max(EPOCH_MIN, since))),
            ("sort_on", self.by),
            ("sort_order", "asc"),
            ("limit", str(PER_PAGE)),
            ("offset", str(offset)),
        )

    def instant(self, raw: msgspec.Raw) -> int | None:
        """Return the instant that a receipt is sorted by, None where that cannot be read."""
        with suppress(PayloadInvalid):
            dated = decode(raw, Dated, what="receipt")
            return dated.created if self.by == "created" else dated.updated
        return None


@dataclass(slots=True)
class _Told:
    """Which states of receipts a poll has told: (number, last change, status)."""

    states: set[tuple[int, int, str]] = field(default_factory=set)

    def is_new(self, receipt: Receipt) -> bool:
        """Answer whether this state of a receipt was not told yet, and note that it is now."""
        state = (receipt.receipt_id, receipt.updated, receipt.status)
        if state in self.states:
            return False
        self.states.add(state)
        return True


@dataclass(frozen=True, slots=True)
class OrderReader:
    """Reads the receipts of one shop; `overlap` is taken off every cursor."""

    channel: str
    shop_id: int
    overlap: timedelta
    memory: Memory

    async def fetch(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one receipt; None if Etsy said a second time that it does not have it.

        Raises `PayloadInvalid` the first time.
        """
        answer = await ask(api, "GET", f"/shops/{self.shop_id}/receipts/{order_id}")
        missing = self.memory.missing
        if is_gone(answer):
            if order_id in missing:
                missing.discard(order_id)
                return None
            missing.add(order_id)
            raise PayloadInvalid(
                f"Etsy does not find receipt {order_id}; it is looked for once more.",
                field="receipt_id",
                found=404,
            )
        receipt = decode_answer(answer, Receipt, "receipt")
        missing.discard(order_id)
        await self._learn(api, [receipt])
        return facts(self.channel, receipt, self.memory.shapes, fetch=fetch)

    async def poll(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every receipt changed since the cursor (None: open ones, then the recent)."""
        progress, told = Progress(), _Told()
        if since is None:
            still_open: Params = (("was_shipped", "false"), ("was_canceled", "false"))
            async for page in self._pages(
                api, _List(still_open, "created", EPOCH_MIN), progress, told, fetch
            ):
                yield page
            recent = progress.recent()
            start = EPOCH_MIN if recent is None else int(recent.timestamp())
        else:
            progress.note(instant_of(since))
            start = int((instant_of(since) - self.overlap).timestamp())
        async for page in self._pages(api, _List((), "updated", start), progress, told, fetch):
            yield page
        canceled = _List((("was_canceled", "true"),), "updated", start)
        async for page in self._pages(api, canceled, progress, told, fetch, is_last=True):
            yield page

    async def _pages(
        self,
        api: Api,
        wanted: _List,
        progress: Progress,
        told: _Told,
        fetch: int,
        *,
        is_last: bool = False,
    ) -> AsyncIterator[OrderPage]:
        """Read a list to its end."""
        async for listed in self._listed(api, wanted):
            page = await self._page(api, listed, progress, told, fetch)
            ends = is_last and listed.last
            yield replace(page, last=ends, cursor=cursor_of(progress.reached()) if ends else None)

    async def _listed(self, api: Api, wanted: _List) -> AsyncIterator[Listed]:
        """Yield a list's pages as they come; the last one says so."""
        since, offset, before = wanted.since, 0, 0

        async def page_at(first: int) -> tuple[tuple[msgspec.Raw, ...], datetime | None]:
            path, params = f"/shops/{self.shop_id}/receipts", wanted.params(since, first)
            answer = await ask(api, "GET", path, params=params)
            return decode_answer(answer, Receipts, "list of receipts").results, answer.date

        for _ in range(PAGES_MAX):
            raws, date = await page_at(offset)
            instants = [at for at in (wanted.instant(raw) for raw in raws) if at is not None]
            more = len(raws) >= PER_PAGE
            ordered = is_ascending([before, *instants]) or not (more or offset)
            yield Listed(raws, date, last=ordered and not more)
            if not ordered:
                break
            if not more:
                return
            if instants and instants[-1] - 1 > since:
                since, offset, before = instants[-1] - 1, 0, 0
            else:
                offset, before = offset + len(raws), instants[-1] if instants else before
        else:
            raise endless("offset")
        async for listed in counted(
            lambda number: page_at(number * PER_PAGE), full=PER_PAGE, field="offset"
        ):
            yield listed

    async def _page(
        self, api: Api, listed: Listed, progress: Progress, told: _Told, fetch: int
    ) -> OrderPage:
        """Return one page's facts. A receipt that cannot be read does not hide the others."""
        progress.answered(listed.date)
        receipts: list[tuple[Receipt, msgspec.Raw]] = []
        unreadable: list[Unreadable] = []
        for raw in listed.orders:
            try:
                receipt = decode(raw, Receipt, what="receipt")
                changed = instant(receipt.updated, "updated_timestamp")
                if told.is_new(receipt):
                    progress.note(changed)
                    receipts.append((receipt, raw))
            except PayloadInvalid as error:
                set_aside(unreadable, error, order=_id(raw), raw=raw, kind=Receipt)
        await self._learn(api, [receipt for receipt, _ in receipts])
        orders: list[OrderSeen] = []
        for receipt, raw in receipts:
            try:
                orders.append(facts(self.channel, receipt, self.memory.shapes, fetch=fetch))
            except PayloadInvalid as error:
                set_aside(unreadable, error, order=_id(raw), raw=raw, kind=Receipt)
        return OrderPage(tuple(orders), listed.date, last=False, unreadable=tuple(unreadable))

    async def _learn(self, api: Api, receipts: Sequence[Receipt]) -> None:
        """Read the listings whose lines cannot be told apart yet: once, in as few calls as can be.

        What stays untold after that is told by its values, and shown as not mapped.
        """
        shapes = self.memory.shapes
        untold = {
            each.listing_id
            for receipt in receipts
            for each in receipt.transactions
            if each.listing_id and not is_told(each, shapes)
        }
        if untold:
            await read_listings(api, self.memory, untold, shop_id=self.shop_id)


def _id(raw: msgspec.Raw) -> str:
    """Return the number of a receipt that cannot be read, '' where not even that can."""
    try:
        return str(decode(raw, _Identified, what="receipt").receipt_id)
    except PayloadInvalid:
        return ""
