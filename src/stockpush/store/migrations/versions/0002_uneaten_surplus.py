"""Restocks that a reading may have shown already: what they raised E by (R3).

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, 0 for every field."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE field ADD COLUMN uneaten_surplus BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_field_uneaten_surplus_range"
        " CHECK (uneaten_surplus BETWEEN 0 AND 1000000000000000)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE field ALTER COLUMN uneaten_surplus DROP DEFAULT")
