"""Substitutes, and bills that were replaced while reservations made with them are open.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
FLAGS = ("batch_only", "kit", "backflush")


def upgrade() -> None:
    """Add the columns and the table: no item is a substitute, and every bill is its first."""
    op.add_column("item", sa.Column("substitute_for", TEXT, nullable=True))
    # In SQL, for SQLite takes a CHECK only together with its column.
    for table, column, name in (("bill", "version", "version"), ("reservation", "bill", "bill")):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {column} BIGINT DEFAULT 1 NOT NULL"
            f" CONSTRAINT ck_{table}_{name}_range CHECK ({column} >= 1)"
        )
    op.add_column("shelf", sa.Column("pins", TEXT, server_default="[]", nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        for table, column in (("bill", "version"), ("reservation", "bill"), ("shelf", "pins")):
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
    op.create_table(
        "older_bill",
        sa.Column("item", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("yield_quantity", sa.BigInteger(), nullable=False),
        *(sa.Column(flag, sa.BigInteger(), nullable=False) for flag in FLAGS),
        sa.Column("lines", TEXT, nullable=False),
        sa.CheckConstraint(
            "yield_quantity BETWEEN 1 AND 1000000000000000",
            name="ck_older_bill_yield_quantity_range",
        ),
        *(
            sa.CheckConstraint(f"{flag} IN (0, 1)", name=f"ck_older_bill_{flag}_flag")
            for flag in FLAGS
        ),
        sa.CheckConstraint("version >= 1", name="ck_older_bill_version_range"),
        sa.ForeignKeyConstraint(["item"], ["item.sku"], name="fk_older_bill_item"),
        sa.PrimaryKeyConstraint("item", "version", name="pk_older_bill"),
    )
