"""The daemon's database as an outsider reads it: a connection of our own, columns by name."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WATCHED = """
CREATE VIEW watched_shelf AS
    SELECT CASE pool WHEN 'main' THEN sku ELSE sku || '@' || pool END AS name, shelf.* FROM shelf;
CREATE VIEW watched_hold AS
    SELECT CASE pool WHEN 'main' THEN sku ELSE sku || '@' || pool END AS name, quantity, position,
        state, hold_id FROM hold_line JOIN hold ON id = hold_id;
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
rare moments of the protocol, and order lines that an older version has changed (I5). The views name
an item in a pool as the world does (`sim.world.shelf`).
"""


@dataclass(slots=True)
class Database:
    """`locate` tells where the daemon's SQLite file is, each life on a copy of the last one's; None
    where there is none: then nothing is ever found in it. `seen` counts what is met by the way.
    """

    locate: Callable[[], Path] | None
    seen: Counter[str]
    _connection: sqlite3.Connection | None = None
    _connected: Path | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a database at all."""
        return self.locate is not None

    def rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        if self.locate is None:
            return []
        path = self.locate()
        if self._connection is None or path != self._connected:
            self.close()
            # Not read-only: that could not open a write-ahead log which nobody else has open.
            self._connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
            anew, self._connected = self._connected is not None, path
            if anew:
                (waiting,) = self.rows("SELECT count(*) FROM delivery WHERE state = 'pending'")
                self.seen["began_with_inbox"] += waiting[0] > 0
        return self._connection.execute(query, given).fetchall()

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
