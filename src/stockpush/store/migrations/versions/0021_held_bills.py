"""Holds keep the bill that they were placed with, as open orders do.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column: what is held went by its item's present bill, and keeps that from now on."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE hold_line ADD COLUMN bill BIGINT DEFAULT 1 NOT NULL"
        " CONSTRAINT ck_hold_line_bill_range CHECK (bill >= 1)"
    )
    op.execute(
        "UPDATE hold_line SET bill ="
        " COALESCE((SELECT version FROM bill WHERE bill.item = hold_line.sku), 1)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE hold_line ALTER COLUMN bill DROP DEFAULT")
