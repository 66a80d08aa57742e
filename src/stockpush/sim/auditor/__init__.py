"""Whoever watches from outside: every write, every sale and the database, held against the truth.

Theory of operation. The auditor sees each request when a shop handles it, each answer when the
daemon gets it and each webhook when the daemon has answered it, and is told by people what they do.
It knows what the daemon *must* know: a sale whose webhook was acknowledged, or whose reservation
stands in the database. From that follows what a number may be at most (`bound`), and whether a
shopper who buys what is not there is anybody's fault (`blame`).

Findings are values. The database is read through a connection of the auditor's own, by the names
of its columns and nothing else of the daemon's: no code is shared with what is audited.

    findings.py   what must not be, and what was seen besides
    notes.py      what is known of each field
    known.py      what the daemon must know
    bound.py      the most that a number may be (F30)
    blame.py      whose fault it is that something was sold that was not there (I10)
    languages/    what requests and webhooks of each platform say
    readings.py   what the daemon was told by readings and polls
    writes.py     what it writes
    database.py   its database, from outside
    commits.py    what each of its transactions came to
    holds.py      what it makes of the holds that people ask for
    books.py      what its books must fulfil at any instant
    rest.py       what must agree with the truth in the end
    auditor.py    the watcher, who hands each thing on
"""

from __future__ import annotations

from stockpush.sim.auditor.auditor import Auditor
from stockpush.sim.auditor.database import WATCHED
from stockpush.sim.auditor.rest import CALM_S, SUNNY_S

__all__ = ["CALM_S", "SUNNY_S", "WATCHED", "Auditor"]
