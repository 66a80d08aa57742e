"""Units that items are bought in; what is lost when they are made; bills that share a base.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns: no item has units of its own yet, no bill any scrap or base."""
    _add_text("item", "purchase_units", "[]")
    _add_text("bill", "base")
    _add_text("bill", "overrides", "[]")
    _add_whole("bill_line", "scrap_lost", now=0, low=0, high=1_000_000)
    _add_whole("bill_line", "scrap_of", now=1, low=1, high=1_000_000)


def _add_text(table: str, column: str, now: str | None = None) -> None:
    """Add a text column without a default, `now` in every row; one that may be NULL without."""
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    kind = 'TEXT COLLATE "C"' if on_postgresql else "TEXT"
    known = "" if now is None else f" DEFAULT '{now}' NOT NULL"
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}{known}")
    if on_postgresql and now is not None:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")


def _add_whole(table: str, column: str, *, now: int, low: int, high: int) -> None:
    """Add a column of whole numbers from `low` to `high` without a default, `now` in every row."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN {column} BIGINT DEFAULT {now} NOT NULL"
        f" CONSTRAINT ck_{table}_{column}_range CHECK ({column} BETWEEN {low} AND {high})"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
