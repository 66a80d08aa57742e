"""Substitutes: an item may be one of several that a bill takes under one name.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column: no item is a substitute."""
    op.add_column("item", sa.Column("substitute_for", TEXT, nullable=True))
