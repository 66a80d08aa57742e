"""Sales of which our last write may have put the number back (R10).

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column, 0 for every field."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE field ADD COLUMN overwritten_sold BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_field_overwritten_sold_range"
        " CHECK (overwritten_sold BETWEEN 0 AND 1000000000000000)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE field ALTER COLUMN overwritten_sold DROP DEFAULT")
