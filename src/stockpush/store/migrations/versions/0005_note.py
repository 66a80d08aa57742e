"""What a connector notes of its channel because the platform does not keep it.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table, empty."""
    op.create_table(
        "note",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.CheckConstraint("channel <> ''", name="ck_note_channel_filled"),
        sa.CheckConstraint("key <> ''", name="ck_note_key_filled"),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_note"),
    )
