"""The parts of Etsy's answers that matter to stock, decoded strictly; limits and error answers.

Theory of operation. Only named fields are read and unknown ones are ignored; whatever cannot be
understood raises `PayloadInvalid` that names the field. Every answer tells what is left of the
app's allowance, by the second and by the day, and no number of ours is better than that: when the
second is used up everybody waits for the next one, and when the day is nearly used up the calls
that are left are spread over it.
Source: the OpenAPI document (schemas by these names); developers.etsy.com, essentials/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from stockpush.connectors.answers import count_in
from stockpush.connectors.base import Answer, Api, Moment
from stockpush.connectors.payload import Count, Number, Word, decode, utc
from stockpush.errors import AuthFailed, ChannelError, ChannelUnavailable, PayloadInvalid
from stockpush.model import WIRE_QUANTITY_MAX

ROOT = "/v3/application"
EPOCH_MIN = 946_684_800
"""Earliest instant that the API takes or gives (2000-01-01)."""
DAY_LOW = 0.05
"""Which part of the day's allowance is left when the rest is spread."""
ERROR_MAX = 200
"""Most of an error's text that is told on."""

Epoch = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Properties = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], ...]

T = TypeVar("T")


class Money(msgspec.Struct, frozen=True):
    """An amount of money: `amount` / `divisor`."""

    amount: Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]
    divisor: Annotated[int, msgspec.Meta(ge=1, le=10**6)]


class Offering(msgspec.Struct, frozen=True):
    """What a product is sold as: one price, one quantity."""

    quantity: Annotated[int, msgspec.Meta(ge=0, le=WIRE_QUANTITY_MAX)]
    is_enabled: bool
    price: Money
    is_deleted: bool = False
    readiness_state_id: Number | None = None


class PropertyValue(msgspec.Struct, frozen=True):
    """One value that tells a product from the others of its listing."""

    property_id: Number
    value_ids: tuple[Number, ...] = ()
    values: Annotated[tuple[str, ...], msgspec.Meta(max_length=10)] = ()
    property_name: str | None = None
    scale_id: Number | None = None


class Product(msgspec.Struct, frozen=True):
    """One product of a listing."""

    offerings: tuple[Offering, ...]
    sku: str | None = None
    property_values: tuple[PropertyValue, ...] = ()
    is_deleted: bool = False


class Listing(msgspec.Struct, frozen=True):
    """A listing's own record; `shop_id` says whose it is, None where Etsy does not."""

    listing_id: Number
    state: Word
    shop_id: Number | None = None


class Document(msgspec.Struct, frozen=True):
    """A listing's stock: every product, and by which properties the parts vary.

    A list that is absent (UNSET) is not written either.
    """

    products: tuple[Product, ...]
    price_on_property: Properties | msgspec.UnsetType = msgspec.UNSET
    quantity_on_property: Properties | msgspec.UnsetType = msgspec.UNSET
    sku_on_property: Properties | msgspec.UnsetType = msgspec.UNSET
    readiness_state_on_property: Properties | msgspec.UnsetType | None = msgspec.UNSET
    listing: Listing | None = None

    @property
    def varies_by(self) -> Properties:
        """Return the properties that the quantity varies by."""
        return self.quantity_on_property or ()


class Stocked(Listing, frozen=True):
    """A listing with its document, as the batch read gives it."""

    inventory: Document | None = None


class Batch(msgspec.Struct, frozen=True):
    """The answer to a batch read, each listing still as it came: an odd one hides no other."""

    results: tuple[msgspec.Raw, ...]


class Transaction(msgspec.Struct, frozen=True):
    """One line of a receipt. `listing_id` is null, or 0, where the listing is no more."""

    transaction_id: Number
    quantity: Count
    listing_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    sku: str | None = None
    product_data: tuple[PropertyValue, ...] | None = None
    paid_timestamp: Epoch | None = None
    is_digital: bool | None = None


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """When a receipt was made and last changed, under the newer or the older names."""

    created_timestamp: Epoch | None = None
    updated_timestamp: Epoch | None = None
    create_timestamp: Epoch | None = None
    update_timestamp: Epoch | None = None

    @property
    def created(self) -> int:
        """Return when it was made, epoch seconds; `PayloadInvalid` where it does not say."""
        return _either(self.created_timestamp, self.create_timestamp, "created_timestamp")

    @property
    def updated(self) -> int:
        """Return when it last changed, epoch seconds; `PayloadInvalid` where it does not say."""
        return _either(self.updated_timestamp, self.update_timestamp, "updated_timestamp")


class Receipt(Dated, frozen=True):
    """An order. Nothing of who bought is read."""

    receipt_id: Number
    status: Word
    is_paid: bool
    is_shipped: bool
    transactions: tuple[Transaction, ...]


class Receipts(msgspec.Struct, frozen=True):
    """One page of receipts, each still as it came."""

    results: tuple[msgspec.Raw, ...]


class _Fault(msgspec.Struct, frozen=True):
    error: str
    error_description: str | None = None


async def ask(
    api: Api,
    method: str,
    path: str,
    *,
    write: bool = False,
    params: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    cost: float = 1.0,
    spread: bool = True,
    until: Moment | None = None,
) -> Answer:
    """Send one request below `ROOT` and heed what its answer tells of the allowance.

    `spread`: the next call may wait longer than a second; not so one that must follow at once.
    """
    answer = await api.send(
        method,
        f"{ROOT}{path}",
        write=write,
        params=params,
        headers=headers,
        body=body,
        cost=cost,
        until=until,
    )
    wait_s = wait_for_allowance(answer.headers)
    if wait_s:
        api.pause(wait_s if spread else min(wait_s, 1.0))
    return answer


def is_forbidden(error: ChannelError) -> bool:
    """Answer whether Etsy refused one thing (403) rather than who asked (401)."""
    return isinstance(error, AuthFailed) and error.found == 403


async def may_read_shop(api: Api, shop_id: int) -> bool:
    """Answer whether the access as such stands: what else is refused then is a matter of its own.

    One request, after a refusal, for what the same right opens: the shop's own record needs none.
    """
    try:
        answer = await ask(
            api, "GET", f"/shops/{shop_id}/listings", params=(("limit", "1"),), spread=False
        )
    except ChannelError:
        return False
    return answer.status == 200


def wait_for_allowance(headers: Mapping[str, str]) -> float:
    """Return how long to hold the next call (seconds, 0: not at all) for what is left of it.

    >>> wait_for_allowance({"x-remaining-this-second": "0"})
    1.0
    >>> wait_for_allowance({"x-limit-per-day": "10000", "x-remaining-today": "400"})
    8.64
    """
    wait_s = 1.0 if count_in(headers, "x-remaining-this-second") == 0 else 0.0
    day, left = count_in(headers, "x-limit-per-day"), count_in(headers, "x-remaining-today")
    if day and left is not None and left <= day * DAY_LOW:
        wait_s = max(wait_s, 86_400 / day)
    return wait_s


def decode_answer(answer: Answer, kind: type[T], what: str) -> T:
    """Return the body of a 200 answer to a read as a `kind`, else raise what it means."""
    if answer.status == 200:
        return decode(answer.body, kind, what=what)
    raise unexpected(answer, what)


def unexpected(answer: Answer, what: str) -> ChannelError:
    """Return the error that an answer other than 200 stands for.

    A 404 without Etsy's own error object is not Etsy's: nothing may be concluded of the object.
    """
    text = fault(answer)
    if answer.status == 404 and text is None:
        return ChannelUnavailable(
            "Etsy's API does not answer below base_url.",
            field="base_url",
            found=404,
            expected=ROOT,
            next="stockpush doctor",
        )
    return PayloadInvalid(
        f"The {what} was answered with {answer.status}{'' if text is None else f': {text}'}.",
        field=what,
        found=answer.status,
        expected="200",
    )


def is_gone(answer: Answer) -> bool:
    """Answer whether Etsy itself says that there is no such thing."""
    return answer.status == 404 and fault(answer) is not None


def fault(answer: Answer) -> str | None:
    """Return the text of Etsy's error object with the request's id, which its support asks for;
    None if the body is no such object.
    """
    try:
        told = decode(answer.body, _Fault, what="error")
    except PayloadInvalid:
        return None
    text = f"{told.error}: {told.error_description}" if told.error_description else told.error
    text = "".join(each if each.isprintable() else " " for each in text[:ERROR_MAX])
    name = answer.headers.get("x-etsy-request-uuid", "")
    return f"{text} (request {name})" if re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) else text


def instant(epoch: int, what: str) -> datetime:
    """Return epoch seconds as aware UTC; `PayloadInvalid` for what cannot be an instant."""
    try:
        return utc(datetime.fromtimestamp(epoch, UTC), what=what)
    except (ValueError, OverflowError, OSError):
        raise PayloadInvalid(f"{what} is not an instant.", field=what, found=epoch) from None


def _either(new: int | None, old: int | None, field: str) -> int:
    told = old if new is None else new
    if told is None:
        raise PayloadInvalid(f"The receipt has no {field}.", field=field, expected="epoch seconds")
    return told
