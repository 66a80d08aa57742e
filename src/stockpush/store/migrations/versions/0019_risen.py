"""Units that a channel has ceased to keep since a poll last told of all orders (R11).

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column, 0 for every field: what is missing now waits for a poll, which is safe."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE field ADD COLUMN risen BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_field_risen_range CHECK (risen BETWEEN 0 AND 1000000000000000)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE field ALTER COLUMN risen DROP DEFAULT")
