"""What nets above its stock, and what holds, found without a look at everything else.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the two indexes."""
    short, holding = text("reserved > on_hand"), text("hold > 0")
    op.create_index("ix_shelf_short", "shelf", ["sku"], sqlite_where=short, postgresql_where=short)
    op.create_index(
        "ix_field_holding",
        "field",
        ["channel", "key"],
        sqlite_where=holding,
        postgresql_where=holding,
    )
