"""What the daemon's books must fulfil at any instant, by themselves."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from stockpush.sim.auditor.database import Database
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.auditor.known import Known
from stockpush.sim.world import World
from stockpush.sim.world import at as _lies


@dataclass(slots=True)
class Books:
    """Looks at the whole database now and then; `restarted`: the daemon was down since."""

    world: World
    database: Database
    known: Known
    findings: Findings
    restarted: bool = False
    _push_checked: int = 0
    _versions: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _fetches_before: int = 0
    """The newest fetch that an earlier life of the daemon is known to have made."""

    def check(self) -> None:
        """Check everything that the database alone must fulfil."""
        self._check_balances()
        self._check_pushes()
        self._check_deliveries()
        for channel, order, line in self.database.rows("SELECT * FROM watched_older"):
            self.findings.add("I5", f"{channel}/{order}/{line}", "an older version changed it")
        self._check_fetches()
        self.findings.seen |= Counter(dict(self.database.rows("SELECT what, often FROM watched")))

    def _check_balances(self) -> None:
        """I1 and I2: each balance is the sum of what it is made of."""
        balances: Counter[str] = Counter()
        for sku, location, units in self.database.rows(
            "SELECT sku, location, sum(quantity) FROM movement GROUP BY sku, location"
        ):
            balances[_lies(sku, location)] += units
        for sku, location, lot, units, counts, moved in self.database.rows(
            "SELECT sku, location, lot, on_hand, counts, (SELECT coalesce(sum(quantity), 0)"
            " FROM movement WHERE (movement.sku, movement.location, coalesce(movement.lot, ''))"
            " = (lot.sku, lot.location, lot.lot)) FROM lot"
        ):
            if not counts:
                balances[_lies(sku, location)] -= units
            if units != moved:
                self.findings.add("I1", f"{sku} {lot}", f"{units} in the lot, {moved} moved")
        open_units: Counter[str] = Counter()
        for channel, order, line, sku, units in self.database.rows(
            "SELECT channel, order_id, line_id, sku, open * pack FROM reservation"
        ):
            if sku is not None:
                self.known.add((channel, order, line))
                open_units[self.world.shelf(channel, sku)] += units
        set_aside = dict(
            self.database.rows(
                "SELECT name, sum(quantity) FROM watched_hold WHERE state = 'held' GROUP BY name"
            )
        )
        for sku, on_hand, reserved, held in self.database.rows(
            "SELECT name, on_hand, reserved, held FROM watched_shelf"
        ):
            if on_hand != balances[sku]:
                self.findings.add("I1", sku, f"{on_hand} on hand, {balances[sku]} moved")
            if reserved != open_units[sku]:
                self.findings.add("I2", sku, f"{reserved} reserved, {open_units[sku]} open")
            if held != set_aside.get(sku, 0):
                self.findings.add("I2", sku, f"{held} held, {set_aside.get(sku, 0)} set aside")

    def _check_pushes(self) -> None:
        """I9 and I7: a push's terms come to its target, and each field has one in flight."""
        for push, target, terms in self.database.rows(
            "SELECT id, target, terms FROM push WHERE id > ? ORDER BY id", self._push_checked
        ):
            self._push_checked = push
            total = sum(units for _, units in json.loads(terms))
            if total != target or target < 0:
                text = f"terms come to {total}, target {target}"
                self.findings.add("I9", f"push {push}", text)
        for channel, key, count in self.database.rows(
            "SELECT channel, field_key, count(*) FROM push WHERE settled_at IS NULL"
            " GROUP BY channel, field_key HAVING count(*) > 1"
        ):
            self.findings.add("I7", f"{channel}/{key}", f"{count} pushes in flight")
        held = self.database.rows("SELECT count(*) FROM field WHERE hold > 0")
        self.findings.seen["held"] += sum(count for (count,) in held)

    def _check_deliveries(self) -> None:
        """I3: each acknowledged delivery since the last look is in the inbox."""
        if not self.database.is_there:
            return
        for channel, digest in sorted(self.known.digests):
            if not self.database.rows(
                "SELECT 1 FROM delivery WHERE channel = ? AND digest = ? LIMIT 1", channel, digest
            ):
                text = f"acknowledged delivery {digest[:12]} is nowhere"
                self.findings.add("I3", channel, text)
        self.known.digests.clear()

    def _check_fetches(self) -> None:
        """I5: a fetch is numbered beyond every one that an earlier life of the daemon made."""
        rows = self.database.rows(
            "SELECT channel, order_id, max(updated_at), max(fetch_number) FROM reservation"
            " GROUP BY channel, order_id"
        )
        if self.restarted:
            fetches = (fetch for _, fetch in self._versions.values())
            self._fetches_before = max(fetches, default=self._fetches_before)
        for channel, order, updated_at, fetch in rows:
            known, version = self._versions.get((channel, order)), (updated_at, fetch)
            is_new = version != known and not self.restarted
            if is_new and 0 < fetch <= self._fetches_before:
                text = f"fetch {fetch} was made once before"
                self.findings.add("I5", f"{channel}/{order}", text)
            self._versions[channel, order] = version
        self.restarted = False
