"""Movements say what they change of what is still to be made by older bills.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the column: of what was sent before it was built nobody knew by which bill."""
    collation = "" if op.get_bind().dialect.name == "sqlite" else ' COLLATE "C"'
    op.execute(f"ALTER TABLE movement ADD COLUMN owed TEXT{collation}")
