"""Holds of our own: what a person sets aside, line by line, and how much of each item that is.

What is held makes an item short as what is reserved does, so it is in the index of those.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, 0 for every shelf, and the tables, empty: nothing is held yet."""
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE shelf ADD COLUMN held BIGINT DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_shelf_held_range CHECK (held BETWEEN 0 AND 1000000000000000)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE shelf ALTER COLUMN held DROP DEFAULT")
    short = sa.text("reserved + held > on_hand")
    op.drop_index("ix_shelf_short", "shelf")
    op.create_index("ix_shelf_short", "shelf", ["sku"], sqlite_where=short, postgresql_where=short)
    op.create_table(
        "hold",
        sa.Column("id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("key <> ''", name="ck_hold_key_filled"),
        sa.CheckConstraint(
            "state IN ('held', 'sold', 'released', 'expired')", name="ck_hold_state_word"
        ),
        sa.CheckConstraint("id >= 1", name="ck_hold_id_range"),
        sa.CheckConstraint("(state = 'held') = (ended_at IS NULL)", name="ck_hold_ended"),
        sa.PrimaryKeyConstraint("id", name="pk_hold"),
        sa.UniqueConstraint("key", name="uq_hold_key"),
    )
    op.create_index("ix_hold_state_until", "hold", ["state", "until"])
    op.create_table(
        "hold_line",
        sa.Column("hold_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "quantity BETWEEN 1 AND 1000000000000000", name="ck_hold_line_quantity_range"
        ),
        sa.CheckConstraint("position >= 0", name="ck_hold_line_position_counts"),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name="fk_hold_line_hold_id"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_hold_line_sku"),
        sa.PrimaryKeyConstraint("hold_id", "position", name="pk_hold_line"),
        sa.UniqueConstraint("hold_id", "sku", name="uq_hold_line_hold_id_sku"),
    )
