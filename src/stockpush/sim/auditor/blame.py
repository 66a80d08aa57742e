"""Whose fault it is that something was sold that was not there (I10).

What a field showed was right for all that had to be known when it was last written: then what
happened since, elsewhere, is the witness, and its kind is the cause. Otherwise somebody else must
have had a hand in the number, in a way that the protocol names, or the daemon is to blame.

Where what there is is parted there is no excuse: nothing is sold that nobody has (I17).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stockpush.sim.auditor.bound import Bound
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.auditor.notes import FieldNote, Notes
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.truth import Truth
from stockpush.sim.world import Listed, World

EDIT_CLOUDS_S = 7200.0
"""How long after a merchant's edit a number may be wrong by it: two polls and the suspense."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a shopper finds: what the checkout would sell, and what could be promised."""

    listed: Listed
    sellable: int
    atp: int


@dataclass(slots=True)
class Blame:
    """Who buys what, and whether it was there."""

    world: World
    truth: Truth
    notes: Notes
    bound: Bound
    findings: Findings
    oversold: Counter[str] = field(default_factory=Counter)
    """Units of items that were sold and were not there, by cause."""
    sales: int = 0
    units: int = 0
    sold_at: dict[str, float] = field(default_factory=dict)
    """When something was last sold on a channel."""

    def before_sale(self, listed: Listed) -> Before:
        """Look at a listing just before a shopper buys."""
        self.truth.refresh_unpaid()
        sellable = self.world.shops[listed.channel].quantity(listed.listing)
        return Before(listed, sellable, self.truth.atp(listed.sku))

    def sold(self, order_id: str, lines: Sequence[tuple[Before, int]]) -> None:
        """A shopper has bought (what was found, units); the truth has been refreshed."""
        for before, units in lines:
            listed = before.listed
            self.sales += 1
            self.units += units * listed.pack
            self.sold_at[listed.channel] = self.findings.now()
            after = self.truth.atp(listed.sku)
            short = min(units * listed.pack, max(0, -after) - max(0, -before.atp))
            if short > 0:
                cause = self._cause(before, (listed.channel, order_id))
                self.oversold[cause] += short
                self.findings.seen["oversold"] += 1
                if self.world.is_split:
                    self.findings.of("I17", listed, f"{short} were sold that nobody has")
        channel = lines[0][0].listed.channel
        own = (key for key in self.truth.lines if key[:2] == (channel, order_id))
        if any(key not in self.bound.known for key in own):
            self.findings.seen["unseen_sale"] += 1

    def _cause(self, before: Before, order: tuple[str, str]) -> str:
        """Return who is to blame for a sale of what is not there."""
        note = self.notes.of(before.listed)
        since, shown = note.reflected_at, before.sellable
        # Units that were held unpaid and came to nothing stand on the number until it is written.
        shown -= self.bound.ended(note.listed, since) + note.unheard
        most = self.bound.most(note.listed, since, without=order)
        if shown <= most:
            if shown <= self.bound.most(note.listed, since, without=order, others="all"):
                return "operator"
            if shown <= self.bound.most(note.listed, since, without=order, others="channel"):
                return "cross_channel"
            return "sibling_listing"
        if shown - self.bound.unpaid(note.listed, since) <= most:
            return "unpaid_unheard"
        apart = note.unsent + self._sent_apart(note)
        if apart and shown - apart <= most:
            return "sent_unheard"
        name = (note.listed.channel, note.listed.field)
        unkept = self.truth.unkept_since(name, max(note.written_at, note.reflected_at))
        if unkept + note.unkept and shown - apart - unkept - note.unkept <= most:
            return "unkept_unheard"
        if note.edited_at >= since:
            return "merchant_edit"  # the number is theirs
        edited = self.findings.now() - note.edited_at < EDIT_CLOUDS_S
        if edited and shown <= self.bound.most(note.listed, since, without=order, masks=note.masks):
            return "merchant_edit"
        if note.excused:
            return note.excused
        # The shop puts back what is cancelled, though too much may be sold already.
        put_back = self.truth.put_back.get((note.listed.channel, note.listed.field), ())
        shown -= sum(units for at, units in put_back if at >= since)
        if shown <= most:
            return "restock"
        self.findings.of(
            "I10",
            note.listed,
            f"{before.sellable} on sale, at most {most} explained since {since:.3f} s",
        )
        return "unexplained"

    def _sent_apart(self, note: FieldNote) -> int:
        """Return units that are for sale again because they were sent, and are written nowhere yet:
        where open orders are committed apart from the number, which does not fall by sending.
        """
        shop, name = self.world.shops[note.listed.channel], (note.listed.channel, note.listed.field)
        if not isinstance(shop, FaireShop) or shop.shipping_takes_on_hand:
            return 0
        return self.bound.sent(name, max(note.written_at, note.reflected_at))
