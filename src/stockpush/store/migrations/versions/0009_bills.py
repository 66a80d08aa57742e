"""Units that items are bought in, their promise rules; scrap, kits, bills that share a base.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns: no item has units or a rule of its own yet, no bill any scrap or base."""
    _add_text("item", "purchase_units", "[]")
    _add_text("item", "promise", "buildable", among=("finished", "buildable"))
    _add_whole("item", "buildable_max", low=0, high=1_000_000_000_000_000)
    _add_flag("bill", "kit")
    _add_flag("bill", "backflush")
    _add_text("bill", "base")
    _add_text("bill", "overrides", "[]")
    _add_whole("bill_line", "scrap_lost", now=0, low=0, high=1_000_000)
    _add_whole("bill_line", "scrap_of", now=1, low=1, high=1_000_000)
    _add_text("shelf", "rests", "[]")


def _add_text(
    table: str, column: str, now: str | None = None, *, among: Sequence[str] = ()
) -> None:
    """Add a text column without a default, `now` in every row; one that may be NULL without."""
    kind = 'TEXT COLLATE "C"' if op.get_bind().dialect.name == "postgresql" else "TEXT"
    words = ", ".join(f"'{word}'" for word in among)
    rule = f" CONSTRAINT ck_{table}_{column}_word CHECK ({column} IN ({words}))" if among else ""
    _add(table, column, kind, None if now is None else f"'{now}'", rule)


def _add_whole(table: str, column: str, *, now: int | None = None, low: int, high: int) -> None:
    """Add a column of whole numbers from `low` to `high`, otherwise as `_add_text`."""
    rule = f" CONSTRAINT ck_{table}_{column}_range CHECK ({column} BETWEEN {low} AND {high})"
    _add(table, column, "BIGINT", now, rule)


def _add_flag(table: str, column: str) -> None:
    """Add a column of 0 or 1, 0 in every row."""
    rule = f" CONSTRAINT ck_{table}_{column}_flag CHECK ({column} IN (0, 1))"
    _add(table, column, "BIGINT", 0, rule)


def _add(table: str, column: str, kind: str, now: object, rule: str) -> None:
    """Add a column; in SQL, for SQLite takes a CHECK only together with its column."""
    known = "" if now is None else f" DEFAULT {now} NOT NULL"
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}{known}{rule}")
    if now is not None and op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
