"""What the daemon makes of the holds that people ask for (I2, I9).

Each change of a hold's row is looked at in the transaction that made it: only what somebody asked
for is set aside, and only what the books of that moment allow; a hold ends because its owner said
so, or because the daemon's clock can show that it is due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stockpush.sim.auditor.commits import Commits
from stockpush.sim.auditor.database import Database
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.claims import Claim, Wall
from stockpush.sim.loop import EPOCH
from stockpush.sim.truth import Truth

ASKED = {"held": {"place", "renew"}, "sold": {"sell"}, "released": {"release"}}
"""State -> what the owner has asked for of a hold that gets it. It may also be so again."""
ZERO = datetime.fromtimestamp(0, EPOCH.tzinfo)


@dataclass(slots=True)
class Holds:
    """Looks at the holds after each transaction, where people place any."""

    truth: Truth
    database: Database
    commits: Commits
    findings: Findings
    _seen: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def committed(self) -> None:
        """A transaction of the database has just ended."""
        claims = self.truth.claims
        if claims.wall is None or not claims.by_key:
            return
        claims.turn()
        for row in self.database.rows("SELECT id, key, state, until FROM hold"):
            if self._seen.get(row[0]) == row:
                continue
            before = self._seen.get(row[0])
            self._seen[row[0]] = row
            self._check(*row, was=None if before is None else before[2], wall=claims.wall)

    def _check(
        self, number: int, key: str, state: str, until: int, *, was: str | None, wall: Wall
    ) -> None:
        self.findings.seen[f"own_hold_{'placed' if was is None else state}"] += 1
        claim = self.truth.claims.by_key.get(key)
        if claim is None:
            self.findings.add("I2", key, f"hold {number} is {state}, and nobody asked for it")
            return
        if state == "expired":
            if not claim.may_lapse(wall):
                text = f"it expired, and is due at {claim.lapses[0]}"
                self.findings.add("I2", key, text)
        elif claim.asking not in ASKED[state]:
            text = f"it became {state}, and its owner has asked to {claim.asking or 'do nothing'}"
            self.findings.add("I2", key, text)
        if state == "held":
            self._check_end(claim, until)
        if was is None:
            self._check_taken(number, claim)

    def _check_end(self, claim: Claim, until: int) -> None:
        first, last = ((at - ZERO).total_seconds() for at in claim.lapses)
        if not first - 1e-3 <= until / 1e6 <= last + 1e-3:
            text = f"it ends at {until / 1e6:.3f}, and should from {first:.3f} to {last:.3f}"
            self.findings.add("I2", claim.key, text)

    def _check_taken(self, number: int, claim: Claim) -> None:
        """I9: what is set aside is what was asked for, and the books allow it."""
        lines = self.database.rows(
            "SELECT name, quantity FROM watched_hold WHERE hold_id = ? ORDER BY position", number
        )
        if dict(lines) != dict(claim.units):
            text = f"{dict(lines)} are set aside, {dict(claim.units)} were asked for"
            self.findings.add("I9", claim.key, text)
        if not self.commits.could_be_held(lines):
            self.findings.add("I9", claim.key, f"the books do not allow {dict(lines)}")
