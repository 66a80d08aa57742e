"""Horizons: how long a build takes, how soon what is promised has to be there, and what comes.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

DURATION = "BETWEEN 0 AND 315360000"
QUANTITY = "BETWEEN -1000000000000000 AND 1000000000000000"


def upgrade() -> None:
    """Add the columns: no build takes any time, nobody asks how soon, and nothing comes.

    In SQL, for SQLite takes a CHECK only together with its column.
    """
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, column, is_said, rule in (
        ("item", "horizon_s", False, f"range CHECK (horizon_s {DURATION})"),
        ("bill", "build_time_s", True, f"range CHECK (build_time_s {DURATION})"),
        ("shelf", "coming", True, f"range CHECK (coming {QUANTITY})"),
        ("lot", "comes", True, "flag CHECK (comes IN (0, 1))"),
    ):
        always = "BIGINT DEFAULT 0 NOT NULL" if is_said else "BIGINT"
        named = f"CONSTRAINT ck_{table}_{column}_{rule}"
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {always} {named}")
        if is_said and postgresql:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
