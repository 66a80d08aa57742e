"""Supplies that go once with each order: which an item's orders take, and which lines were sent.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the columns: no order takes anything yet, and what shipped was sent."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    collation = "" if sqlite else ' COLLATE "C"'
    op.execute(f"ALTER TABLE item ADD COLUMN per_order TEXT{collation} DEFAULT '[]' NOT NULL")
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE reservation ADD COLUMN sent BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_reservation_sent_flag CHECK (sent IN (0, 1))"
    )
    op.execute("UPDATE reservation SET sent = 1 WHERE shipped > 0")
    if not sqlite:
        op.execute("ALTER TABLE item ALTER COLUMN per_order DROP DEFAULT")
        op.execute("ALTER TABLE reservation ALTER COLUMN sent DROP DEFAULT")
