"""Access that was renewed: sealed tokens of channels whose credentials run out.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table, empty: what the configuration says is the beginning."""
    op.create_table(
        "credential",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("channel <> ''", name="ck_credential_channel_filled"),
        sa.CheckConstraint("version >= 1", name="ck_credential_version_range"),
        sa.PrimaryKeyConstraint("channel", name="pk_credential"),
    )
