"""The most that a number may be (F30).

    the offer of the truth, in which every sale of this field counts, seen or not, and every other
    sale only if the daemon must have known of it when it computed the number; plus units that are
    sold and still stand on the field, and where the number is lowered, units of unpaid orders that
    have come to nothing and of which the daemon need not know it.

The operator's acts take time: the most generous of what the daemon may have known counts. A hold
counts where it surely took its units when the number was computed, and so does a lot that surely
was not for sale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stockpush.sim.auditor.known import Known
from stockpush.sim.truth import NEVER, FieldName, Line, LineKey, Truth
from stockpush.sim.world import Listed


@dataclass(frozen=True, slots=True)
class Bound:
    """Reckons with the truth and with what the daemon must know."""

    truth: Truth
    known: Known

    def most(
        self,
        listed: Listed,
        since: float,
        *,
        gap_from: float = NEVER,
        masks: Sequence[tuple[float, float]] = (),
        without: tuple[str, str] = ("", ""),
        others: str = "known",
    ) -> int:
        """Return the most that may be offered for all that had to be known at `since`.

        Own sales taken off the number at `gap_from` or later, or within one of the `masks`, do not
        count, nor does the order `without`. `others`: which other sales count, those "known",
        "all", or with those also all of the same "channel".
        """
        name = (listed.channel, listed.field)

        def taken(key: LineKey, line: Line) -> int:
            if key[:2] == without:
                return 0
            if (line.listed.channel, line.listed.field) == name:
                at = line.deducted_at
                hidden = at >= gap_from or any(begin <= at <= end for begin, end in masks)
                return 0 if hidden else line.taken
            if others == "all" or (others == "channel" and key[0] == listed.channel):
                return line.taken
            return line.taken_least if self.known.before(key, since) else 0

        states = list(self.truth.states_since(since))
        stock = {sku: max(state.stock[sku] for state in states) for sku in states[0].stock}
        free = self.truth.free(stock=stock, taken=taken, apart=self.truth.apart(since))
        ways = {tuple(state.bills.values()): state.bills for state in states}
        return max(self.truth.offer(listed, free, bills) for bills in ways.values())

    def unpaid(self, listed: Listed, since: float) -> int:
        """Return units of the field that were ordered, are not paid, and need not have been known
        at `since`, where they are for sale to others meanwhile: no number tells of them.
        """
        if self.truth.world.holds_unpaid(listed.channel):
            return 0
        name = (listed.channel, listed.field)
        return sum(
            line.undeducted
            for key, line in self.truth.lines.items()
            if (line.listed.channel, line.listed.field) == name
            and not self.known.before(key, since)
        )

    def sent(self, name: FieldName, since: float) -> int:
        """Return units of a field that were sent since."""
        return sum(units for at, units in self.truth.sent.get(name, ()) if at >= since)

    def ended(self, listed: Listed, since: float) -> int:
        """Return units that stood on the field unpaid and came to nothing since."""
        ended = self.truth.ended.get((listed.channel, listed.field), ())
        return sum(units for at, units in ended if at >= since)
