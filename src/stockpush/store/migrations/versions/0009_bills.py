"""What items are bought in: units of their own, in which quantities may be typed.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns: no item has units of its own yet."""
    _add_text("item", "purchase_units", "[]")


def _add_text(table: str, column: str, now: str) -> None:
    """Add a text column without a default, `now` in every row that there is."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""ALTER TABLE {table} ADD COLUMN {column} TEXT COLLATE "C" DEFAULT '{now}' NOT NULL"""
        )
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
    else:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT DEFAULT '{now}' NOT NULL")
