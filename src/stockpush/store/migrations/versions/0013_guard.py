"""Exposure: how the listings of an item share what is left of it, and where that stands.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

QUANTITY = "BETWEEN 0 AND 1000000000000000"


def upgrade() -> None:
    """Add the columns: no item says anything of its own, every listing weighs 1, none is guarded.

    In SQL, for SQLite takes a CHECK only together with its column.
    """
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = 'TEXT COLLATE "C"' if postgresql else "TEXT"
    for table, column, kind, rule in (
        ("item", "exposure", text, "word CHECK (exposure IN ('mirror', 'guard', 'split'))"),
        ("item", "guard_min", "BIGINT", f"range CHECK (guard_min {QUANTITY})"),
        ("item", "home_channel", text, "filled CHECK (home_channel <> '')"),
        ("item", "exposure_max", "BIGINT", f"range CHECK (exposure_max {QUANTITY})"),
        ("listing", "weight", "1", "range CHECK (weight BETWEEN 1 AND 1000)"),
        ("shelf", "guard_level", "0", f"range CHECK (guard_level {QUANTITY})"),
        ("shelf", "guarded", "0", "flag CHECK (guarded IN (0, 1))"),
    ):
        always = f"BIGINT DEFAULT {kind} NOT NULL" if kind.isdecimal() else kind
        named = f"CONSTRAINT ck_{table}_{column}_{rule}"
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {always} {named}")
        if kind.isdecimal() and postgresql:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
