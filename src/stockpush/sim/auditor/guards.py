"""What the daemon's books say of who shares what is left of an item."""

from __future__ import annotations

from dataclasses import dataclass

from stockpush.sim.auditor.database import Database
from stockpush.sim.truth import FieldName


@dataclass(frozen=True, slots=True)
class Guards:
    """`sim.truth.Guards`, read off the database.

    How high a level was measured is the daemon's to say, and so is which listings it may write to.
    What follows from that is reckoned by the truth.
    """

    database: Database

    def of(self, sku: str) -> tuple[int, bool]:
        """Return the guard level that was measured of an item, and whether it is guarded."""
        for level, guarded in self.database.rows(
            "SELECT guard_level, guarded FROM watched_shelf WHERE name = ?", sku
        ):
            return level, bool(guarded)
        return 0, False

    def sharing(self) -> set[FieldName]:
        """Return the fields with an adopted listing and none that is parked."""
        return {
            (channel, key)
            for channel, key in self.database.rows(
                "SELECT channel, field_key FROM listing GROUP BY channel, field_key"
                " HAVING max(adopted) = 1 AND count(parked_reason) = 0"
            )
        }
