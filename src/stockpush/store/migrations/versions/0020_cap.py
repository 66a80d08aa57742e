"""The most that a listing offers, and what it is never told of, where it says so itself.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns: no listing says anything of its own.

    In SQL, for SQLite takes a CHECK only together with its column.
    """
    for column, most in (("cap", 1_000_000_000), ("buffer", 1_000_000_000_000_000)):
        op.execute(
            f"ALTER TABLE listing ADD COLUMN {column} BIGINT"
            f" CONSTRAINT ck_listing_{column}_range CHECK ({column} BETWEEN 0 AND {most})"
        )
