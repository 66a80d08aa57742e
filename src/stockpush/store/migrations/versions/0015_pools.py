"""Pools of locations: an item has a shelf in each, and each channel is fed by one.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
QUANTITY = "BETWEEN -1000000000000000 AND 1000000000000000"
UNSIGNED = "BETWEEN 0 AND 1000000000000000"
SHORT = sa.text("on_hand < reserved + held")
KEPT = "sku, on_hand, reserved, rests, held, guard_level, guarded"


def upgrade() -> None:
    """Have all that is there belong to the pool `main`; no channel is fed by another."""
    op.create_table(
        "feed",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("pool", TEXT, nullable=False),
        sa.CheckConstraint("channel <> ''", name="ck_feed_channel_filled"),
        sa.CheckConstraint("pool <> ''", name="ck_feed_pool_filled"),
        sa.PrimaryKeyConstraint("channel", name="pk_feed"),
    )
    _add_pool("location")
    _add_pool("hold")
    op.drop_index("ix_shelf_short", "shelf")
    if op.get_bind().dialect.name == "postgresql":
        _add_pool("shelf")
        op.drop_constraint("pk_shelf", "shelf", type_="primary")
        op.create_primary_key("pk_shelf", "shelf", ["sku", "pool"])
    else:
        _make_anew()
    columns = ["sku", "pool"]
    op.create_index("ix_shelf_short", "shelf", columns, sqlite_where=SHORT, postgresql_where=SHORT)


def _add_pool(table: str) -> None:
    """Add the column; in SQL, for SQLite takes a CHECK only together with its column."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    collation = "" if sqlite else ' COLLATE "C"'
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN pool TEXT{collation} DEFAULT 'main' NOT NULL"
        f" CONSTRAINT ck_{table}_pool_filled CHECK (pool <> '')"
    )
    if not sqlite:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN pool DROP DEFAULT")


def _make_anew() -> None:
    """Make the table of shelves anew, for SQLite can change no key."""
    op.execute("ALTER TABLE shelf RENAME TO shelf_before")
    op.create_table(
        "shelf",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("rests", TEXT, nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("guard_level", sa.BigInteger(), nullable=False),
        sa.Column("guarded", sa.BigInteger(), nullable=False),
        sa.Column("pool", TEXT, nullable=False),
        sa.CheckConstraint(f"on_hand {QUANTITY}", name="ck_shelf_on_hand_range"),
        sa.CheckConstraint(f"reserved {UNSIGNED}", name="ck_shelf_reserved_range"),
        sa.CheckConstraint(f"held {UNSIGNED}", name="ck_shelf_held_range"),
        sa.CheckConstraint(f"guard_level {UNSIGNED}", name="ck_shelf_guard_level_range"),
        sa.CheckConstraint("guarded IN (0, 1)", name="ck_shelf_guarded_flag"),
        sa.CheckConstraint("pool <> ''", name="ck_shelf_pool_filled"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_shelf_sku"),
        sa.PrimaryKeyConstraint("sku", "pool", name="pk_shelf"),
    )
    op.execute(
        f"INSERT INTO shelf ({KEPT}, pool) SELECT {KEPT}, 'main' FROM shelf_before"  # noqa: S608  # ours
    )
    op.execute("DROP TABLE shelf_before")
