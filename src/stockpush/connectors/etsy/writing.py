"""The push: read the whole document, compare, replace it, compare again.

Theory of operation. There is no compare-and-set and no difference to send, so each listing's
document is read and replaced back to back. All lines of a listing are judged together: one number
other than the one we expect is a conflict of all of them, and nothing is written, since a PUT would
put the unseen sale back on sale. Mapped numbers come from the lines, never from what was read;
whatever else the document says goes back as it came.

The gap. A sale between the read and the write is overwritten and found afterwards by its time
(R10), so the gap is kept short: the read takes the write's share of the rate limit with it, and
what was read `GAP_MAX_S` ago, because the machine slept or the network was slow, is not written.

Afterwards the answer to the write, the document as saved, is held against what was sent: our
quantities must be the targets, and everything else what it was, other quantities too. A difference
there is told to a person; the numbers stand all the same.

Where nothing would be left on sale, which Etsy refuses, the listing is taken off sale (F32), and
put back when there is something to sell. A 409 means that the listing has changed its kind: it is
read and written once more.

Outcomes are per line. An accident stops the work: nobody should write to a shop that just failed.
Source: updateListingInventory; conflict protocol, R6, R7, R10; faults F30 to F32, F50.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from stockpush.connectors.answers import is_done
from stockpush.connectors.base import Answer, Api, Moment, PushLine, PushOutcome
from stockpush.connectors.etsy import outcomes as end
from stockpush.connectors.etsy.document import (
    body_of,
    differs,
    field_of,
    numbers,
    products_of,
    sells_something,
    with_numbers,
    write_params,
)
from stockpush.connectors.etsy.keys import listing_of
from stockpush.connectors.etsy.outcomes import Broken, Gap, Outcomes
from stockpush.connectors.etsy.reading import (
    CLOSED,
    GONE,
    NO_SUCH_FIELD,
    ON_SALE,
    SEVERAL_NUMBERS,
    Held,
    Memory,
    standing,
)
from stockpush.connectors.etsy.settings import Settings
from stockpush.connectors.etsy.wire import (
    Document,
    Listing,
    ask,
    decode_answer,
    fault,
    is_forbidden,
    is_gone,
    may_read_shop,
    unexpected,
)
from stockpush.connectors.outcomes import gone, rejected, unanswered, unsent
from stockpush.connectors.payload import decode
from stockpush.errors import ChannelError, OutcomeUnknown, PayloadInvalid
from stockpush.model import PushOutcomeKind

GAP_MAX_S = 4.0
"""How old what was read may be when it is written back."""
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PAID_BEFORE = 0.001
"""What a write takes of the rate limit where the read before it has paid for both."""

SOLD_OUT_ASK = (
    "Its last unit is promised, and Etsy takes no listing with every quantity zero: deactivate it "
    "on Etsy, or set sold_out = “deactivate”."
)
NEEDS_RENEWAL = (
    "Etsy has marked it sold out, and putting it on sale again costs the listing fee: renew it on "
    "Etsy, or set renew = true."
)
DIFFERS = (
    "The quantities are written, but something else of the listing ({what}) is not as it was sent: "
    "look at it on Etsy."
)
STILL_SHOWN = "Etsy answered that the listing is {state} after it was to be {wanted}."


@dataclass(frozen=True, slots=True)
class Read:
    """A listing as it was read to be written: its document and record, whose it is, and when."""

    listing_id: int
    document: Document
    listing: Listing
    is_ours: bool
    date: datetime | None
    gap: Gap
    asked: Moment | None

    @property
    def state(self) -> str:
        """Return the listing's state, in Etsy's word."""
        return self.listing.state

    @property
    def until(self) -> Moment | None:
        """Return the last moment at which it may be written back."""
        return None if self.asked is None else self.asked.plus(GAP_MAX_S)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes one shop's listings."""

    settings: Settings
    memory: Memory

    async def push(self, api: Api, batch: Sequence[PushLine]) -> tuple[PushOutcome, ...]:
        """Check and set each line; one outcome per line, in order. Raises no `ChannelError`."""
        listings: dict[int, list[PushLine]] = {}
        for line in batch:
            listings.setdefault(listing_of(line.field.key), []).append(line)
        found: Outcomes = {}
        closed: Outcomes = {}
        for listing_id, lines in listings.items():
            try:
                found |= await self._push_listing(api, listing_id, lines)
            except PayloadInvalid as error:
                # One listing's odd answer must not keep the others from being written.
                found |= end.of(lines, unsent(error))
            except Broken as broken:
                if await self._is_closed(api, broken.error):
                    closed |= broken.outcomes
                    continue
                found |= broken.outcomes
                if broken.stops:
                    found = _with_unsent(batch, found, broken.error)
                    break
            except ChannelError as error:
                if await self._is_closed(api, error):
                    found |= end.of(lines, rejected(CLOSED, None, found=403))
                    continue
                found = _with_unsent(batch, found, error)
                break
        # Whether it was the listing or the access, a write of another listing shows, be it later.
        found |= end.closed(closed) if self.memory.has_written else closed
        return tuple(found[line.field.key] for line in batch)

    async def _is_closed(self, api: Api, error: ChannelError) -> bool:
        """Answer whether one listing was refused, and not the access as such.

        Of a write it must be seen besides that this access may write at all.
        """
        return is_forbidden(error) and await may_read_shop(api, self.settings.shop)

    async def _push_listing(self, api: Api, listing_id: int, lines: Sequence[PushLine]) -> Outcomes:
        """Return the outcomes of one listing's lines.

        Raises `Broken`, or the `ChannelError` of a read, where the work must stop.
        """
        told: Outcomes | Answer = await self._attempt(api, listing_id, lines)
        if isinstance(told, Answer):  # 409
            told = await self._attempt(api, listing_id, lines)
        if isinstance(told, Answer):
            return end.of(lines, end.refused(told, what="the quantities twice"))
        return told

    async def _attempt(
        self, api: Api, listing_id: int, lines: Sequence[PushLine]
    ) -> Outcomes | Answer:
        """Read, compare and write once; a 409 is returned as it came."""
        ours = await self.memory.off_sale(api)
        read = await self._read(api, listing_id, is_ours=listing_id in ours)
        if read is None:
            return end.of(lines, gone(GONE, None))
        if read.is_ours and read.listing.state in ON_SALE:
            # Its owner has put it on sale again, or we never came to take it off. Before the
            # write, which may note it anew.
            await self.memory.seen_on_sale(api, listing_id, read.date)
        problem = standing(read.listing, shop_id=self.settings.shop, is_ours=read.is_ours)
        if problem is not None:
            return end.of(lines, rejected(problem, read.date))
        held = Held.of(listing_id, read.state, read.document)
        done, todo = _judged(lines, held, read.date)
        if not todo:
            return done
        try:
            told = await self._write(api, read, todo)
        except Broken as broken:
            broken.outcomes = end.beside(done, broken.outcomes) | broken.outcomes
            raise
        return told if isinstance(told, Answer) else end.beside(done, told) | told

    async def _read(self, api: Api, listing_id: int, *, is_ours: bool) -> Read | None:
        """Read a listing to write it back; None if Etsy does not have it."""
        answer = await ask(
            api,
            "GET",
            f"/listings/{listing_id}/inventory",
            params=(("includes", "Listing"),),
            cost=2.0,
            spread=False,
        )
        if is_gone(answer):
            return None
        document = decode_answer(answer, Document, "listing's inventory")
        self.memory.learn(listing_id, document)
        if document.listing is None:
            record = await ask(api, "GET", f"/listings/{listing_id}", spread=False)
            if is_gone(record):
                return None
            listing = decode_answer(record, Listing, "listing")
        else:
            listing = document.listing
        return Read(
            listing_id=listing_id,
            document=document,
            listing=listing,
            is_ours=is_ours,
            date=answer.date,
            gap=Gap.since(answer),
            asked=answer.sent,
        )

    async def _write(self, api: Api, read: Read, lines: Sequence[PushLine]) -> Outcomes | Answer:
        """Write what differs, in the way that the listing's state asks for."""
        targets = {line.field.key: line.target for line in lines}
        if read.state != "active":
            # Nothing of it is on sale: what the hidden document says are no numbers of anybody's.
            targets = dict.fromkeys(numbers(read.listing_id, read.document), 0) | targets
        changed = with_numbers(read.listing_id, read.document, targets)
        if not sells_something(changed):
            return await self._take_off_sale(api, read, lines)
        match read.state:
            case "active":
                return await self._replace(api, read, changed, lines)
            case "sold_out":
                return await self._renew(api, read, lines)
            case _:
                return await self._put_on_sale(api, read, changed, lines)

    async def _replace(
        self, api: Api, read: Read, changed: Document, lines: Sequence[PushLine]
    ) -> Outcomes | Answer:
        """Send a document; return the outcomes, or the answer where that is a 409."""
        body = body_of(changed)
        answer = await self._send(
            api,
            "PUT",
            f"/listings/{read.listing_id}/inventory",
            read.gap,
            lines,
            params=write_params(changed),
            headers=JSON,
            body=body,
            cost=PAID_BEFORE,
            # What is off sale sells nothing, and its reading may be as old as it is.
            until=read.until if read.state == "active" else None,
        )
        gap = read.gap.until(answer)
        if answer.status == 409:
            return answer
        if is_gone(answer):
            return end.of(lines, gone(GONE, answer.date))
        if not is_done(answer):
            hint = end.PARENTHESES if _has_parentheses(changed) else ""
            return end.of(lines, end.refused(answer, what="the quantities", hint=hint))
        return _settled(read.listing_id, changed, _saved(answer), lines, gap)

    # -- off sale and on sale again --------------------------------------------------------------

    async def _take_off_sale(
        self, api: Api, read: Read, lines: Sequence[PushLine]
    ) -> Outcomes | Answer:
        """Make a listing inactive whose last unit is promised, if its owner lets us.

        That it is we who do so is durable before it happens.
        """
        if not self.settings.deactivates:
            return end.of(lines, rejected(SOLD_OUT_ASK, read.date))
        await self.memory.note_off_sale(api, read.listing_id, is_off=True)
        answer = await self._set_state(api, read, "inactive", lines)
        if not is_done(answer):
            await self._forget(api, read.listing_id)
            return _no_state(answer, lines, "to take the listing off sale")
        gap = read.gap.until(answer)
        state = _state(answer)
        if state in (None, "active"):
            message = STILL_SHOWN.format(state=state or "unreadable", wanted="inactive")
            return end.of(lines, end.unknown(message, None, gap))
        try:
            await self._hide(api, read)
        except OutcomeUnknown as error:
            # It may still arrive, and must not meet a listing that is on sale again by then.
            raise Broken(end.of(lines, unanswered(error, gap_from=gap.begin)), error) from error
        return {line.field.key: end.applied(line, gap) for line in lines}

    async def _hide(self, api: Api, read: Read) -> None:
        """Leave one unit in the hidden document, which is the least that Etsy takes.

        Whoever puts the listing on sale by hand then oversells one unit at most. Nothing depends
        on it, so that what is refused is left. Raises `OutcomeUnknown`.
        """
        first = _first_shown(read)
        held = numbers(read.listing_id, read.document)
        least = dict.fromkeys(held, 0) | {first: 1}
        if {key: number for key, number in held.items() if number} in ({first: 1}, {}):
            return
        hidden = with_numbers(read.listing_id, read.document, least)
        try:
            await ask(
                api,
                "PUT",
                f"/listings/{read.listing_id}/inventory",
                write=True,
                params=write_params(hidden),
                headers=JSON,
                body=body_of(hidden),
            )
        except OutcomeUnknown:
            raise
        except ChannelError:
            return

    async def _put_on_sale(
        self, api: Api, read: Read, changed: Document, lines: Sequence[PushLine]
    ) -> Outcomes | Answer:
        """Write the numbers of a listing that we took off sale, then make it active again."""
        told = await self._replace(api, read, changed, lines)
        if isinstance(told, Answer) or any(
            each.kind is not PushOutcomeKind.APPLIED for each in told.values()
        ):
            return told
        with end.half_way(lines, read.gap):
            answer = await self._set_state(api, read, "active", lines)
        if not is_done(answer):
            return _no_state(answer, lines, "to put the listing on sale again")
        state = _state(answer)
        if state != "active":
            message = STILL_SHOWN.format(state=state or "unreadable", wanted="active")
            return end.of(lines, end.unknown(message, None, read.gap.until(answer)))
        # Not forgotten at once: an earlier request of ours to take it off may still come.
        await self.memory.seen_on_sale(api, read.listing_id, answer.date)
        return told

    async def _forget(self, api: Api, listing_id: int) -> None:
        """Forget that a listing is off sale by us: what was done stands whether that can be or not.

        A note that stays is forgotten when the listing is next seen on sale.
        """
        with suppress(ChannelError):
            await self.memory.note_off_sale(api, listing_id, is_off=False)

    async def _renew(self, api: Api, read: Read, lines: Sequence[PushLine]) -> Outcomes | Answer:
        """Put a listing on sale again that Etsy marked sold out, if its owner pays for that.

        Etsy sets its quantity to 1, so it is read anew before the numbers are written.
        """
        if not self.settings.renews:
            return end.of(lines, rejected(NEEDS_RENEWAL, read.date))
        answer = await self._set_state(api, read, "active", lines)
        if not is_done(answer):
            return _no_state(answer, lines, "to renew the listing")
        with end.half_way(lines, read.gap):
            again = await self._read(api, read.listing_id, is_ours=False)
            if again is None:
                return end.of(lines, gone(GONE, answer.date))
            targets = dict.fromkeys(numbers(again.listing_id, again.document), 0)
            targets |= {line.field.key: line.target for line in lines}
            changed = with_numbers(again.listing_id, again.document, targets)
            return await self._replace(api, again, changed, lines)

    async def _set_state(
        self, api: Api, read: Read, state: str, lines: Sequence[PushLine]
    ) -> Answer:
        return await self._send(
            api,
            "PATCH",
            f"/shops/{self.settings.shop}/listings/{read.listing_id}",
            read.gap,
            lines,
            headers=FORM,
            body=f"state={state}".encode("ascii"),
        )

    async def _send(
        self,
        api: Api,
        method: str,
        path: str,
        gap: Gap,
        lines: Sequence[PushLine],
        *,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str],
        body: bytes,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Send one write. Raises `Broken` where it got no usable answer."""
        try:
            answer = await ask(
                api,
                method,
                path,
                write=True,
                params=params,
                headers=headers,
                body=body,
                cost=cost,
                until=until,
            )
            if answer.status == 404 and fault(answer) is None:
                raise unexpected(answer, "write")
            if answer.status == 408:
                raise OutcomeUnknown("Etsy gave the write up half-way (408).", found=408)
        except ChannelError as error:
            raise Broken(end.of(lines, unanswered(error, gap_from=gap.begin)), error) from error
        self.memory.has_written = self.memory.has_written or is_done(answer)
        return answer


def _with_unsent(batch: Sequence[PushLine], found: Outcomes, error: ChannelError) -> Outcomes:
    """Return the outcomes with those of the lines that were not sent because of `error`."""
    not_sent = unsent(error)
    return {line.field.key: found.get(line.field.key, not_sent) for line in batch}


def _judged(
    lines: Iterable[PushLine], held: Held, date: datetime | None
) -> tuple[Outcomes, list[PushLine]]:
    """Return the outcomes of lines that need not or must not be written, and the others."""
    done: Outcomes = {}
    known: list[tuple[PushLine, int]] = []
    for line in lines:
        key = line.field.key
        number, problem = held.number(key)
        if number is not None:
            known.append((line, number))
        elif problem == NO_SUCH_FIELD:
            done[key] = gone(problem, date)
        else:
            done[key] = rejected(problem or SEVERAL_NUMBERS, date)
    is_lost = any(number != line.expected for line, number in known)
    todo = []
    for line, number in known:
        if number == line.expected == line.target:
            done[line.field.key] = end.unchanged(number, date)
        elif is_lost:
            done[line.field.key] = end.conflict(number, date)
        else:
            todo.append(line)
    return done, todo


def _settled(
    listing_id: int,
    sent: Document,
    saved: Document | None,
    lines: Sequence[PushLine],
    gap: Gap,
) -> Outcomes:
    """Return the outcomes of lines whose document was taken (2xx)."""
    if saved is None:
        unread = end.unknown("Etsy's answer to the write cannot be read.", None, gap)
        return end.of(lines, unread)
    held = numbers(listing_id, saved)
    other = _other(listing_id, sent, saved, lines)
    remark = None if other is None else DIFFERS.format(what=other)
    found: Outcomes = {}
    for line in lines:
        number = held.get(line.field.key)
        if number == line.target:
            found[line.field.key] = end.applied(line, gap, remark=remark)
        else:
            message = "Etsy answered with another quantity than it was sent."
            found[line.field.key] = end.unknown(message, number, gap)
    return found


def _other(
    listing_id: int, sent: Document, saved: Document, lines: Sequence[PushLine]
) -> str | None:
    """Return what else differs; the write was taken, whether we can read that or not."""
    try:
        return differs(listing_id, sent, saved, ours={line.field.key for line in lines})
    except PayloadInvalid as error:
        return error.message


def _saved(answer: Answer) -> Document | None:
    try:
        return decode(answer.body, Document, what="saved inventory")
    except PayloadInvalid:
        return None


def _state(answer: Answer) -> str | None:
    try:
        return decode(answer.body, Listing, what="saved listing").state
    except PayloadInvalid:
        return None


def _no_state(answer: Answer, lines: Sequence[PushLine], what: str) -> Outcomes:
    """Return the outcomes of lines whose listing could not be made (in)active."""
    if is_gone(answer):
        return end.of(lines, gone(GONE, answer.date))
    return end.of(lines, end.refused(answer, what=what))


def _first_shown(read: Read) -> str:
    """Return the field of the first product that buyers see: what is sold is seen."""
    products = products_of(read.document)
    first = next(each for each in products if any(one.is_enabled for one in each.offerings))
    return field_of(read.listing_id, read.document, first)


def _has_parentheses(document: Document) -> bool:
    return any(
        "(" in text or ")" in text
        for product in products_of(document)
        for each in product.property_values
        for text in each.values
    )
