"""How long a channel's orders took to become known, by webhook and by poll.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, empty for every channel."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """ALTER TABLE channel ADD COLUMN heard TEXT COLLATE "C" DEFAULT '[]' NOT NULL"""
        )
        op.execute("ALTER TABLE channel ALTER COLUMN heard DROP DEFAULT")
    else:
        op.execute("ALTER TABLE channel ADD COLUMN heard TEXT DEFAULT '[]' NOT NULL")
