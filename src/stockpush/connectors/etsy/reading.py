"""Documents by the hundred: what the fields hold, and which field each listing goes by.

Theory of operation. A batch read is all or nothing: one number that Etsy does not know makes the
whole answer 404, so it is asked for again by halves until the one stands alone. What makes a
listing useless to us is told in words for a person; what its owner has done to it is left alone.

A listing is *on sale* (active), *sold out* (Etsy took it off when its last unit was bought) or *off
sale*. Off sale by us its numbers are 0, whatever Etsy keeps in the hidden document; off sale by its
owner, or ended, it is parked. A shop on vacation keeps its listings as they are, and so do we: the
switch is the owner's, and the numbers are right when the shop opens again.
Source: getListingsInventoryByListingIds; docs/channels/etsy.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from stockpush.connectors.base import Api, Notes, Reading, Readings
from stockpush.connectors.etsy.document import field_of, numbers, products_of, seen, skus
from stockpush.connectors.etsy.keys import Ref, field_key, listing_of, parse_ref, plain, value_of
from stockpush.connectors.etsy.wire import (
    Batch,
    Document,
    Listing,
    Product,
    Stocked,
    Transaction,
    ask,
    decode_answer,
    is_forbidden,
    is_gone,
    may_read_shop,
)
from stockpush.connectors.payload import decode
from stockpush.errors import AuthFailed, ChannelError, PayloadInvalid
from stockpush.messages import ListingResolved
from stockpush.model import FieldKey
from stockpush.model import Listing as Mapped

IDS_MAX = 100
"""Listings of one batch read."""
OFF_SALE = "off-sale:"
"""How the key of the note begins that says that we took a listing off sale."""
SEEN = "on sale again, seen at "
"""How the note goes on once such a listing was seen on sale, before Etsy's date."""
ON_SALE_KEPT = timedelta(minutes=10)
"""After how long on sale it is not us any more who takes a listing off: longer than any request is
under way.
"""

GONE = "Etsy no longer has it: map the listing to another one, or remove it."
CLOSED = (
    "Etsy does not let us at it (403), though it lets us at the shop: it may be another shop's. "
    "Map the listing to one of this shop, or remove it."
)
ELSEWHERE = (
    "It belongs to another shop, {shop}: map the listing to one of this shop, or set shop_id to it."
)
LEFT_OUT = "Etsy's answer left it out: it is asked for again."
NO_DOCUMENT = "Etsy has no quantities for it: open and save its inventory once on Etsy."
INACTIVE = (
    "It is inactive on Etsy, by its owner: it is left alone. Activate it on Etsy if it is to be "
    "sold again."
)
ON_SALE = ("active", "sold_out")
"""States in which a listing is not off sale by anybody's hand: what was noted of that is over."""
STATES = {
    "draft": "It is a draft on Etsy: publish it there.",
    "expired": "It has expired on Etsy: renew it there.",
}
OTHER_STATE = "Etsy says that it is “{state}”: look at it there."
NO_SUCH_FIELD = "The listing no longer has that variation: map it again."
NOT_SHOWN = "Buyers do not see that variation: enable it on Etsy, or remove the listing."
SEVERAL_NUMBERS = (
    "Etsy holds several quantities where there should be one: save its inventory once."
)
NO_SUCH_SKU = "No product of the listing has that SKU."
NO_SUCH_VALUES = "No product of the listing has these property values."
NEEDS_VALUES = "Its quantity varies: name the values of {names}, or a product_sku."
AMBIGUOUS = "That leads to more than one quantity of the listing: name the values of {names}."
ALIKE = "Two of its variations differ in case or spacing only: rename one on Etsy."


@dataclass(frozen=True, slots=True)
class Shape:
    """How a listing's quantities are laid out: no stock. `fields` are the keys there are."""

    varies_by: tuple[int, ...]
    fields: frozenset[str]
    by_sku: Mapping[str, frozenset[str]]

    def field_of(self, listing_id: int, line: Transaction) -> str | None:
        """Return the field that a sold line was taken off, None if that cannot be told."""
        key = values_key(listing_id, line, self.varies_by)
        if key in self.fields:
            return key
        owners = self.by_sku.get(plain(line.sku or ""), frozenset())
        return next(iter(owners)) if len(owners) == 1 else None


@dataclass(slots=True)
class Memory:
    """What a connector remembers while the process lives: shapes, and notes without a notebook.

    `shapes` has None for a listing that Etsy does not have. `missing` are receipts that were not
    found when they were last asked for. `has_written`: Etsy has taken a write of this access.
    """

    shapes: dict[int, Shape | None] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    noted: dict[str, str] = field(default_factory=dict)
    has_written: bool = False

    async def off_sale(self, api: Api) -> frozenset[int]:
        """Return the listings that we took off sale, or were about to."""
        noted = await api.noted() if isinstance(api, Notes) else self.noted
        return frozenset(
            int(key.removeprefix(OFF_SALE)) for key in noted if key.startswith(OFF_SALE)
        )

    async def note_off_sale(self, api: Api, listing_id: int, *, is_off: bool) -> None:
        """Keep, or forget, that we took a listing off sale.

        Without a durable notebook it is kept until the process ends; the listing then counts as
        its owner's, which leaves it alone.
        """
        await self._note(api, listing_id, "taken off sale by us" if is_off else None)

    async def seen_on_sale(self, api: Api, listing_id: int, date: datetime | None) -> None:
        """Forget that we took a listing off sale once it has been on sale for `ON_SALE_KEPT`, by
        Etsy's clock: `date`, None if it told none.

        Not at once: a request to take it off that got no answer may arrive long after it was seen
        on sale, and is still ours. What cannot be noted now is noted when it is next seen.
        """
        if date is None:
            return
        with suppress(ChannelError):
            noted = await api.noted() if isinstance(api, Notes) else self.noted
            text = noted.get(f"{OFF_SALE}{listing_id}", "")
            if not text.startswith(SEEN):
                await self._note(api, listing_id, f"{SEEN}{date.isoformat()}")
            elif date - datetime.fromisoformat(text.removeprefix(SEEN)) >= ON_SALE_KEPT:
                await self._note(api, listing_id, None)

    async def _note(self, api: Api, listing_id: int, text: str | None) -> None:
        key = f"{OFF_SALE}{listing_id}"
        if isinstance(api, Notes):
            await api.note(key, text)
        elif text is None:
            self.noted.pop(key, None)
        else:
            self.noted[key] = text

    def learn(self, listing_id: int, document: Document) -> None:
        """Remember the shape of a listing."""
        self.shapes[listing_id] = shape_of(listing_id, document)


@dataclass(slots=True)
class Page:
    """Listings by number, why some cannot be read, and the clocks that told of them.

    `may_read`: it was seen that the access as such stands.
    """

    listings: dict[int, Stocked] = field(default_factory=dict)
    odd: dict[int, str] = field(default_factory=dict)
    dates: list[datetime] = field(default_factory=list)
    may_read: bool = False

    @property
    def date(self) -> datetime | None:
        """Return the earliest of the channel's clocks."""
        return min(self.dates, default=None)

    def take(self, raw: msgspec.Raw) -> None:
        """Take in one listing as it came; one that cannot be read is told by its number."""
        try:
            stocked = decode(raw, Stocked, what="listing's inventory")
        except PayloadInvalid as error:
            with suppress(PayloadInvalid):
                named = decode(raw, Listing, what="listing")
                self.listings[named.listing_id] = Stocked(
                    named.listing_id, named.state, named.shop_id
                )
                self.odd[named.listing_id] = error.message
        else:
            self.listings[stocked.listing_id] = stocked

    def problem(self, listing_id: int, *, shop_id: int, is_ours: bool) -> str | None:
        """Return why a listing is left alone or has no numbers, None if it has."""
        listing = self.listings.get(listing_id)
        if listing is None:
            return self.odd.get(listing_id, GONE)
        return (
            standing(listing, shop_id=shop_id, is_ours=is_ours)
            or self.odd.get(listing_id)
            or (NO_DOCUMENT if listing.inventory is None else None)
        )


def shape_of(listing_id: int, document: Document) -> Shape:
    """Return how a document is laid out."""
    return Shape(
        varies_by=document.varies_by,
        fields=frozenset(numbers(listing_id, document)),
        by_sku={sku: frozenset(keys) for sku, keys in skus(listing_id, document).items()},
    )


def values_key(listing_id: int, line: Transaction, varies_by: Collection[int] | None) -> str:
    """Return the field that a line's values name, by these properties (None: by all of them)."""
    return field_key(
        listing_id,
        (
            (each.property_id, value_of(each.values))
            for each in line.product_data or ()
            if varies_by is None or each.property_id in varies_by
        ),
    )


def standing(listing: Listing, *, shop_id: int, is_ours: bool) -> str | None:
    """Return why a listing is left alone, None if it is ours to keep.

    `is_ours`: it was us who took it off sale. Etsy was seen to show such a listing as “edit”, so
    that whatever is neither on sale nor ended is then what we made it.
    """
    if listing.shop_id is not None and listing.shop_id != shop_id:
        return ELSEWHERE.format(shop=listing.shop_id)
    if listing.state in ON_SALE:
        return None
    if listing.state in STATES:
        return STATES[listing.state]
    if is_ours:
        return None
    return INACTIVE if listing.state == "inactive" else OTHER_STATE.format(state=listing.state)


@dataclass(frozen=True, slots=True)
class Held:
    """What buyers can buy of a listing that is ours to keep, by field; `unseen` are fields of which
    they see nothing at all.

    An unseen one has no number of anybody's: nobody can buy it, and where the whole listing is
    taken off sale what is hidden in it is written over.
    """

    numbers: Mapping[str, int | None]
    unseen: frozenset[str]

    @classmethod
    def of(cls, listing_id: int, state: str, document: Document) -> Held:
        """Return what a listing holds. Off sale it is nothing, whatever the document says."""
        held = numbers(listing_id, document)
        told = held if state == "active" else dict.fromkeys(held, 0)
        return cls(told, frozenset(held) - seen(listing_id, document))

    def number(self, key: str) -> tuple[int | None, str | None]:
        """Return a field's number, or why it has none."""
        if key not in self.numbers:
            return None, NO_SUCH_FIELD
        if key in self.unseen:
            return None, NOT_SHOWN
        number = self.numbers[key]
        return number, SEVERAL_NUMBERS if number is None else None


async def read_listings(api: Api, memory: Memory, ids: Iterable[int], *, shop_id: int) -> Page:
    """Read the documents of listings; those that Etsy does not have are left out.

    One that is refused to us is odd; all are where the access as such does not stand, which is
    raised.
    """
    page = Page()
    for chunk in _chunks(sorted(set(ids))):
        await _read(api, chunk, page, shop_id)
        for listing_id in chunk:
            if listing_id not in page.listings and listing_id not in page.odd:
                memory.shapes.setdefault(listing_id, None)
    for each in page.listings.values():
        if each.inventory is not None:
            memory.learn(each.listing_id, each.inventory)
    return page


async def _read(api: Api, ids: Sequence[int], page: Page, shop_id: int) -> None:
    """Read up to IDS_MAX listings in one request, or by halves where one of them is unknown, or
    refused.
    """
    try:
        answer = await ask(
            api,
            "GET",
            "/listings/batch/inventory",
            params=(("listing_ids", ",".join(map(str, ids))),),
        )
    except AuthFailed as error:
        page.may_read = page.may_read or (is_forbidden(error) and await may_read_shop(api, shop_id))
        if not (is_forbidden(error) and page.may_read):
            raise
        if len(ids) > 1:
            await _read_halves(api, ids, page, shop_id)
        else:
            page.odd[ids[0]] = CLOSED
        return
    if answer.date is not None:
        page.dates.append(answer.date)
    if is_gone(answer):
        if len(ids) > 1:
            await _read_halves(api, ids, page, shop_id)
        return
    for raw in decode_answer(answer, Batch, "listings' inventory").results:
        page.take(raw)
    page.odd |= {each: LEFT_OUT for each in ids if each not in page.listings}


async def _read_halves(api: Api, ids: Sequence[int], page: Page, shop_id: int) -> None:
    middle = len(ids) // 2
    await _read(api, ids[:middle], page, shop_id)
    await _read(api, ids[middle:], page, shop_id)


async def observe(
    api: Api, memory: Memory, fields: Sequence[FieldKey], *, shop_id: int
) -> Readings:
    """Read what the fields hold; `date` is the earliest of the answers' clocks."""
    ours = await memory.off_sale(api)
    page = await read_listings(
        api, memory, (listing_of(each.key) for each in fields), shop_id=shop_id
    )
    for listing_id in sorted(ours & page.listings.keys()):
        if page.listings[listing_id].state in ON_SALE:
            await memory.seen_on_sale(api, listing_id, page.date)
    held: dict[int, Held] = {}
    readings = []
    for each in fields:
        listing_id = listing_of(each.key)
        listing = page.listings.get(listing_id)
        problem = page.problem(listing_id, shop_id=shop_id, is_ours=listing_id in ours)
        if listing is None or listing.inventory is None or problem is not None:
            readings.append(Reading(each, None, problem))
            continue
        if listing_id not in held:
            held[listing_id] = Held.of(listing_id, listing.state, listing.inventory)
        number, problem = held[listing_id].number(each.key)
        readings.append(Reading(each, number, problem))
    return Readings(tuple(readings), page.date)


async def resolve(
    api: Api, memory: Memory, listings: Sequence[Mapped], *, shop_id: int
) -> tuple[ListingResolved, ...]:
    """Return each listing's order key and field, or what a person must mend."""
    ours = await memory.off_sale(api)
    refs = [parse_ref(each.key.ref) for each in listings]
    page = await read_listings(api, memory, (ref.listing_id for ref in refs), shop_id=shop_id)
    return tuple(
        _resolved(mapped, ref, page, shop_id=shop_id, is_ours=ref.listing_id in ours)
        for mapped, ref in zip(listings, refs, strict=True)
    )


def _resolved(
    mapped: Mapped, ref: Ref, page: Page, *, shop_id: int, is_ours: bool
) -> ListingResolved:
    listing = page.listings.get(ref.listing_id)
    problem = page.problem(ref.listing_id, shop_id=shop_id, is_ours=is_ours)
    if listing is None or listing.inventory is None:
        return ListingResolved(mapped.key, None, None, problem)
    key, reason = _field(ref, listing.inventory)
    if key is not None and problem is None and key not in seen(ref.listing_id, listing.inventory):
        problem = NOT_SHOWN
    # Orders name the listing by its field whatever its state is: demand counts.
    return ListingResolved(mapped.key, key, key, reason or problem)


def _field(ref: Ref, document: Document) -> tuple[str | None, str | None]:
    """Return the field that a reference leads to, or why it leads to none."""
    products = products_of(document)
    if _are_alike(products):
        return None, ALIKE
    named = [each for each in products if _is_named(each, ref)]
    fields = {field_of(ref.listing_id, document, each) for each in named}
    if len(fields) == 1:
        return fields.pop(), None
    if not fields:
        return None, NO_SUCH_SKU if ref.sku else NO_SUCH_VALUES
    reason = AMBIGUOUS if ref.sku or ref.values else NEEDS_VALUES
    return None, reason.format(names=" and ".join(_names(products, document.varies_by)))


def _is_named(product: Product, ref: Ref) -> bool:
    """Answer whether a reference names this product: by nothing, its SKU, or some of its values."""
    if ref.sku:
        return plain(product.sku or "") == ref.sku
    told = {
        name: plain(value_of(each.values))
        for each in product.property_values
        for name in (str(each.property_id), plain(each.property_name or ""))
    }
    return all(told.get(name) == value for name, value in ref.values)


def _are_alike(products: Sequence[Product]) -> bool:
    """Answer whether two products have the same values once case and spacing do not count."""
    told = [
        frozenset((each.property_id, plain(value_of(each.values))) for each in one.property_values)
        for one in products
    ]
    return len(set(told)) < len(told)


def _names(products: Sequence[Product], varies_by: Collection[int]) -> list[str]:
    """Return the names of the properties that the quantity varies by, in their order."""
    names = {
        each.property_id: each.property_name or str(each.property_id)
        for product in products
        for each in product.property_values
    }
    return [names.get(each, str(each)) for each in varies_by]


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), IDS_MAX):
        yield ids[start : start + IDS_MAX]
