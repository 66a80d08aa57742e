"""The watcher: sees everything that passes, and hands each thing to whoever looks at its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from stockpush.sim.auditor.blame import Before, Blame
from stockpush.sim.auditor.books import Books
from stockpush.sim.auditor.bound import Bound
from stockpush.sim.auditor.commits import Commits
from stockpush.sim.auditor.database import Database
from stockpush.sim.auditor.findings import Findings, Violation
from stockpush.sim.auditor.guards import Guards
from stockpush.sim.auditor.holds import Holds
from stockpush.sim.auditor.known import Known
from stockpush.sim.auditor.languages.of import language_of
from stockpush.sim.auditor.notes import Notes
from stockpush.sim.auditor.readings import Readings
from stockpush.sim.auditor.rest import Rest
from stockpush.sim.auditor.writes import SLACK_S, Writes
from stockpush.sim.network import Exchange
from stockpush.sim.shops.base import WebhookOut
from stockpush.sim.truth import NEVER, LineKey, Truth
from stockpush.sim.world import Listed, World


class Auditor:
    """A watcher of the network (`sim.network.Watcher`)."""

    def __init__(
        self,
        world: World,
        truth: Truth,
        now: Callable[[], float],
        database: Callable[[], Path] | None = None,
        *,
        stale_read_s: float = 0.0,
        is_watched: bool = False,
    ) -> None:
        """`database` tells where the daemon's SQLite file is, each life on a copy of the last;
        None where there is none (then what only it can tell is not checked). `now` tells the
        virtual seconds, `stale_read_s` how old a reading of a shop may be, at most; `is_watched`:
        the daemon looks after its webhooks.
        """
        self._now = now
        self._languages = {name: language_of(shop) for name, shop in world.shops.items()}
        self._findings = findings = Findings(now)
        self._database = books = Database(database, findings.seen)
        self._notes = notes = Notes(world)
        self._known = known = Known(now)
        bound = Bound(truth, known)
        self._blame = Blame(world, truth, notes, bound, findings)
        self._commits = Commits(world, truth, now, books, notes, known, findings)
        self._readings = Readings(
            self._languages, notes, self._commits, findings, stale_read_s, self._blame.sold_at
        )
        self._writes = Writes(
            world,
            self._languages,
            truth,
            notes,
            bound,
            self._commits,
            self._readings,
            findings,
            stale_read_s,
        )
        self._books = Books(world, books, known, findings)
        self._holds = Holds(truth, books, self._commits, findings)
        self._rest = Rest(world, truth, books, notes, findings, is_watched=is_watched)
        self._truth = truth
        truth.guards = Guards(books) if books.is_there else None

    # -- what was found ------------------------------------------------------------------------

    @property
    def violations(self) -> list[Violation]:
        """Return what must not be."""
        return self._findings.violations

    @property
    def excused(self) -> Counter[str]:
        """Return writes above their bound, by what excuses them."""
        return self._findings.excused

    @property
    def seen(self) -> Counter[str]:
        """Return what `swarm.ROWS` counts as seen by the audit."""
        return self._findings.seen

    @property
    def oversold(self) -> Counter[str]:
        """Return units of items that were sold and were not there, by cause."""
        return self._blame.oversold

    @property
    def sales(self) -> int:
        """Return how many lines were sold."""
        return self._blame.sales

    @property
    def units(self) -> int:
        """Return how many units of items were sold."""
        return self._blame.units

    @property
    def writes(self) -> int:
        """Return how many requests to write reached a shop."""
        return self._writes.count

    @property
    def unasked_writes(self) -> int:
        """Return those of them that no new sharing of what is left explains."""
        return self._writes.count - self._writes.shared_anew

    def violate(self, invariant: str, subject: str, text: str) -> None:
        """Note a violation that somebody else has seen."""
        self._findings.add(invariant, subject, text)

    # -- what the run and its people tell ------------------------------------------------------

    def begin(self) -> None:
        """Every field shows what is true: from now on people act."""
        for note in self._notes.fields.values():
            note.reflected_at = self._now()

    def restarted(self) -> None:
        """The daemon was down, or is, or has begun a new life since it was last looked at."""
        self._rest.troubled_at, self._books.restarted = self._now(), True

    def merchant_edited(self, listed: Listed) -> None:
        """The merchant has typed a number into the shop."""
        note = self._notes.of(listed)
        if not note.masks or note.masks[-1][1] < NEVER:
            note.masks.append((note.read_until - SLACK_S, NEVER))
        note.edited_at = self._now()

    def delisted(self, listed: Listed) -> None:
        """The merchant has deleted what holds this listing's number."""
        self._notes.of(listed).gone = True

    def is_delisted(self, listed: Listed) -> bool:
        """Answer whether the listing's field is gone."""
        return self._notes.of(listed).gone

    def knows(self, key: LineKey) -> bool:
        """Answer whether the daemon must know of an order line."""
        return key in self._known

    def before_sale(self, listed: Listed) -> Before:
        """Look at a listing just before a shopper buys."""
        return self._blame.before_sale(listed)

    def sold(self, order_id: str, lines: Sequence[tuple[Before, int]]) -> None:
        """A shopper has bought (what was found, units); the truth has been refreshed."""
        self._blame.sold(order_id, lines)

    # -- watching ------------------------------------------------------------------------------

    def handled(self, exchange: Exchange) -> None:
        """A shop has just handled a request."""
        self._truth.refresh_unpaid()
        self._writes.handled(exchange)

    def told(self, exchange: Exchange) -> None:
        """The daemon has just got an answer."""
        self._writes.told(exchange)
        answer = exchange.answer
        if answer is None or answer.status != 200 or b"THROTTLED" in answer.body:
            self._rest.troubled_at = self._now()
        self._readings.note(exchange)

    def delivered(self, channel: str, out: WebhookOut, status: int | None) -> None:
        """The daemon has answered a webhook."""
        signs_instants = "webhook-timestamp" in out.headers
        self._findings.seen["refused_instant"] += status == 401 and signs_instants
        if status is None or not 200 <= status < 300:
            return
        if not out.headers.get("content-type", "").startswith("application/json"):
            return  # WooCommerce's ping
        told = self._languages[channel].told(out)
        self._known.acknowledged(channel, out, told)
        self._findings.seen["echo"] += told.echo

    def committed(self) -> None:
        """A transaction of the database has just ended."""
        self._commits.committed()
        self._holds.committed()

    # -- looking -------------------------------------------------------------------------------

    def check_books(self) -> None:
        """Check everything that the database alone must fulfil at any instant."""
        self._books.check()

    def check_calm(self, calm_s: float) -> None:
        """Check that what happened `calm_s` ago shows on every shop."""
        self._rest.check_calm(calm_s)

    def check_rest(self) -> None:
        """Check that everything agrees with the truth."""
        self._rest.check()

    def disagreements(self) -> list[str]:
        """Return what does not agree with the truth yet, or is still to be done."""
        return self._rest.disagreements()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
