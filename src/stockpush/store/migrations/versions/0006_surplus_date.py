"""When the channel showed a surplus: only what it put back before that can explain it (R3).

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column, unknown for every field: an old surplus explains nothing any more."""
    op.add_column("field", sa.Column("surplus_date", sa.BigInteger(), nullable=True))
