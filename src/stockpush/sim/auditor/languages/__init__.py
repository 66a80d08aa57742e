"""What passes between the daemon and each platform, read from outside.

Theory of operation. One module for each platform says what its requests write and read and what its
webhooks tell, by the platform's own words, and shares nothing with the daemon's connectors. What
it cannot say is answered by the shop itself, which has the truth.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut


class Number(NamedTuple):
    """One number in a write request; `expected` is what it is compared with, None if nothing.

    `as_read`: it stands in a document as the daemon has just read it there.
    """

    field: str
    target: int
    expected: int | None = None
    as_read: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to write asks for; `odd` says what else than numbers is in it.

    `by_platform` are fields whose numbers the platform sets by its own will, `seen` what is counted
    of it. `whole`: the numbers go out together, whether each changes or not. `hook`: it is about
    webhooks, `renews_access` about tokens; neither writes a number.
    """

    numbers: tuple[Number, ...] = ()
    odd: tuple[str, ...] = ()
    by_platform: tuple[str, ...] = ()
    seen: str = ""
    whole: bool = False
    hook: bool = False
    renews_access: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook says: `order` with these lines, whole. `released`: nobody will pay for it.
    `echo`: a number.
    """

    order: str = ""
    lines: tuple[str, ...] = ()
    released: bool = False
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request reads: numbers to be written over, by the names that readings have for their
    fields, numbers to be looked at, or a page of orders. `is_pair`: with the numbers comes what is
    kept apart for open orders.
    """

    fields: frozenset[str] = frozenset()
    is_pair: bool = False
    looks: frozenset[str] = frozenset()
    is_poll: bool = False
    is_later_page: bool = False


class Language(Protocol):
    """A platform's language."""

    deadline_s: float
    """How long a request of the daemon may take before it gives it up."""
    compares: bool
    """Whether a write is refused where a number is not the one that was expected."""
    remembers: bool
    """Whether a write that was repeated does nothing when it arrives after its repetition."""
    hides_restocks: bool
    """Whether orders leave untold what was put back: sales may be hidden behind that."""

    def written(self, exchange: Exchange) -> Asked | None:
        """Return what a request writes, None if it writes nothing."""
        ...

    def read(self, exchange: Exchange) -> Seen:
        """Return what a request reads."""
        ...

    def read_name(self, field: str) -> str:
        """Return by which name readings call a field."""
        ...

    def told(self, out: WebhookOut) -> Told:
        """Return what a delivery says."""
        ...


def signed_name(out: WebhookOut) -> bytes:
    """Return what a delivery is known by, besides its body: the name that its signature covers."""
    name = out.headers.get("webhook-id")
    return b"" if name is None else name.encode() + b"\n"


def decoded(body: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def order_told(body: dict[str, Any], lines: Sequence[Any], *, released: bool = False) -> Told:
    """Return what a body that is an order says."""
    return Told(str(body.get("id")), tuple(str(each.get("id")) for each in lines), released)
