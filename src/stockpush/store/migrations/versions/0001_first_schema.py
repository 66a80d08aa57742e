"""The first schema: catalogue, stock, fields, outbox, pushes, inbox, drifts, commands, requests.

Frozen: a migration is history and does not follow `schema.py`; a later change is a later file.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table, and the counters that a new database starts with."""
    op.create_table(
        "channel",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("started_date", sa.BigInteger(), nullable=True),
        sa.Column("cursor", TEXT, nullable=True),
        sa.Column("polled_begun_at", sa.BigInteger(), nullable=True),
        sa.Column("previous_poll_begun_at", sa.BigInteger(), nullable=True),
        sa.Column("last_order_at", sa.BigInteger(), nullable=True),
        sa.Column("health", TEXT, nullable=False),
        sa.Column("health_reason", TEXT, nullable=False),
        sa.CheckConstraint(
            "health IN ('ok', 'paused', 'needs_login', 'unreachable')",
            name="ck_channel_health_word",
        ),
        sa.CheckConstraint("name <> ''", name="ck_channel_name_filled"),
        sa.CheckConstraint("version >= 1", name="ck_channel_version_range"),
        sa.PrimaryKeyConstraint("name", name="pk_channel"),
    )
    op.create_table(
        "command",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("movement_ids", TEXT, nullable=False),
        sa.CheckConstraint("key <> ''", name="ck_command_key_filled"),
        sa.PrimaryKeyConstraint("key", name="pk_command"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("order_id", TEXT, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("channel <> ''", name="ck_delivery_channel_filled"),
        sa.CheckConstraint("digest <> ''", name="ck_delivery_digest_filled"),
        sa.CheckConstraint(
            "state IN ('pending', 'applied', 'quarantined')", name="ck_delivery_state_word"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_delivery_channel_digest_id", "delivery", ["channel", "digest", "id"], unique=False
    )
    op.create_index(
        "ix_delivery_channel_state_id", "delivery", ["channel", "state", "id"], unique=False
    )
    op.create_table(
        "item",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("unit", TEXT, nullable=False),
        sa.Column("scale", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('product', 'component', 'material', 'supply', 'mro')",
            name="ck_item_kind_word",
        ),
        sa.CheckConstraint("sku <> ''", name="ck_item_sku_filled"),
        sa.CheckConstraint("scale BETWEEN 0 AND 15", name="ck_item_scale_range"),
        sa.PrimaryKeyConstraint("sku", name="pk_item"),
    )
    op.create_table(
        "meta",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("value >= 0", name="ck_meta_value_counts"),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "request",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("arguments", TEXT, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind <> ''", name="ck_request_kind_filled"),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_request_answered_at_id", "request", ["answered_at", "id"], unique=False)
    op.create_table(
        "bill",
        sa.Column("item", TEXT, nullable=False),
        sa.Column("yield_quantity", sa.BigInteger(), nullable=False),
        sa.Column("batch_only", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("batch_only IN (0, 1)", name="ck_bill_batch_only_flag"),
        sa.CheckConstraint(
            "yield_quantity BETWEEN 1 AND 1000000000000000", name="ck_bill_yield_quantity_range"
        ),
        sa.ForeignKeyConstraint(["item"], ["item.sku"], name="fk_bill_item"),
        sa.PrimaryKeyConstraint("item", name="pk_bill"),
    )
    op.create_table(
        "field",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("pack", sa.BigInteger(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=True),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("surplus", sa.BigInteger(), nullable=False),
        sa.Column("uneaten", sa.BigInteger(), nullable=False),
        sa.Column("undeducted", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("observed", sa.BigInteger(), nullable=True),
        sa.Column("observed_at", sa.BigInteger(), nullable=True),
        sa.Column("observed_date", sa.BigInteger(), nullable=True),
        sa.Column("first_observed_at", sa.BigInteger(), nullable=True),
        sa.Column("first_observed_date", sa.BigInteger(), nullable=True),
        sa.Column("suspense_since", sa.BigInteger(), nullable=True),
        sa.Column("suspense_reads", sa.BigInteger(), nullable=False),
        sa.Column("overwritten", sa.BigInteger(), nullable=False),
        sa.Column("doubt", sa.BigInteger(), nullable=False),
        sa.Column("let_go", sa.BigInteger(), nullable=False),
        sa.Column("let_go_date", sa.BigInteger(), nullable=True),
        sa.Column("written_at", sa.BigInteger(), nullable=True),
        sa.Column("pushed_at", sa.BigInteger(), nullable=True),
        sa.Column("gap_from", sa.BigInteger(), nullable=True),
        sa.Column("gap_until", sa.BigInteger(), nullable=True),
        sa.Column("read_due_at", sa.BigInteger(), nullable=True),
        sa.Column("lost_compares", sa.BigInteger(), nullable=False),
        sa.Column("sold_since_push", sa.BigInteger(), nullable=False),
        sa.Column("shadowed", sa.BigInteger(), nullable=True),
        sa.Column("adopted", sa.BigInteger(), nullable=False),
        sa.Column("parked_reason", TEXT, nullable=True),
        sa.CheckConstraint("channel <> ''", name="ck_field_channel_filled"),
        sa.CheckConstraint("key <> ''", name="ck_field_key_filled"),
        sa.CheckConstraint("adopted IN (0, 1)", name="ck_field_adopted_flag"),
        sa.CheckConstraint(
            "expected BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_field_expected_range",
        ),
        sa.CheckConstraint("hold BETWEEN 0 AND 1000000000000000", name="ck_field_hold_range"),
        sa.CheckConstraint("lost_compares >= 0", name="ck_field_lost_compares_counts"),
        sa.CheckConstraint(
            "observed BETWEEN -1000000000 AND 1000000000", name="ck_field_observed_range"
        ),
        sa.CheckConstraint("doubt BETWEEN 0 AND 1000000000000000", name="ck_field_doubt_range"),
        sa.CheckConstraint("let_go BETWEEN 0 AND 1000000000000000", name="ck_field_let_go_range"),
        sa.CheckConstraint(
            "overwritten BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_field_overwritten_range",
        ),
        sa.CheckConstraint("pack BETWEEN 1 AND 1000000000000000", name="ck_field_pack_range"),
        sa.CheckConstraint("revision >= 0", name="ck_field_revision_counts"),
        sa.CheckConstraint(
            "shadowed BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_field_shadowed_range",
        ),
        sa.CheckConstraint(
            "sold_since_push BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_field_sold_since_push_range",
        ),
        sa.CheckConstraint("surplus BETWEEN 0 AND 1000000000000000", name="ck_field_surplus_range"),
        sa.CheckConstraint("suspense_reads >= 0", name="ck_field_suspense_reads_counts"),
        sa.CheckConstraint(
            "undeducted BETWEEN 0 AND 1000000000000000", name="ck_field_undeducted_range"
        ),
        sa.CheckConstraint("uneaten BETWEEN 0 AND 1000000000000000", name="ck_field_uneaten_range"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_field_sku"),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_field"),
    )
    op.create_index(
        "ix_field_channel_read_due_at", "field", ["channel", "read_due_at"], unique=False
    )
    op.create_index("ix_field_sku", "field", ["sku"], unique=False)
    op.create_table(
        "listing",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("ref_key", TEXT, nullable=False),
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("pack", sa.BigInteger(), nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("order_key", TEXT, nullable=True),
        sa.Column("field_key", TEXT, nullable=True),
        sa.Column("adopted", sa.BigInteger(), nullable=False),
        sa.Column("parked_reason", TEXT, nullable=True),
        sa.CheckConstraint("channel <> ''", name="ck_listing_channel_filled"),
        sa.CheckConstraint("ref_key <> ''", name="ck_listing_ref_key_filled"),
        sa.CheckConstraint("adopted IN (0, 1)", name="ck_listing_adopted_flag"),
        sa.CheckConstraint("pack BETWEEN 1 AND 1000000000000000", name="ck_listing_pack_range"),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_listing_sku"),
        sa.PrimaryKeyConstraint("channel", "ref_key", name="pk_listing"),
    )
    op.create_index(
        "ix_listing_channel_field_key", "listing", ["channel", "field_key"], unique=False
    )
    op.create_index("ix_listing_sku", "listing", ["sku"], unique=False)
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
        sa.CheckConstraint(
            "kind IN ('opening', 'receipt', 'build-in', 'build-out', "
            "'sale', 'return', 'adjustment', 'count', 'scrap')",
            name="ck_movement_kind_word",
        ),
        sa.CheckConstraint(
            "quantity BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_movement_quantity_range",
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_movement_sku"),
        sa.ForeignKeyConstraint(["undoes"], ["movement.id"], name="fk_movement_undoes"),
        sa.PrimaryKeyConstraint("id", name="pk_movement"),
        sa.UniqueConstraint("undoes", name="uq_movement_undoes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_movement_cause", "movement", ["cause"], unique=False)
    op.create_index("ix_movement_sku_id", "movement", ["sku", "id"], unique=False)
    op.create_table(
        "shelf",
        sa.Column("sku", TEXT, nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "on_hand BETWEEN -1000000000000000 AND 1000000000000000", name="ck_shelf_on_hand_range"
        ),
        sa.CheckConstraint(
            "reserved BETWEEN 0 AND 1000000000000000", name="ck_shelf_reserved_range"
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_shelf_sku"),
        sa.PrimaryKeyConstraint("sku", name="pk_shelf"),
    )
    op.create_table(
        "bill_line",
        sa.Column("item", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("component", TEXT, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("component <> item", name="ck_bill_line_component_other"),
        sa.CheckConstraint("position >= 0", name="ck_bill_line_position_counts"),
        sa.CheckConstraint(
            "quantity BETWEEN 1 AND 1000000000000000", name="ck_bill_line_quantity_range"
        ),
        sa.ForeignKeyConstraint(["component"], ["item.sku"], name="fk_bill_line_component"),
        sa.ForeignKeyConstraint(["item"], ["bill.item"], name="fk_bill_line_item"),
        sa.PrimaryKeyConstraint("item", "position", name="pk_bill_line"),
        sa.UniqueConstraint("item", "component", name="uq_bill_line_item_component"),
    )
    op.create_table(
        "dirty",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("field_key", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("decrease", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("because", TEXT, nullable=False),
        sa.CheckConstraint("attempts >= 0", name="ck_dirty_attempts_counts"),
        sa.CheckConstraint("decrease IN (0, 1)", name="ck_dirty_decrease_flag"),
        sa.CheckConstraint("revision >= 0", name="ck_dirty_revision_counts"),
        sa.ForeignKeyConstraint(
            ["channel", "field_key"],
            ["field.channel", "field.key"],
            name="fk_dirty_channel_field_key",
        ),
        sa.PrimaryKeyConstraint("channel", "field_key", name="pk_dirty"),
    )
    op.create_index("ix_dirty_channel_due_at", "dirty", ["channel", "due_at"], unique=False)
    op.create_table(
        "drift",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("field_key", TEXT, nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("observed", sa.BigInteger(), nullable=False),
        sa.Column("drift_class", TEXT, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("resolution", TEXT, nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "drift_class IN ('unseen_sale', 'unseen_rise', 'lost_push', 'manual_edit')",
            name="ck_drift_drift_class_word",
        ),
        sa.CheckConstraint(
            "expected BETWEEN -1000000000000000 AND 1000000000000000",
            name="ck_drift_expected_range",
        ),
        sa.CheckConstraint(
            "observed BETWEEN -1000000000 AND 1000000000", name="ck_drift_observed_range"
        ),
        sa.ForeignKeyConstraint(
            ["channel", "field_key"],
            ["field.channel", "field.key"],
            name="fk_drift_channel_field_key",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_drift"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_drift_channel_field_key_id", "drift", ["channel", "field_key", "id"], unique=False
    )
    op.create_table(
        "push",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("call_id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("field_key", TEXT, nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("terms", TEXT, nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.CheckConstraint("call_id <> ''", name="ck_push_call_id_filled"),
        sa.CheckConstraint(
            "outcome IN ('applied', 'unchanged', 'conflict', 'unknown', "
            "'unavailable', 'rate_limited', 'auth_failed', 'rejected', 'gone', 'shadow')",
            name="ck_push_outcome_word",
        ),
        sa.CheckConstraint(
            "expected BETWEEN -1000000000000000 AND 1000000000000000", name="ck_push_expected_range"
        ),
        sa.CheckConstraint("position >= 0", name="ck_push_position_counts"),
        sa.CheckConstraint("revision >= 0", name="ck_push_revision_counts"),
        sa.CheckConstraint(
            "settled_at IS NULL OR outcome IS NOT NULL", name="ck_push_settled_outcome"
        ),
        sa.CheckConstraint(
            "target BETWEEN -1000000000 AND 1000000000", name="ck_push_target_range"
        ),
        sa.ForeignKeyConstraint(
            ["channel", "field_key"],
            ["field.channel", "field.key"],
            name="fk_push_channel_field_key",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_push"),
        sa.UniqueConstraint("call_id", "position", name="uq_push_call_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_push_channel_field_key_id", "push", ["channel", "field_key", "id"], unique=False
    )
    op.create_index(
        "uq_push_in_flight",
        "push",
        ["channel", "field_key"],
        unique=True,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "reservation",
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("order_id", TEXT, nullable=False),
        sa.Column("line_id", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("fetch_number", sa.BigInteger(), nullable=False),
        sa.Column("order_key", TEXT, nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("ordered", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("shipped", sa.BigInteger(), nullable=False),
        sa.Column("written_off", sa.BigInteger(), nullable=False),
        sa.Column("deducted", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("order_state", TEXT, nullable=False),
        sa.Column("baseline_shipped", sa.BigInteger(), nullable=False),
        sa.Column("baseline_written_off", sa.BigInteger(), nullable=False),
        sa.Column("sku", TEXT, nullable=True),
        sa.Column("pack", sa.BigInteger(), nullable=False),
        sa.Column("field_key", TEXT, nullable=True),
        sa.CheckConstraint(
            "state IN ('committed', 'shipped', 'released')", name="ck_reservation_state_word"
        ),
        sa.CheckConstraint(
            "baseline_shipped BETWEEN 0 AND 1000000000",
            name="ck_reservation_baseline_shipped_range",
        ),
        sa.CheckConstraint(
            "baseline_written_off BETWEEN 0 AND 1000000000",
            name="ck_reservation_baseline_written_off_range",
        ),
        sa.CheckConstraint(
            "deducted BETWEEN 0 AND 1000000000", name="ck_reservation_deducted_range"
        ),
        sa.CheckConstraint("fetch_number >= 0", name="ck_reservation_fetch_number_counts"),
        sa.CheckConstraint("open BETWEEN 0 AND 1000000000", name="ck_reservation_open_range"),
        sa.CheckConstraint("ordered BETWEEN 0 AND 1000000000", name="ck_reservation_ordered_range"),
        sa.CheckConstraint("pack BETWEEN 1 AND 1000000000000000", name="ck_reservation_pack_range"),
        sa.CheckConstraint("shipped BETWEEN 0 AND 1000000000", name="ck_reservation_shipped_range"),
        sa.CheckConstraint(
            "written_off BETWEEN 0 AND 1000000000", name="ck_reservation_written_off_range"
        ),
        sa.ForeignKeyConstraint(
            ["channel", "field_key"],
            ["field.channel", "field.key"],
            name="fk_reservation_channel_field_key",
        ),
        sa.ForeignKeyConstraint(["sku"], ["item.sku"], name="fk_reservation_sku"),
        sa.PrimaryKeyConstraint("channel", "order_id", "line_id", name="pk_reservation"),
    )
    op.create_index(
        "ix_reservation_channel_order_key", "reservation", ["channel", "order_key"], unique=False
    )
    meta = sa.table("meta", sa.column("name"), sa.column("value"))
    op.bulk_insert(
        meta, [{"name": "catalogue_revision", "value": 0}, {"name": "next_fetch", "value": 1}]
    )
