"""How soon what a listing promises has to be there, where it says so, and what comes by then.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
DURATION = "BETWEEN 0 AND 315360000"


def upgrade() -> None:
    """Add the columns: no listing says anything of its own, so nothing comes by what one says."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    for table, column in (("listing", "horizon_s"), ("lot", "within_s")):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {column} BIGINT"
            f" CONSTRAINT ck_{table}_{column}_range CHECK ({column} {DURATION})"
        )
    op.add_column("shelf", sa.Column("coming_by", TEXT, server_default="[]", nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE shelf ALTER COLUMN coming_by DROP DEFAULT")
