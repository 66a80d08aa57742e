"""What must agree with the truth in the end: numbers, books, and nothing left to do (I14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stockpush.sim import accounts
from stockpush.sim.auditor.database import Database
from stockpush.sim.auditor.findings import Findings, told
from stockpush.sim.auditor.notes import Notes
from stockpush.sim.truth import NEVER, FieldName, Truth
from stockpush.sim.world import World

CALM_S = 120.0
SUNNY_S = 45.0
"""How long a number may be wrong after anything happened, where little hinders the daemon, and
where nothing does.
"""
RECOVERED_S = 420.0
"""The same after the daemon was down, or told to wait: a poll, and a lost answer asked for. Or
after a shop keeps apart again what it did not: a poll begun as long after as orders may be late.
"""


@dataclass(slots=True)
class Rest:
    """`troubled_at`: when the daemon was last down, or was told by a shop to wait; `is_watched`:
    the daemon looks after its webhooks.
    """

    world: World
    truth: Truth
    database: Database
    notes: Notes
    findings: Findings
    troubled_at: float = -NEVER
    is_watched: bool = False

    def disagreements(self) -> list[str]:
        """Return what does not agree with the truth yet, or is still to be done."""
        self.truth.refresh_unpaid()
        unpaid = [f"{channel}: order {each} is unpaid" for channel, each in self.truth.unpaid()]
        return [
            *unpaid,
            *self.truth.claims.unsettled(),
            *self.truth.lots.unsettled(),
            *self._wrong_numbers(),
            *self._wrong_books(),
            *self._left_to_do(),
            *self._untold(),
        ]

    def check(self) -> None:
        """I14: everything agrees, now that nothing goes wrong any more."""
        for text in self.disagreements():
            self.findings.add("I14", "rest", text)

    def check_calm(self, calm_s: float) -> None:
        """I14 while people act, where no fault is drawn that could hinder the daemon for longer:
        what happened `calm_s` ago shows on every shop.
        """
        self.truth.refresh_unpaid()
        now = self.findings.now()
        troubled_at = max(self.troubled_at, self.truth.kept_again_at)
        self.truth.apart()  # the clock is taken account of
        changed_at = max(
            self.truth.changed_at, self.truth.claims.changed_at, self.truth.lots.changed_at
        )
        if now - changed_at >= calm_s and now - troubled_at >= RECOVERED_S:
            for text in self._wrong_numbers():
                self.findings.add("I14", "calm", text)

    def _wrong_numbers(self) -> Iterator[str]:
        for note in self.notes.fields.values():
            if note.gone:
                continue
            if self.truth.is_right(note.listed):
                continue
            shows, wanted = self.world.shows(note.listed), self.truth.target(note.listed)
            if self.world.is_split:
                yield f"{told(note.listed)} shows {shows}, and a part of {wanted} is another one"
            else:
                yield f"{told(note.listed)} shows {shows}, not {wanted}"

    def _wrong_books(self) -> Iterator[str]:
        if not self.database.is_there:
            return
        on_hand, reserved = self.truth.on_hand(), self.truth.reserved()
        held = self.truth.claims.held()
        for sku, known, promised, aside in self.database.rows(
            "SELECT name, on_hand, reserved, held FROM watched_shelf"
        ):
            if known != on_hand[sku]:
                yield f"{sku}: {known} on hand in the books, truly {on_hand[sku]}"
            if promised != reserved[sku]:
                yield f"{sku}: {promised} reserved in the books, truly {reserved[sku]}"
            if aside != held[sku]:
                yield f"{sku}: {aside} held in the books, truly {held[sku]}"
        units = {
            (channel, order, line): open_units
            for channel, order, line, open_units in self.database.rows(
                "SELECT channel, order_id, line_id, open FROM reservation"
            )
        }
        for key, true in self.truth.lines.items():
            if units.get(key, 0) != true.open:
                known = units.get(key, 0)
                yield f"{'/'.join(key)}: {known} open in the books, truly {true.open}"

    def _untold(self) -> Iterator[str]:
        """F12: yield shops whose webhooks are gone, where somebody looks after them."""
        for name, shop in self.world.shops.items():
            if self.is_watched and not accounts.is_subscribed(shop):
                yield f"{name} sends no webhooks any more"

    def _unkept(self, name: FieldName) -> int:
        noted = self.truth.unkept.get(name)
        return noted[-1][1] if noted else 0

    def _left_to_do(self) -> Iterator[str]:
        gone = {(each.listed.channel, each.listed.field) for each in self.notes.gone()}
        for channel, key, hold, surplus in self.database.rows(
            "SELECT channel, key, hold, surplus FROM field WHERE hold > 0 OR surplus > 0"
        ):
            # What the shop does not keep of what is open is known as long as that is so (R11).
            if (channel, key) not in gone and (hold or surplus != self._unkept((channel, key))):
                yield f"{channel}/{key} holds {hold}, surplus {surplus}"
        for channel, state, count in self.database.rows(
            "SELECT channel, state, count(*) FROM delivery WHERE state <> 'applied'"
            " GROUP BY channel, state"
        ):
            yield f"{channel}: {count} deliveries {state}"
        for channel, key in self.database.rows(
            "SELECT channel, field_key FROM push WHERE settled_at IS NULL"
        ):
            if (channel, key) not in gone:
                yield f"{channel}/{key}: a push is in flight"
