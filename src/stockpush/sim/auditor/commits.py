"""What each transaction of the daemon came to, looked at as it ends.

New reservations are what the daemon knows of from then on; a new push is what it means to send, and
is held against its own books (I9). The instant of a commit is exact, so that what a push had to
know is told by the order of commits, whatever the daemon's clock says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from stockpush.sim.auditor.database import Database
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.auditor.guards import Guards
from stockpush.sim.auditor.known import Known
from stockpush.sim.auditor.notes import Notes
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.truth import NEVER, Bills, FieldName, Truth
from stockpush.sim.world import World

TICK_S = 1e-7
"""By how much a commit is put later than another one at the same virtual instant."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push row of the daemon; `opened_at` is when it was committed, in virtual seconds, and
    `expected` what the field was believed to hold.
    """

    id: int
    opened_at: float
    expected: int | None


@dataclass(frozen=True, slots=True)
class Sums:
    """What the daemon's books say, by item; in smallest units."""

    on_hand: dict[str, int]
    """With what comes."""
    reserved: dict[str, int]
    claimed: dict[str, int]
    """What holds of our own set aside."""
    held: dict[str, int]
    undeducted: dict[FieldName, int]
    expected: dict[FieldName, int | None]
    """The last two in the field's units."""
    guards: dict[str, tuple[int, int]]
    """Guard level and whether it holds, by item."""
    sharing: frozenset[FieldName]
    """Fields that share what is left of their items."""


@dataclass(slots=True)
class Commits:
    """`now` tells the virtual seconds."""

    world: World
    truth: Truth
    now: Callable[[], float]
    database: Database
    notes: Notes
    known: Known
    findings: Findings
    opened_at: dict[int, float] = field(default_factory=dict)
    """When each push was committed."""
    unheard: dict[int, int] = field(default_factory=dict)
    """Push -> `_ended_unheard` when it was opened, where there is any."""
    unsent: dict[int, int] = field(default_factory=dict)
    """Push -> `_sent_unheard` when it was opened, where there is any."""
    shared_at: dict[str, float] = field(default_factory=dict)
    """Item -> when what its listings share it by last changed, or who shares it: levels move by the
    clock, too, and a listing that its owner took off sale has no share once that is known.
    """
    _committed_at: float = -NEVER
    _commits: int = 0
    _line_seen: int = 0
    _push_seen: int = 0
    _sums: Sums | None = None
    _before: Sums | None = None
    """The same before the last transaction."""

    def committed(self) -> None:
        """A transaction of the database has just ended: note what is new, at this very instant."""
        now = self.now()
        self._commits = self._commits + 1 if now == self._committed_at else 0
        self._committed_at = now
        now += self._commits * TICK_S
        for row, channel, order, line in self.database.rows(
            "SELECT rowid, channel, order_id, line_id FROM reservation"
            " WHERE rowid > ? AND sku IS NOT NULL",
            self._line_seen,
        ):
            self._line_seen = max(self._line_seen, row)
            self.known.add((channel, order, line), now)
        if self.truth.lots.wall is not None:
            self.truth.lots.noted(
                self.database.rows("SELECT sku, lot, location, on_hand, counts OR comes FROM lot")
            )
        before, self._sums = self._sums, self._read_sums()
        self._before = before
        if before is not None and before.guards != self._sums.guards:
            # Others are to show another number.
            self.truth.changed_at = self.now()
        self.shared_at |= dict.fromkeys(self._shared_anew(before, self._sums), self.now())
        for name, note in self.notes.fields.items():
            if before is not None and before.expected.get(name) != self._sums.expected.get(name):
                note.moved_at = now
        for push, channel, key, target in self.database.rows(
            "SELECT id, channel, field_key, target FROM push WHERE id > ? ORDER BY id",
            self._push_seen,
        ):
            self._push_seen = push
            self.opened_at[push] = now
            if unheard := self._ended_unheard((channel, key)):
                self.unheard[push] = unheard
            if unsent := self._sent_unheard((channel, key)):
                self.unsent[push] = unsent
            self._check_intent(push, (channel, key), target, before or self._sums)

    def _shared_anew(self, before: Sums | None, after: Sums) -> set[str]:
        """Return the items of which what is left is shared otherwise than before."""
        if before is None:
            return set()
        items = {sku for sku, guard in after.guards.items() if before.guards.get(sku) != guard}
        fields = before.sharing ^ after.sharing
        return items | {
            self.notes.fields[name].listed.sku for name in fields if name in self.notes.fields
        }

    def pushed(
        self, number: int, sent_at: float, name: FieldName, target: int, expected: int | None
    ) -> Pushed | None:
        """Return the push that a written number belongs to, None if none was committed (I13).

        `number` is that of the exchange, for where there is no database.
        """
        if not self.database.is_there:
            return Pushed(number, sent_at, expected)
        rows = self.database.rows(
            "SELECT id, expected FROM push"
            " WHERE channel = ? AND field_key = ? AND target = ? ORDER BY id DESC LIMIT 64",
            *name,
            target,
        )
        for push, known in rows:
            if expected is not None and known != expected:
                continue
            opened_at = self.opened_at.get(push, NEVER)
            if opened_at <= sent_at + 1e-3:
                return Pushed(push, opened_at, known)
        return None

    def _read_sums(self) -> Sums:
        shelves = self.database.rows(
            "SELECT name, on_hand + coming, reserved, held, guard_level, guarded FROM watched_shelf"
        )
        held: Counter[str] = Counter()
        undeducted, expected = {}, {}
        for channel, key, sku, units, waiting, surplus, shows in self.database.rows(
            "SELECT channel, key, sku, hold * pack, undeducted, surplus, expected FROM field"
        ):
            held[self.world.shelf(channel, sku)] += units
            # Where open orders are kept apart a surplus are those that the shop does not keep.
            apart = isinstance(self.world.shops[channel], FaireShop)
            undeducted[channel, key] = max(0, waiting - surplus) if apart else waiting
            expected[channel, key] = shows
        return Sums(
            {sku: on_hand for sku, on_hand, *_ in shelves},
            {sku: reserved for sku, _, reserved, *_ in shelves},
            {sku: claimed for sku, _, _, claimed, *_ in shelves},
            held,
            undeducted,
            expected,
            {sku: (level, guarded) for sku, *_, level, guarded in shelves},
            frozenset(Guards(self.database).sharing()),
        )

    def _check_intent(self, push: int, name: FieldName, target: int, before: Sums) -> None:
        """I9: what is to be sent is what the daemon's own books allow, holds and buffer included.

        It was computed at some point of the transaction, among other commands: each number counts
        as it was before or after, whichever allows more.
        """
        note, after = self.notes.fields.get(name), self._sums
        if note is None or after is None:
            return
        free = self._free(before, after)
        most = max(self.truth.offer(note.listed, free, bills) for bills in self._bills())
        most += max(before.undeducted.get(name, 0), after.undeducted.get(name, 0))
        if target > most:
            text = f"push {push} is {target}, the books allow {most}"
            self.findings.of("I9", note.listed, text)

    def _free(self, before: Sums, after: Sums) -> dict[str, int]:
        """Return what is free of each item by the books before or after, whichever is more."""
        free = {
            sku: max(before.on_hand.get(sku, on_hand), on_hand)
            - min(before.reserved.get(sku, 0), after.reserved.get(sku, 0))
            - min(before.claimed.get(sku, 0), after.claimed.get(sku, 0))
            - min(before.held.get(sku, 0), after.held.get(sku, 0))
            for sku, on_hand in after.on_hand.items()
        }
        return {sku: free.get(sku, 0) for sku in self.world.things}

    def _bills(self) -> Collection[Bills]:
        """Return the bills that the daemon may go by now."""
        states = self.truth.states_since(self.now())
        return {tuple(state.bills.values()): state.bills for state in states}.values()

    def could_be_held(self, lines: Sequence[tuple[str, int]]) -> bool:
        """Answer whether these (item, units) could be set aside in the last transaction, each line
        beside those before it.
        """
        after = self._sums
        if after is None:
            return True
        for bills in self._bills():
            free = self._free(self._before or after, after)
            for sku, units in lines:
                if self.truth.atp(sku, free, bills) < units:
                    break
                free[sku] -= units
            else:
                return True
        return False

    def is_parked(self, name: FieldName) -> bool:
        """Answer whether every listing of a field waits for a person."""
        rows = self.database.rows(
            "SELECT parked_reason FROM listing WHERE channel = ? AND field_key = ?", *name
        )
        return all(reason is not None for (reason,) in rows)

    def knows_open(self, name: FieldName) -> bool:
        """Answer whether as many units of a field are open in the daemon's books as truly are."""
        rows = self.database.rows(
            "SELECT undeducted FROM field WHERE channel = ? AND key = ?", *name
        )
        return [(self.truth.open(name),)] == rows

    def _sent_unheard(self, name: FieldName) -> int:
        """Return units of a field that were sent, and not so in the daemon's books."""
        if name not in self.truth.sent or not isinstance(self.world.shops[name[0]], FaireShop):
            return 0
        known = {
            (channel, order, line): shipped
            for channel, order, line, shipped in self.database.rows(
                "SELECT channel, order_id, line_id, shipped FROM reservation WHERE channel = ?",
                name[0],
            )
        }
        return sum(
            max(0, line.shipped - known.get(key, 0))
            for key, line in self.truth.lines.items()
            if (line.listed.channel, line.listed.field) == name
        )

    def _ended_unheard(self, name: FieldName) -> int:
        """Return units in the daemon's target for unpaid orders that have come to nothing, where
        neither an acknowledged webhook nor its books tell that it knows.

        An order for which the shop ever took units off is none of these: that is a sale.
        """
        if name not in self.truth.ended:
            return 0
        units = 0
        for key, line in self.truth.lines.items():
            if (line.listed.channel, line.listed.field) != name:
                continue
            if line.taken or line.moves or key in self.known.ended:
                continue
            units += sum(
                waiting
                for (waiting,) in self.database.rows(
                    "SELECT open FROM reservation WHERE channel = ? AND order_id = ?"
                    " AND line_id = ? AND deducted = 0",
                    *key,
                )
            )
        standing = 0
        for undeducted, hold in self.database.rows(
            "SELECT undeducted, hold FROM field WHERE channel = ? AND key = ?", *name
        ):
            standing += max(0, undeducted - hold)
        return min(units, standing)
