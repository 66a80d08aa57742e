"""Whoever watches from outside: every write, every sale and the database, held against the truth.

Theory of operation. The auditor sees each request when a shop handles it, each answer when the
daemon gets it and each webhook when the daemon has answered it, and is told by people what they do.
It knows what the daemon *must* know: a sale whose webhook was acknowledged, or whose reservation
stands in the database. From that follows what a number may be at most (F30):

    the offer of the truth, in which every sale of this field counts, seen or not, and every other
    sale only if the daemon must have known of it when it computed the number; plus units that are
    sold and still stand on the field, and where the number is lowered, units of unpaid orders that
    have come to nothing and of which the daemon need not know it.

The same bound decides whether a shopper who buys what is not there is anybody's fault (I10). What a
field showed was right for all that had to be known when it was last written: then what happened
since, elsewhere, is the witness, and its kind is the cause. A number above the bound needs an
exemption that the protocol names (docs/conflict-protocol.md): the gap between reading and writing
where nothing compares, a request that lands after its deadline there, a merchant's own hand, and
where the shop compares, units that it put back without telling, behind as many that were sold.

Findings are values. The database is read through a connection of the auditor's own, by the names
of its columns and nothing else of the daemon's.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.truth import NEVER, RELEASED, FieldName, Line, LineKey, Truth
from stockpush.sim.world import CAP, SHOPIFY, WOO, Listed, World

DEADLINE_S = {SHOPIFY: 20.0, WOO: 30.0}
"""How long a request of the daemon may take before it gives it up."""
GAP_S = 10.0
"""How long after its reading was sent a write may be sent where nothing compares."""
EDIT_CLOUDS_S = 7200.0
"""How long after a merchant's edit a number may be wrong by it: two polls and the suspense."""
CALM_S = 120.0
SUNNY_S = 45.0
"""How long a number may be wrong after anything happened, where little hinders the daemon, and
where nothing does.
"""
RECOVERED_S = 420.0
"""The same after the daemon was down, or told to wait: a poll, and a lost answer asked for."""
SLACK_S = 1.0
"""The shops' instants are whole seconds."""
FOUND_MAX = 50
"""Most violations that are kept: one bug need not fill the memory."""
TICK_S = 1e-7
"""By how much a commit is put later than another one at the same virtual instant."""
WATCHED = """
CREATE TABLE watched (what TEXT PRIMARY KEY, often INTEGER NOT NULL);
CREATE TABLE watched_older (channel TEXT, order_id TEXT, line_id TEXT);
INSERT INTO watched VALUES ('compare_lost', 0), ('unknown_applied', 0), ('unknown_read', 0),
    ('hold_opened', 0), ('hold_eaten', 0), ('hold_let_go', 0);
CREATE TRIGGER watch_compare_lost AFTER UPDATE ON push
    WHEN NEW.outcome = 'conflict' AND OLD.outcome IS NULL
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'compare_lost'; END;
CREATE TRIGGER watch_unknown_applied AFTER UPDATE ON push
    WHEN NEW.outcome IN ('applied', 'unchanged') AND OLD.outcome = 'unknown'
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'unknown_applied'; END;
CREATE TRIGGER watch_unknown_read AFTER UPDATE ON push
    WHEN NEW.outcome = 'conflict' AND OLD.outcome = 'unknown'
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'unknown_read'; END;
CREATE TRIGGER watch_hold_opened AFTER UPDATE ON field WHEN NEW.hold > OLD.hold
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'hold_opened'; END;
CREATE TRIGGER watch_hold_eaten AFTER UPDATE ON field
    WHEN NEW.hold < OLD.hold AND NEW.let_go <= OLD.let_go
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'hold_eaten'; END;
CREATE TRIGGER watch_hold_let_go AFTER UPDATE ON field
    WHEN NEW.hold < OLD.hold AND NEW.let_go > OLD.let_go
    BEGIN UPDATE watched SET often = often + 1 WHERE what = 'hold_let_go'; END;
CREATE TRIGGER watch_older AFTER UPDATE ON reservation
    WHEN (NEW.updated_at, NEW.fetch_number) < (OLD.updated_at, OLD.fetch_number)
        OR ((NEW.updated_at, NEW.fetch_number) = (OLD.updated_at, OLD.fetch_number)
            AND (NEW.ordered, NEW.open, NEW.shipped, NEW.written_off, NEW.deducted)
                <> (OLD.ordered, OLD.open, OLD.shipped, OLD.written_off, OLD.deducted))
    BEGIN INSERT INTO watched_older VALUES (NEW.channel, NEW.order_id, NEW.line_id); END;
"""
"""What is added to the daemon's empty database, so that it notes what happens between two looks:
rare moments of the protocol, and order lines that an older version has changed (I5).
"""
_STOCK_ONLY = {"id", "manage_stock", "stock_quantity"}
_GID = re.compile(r"[0-9]+$")


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: which invariant, of what, how, and when (virtual seconds)."""

    invariant: str
    subject: str
    text: str
    at: float

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text} (at {self.at:.3f} s)"


@dataclass(frozen=True, slots=True)
class Written:
    """One number in a write request; `expected` is what it is compared with, None if nothing."""

    name: FieldName
    target: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push row of the daemon; `opened_at` is when it was committed, in virtual seconds."""

    id: int
    opened_at: float


@dataclass(frozen=True, slots=True)
class Before:
    """What a shopper finds: what the checkout would sell, and what could be promised."""

    listed: Listed
    sellable: int
    atp: int


@dataclass(frozen=True, slots=True)
class _Books:
    """What the daemon's books say, by item; in smallest units."""

    on_hand: dict[str, int]
    reserved: dict[str, int]
    held: dict[str, int]
    undeducted: dict[FieldName, int]
    expected: dict[FieldName, int | None]
    """The last two in the field's units."""


@dataclass(slots=True)
class _FieldNote:
    """What is known of a field. `reflected_at`: its number takes in what was known then."""

    listed: Listed
    reflected_at: float = -NEVER
    edited_at: float = -NEVER
    masks: list[tuple[float, float]] = field(default_factory=list)
    """From when until when the merchant's edits may hide a sale: from the last reading before the
    first to the first write after the last, which met what was there.
    """
    excused: str = ""
    """Why the number last written may be above its bound."""
    unheard: int = 0
    """Units in the number last written for unpaid orders that had come to nothing unheard."""
    acknowledged: int = 0
    """The newest push of which the daemon knows that it was applied."""
    flying: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Writes that were handled and not answered: exchange -> (sent at, push)."""
    sent_at: float = -NEVER
    """When the newest write was sent that was handled."""
    gone: bool = False
    looks: list[tuple[float, float]] = field(default_factory=list)
    """Between which two instants a number stood that the daemon was told, one for each telling
    that counts (R2)."""
    moved_at: float = -NEVER
    """When the daemon last changed what it expects the field to hold."""
    answered: dict[int, float] = field(default_factory=dict)
    """When the daemon was last told what became of a push, by push."""


@dataclass(slots=True)
class Auditor:
    """A watcher of the network. `database` tells where the daemon's SQLite file is, each life on a
    copy of the last one's; None where there is none (then what only it can tell is not checked).
    `now` tells the virtual seconds.
    """

    world: World
    truth: Truth
    now: Callable[[], float]
    database: Callable[[], Path] | None = None
    stale_read_s: float = 0.0
    """How old a reading of a shop may be, at most."""
    violations: list[Violation] = field(default_factory=list)
    oversold: Counter[str] = field(default_factory=Counter)
    """Units of items that were sold and were not there, by cause."""
    excused: Counter[str] = field(default_factory=Counter)
    """Writes above their bound, by what excuses them."""
    seen: Counter[str] = field(default_factory=Counter)
    """What `swarm.ROWS` counts as seen by the audit."""
    writes: int = 0
    """Requests to write that reached a shop."""
    last_write_at: float = -NEVER
    troubled_at: float = -NEVER
    """When the daemon was last down, or was told by a shop to wait."""
    sales: int = 0
    units: int = 0
    _fields: dict[FieldName, _FieldNote] = field(default_factory=dict)
    _by_listing: dict[tuple[str, str], FieldName] = field(default_factory=dict)
    _known_at: dict[LineKey, float] = field(default_factory=dict)
    _told_ended: set[LineKey] = field(default_factory=set)
    """Lines of which an acknowledged webhook told that nobody will pay for them."""
    _digests: set[tuple[str, str]] = field(default_factory=set)
    _read_at: dict[str, list[tuple[float, float, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _writes: dict[int, list[tuple[FieldName, int, bool]]] = field(default_factory=dict)
    _opened_at: dict[int, float] = field(default_factory=dict)
    _unheard: dict[int, int] = field(default_factory=dict)
    """Push -> `_ended_unheard` when it was opened, where there is any."""
    _committed_at: float = -NEVER
    _commits: int = 0
    _line_seen: int = 0
    _push_seen: int = 0
    _books: _Books | None = None
    _sold_at: dict[str, float] = field(default_factory=dict)
    _push_checked: int = 0
    _versions: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _restarted: bool = False
    _fetches_before: int = 0
    """The newest fetch that an earlier life of the daemon is known to have made."""
    _connection: sqlite3.Connection | None = None
    _connected: Path | None = None

    def __post_init__(self) -> None:
        """Know the fields."""
        for listed in self.world.listings:
            name = (listed.channel, listed.field)
            self._fields.setdefault(name, _FieldNote(listed))
            self._by_listing[listed.channel, listed.listing] = name

    # -- what the run and its people tell ------------------------------------------------------

    def begin(self) -> None:
        """Every field shows what is true: from now on people act."""
        for note in self._fields.values():
            note.reflected_at = self.now()

    def restarted(self) -> None:
        """The daemon was down, or is, or has begun a new life since it was last looked at."""
        self.troubled_at, self._restarted = self.now(), True

    def merchant_edited(self, listed: Listed) -> None:
        """The merchant has typed a number into the shop."""
        note = self._note_of(listed)
        if not note.masks or note.masks[-1][1] < NEVER:
            note.masks.append((self._read_until(listed) - SLACK_S, NEVER))
        note.edited_at = self.now()

    def _read_until(self, listed: Listed) -> float:
        """Return since when the daemon has not looked at a field, as far as it was told."""
        return max((begin for begin, _ in self._note_of(listed).looks), default=-NEVER)

    def delisted(self, listed: Listed) -> None:
        """The merchant has deleted what holds this listing's number."""
        self._note_of(listed).gone = True

    def is_delisted(self, listed: Listed) -> bool:
        """Answer whether the listing's field is gone."""
        return self._note_of(listed).gone

    def knows(self, key: LineKey) -> bool:
        """Answer whether the daemon must know of an order line."""
        return key in self._known_at

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
            self._sold_at[listed.channel] = self.now()
            after = self.truth.atp(listed.sku)
            short = min(units * listed.pack, max(0, -after) - max(0, -before.atp))
            if short > 0:
                cause = self._cause(before, (listed.channel, order_id))
                self.oversold[cause] += short
                self.seen["oversold"] += 1
        if any(not self.knows(key) for key in self.truth.lines if key[1] == order_id):
            self.seen["unseen_sale"] += 1

    def _cause(self, before: Before, order: tuple[str, str]) -> str:
        """Return who is to blame for a sale of what is not there."""
        note = self._note_of(before.listed)
        since, shown = note.reflected_at, before.sellable
        # Units that were held unpaid and came to nothing stand on the number until it is written.
        shown -= self._ended(note.listed, since) + note.unheard
        if shown <= self._bound(note.listed, since, without=order):
            if shown <= self._bound(note.listed, since, without=order, others="all"):
                return "operator"
            if shown <= self._bound(note.listed, since, without=order, others="channel"):
                return "cross_channel"
            return "sibling_listing"
        if note.edited_at >= since or self.now() - note.edited_at < EDIT_CLOUDS_S:
            return "merchant_edit"
        if note.excused:
            return note.excused
        # The shop puts back what is cancelled, though too much may be sold already.
        put_back = self.truth.put_back.get((note.listed.channel, note.listed.field), ())
        shown -= sum(units for at, units in put_back if at >= since)
        if shown <= self._bound(note.listed, since, without=order):
            return "restock"
        self._find(
            "I10",
            note.listed,
            f"{before.sellable} on sale, at most "
            f"{self._bound(note.listed, since, without=order)} explained since {since:.3f} s",
        )
        return "unexplained"

    # -- watching the network ------------------------------------------------------------------

    def handled(self, exchange: Exchange) -> None:
        """A shop has just handled a request."""
        self.truth.refresh_unpaid()
        written = self._written(exchange)
        if written is None:
            if exchange.changes:
                self._find_at("I11", exchange.channel, f"a reading changed {exchange.changes}")
            return
        self.writes += 1
        self.last_write_at = self.now()
        asked = {each.name: each for each in written}
        applied = {
            name: change.after
            for change in exchange.changes
            if (name := self._by_listing.get((exchange.channel, change.listing))) is not None
        }
        for change in exchange.changes:
            if (exchange.channel, change.listing) not in self._by_listing:
                self._find_at("I11", exchange.channel, f"{change} is no listing of ours")
        for name, number in applied.items():
            if name not in asked or asked[name].target != number:
                self._find("I11", self._fields[name].listed, f"became {number}, was not asked for")
        for each in written:
            self._check_write(exchange, each, applied=each.name in applied)

    def told(self, exchange: Exchange) -> None:
        """The daemon has just got an answer."""
        for name, push, applied in self._writes.pop(exchange.number, ()):
            note = self._fields[name]
            note.flying.pop(exchange.number, None)
            note.answered[push] = self.now()
            if exchange.answer is not None and exchange.answer.status == 200:
                note.acknowledged = max(note.acknowledged, push)
                if applied and exchange.handled_at is not None:
                    # The compare was passed: the number was the one that was expected.
                    note.looks.append((exchange.handled_at, exchange.handled_at))
        answer = exchange.answer
        if answer is None or answer.status != 200 or b"THROTTLED" in answer.body:
            self.troubled_at = self.now()
        self._note_reading(exchange)

    def delivered(self, channel: str, out: WebhookOut, status: int | None) -> None:
        """The daemon has answered a webhook."""
        if status is None or not 200 <= status < 300:
            return
        if not out.headers.get("content-type", "").startswith("application/json"):
            return  # WooCommerce's ping
        self._digests.add((channel, hashlib.sha256(out.body).hexdigest()))
        topic = out.headers.get("x-shopify-topic") or out.headers.get("x-wc-webhook-topic", "")
        if topic in {"inventory_levels/update", "product.updated"}:
            self.seen["echo"] += 1
        whole = topic == "orders/create" or topic in {"order.created", "order.updated"}
        body = _json(out.body)
        if not whole or body.get("refunds"):
            return  # only a reason to fetch the order
        for line in body.get("line_items", ()):
            key = (channel, str(body.get("id")), str(line.get("id")))
            self._known(key)
            if body.get("status") in RELEASED:
                self._told_ended.add(key)

    def _check_write(self, exchange: Exchange, each: Written, *, applied: bool) -> None:
        note = self._fields.get(each.name)
        if note is None:
            self._find_at("I11", "/".join(each.name), "was written and is not ours")
            return
        if not 0 <= each.target <= CAP:
            self._find("I9", note.listed, f"{each.target} was sent")
        pushed = self._pushed(exchange, each)
        if each.target == each.expected:
            self._find("I15", note.listed, f"{each.target} was written over itself")
        if pushed is None:
            self._find("I13", note.listed, f"{each.target} was sent without a committed push")
            return
        late = self.now() - exchange.sent_at > DEADLINE_S[exchange.channel]
        deadline_s = DEADLINE_S[exchange.channel]
        for sent_at, push in note.flying.values():
            if push != pushed.id and abs(exchange.sent_at - sent_at) < deadline_s and not late:
                self._find("I7", note.listed, f"pushes {push} and {pushed.id} are both under way")
        if 0 < note.sent_at - exchange.sent_at < deadline_s:
            self._find("I7", note.listed, f"push {pushed.id} arrives after one sent later")
        note.sent_at = max(note.sent_at, exchange.sent_at)
        note.flying[exchange.number] = (exchange.sent_at, pushed.id)
        self._writes.setdefault(exchange.number, []).append((each.name, pushed.id, applied))
        if any(
            key not in self._known_at and line.taken
            for key, line in self.truth.lines.items()
            if (line.listed.channel, line.listed.field) == each.name
        ):
            self.seen["met_unseen_sale"] += 1
        if not applied:
            return
        zombie = late and exchange.channel == WOO
        if pushed.id < note.acknowledged and not zombie:
            self._find("I8", note.listed, f"push {pushed.id} came after {note.acknowledged}")
        self._check_bound(exchange, each, note, pushed, zombie=zombie)
        note.reflected_at = pushed.opened_at
        if note.masks and note.masks[-1][1] == NEVER and exchange.sent_at > note.edited_at:
            note.masks[-1] = (note.masks[-1][0], self.now())

    def _check_bound(
        self, exchange: Exchange, each: Written, note: _FieldNote, pushed: Pushed, *, zombie: bool
    ) -> None:
        """F30: hold a number that has just been written against what it may be at most."""
        listed, since = note.listed, pushed.opened_at
        # Only a lowering goes without a poll, which would have told of them (R10).
        lowers = any(
            change.before > each.target
            and self._by_listing.get((exchange.channel, change.listing)) == each.name
            for change in exchange.changes
        )
        note.unheard = self._unheard.get(pushed.id, 0) if lowers else 0
        standing = self.truth.undeducted(listed) + self._ended(listed, since) + note.unheard
        note.excused = ""
        bound = self._bound(listed, since) + standing
        if each.target <= bound:
            return
        edited = self.now() - note.edited_at < EDIT_CLOUDS_S
        if edited and each.target <= self._bound(listed, since, masks=note.masks) + standing:
            note.excused = "merchant_edit"
        elif zombie:
            note.excused = "zombie"
        elif exchange.channel == WOO:
            gap_from = self._gap_from(exchange, each) - SLACK_S
            if each.target <= self._bound(listed, since, gap_from=gap_from) + standing:
                note.excused = "read_write_gap"
            elif self.stale_read_s and (
                each.target
                <= self._bound(listed, since, gap_from=gap_from - self.stale_read_s) + standing
            ):
                note.excused = "stale_read"
        elif each.target <= bound + self._there_and_back(each.name):
            note.excused = "aba"
        if note.excused:
            self.excused[note.excused] += 1
            return
        self._find(
            "F30",
            listed,
            f"push {pushed.id} of {since:.3f} s wrote {each.target}, at most {bound} is true",
        )

    def _there_and_back(self, name: FieldName) -> int:
        """Return the units that were sold from a field and the daemon does not know of, behind as
        many that the shop put back, which it does not know of either.

        Nothing tells of such a pair: neither a reading nor a compare. But one that lies between the
        two does tell of the first of them, so both must have happened between two such looks.
        """
        known = {
            (channel, order, line): deducted
            for channel, order, line, deducted in self._rows(
                "SELECT channel, order_id, line_id, deducted FROM reservation WHERE channel = ?",
                name[0],
            )
        }
        sold: list[tuple[float, int]] = []
        back: list[tuple[float, int]] = []
        for key, line in self.truth.lines.items():
            if (line.listed.channel, line.listed.field) == name:
                untold = line.deducted - known.get(key, 0)
                (sold if untold > 0 else back).extend(_newest(line.moves, untold))
        looks = self._fields[name].looks
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

    # -- the bound -----------------------------------------------------------------------------

    def _bound(
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
            return line.taken_least if self._known_at.get(key, NEVER) < since else 0

        states = list(self.truth.states_since(since))
        stock = {sku: max(state.stock[sku] for state in states) for sku in states[0].stock}
        free = self.truth.free(stock=stock, taken=taken)
        ways = {tuple(state.bills.values()): state.bills for state in states}
        return max(self.truth.offer(listed, free, bills) for bills in ways.values())

    def _ended(self, listed: Listed, since: float) -> int:
        """Return units that stood on the field unpaid and came to nothing since."""
        ended = self.truth.ended.get((listed.channel, listed.field), ())
        return sum(units for at, units in ended if at >= since)

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
            if line.taken or line.moves or key in self._told_ended:
                continue
            units += sum(
                waiting
                for (waiting,) in self._rows(
                    "SELECT open FROM reservation WHERE channel = ? AND order_id = ?"
                    " AND line_id = ? AND deducted = 0",
                    *key,
                )
            )
        standing = 0
        for undeducted, hold in self._rows(
            "SELECT undeducted, hold FROM field WHERE channel = ? AND key = ?", *name
        ):
            standing += max(0, undeducted - hold)
        return min(units, standing)

    def _gap_from(self, exchange: Exchange, each: Written) -> float:
        """Return when the reading was sent after which this write was allowed.

        A reading that is older than a write may rest on makes no gap: nothing is excused by it.
        """
        name = each.name[1].rpartition(":")[2]
        for sent_at, told_at, ids in reversed(self._read_at[exchange.channel]):
            if told_at <= exchange.sent_at and f",{name}," in ids:
                return sent_at if exchange.sent_at - sent_at <= GAP_S else exchange.sent_at
        return exchange.sent_at

    def _note_reading(self, exchange: Exchange) -> None:
        """Remember readings of numbers, and what is counted of polls."""
        request, channel = exchange.request, exchange.channel
        assert exchange.told_at is not None
        query = dict(request.query)
        if channel == WOO and request.method == "GET":
            if "/products" in request.path:
                ids = query.get("include") or request.path.rpartition("/")[2]
                readings = self._read_at[channel]
                readings.append((exchange.sent_at, exchange.told_at, f",{ids},"))
                del readings[:-200]
            elif request.path.endswith("/orders"):
                self._note_poll(exchange, paged=int(query.get("page", "1")) > 1)
        elif channel == SHOPIFY and b'"Orders"' in request.body:
            after = _json(request.body).get("variables", {}).get("after")
            self._note_poll(exchange, paged=after is not None)
        elif channel == SHOPIFY and b'"Levels"' in request.body:
            self._note_look(exchange)

    def _note_look(self, exchange: Exchange) -> None:
        """Remember that the daemon was told what Shopify's fields held, where that counts."""
        answer, at = exchange.answer, exchange.handled_at
        if answer is None or at is None or not _json(answer.body).get("data"):
            return
        for each in _json(exchange.request.body).get("variables", {}).get("ids", ()):
            name = (exchange.channel, _number(each))
            note = self._fields.get(name)
            if note is not None and self._counts(name, note, sent_at=exchange.sent_at):
                note.looks.append((at - self.stale_read_s, at))

    def _counts(self, name: FieldName, note: _FieldNote, *, sent_at: float) -> bool:
        """R2: answer whether a reading that is told now tells anything by the protocol.

        It was sent after the last write was settled, or answered, if it is its push that asks; no
        write is in flight; and nothing has changed meanwhile what the field should hold.
        """
        if note.moved_at > sent_at:
            return False
        for push, settled_at in self._rows(
            "SELECT id, settled_at FROM push WHERE channel = ? AND field_key = ?"
            " ORDER BY id DESC LIMIT 1",
            *name,
        ):
            answered_at = note.answered.get(push)
            if self._opened_at.get(push, -NEVER) > sent_at:
                return False
            if (settled_at is None) if answered_at is None else answered_at > sent_at:
                return False
        return True

    def _note_poll(self, exchange: Exchange, *, paged: bool) -> None:
        self.seen["paged"] += paged
        self.seen["polled_during_sale"] += (
            self._sold_at.get(exchange.channel, -NEVER) >= exchange.sent_at
        )

    # -- requests ------------------------------------------------------------------------------

    def _written(self, exchange: Exchange) -> list[Written] | None:
        """Return the numbers that a request writes, None if it writes nothing."""
        request, channel = exchange.request, exchange.channel
        if channel == SHOPIFY:
            body = _json(request.body)
            if "mutation" not in str(body.get("query", "")).partition("{")[0]:
                return None
            given = body.get("variables", {}).get("input", {})
            if given.get("name") != "available":
                self._find_at("I11", channel, f"{given.get('name')!r} was written")
            return [
                Written(
                    (channel, _number(entry["inventoryItemId"])),
                    int(entry["quantity"]),
                    entry.get("changeFromQuantity"),
                )
                for entry in given.get("quantities", ())
            ]
        if request.method == "GET":
            return None
        return list(self._written_to_woo(request.path, _json(request.body)))

    def _written_to_woo(self, path: str, body: dict[str, Any]) -> Iterator[Written]:
        parts = path.split("/products/", 1)[-1].split("/")
        if "/products/" not in path:
            self._find_at("I11", WOO, f"{path} was written")
            return
        parent = parts[0] if "variations" in parts else ""
        items = body["update"] if parts[-1] == "batch" else [{"id": parts[-1], **body}]
        for item in items:
            if odd := set(item) - _STOCK_ONLY:
                self._find_at("I11", WOO, f"{sorted(odd)} were written")
            own = f"{parent}:{item['id']}" if parent else str(item["id"])
            yield Written((WOO, own), int(item["stock_quantity"]), None)

    # -- the database --------------------------------------------------------------------------

    def _rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        if self.database is None:
            return []
        path = self.database()
        if self._connection is None or path != self._connected:
            self.close()
            # Not read-only: that could not open a write-ahead log which nobody else has open.
            self._connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
            anew, self._connected = self._connected is not None, path
            if anew:
                (waiting,) = self._rows("SELECT count(*) FROM delivery WHERE state = 'pending'")
                self.seen["began_with_inbox"] += waiting[0] > 0
        return self._connection.execute(query, given).fetchall()

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pushed(self, exchange: Exchange, each: Written) -> Pushed | None:
        """Return the push that a written number belongs to, None if none was committed."""
        if self.database is None:
            return Pushed(exchange.number, exchange.sent_at)
        rows = self._rows(
            "SELECT id, expected FROM push"
            " WHERE channel = ? AND field_key = ? AND target = ? ORDER BY id DESC LIMIT 64",
            *each.name,
            each.target,
        )
        for push, expected in rows:
            if each.expected is not None and expected != each.expected:
                continue
            opened_at = self._opened_at.get(push, NEVER)
            if opened_at <= exchange.sent_at + 1e-3:
                return Pushed(push, opened_at)
        return None

    def committed(self) -> None:
        """A transaction of the database has just ended: note what is new, at this very instant."""
        now = self.now()
        self._commits = self._commits + 1 if now == self._committed_at else 0
        self._committed_at = now
        now += self._commits * TICK_S
        for row, channel, order, line in self._rows(
            "SELECT rowid, channel, order_id, line_id FROM reservation"
            " WHERE rowid > ? AND sku IS NOT NULL",
            self._line_seen,
        ):
            self._line_seen = max(self._line_seen, row)
            self._known_at.setdefault((channel, order, line), now)
        before, self._books = self._books, self._read_books()
        for name, note in self._fields.items():
            if before is not None and before.expected.get(name) != self._books.expected.get(name):
                note.moved_at = now
        for push, channel, key, target in self._rows(
            "SELECT id, channel, field_key, target FROM push WHERE id > ? ORDER BY id",
            self._push_seen,
        ):
            self._push_seen = push
            self._opened_at[push] = now
            if unheard := self._ended_unheard((channel, key)):
                self._unheard[push] = unheard
            self._check_intent(push, (channel, key), target, before or self._books)

    def _read_books(self) -> _Books:
        shelves = self._rows("SELECT sku, on_hand, reserved FROM shelf")
        held: Counter[str] = Counter()
        undeducted, expected = {}, {}
        for channel, key, sku, units, waiting, shows in self._rows(
            "SELECT channel, key, sku, hold * pack, undeducted, expected FROM field"
        ):
            held[sku] += units
            undeducted[channel, key] = waiting
            expected[channel, key] = shows
        return _Books(
            {sku: on_hand for sku, on_hand, _ in shelves},
            {sku: reserved for sku, _, reserved in shelves},
            held,
            undeducted,
            expected,
        )

    def _check_intent(self, push: int, name: FieldName, target: int, before: _Books) -> None:
        """I9: what is to be sent is what the daemon's own books allow, holds and buffer included.

        It was computed at some point of the transaction, among other commands: each number counts
        as it was before or after, whichever allows more.
        """
        note, after = self._fields.get(name), self._books
        if note is None or after is None:
            return
        free = {
            sku: max(before.on_hand.get(sku, on_hand), on_hand)
            - min(before.reserved.get(sku, 0), after.reserved.get(sku, 0))
            - min(before.held.get(sku, 0), after.held.get(sku, 0))
            for sku, on_hand in after.on_hand.items()
        }
        free = {sku: free.get(sku, 0) for sku in self.world.things}
        states = self.truth.states_since(self.now())
        ways = {tuple(state.bills.values()): state.bills for state in states}
        most = max(self.truth.offer(note.listed, free, bills) for bills in ways.values())
        most += max(before.undeducted.get(name, 0), after.undeducted.get(name, 0))
        if target > most:
            self._find("I9", note.listed, f"push {push} is {target}, the books allow {most}")

    def check_books(self) -> None:
        """Check everything that the database alone must fulfil at any instant."""
        balances: Counter[str] = Counter()
        for sku, units in self._rows("SELECT sku, sum(quantity) FROM movement GROUP BY sku"):
            balances[sku] += units
        open_units: Counter[str] = Counter()
        for channel, order, line, sku, units in self._rows(
            "SELECT channel, order_id, line_id, sku, open * pack FROM reservation"
        ):
            if sku is not None:
                self._known((channel, order, line))
                open_units[sku] += units
        for sku, on_hand, reserved in self._rows("SELECT sku, on_hand, reserved FROM shelf"):
            if on_hand != balances[sku]:
                self._find_at("I1", sku, f"{on_hand} on hand, {balances[sku]} moved")
            if reserved != open_units[sku]:
                self._find_at("I2", sku, f"{reserved} reserved, {open_units[sku]} open")
        self._check_pushes()
        self._check_deliveries()
        for channel, order, line in self._rows("SELECT * FROM watched_older"):
            self._find_at("I5", f"{channel}/{order}/{line}", "an older version changed it")
        self._check_fetches()
        self.seen |= Counter(dict(self._rows("SELECT what, often FROM watched")))

    def _check_pushes(self) -> None:
        for push, target, terms in self._rows(
            "SELECT id, target, terms FROM push WHERE id > ? ORDER BY id", self._push_checked
        ):
            self._push_checked = push
            total = sum(units for _, units in json.loads(terms))
            if total != target or target < 0:
                self._find_at("I9", f"push {push}", f"terms come to {total}, target {target}")
        for channel, key, count in self._rows(
            "SELECT channel, field_key, count(*) FROM push WHERE settled_at IS NULL"
            " GROUP BY channel, field_key HAVING count(*) > 1"
        ):
            self._find_at("I7", f"{channel}/{key}", f"{count} pushes in flight")
        held = self._rows("SELECT count(*) FROM field WHERE hold > 0")
        self.seen["held"] += sum(count for (count,) in held)

    def _check_deliveries(self) -> None:
        """I3: each acknowledged delivery since the last look is in the inbox."""
        if self.database is None:
            return
        for channel, digest in sorted(self._digests):
            if not self._rows(
                "SELECT 1 FROM delivery WHERE channel = ? AND digest = ? LIMIT 1", channel, digest
            ):
                self._find_at("I3", channel, f"acknowledged delivery {digest[:12]} is nowhere")
        self._digests.clear()

    def _check_fetches(self) -> None:
        """I5: a fetch is numbered beyond every one that an earlier life of the daemon made."""
        rows = self._rows(
            "SELECT channel, order_id, max(updated_at), max(fetch_number) FROM reservation"
            " GROUP BY channel, order_id"
        )
        if self._restarted:
            fetches = (fetch for _, fetch in self._versions.values())
            self._fetches_before = max(fetches, default=self._fetches_before)
        for channel, order, updated_at, fetch in rows:
            known, version = self._versions.get((channel, order)), (updated_at, fetch)
            is_new = version != known and not self._restarted
            if is_new and 0 < fetch <= self._fetches_before:
                self._find_at("I5", f"{channel}/{order}", f"fetch {fetch} was made once before")
            self._versions[channel, order] = version
        self._restarted = False

    # -- at rest -------------------------------------------------------------------------------

    def disagreements(self) -> list[str]:
        """Return what does not agree with the truth yet, or is still to be done."""
        self.truth.refresh_unpaid()
        unpaid = [f"{channel}: order {each} is unpaid" for channel, each in self.truth.unpaid()]
        return [*unpaid, *self._wrong_numbers(), *self._wrong_books()]

    def check_calm(self, calm_s: float) -> None:
        """I14 while people act, where no fault is drawn that could hinder the daemon for longer:
        what happened `calm_s` ago shows on every shop.
        """
        self.truth.refresh_unpaid()
        changed_s, troubled_s = self.now() - self.truth.changed_at, self.now() - self.troubled_at
        if changed_s >= calm_s and troubled_s >= RECOVERED_S:
            for text in self._wrong_numbers():
                self._find_at("I14", "calm", text)

    def _wrong_numbers(self) -> Iterator[str]:
        for note in self._fields.values():
            if note.gone:
                continue
            shows, wanted = self.world.shows(note.listed), self.truth.target(note.listed)
            if shows != wanted:
                yield f"{_told(note.listed)} shows {shows}, not {wanted}"

    def _wrong_books(self) -> Iterator[str]:
        if self.database is None:
            return
        on_hand, reserved = self.truth.on_hand(), self.truth.reserved()
        for sku, known, promised in self._rows("SELECT sku, on_hand, reserved FROM shelf"):
            if known != on_hand[sku]:
                yield f"{sku}: {known} on hand in the books, truly {on_hand[sku]}"
            if promised != reserved[sku]:
                yield f"{sku}: {promised} reserved in the books, truly {reserved[sku]}"
        units = {
            (channel, order, line): open_units
            for channel, order, line, open_units in self._rows(
                "SELECT channel, order_id, line_id, open FROM reservation"
            )
        }
        for key, true in self.truth.lines.items():
            if units.get(key, 0) != true.open:
                known = units.get(key, 0)
                yield f"{'/'.join(key)}: {known} open in the books, truly {true.open}"
        gone = {(each.listed.channel, each.listed.field) for each in self._gone()}
        for channel, key, hold, surplus in self._rows(
            "SELECT channel, key, hold, surplus FROM field WHERE hold > 0 OR surplus > 0"
        ):
            if (channel, key) not in gone:
                yield f"{channel}/{key} holds {hold}, surplus {surplus}"
        for channel, state, count in self._rows(
            "SELECT channel, state, count(*) FROM delivery WHERE state <> 'applied'"
            " GROUP BY channel, state"
        ):
            yield f"{channel}: {count} deliveries {state}"
        for channel, key in self._rows(
            "SELECT channel, field_key FROM push WHERE settled_at IS NULL"
        ):
            if (channel, key) not in gone:
                yield f"{channel}/{key}: a push is in flight"

    def _gone(self) -> Iterable[_FieldNote]:
        return (note for note in self._fields.values() if note.gone)

    def check_rest(self) -> None:
        """I14: everything agrees, now that nothing goes wrong any more."""
        for text in self.disagreements():
            self._find_at("I14", "rest", text)

    # -- findings ------------------------------------------------------------------------------

    def _known(self, key: LineKey) -> None:
        self._known_at.setdefault(key, self.now())

    def _note_of(self, listed: Listed) -> _FieldNote:
        return self._fields[listed.channel, listed.field]

    def _find(self, invariant: str, listed: Listed, text: str) -> None:
        self._find_at(invariant, _told(listed), text)

    def _find_at(self, invariant: str, subject: str, text: str) -> None:
        if len(self.violations) < FOUND_MAX:
            self.violations.append(Violation(invariant, subject, text, self.now()))


def _told(listed: Listed) -> str:
    return f"{listed.sku} on {listed.channel}/{listed.field}"


def _number(gid: str) -> str:
    """Return the number at the end of a Shopify id."""
    found = _GID.search(gid)
    return found[0] if found else gid


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


def _json(body: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
