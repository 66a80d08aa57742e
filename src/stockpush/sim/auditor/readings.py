"""What the daemon was told by readings and polls, and what each of them is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from stockpush.sim.auditor.commits import Commits
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.auditor.languages import Language
from stockpush.sim.auditor.notes import FieldNote, Notes
from stockpush.sim.network import Exchange
from stockpush.sim.truth import NEVER, FieldName

GAP_S = 10.0
"""How long after its reading was sent a write may be sent where nothing compares."""
READINGS_MAX = 200
"""Most readings of a channel that are remembered."""


@dataclass(slots=True)
class Readings:
    """`stale_read_s`: how old a reading of a shop may be, at most. `sold_at` tells when something
    was last sold on a channel.
    """

    languages: Mapping[str, Language]
    notes: Notes
    commits: Commits
    findings: Findings
    stale_read_s: float
    sold_at: Mapping[str, float]
    _read: dict[str, list[tuple[float, float, frozenset[str]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Channel -> (sent at, told at, names of the fields)."""

    def gap_from(self, exchange: Exchange, name: FieldName) -> float:
        """Return when the reading was sent after which this write was allowed.

        A reading that is older than a write may rest on makes no gap: nothing is excused by it.
        """
        channel, field_ = name
        wanted = self.languages[channel].read_name(field_)
        for sent_at, told_at, names in reversed(self._read[channel]):
            if told_at <= exchange.sent_at and wanted in names:
                return sent_at if exchange.sent_at - sent_at <= GAP_S else exchange.sent_at
        return exchange.sent_at

    def note(self, exchange: Exchange) -> None:
        """The daemon has just got an answer: remember what it reads."""
        assert exchange.told_at is not None
        language = self.languages[exchange.channel]
        seen = language.read(exchange)
        if seen.is_poll:
            self._note_poll(exchange, is_later_page=seen.is_later_page)
        elif seen.looks:
            self._note_look(exchange, seen.looks)
        elif seen.fields:
            readings = self._read[exchange.channel]
            readings.append((exchange.sent_at, exchange.told_at, seen.fields))
            del readings[:-READINGS_MAX]
            if seen.is_pair:
                self._note_pair(exchange, exchange.told_at, seen.fields)

    def _note_poll(self, exchange: Exchange, *, is_later_page: bool) -> None:
        seen = self.findings.seen
        seen["paged"] += is_later_page
        seen["polled_during_sale"] += self.sold_at.get(exchange.channel, -NEVER) >= exchange.sent_at

    def _note_pair(self, exchange: Exchange, told_at: float, fields: frozenset[str]) -> None:
        """R11: remember that the daemon was told what is kept apart, where that counts: it tells
        what of the open units is not kept only to whom knows of all of them.
        """
        at = exchange.handled_at
        called = self.languages[exchange.channel].read_name
        for name, note in self.notes.fields.items():
            if at is None or name[0] != exchange.channel or called(name[1]) not in fields:
                continue
            if self.commits.knows_open(name) and self._counts(name, note, sent_at=exchange.sent_at):
                note.pairs.append((at - self.stale_read_s, told_at))

    def _note_look(self, exchange: Exchange, fields: frozenset[str]) -> None:
        """Remember that the daemon was told what fields held, where that counts."""
        at = exchange.handled_at
        if at is None:
            return
        called = self.languages[exchange.channel].read_name
        for name, note in self.notes.fields.items():
            if name[0] != exchange.channel or called(name[1]) not in fields:
                continue
            if self._counts(name, note, sent_at=exchange.sent_at):
                note.looks.append((at - self.stale_read_s, at))

    def _counts(self, name: FieldName, note: FieldNote, *, sent_at: float) -> bool:
        """R2: answer whether a reading that is told now tells anything by the protocol.

        It was sent after the last write was settled, or answered, if it is its push that asks; no
        write is in flight; and nothing has changed meanwhile what the field should hold.
        """
        if note.moved_at > sent_at:
            return False
        for push, settled_at in self.commits.database.rows(
            "SELECT id, settled_at FROM push WHERE channel = ? AND field_key = ?"
            " ORDER BY id DESC LIMIT 1",
            *name,
        ):
            answered_at = note.answered.get(push)
            if self.commits.opened_at.get(push, -NEVER) > sent_at:
                return False
            if (settled_at is None) if answered_at is None else answered_at > sent_at:
                return False
        return True
