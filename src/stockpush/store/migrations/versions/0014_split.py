"""Units that may be on sale besides what is expected, where stock is parted among listings.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the columns: nothing is unsure yet."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE field ADD COLUMN unsure BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_field_unsure_range CHECK (unsure BETWEEN 0 AND 1000000000000000)"
    )
    op.execute("ALTER TABLE field ADD COLUMN unsure_since BIGINT")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE field ALTER COLUMN unsure DROP DEFAULT")
