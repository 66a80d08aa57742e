"""Lots and locations: balances by lot and place, beside the shelf's one.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
QUANTITY = "BETWEEN -1000000000000000 AND 1000000000000000"
KINDS = (
    "kind IN ('opening', 'receipt', 'build-in', 'build-out', "
    "'sale', 'return', 'adjustment', 'count', 'scrap', 'transfer')"
)
MOVED = "id, at, sku, quantity, kind, cause, actor, location, reason, undoes"


def upgrade() -> None:
    """Create the tables, empty; no item has lots, no movement names one, and stock may move."""
    op.create_table(
        "location",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("sellable", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("name <> ''", name="ck_location_name_filled"),
        sa.CheckConstraint("sellable IN (0, 1)", name="ck_location_sellable_flag"),
        sa.PrimaryKeyConstraint("name", name="pk_location"),
    )
    op.create_table(
        "lot",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("lot", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("available_from", sa.BigInteger(), nullable=True),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.BigInteger(), nullable=False),
        sa.Column("turns_at", sa.BigInteger(), nullable=True),
        sa.Column("cost", TEXT, nullable=False),
        sa.Column("supplier", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.CheckConstraint("location <> ''", name="ck_lot_location_filled"),
        sa.CheckConstraint(f"on_hand {QUANTITY}", name="ck_lot_on_hand_range"),
        sa.CheckConstraint("quarantined IN (0, 1)", name="ck_lot_quarantined_flag"),
        sa.CheckConstraint("counts IN (0, 1)", name="ck_lot_counts_flag"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_lot_sku"),
        sa.PrimaryKeyConstraint("sku", "location", "lot", name="pk_lot"),
    )
    op.create_index("ix_lot_turns_at", "lot", ["turns_at"], unique=False)
    op.create_index("ix_lot_location", "lot", ["location"], unique=False)
    # In SQL, for SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE item ADD COLUMN lots TEXT DEFAULT 'never' NOT NULL"
        " CONSTRAINT ck_item_lots_word CHECK (lots IN ('never', 'some', 'always'))"
        if op.get_bind().dialect.name == "sqlite"
        else "ALTER TABLE item ADD COLUMN lots TEXT COLLATE \"C\" DEFAULT 'never' NOT NULL"
        " CONSTRAINT ck_item_lots_word CHECK (lots IN ('never', 'some', 'always'))"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE item ALTER COLUMN lots DROP DEFAULT")
        op.add_column("movement", sa.Column("lot", TEXT, nullable=True))
        op.drop_constraint("ck_movement_kind_word", "movement", type_="check")
        op.create_check_constraint("ck_movement_kind_word", "movement", KINDS)
    else:
        _make_anew()


def _make_anew() -> None:
    """Make the ledger's table anew, for SQLite can change no CHECK; every id stays."""
    op.execute("DROP INDEX ix_movement_sku_id")
    op.execute("DROP INDEX ix_movement_cause")
    op.execute("ALTER TABLE movement RENAME TO movement_before")
    op.create_table(
        "movement",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("cause", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("lot", TEXT, nullable=True),
        sa.CheckConstraint(KINDS, name="ck_movement_kind_word"),
        sa.CheckConstraint(f"quantity {QUANTITY}", name="ck_movement_quantity_range"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_movement_sku"),
        sa.ForeignKeyConstraint(["undoes"], ["movement.id"], name="fk_movement_undoes"),
        sa.PrimaryKeyConstraint("id", name="pk_movement"),
        sa.UniqueConstraint("undoes", name="uq_movement_undoes"),
        sqlite_autoincrement=True,
    )
    op.execute(
        f"INSERT INTO movement ({MOVED}) SELECT {MOVED} FROM movement_before ORDER BY id"  # noqa: S608  # ours
    )
    op.execute("DROP TABLE movement_before")
    op.create_index("ix_movement_sku_id", "movement", ["sku", "id"], unique=False)
    op.create_index("ix_movement_cause", "movement", ["cause"], unique=False)
