"""What the daemon writes: each number as a shop handles it, held against its bound.

A number above its bound needs an exemption that the protocol names (docs/conflict-protocol.md): the
gap between reading and writing where nothing compares, the same as long as a request is under way
that lands after its deadline there, a merchant's own hand, units that the shop put back without
telling, behind as many that were sold, and what was sent of an order just before it was deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stockpush.sim.auditor.blame import EDIT_CLOUDS_S
from stockpush.sim.auditor.bound import Bound
from stockpush.sim.auditor.commits import Commits, Pushed
from stockpush.sim.auditor.findings import Findings
from stockpush.sim.auditor.languages import Language, Number
from stockpush.sim.auditor.notes import FieldNote, Notes
from stockpush.sim.auditor.readings import Readings
from stockpush.sim.network import Exchange
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.truth import NEVER, FieldName, Line, LineKey, Truth
from stockpush.sim.world import Listed, World, parted

UNTOLD_S = 900.0
"""For how long what was put back may hide sales, where nobody tells of it."""
SHARED_S = 120.0
"""For how long an item's numbers are written after its guard level has moved, or who shares it."""
SLACK_S = 1.0
"""The shops' instants are whole seconds."""


@dataclass(slots=True)
class Writes:
    """`count` are requests to write that reached a shop, `shared_anew` those of them that came
    when what is left of an item that they write had just to be shared anew.
    """

    world: World
    languages: Mapping[str, Language]
    truth: Truth
    notes: Notes
    bound: Bound
    commits: Commits
    readings: Readings
    findings: Findings
    stale_read_s: float
    count: int = 0
    shared_anew: int = 0
    _open: dict[int, list[tuple[FieldName, int, bool]]] = field(default_factory=dict)
    """Exchange -> (field, push, whether it changed anything) of what it wrote."""

    def handled(self, exchange: Exchange) -> None:
        """A shop has just handled a request."""
        channel = exchange.channel
        asked = self.languages[channel].written(exchange)
        if asked is None:
            if exchange.changes:
                self.findings.add("I11", channel, f"a reading changed {exchange.changes}")
            return
        if asked.hook or asked.renews_access:
            done = exchange.answer is not None and exchange.answer.status in {200, 201}
            self.findings.seen["hook_mended"] += asked.hook and done
            self.findings.seen["access_renewed"] += asked.renews_access and done
            return
        self.count += 1
        if asked.seen:
            self.findings.seen[asked.seen] += 1
        for text in asked.odd:
            self.findings.add("I11", channel, text)
        wanted = {(channel, number.field): number for number in asked.numbers}
        self.shared_anew += self._is_shared_anew(wanted)
        applied = {
            name: change.after
            for change in exchange.changes
            if (name := self.notes.by_listing.get((channel, change.listing))) is not None
        }
        for change in exchange.changes:
            if (channel, change.listing) not in self.notes.by_listing:
                self.findings.add("I11", channel, f"{change} is no listing of ours")
        for each in asked.by_platform:
            # Until it is written, a unit is on sale that may be nobody's.
            if (name := (channel, each)) in applied:
                self.notes.fields[name].excused = asked.seen
                del applied[name]
        for name, became in applied.items():
            if name not in wanted or wanted[name].target != became:
                text = f"became {became}, was not asked for"
                self.findings.of("I11", self.notes.fields[name].listed, text)
        if self.world.is_split:
            self._check_parts(exchange)
        for name, number in wanted.items():
            self._check(exchange, name, number, applied=name in applied, alone=not asked.whole)

    def _check_parts(self, exchange: Exchange) -> None:
        """I17: where what there is is parted, a raise leaves all that is on sale anywhere there."""
        for change in exchange.changes:
            name = self.notes.by_listing.get((exchange.channel, change.listing))
            if name is None or change.after <= change.before:
                continue
            listed = self.notes.fields[name].listed
            if (short := -self.truth.besides(listed)) > 0:
                text = f"{change} puts {short} on sale that somebody else may sell"
                self.findings.of("I17", listed, text)

    def _is_shared_anew(self, names: Collection[FieldName]) -> bool:
        """Answer whether what is left of an item that any of these fields shows was shared
        otherwise a moment ago.
        """
        items = {self.notes.fields[name].listed.sku for name in names if name in self.notes.fields}
        last = max((self.commits.shared_at.get(sku, -NEVER) for sku in items), default=-NEVER)
        return self.findings.now() - last <= SHARED_S

    def told(self, exchange: Exchange) -> None:
        """The daemon has just got an answer."""
        for name, push, applied in self._open.pop(exchange.number, ()):
            note = self.notes.fields[name]
            note.flying.pop(exchange.number, None)
            note.answered[push] = self.findings.now()
            if exchange.answer is not None and exchange.answer.status == 200:
                note.acknowledged = max(note.acknowledged, push)
                compares = self.languages[exchange.channel].compares
                if applied and compares and exchange.handled_at is not None:
                    # The compare was passed: the number was the one that was expected.
                    note.looks.append((exchange.handled_at, exchange.handled_at))

    def _check(
        self, exchange: Exchange, name: FieldName, each: Number, *, applied: bool, alone: bool
    ) -> None:
        note, now = self.notes.fields.get(name), self.findings.now()
        if note is None:
            self.findings.add("I11", "/".join(name), "was written and is not ours")
            return
        listed = note.listed
        if not 0 <= each.target <= self.world.cap(exchange.channel):
            self.findings.of("I9", listed, f"{each.target} was sent")
        pushed = self.commits.pushed(
            exchange.number, exchange.sent_at, name, each.target, each.expected
        )
        if alone and each.target == (each.expected if pushed is None else pushed.expected):
            self.findings.of("I15", listed, f"{each.target} was written over itself")
        if pushed is None and each.as_read and self.commits.is_parked(name):
            return  # it is not ours, and goes back with those that are
        if pushed is None:
            self.findings.of("I13", listed, f"{each.target} was sent without a committed push")
            return
        deadline_s = self.languages[exchange.channel].deadline_s
        late = now - exchange.sent_at > deadline_s
        for sent_at, push in note.flying.values():
            if push != pushed.id and abs(exchange.sent_at - sent_at) < deadline_s and not late:
                text = f"pushes {push} and {pushed.id} are both under way"
                self.findings.of("I7", listed, text)
        if 0 < note.sent_at - exchange.sent_at < deadline_s:
            self.findings.of("I7", listed, f"push {pushed.id} arrives after one sent later")
        note.sent_at = max(note.sent_at, exchange.sent_at)
        note.flying[exchange.number] = (exchange.sent_at, pushed.id)
        self._open.setdefault(exchange.number, []).append((name, pushed.id, applied))
        if any(key not in self.bound.known and line.taken for key, line in self._sold_from(name)):
            self.findings.seen["met_unseen_sale"] += 1
        if not applied:
            return
        language = self.languages[exchange.channel]
        # A compare does not know how its number came about: it may be what was expected once more.
        superseded = pushed.id < note.acknowledged and (language.remembers or not late)
        if superseded:
            self.findings.of("I8", listed, f"push {pushed.id} came after {note.acknowledged}")
        zombie = late and not language.compares
        self._check_bound(exchange, name, each, note, pushed, zombie=zombie)
        note.reflected_at = pushed.opened_at
        if note.masks and note.masks[-1][1] == NEVER and exchange.sent_at > note.edited_at:
            note.masks[-1] = (note.masks[-1][0], now)

    def _sold_from(self, name: FieldName) -> Iterator[tuple[LineKey, Line]]:
        """Yield every line that was ever sold from a field."""
        for key, line in self.truth.lines.items():
            if (line.listed.channel, line.listed.field) == name:
                yield key, line

    # -- the bound -----------------------------------------------------------------------------

    def _check_bound(
        self,
        exchange: Exchange,
        name: FieldName,
        each: Number,
        note: FieldNote,
        pushed: Pushed,
        *,
        zombie: bool,
    ) -> None:
        """F30: hold a number that has just been written against what it may be at most."""
        listed, since = note.listed, pushed.opened_at
        # Only a lowering goes without a poll, which would have told of them (R10).
        lowers = any(
            change.before > each.target
            and self.notes.by_listing.get((exchange.channel, change.listing)) == name
            for change in exchange.changes
        )
        note.unheard = self.commits.unheard.get(pushed.id, 0) if lowers else 0
        note.unsent = self._unsent(name, pushed)
        note.unkept = self.truth.unkept_since(name, note.pair_before(since))
        note.written_at = self.findings.now()
        standing = (
            self.truth.undeducted(listed)
            + self.bound.ended(listed, since)
            + self.bound.unpaid(listed, since)
            + note.unheard
            + note.unsent
            + note.unkept
        )
        note.excused = ""
        most = self.bound.most(listed, since) + standing
        if each.target <= most:
            return
        above = each.target - standing
        note.excused = self._excuse(exchange, note, since, above, zombie=zombie) or (
            "aba"
            if self.languages[exchange.channel].hides_restocks
            and each.target <= most + self._there_and_back(name, since)
            else "deleted"
            if each.target <= most + self._deleted(listed)
            else ""
        )
        if note.excused:
            self.findings.excused[note.excused] += 1
            return
        text = f"push {pushed.id} of {since:.3f} s wrote {each.target}, at most {most} is true"
        self.findings.of("F30", listed, text)

    def _unsent(self, name: FieldName, pushed: Pushed) -> int:
        """Return units that stand in a number because the daemon did not know that they were sent,
        where open orders are committed apart from it (R11).
        """
        if not isinstance(self.world.shops[name[0]], FaireShop):
            return 0
        return self.commits.unsent.get(pushed.id, 0) + self.bound.sent(name, pushed.opened_at)

    def _excuse(
        self, exchange: Exchange, note: FieldNote, since: float, offered: int, *, zombie: bool
    ) -> str:
        """Return what excuses so high an offer, "" if nothing does."""
        listed, name = note.listed, (note.listed.channel, note.listed.field)
        edited = self.findings.now() - note.edited_at < EDIT_CLOUDS_S
        masks = note.masks if edited else ()
        # What an edit hid is taken off the expectation when it is heard of, though that had met it
        # already; as many sales may then hide behind the correction.
        hidden = self._sold_within(name, masks)
        if edited and offered <= self.bound.most(listed, since, masks=masks) + hidden:
            return "merchant_edit"
        if self.languages[exchange.channel].compares:
            return ""
        gap_from = self.readings.gap_from(exchange, name) - SLACK_S
        if zombie:
            stale_from = gap_from - self.stale_read_s
            most = self.bound.most(listed, since, gap_from=stale_from, masks=masks)
            return "zombie" if offered <= most else ""
        if offered <= self.bound.most(listed, since, gap_from=gap_from):
            return "read_write_gap"
        stale_from = gap_from - self.stale_read_s
        if self.stale_read_s and offered <= self.bound.most(listed, since, gap_from=stale_from):
            return "stale_read"
        return ""

    def _deleted(self, listed: Listed) -> int:
        """Return the units that were sent, or written off, of orders which the shop has deleted
        since, and of which the daemon does not know it: whom it asks for them knows nothing, and
        only a webhook that is still on its way can tell.
        """
        known: dict[LineKey, int] = {
            (channel, order, line): taken
            for channel, order, line, taken in self.commits.database.rows(
                "SELECT channel, order_id, line_id, open + shipped + written_off FROM reservation"
                " WHERE sku = ?",
                parted(listed.sku)[0],
            )
        }
        units: int = sum(
            max(0, line.taken - known.get(key, line.taken)) * line.listed.pack
            for key, line in self.truth.lines.items()
            if line.deleted and line.listed.sku == listed.sku
        )
        return -(-units // listed.pack)

    def _sold_within(self, name: FieldName, spans: Sequence[tuple[float, float]]) -> int:
        """Return units that the shop took off a field's number within these spans, and that the
        daemon has heard of by now.
        """
        return sum(
            moved
            for key, line in self._sold_from(name)
            if key in self.bound.known
            for at, moved in line.moves
            if moved > 0 and any(begin <= at <= end for begin, end in spans)
        )

    def _there_and_back(self, name: FieldName, since: float) -> int:
        """Return the units that were sold from a field and the daemon does not know of, behind as
        many that the shop put back, which it does not know of either.

        Nothing tells of such a pair: neither a reading nor a compare. But one that lies between the
        two does tell of the first of them, so both must have happened between two such looks.

        Etsy never tells what was put back, even of an order that is known to be cancelled. Sales
        that are heard of late are then taken off an expectation that had met them already, and the
        next sale hides behind its correction: what was put back not long ago counts, looked at or
        not.
        """
        known = {
            (channel, order, line): deducted
            for channel, order, line, deducted in self.commits.database.rows(
                "SELECT channel, order_id, line_id, deducted FROM reservation WHERE channel = ?",
                name[0],
            )
        }
        now = self.findings.now()
        never_told = isinstance(self.world.shops[name[0]], EtsyShop)
        sold: list[tuple[float, int]] = []
        back: list[tuple[float, int]] = []
        for key, line in self._sold_from(name):
            if never_told:
                recent = (each for each in line.moves if each[0] >= now - UNTOLD_S)
                back += [(at, -moved) for at, moved in recent if moved < 0]
            untold = line.deducted - known.get(key, 0)
            if never_told and not self.bound.known.before(key, since):
                # Heard of only after the number had been computed, put back or not.
                sold += [(at, moved) for at, moved in line.moves if moved > 0]
            elif untold > 0:
                sold += _newest(line.moves, untold)
            elif not never_told:
                back += _newest(line.moves, untold)
        looks = () if never_told else self.notes.fields[name].looks
        pairs = 0
        for rise_at, units in sorted(back):
            left = units
            for place, (sale_at, others) in enumerate(sold):
                first, last = sorted((rise_at, sale_at))
                if any(first <= since and until <= last for since, until in looks):
                    continue
                taken = min(left, others)
                sold[place] = (sale_at, others - taken)
                left, pairs = left - taken, pairs + taken
        return pairs


def _newest(moves: Sequence[tuple[float, int]], units: int) -> Iterator[tuple[float, int]]:
    """Yield the newest (instant, units > 0) of those moves that go the way of `units`, that many.

    >>> list(_newest([(1.0, 3), (2.0, -2), (5.0, 1)], 2))
    [(5.0, 1), (1.0, 1)]
    """
    left = abs(units)
    for at, moved in reversed(moves):
        if left and (moved > 0) == (units > 0):
            taken = min(left, abs(moved))
            left -= taken
            yield at, taken
