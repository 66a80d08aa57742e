"""The tables, as SQLAlchemy Core metadata: the declared half of "migrated schema == metadata".

Theory of operation. Every column is BIGINT/INTEGER, TEXT or BLOB, so that statements run on a
driver's own connection mean the same on SQLite and PostgreSQL: booleans are 0 or 1, instants are
microseconds since 1970-01-01 UTC, JSON is text. `rows.py` converts at the edge. Text compares by
code point on both (COLLATE "C" on PostgreSQL), so keys sort alike everywhere.

Each range that `model.py` states is a CHECK, so that a wrong number fails where it is written and
not months later in a report. Each query of `ports.Store` and `ports.Transaction` has an index, or
reads a table that stays small. One write in flight per field (R6) is a unique index, and so is
"a movement is undone once".
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

from stockpush.model import (
    DURATION_MAX_S,
    QUANTITY_MAX,
    SCRAP_OF_MAX,
    WEIGHT_MAX,
    WIRE_QUANTITY_MAX,
    DeliveryState,
    DriftClass,
    Exposure,
    Health,
    HoldState,
    Kind,
    LotRule,
    MovementKind,
    Promise,
    PushOutcomeKind,
    ReservationState,
)

SCALE_MAX: Final = 15
"""Finest scale of an item: one unit is then `QUANTITY_MAX` smallest units."""

TEXT: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
ROW_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite gives out row ids only for a column declared INTEGER PRIMARY KEY."""

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _between(column: str, low: int, high: int) -> CheckConstraint:
    """Return the rule low <= column <= high; an absent value passes."""
    return CheckConstraint(f"{column} BETWEEN {low} AND {high}", name=f"{column}_range")


def _signed(*columns: str, bound: int = QUANTITY_MAX) -> Sequence[CheckConstraint]:
    return [_between(column, -bound, bound) for column in columns]


def _unsigned(*columns: str, bound: int = QUANTITY_MAX) -> Sequence[CheckConstraint]:
    return [_between(column, 0, bound) for column in columns]


def _counter(*columns: str) -> Sequence[CheckConstraint]:
    return [CheckConstraint(f"{column} >= 0", name=f"{column}_counts") for column in columns]


def _flag(*columns: str) -> Sequence[CheckConstraint]:
    return [CheckConstraint(f"{column} IN (0, 1)", name=f"{column}_flag") for column in columns]


def _filled(*columns: str) -> Sequence[CheckConstraint]:
    return [CheckConstraint(f"{column} <> ''", name=f"{column}_filled") for column in columns]


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_word")


def _whole(name: str, *, absent: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=absent)


def _text(name: str, *, absent: bool = False) -> Column[Any]:
    return Column(name, TEXT, nullable=absent)


def _key(name: str, *references: ForeignKey) -> Column[Any]:
    return Column(name, TEXT, *references, primary_key=True)


def _row_id() -> Column[Any]:
    return Column("id", ROW_ID, primary_key=True, autoincrement=True)


def _field_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["channel", "field_key"], ["field.channel", "field.key"])


# -- the catalogue ---------------------------------------------------------------------------

item: Final = Table(
    "item",
    metadata,
    _key("sku"),
    _text("name"),
    _text("kind"),
    _text("unit"),
    _whole("scale"),
    _text("purchase_units"),
    _text("promise"),
    _whole("buildable_max", absent=True),
    _text("lots"),
    _text("exposure", absent=True),
    _whole("guard_min", absent=True),
    _text("home_channel", absent=True),
    _whole("exposure_max", absent=True),
    _text("substitute_for", absent=True),
    _text("per_order"),
    _whole("horizon_s", absent=True),
    *_filled("sku", "home_channel"),
    _one_of("exposure", Exposure),
    _one_of("kind", Kind),
    _one_of("lots", LotRule),
    _between("scale", 0, SCALE_MAX),
    _one_of("promise", Promise),
    *_unsigned("buildable_max", "guard_min", "exposure_max"),
    *_unsigned("horizon_s", bound=DURATION_MAX_S),
)

location: Final = Table(
    "location",
    metadata,
    _key("name"),
    _whole("sellable"),
    _text("pool"),
    *_filled("name", "pool"),
    *_flag("sellable"),
)

feed: Final = Table(
    "feed",
    metadata,
    _key("channel"),
    _text("pool"),
    *_filled("channel", "pool"),
)

bill: Final = Table(
    "bill",
    metadata,
    _key("item", ForeignKey("item.sku")),
    _whole("yield_quantity"),
    _whole("batch_only"),
    _whole("kit"),
    _whole("backflush"),
    _text("base", absent=True),
    _text("overrides"),
    _whole("version"),
    _whole("build_time_s"),
    _between("yield_quantity", 1, QUANTITY_MAX),
    CheckConstraint("version >= 1", name="version_range"),
    *_flag("batch_only", "kit", "backflush"),
    *_unsigned("build_time_s", bound=DURATION_MAX_S),
)

older_bill: Final = Table(
    "older_bill",
    metadata,
    _key("item", ForeignKey("item.sku")),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    _whole("yield_quantity"),
    _whole("batch_only"),
    _whole("kit"),
    _whole("backflush"),
    _text("lines"),
    _between("yield_quantity", 1, QUANTITY_MAX),
    *_flag("batch_only", "kit", "backflush"),
    CheckConstraint("version >= 1", name="version_range"),
)

bill_line: Final = Table(
    "bill_line",
    metadata,
    _key("item", ForeignKey("bill.item")),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("component", TEXT, ForeignKey("item.sku"), nullable=False),
    _whole("quantity"),
    _whole("scrap_lost"),
    _whole("scrap_of"),
    UniqueConstraint("item", "component"),
    CheckConstraint("component <> item", name="component_other"),
    _between("quantity", 1, QUANTITY_MAX),
    _between("scrap_lost", 0, SCRAP_OF_MAX),
    _between("scrap_of", 1, SCRAP_OF_MAX),
    *_counter("position"),
)

listing: Final = Table(
    "listing",
    metadata,
    _key("channel"),
    _key("ref_key"),
    Column("sku", TEXT, ForeignKey("item.sku"), nullable=False),
    _whole("pack"),
    _text("ref"),
    _text("order_key", absent=True),
    _text("field_key", absent=True),
    _whole("adopted"),
    _text("parked_reason", absent=True),
    _whole("weight"),
    _whole("cap", absent=True),
    _whole("buffer", absent=True),
    _whole("horizon_s", absent=True),
    *_filled("channel", "ref_key"),
    _between("pack", 1, QUANTITY_MAX),
    _between("weight", 1, WEIGHT_MAX),
    *_unsigned("cap", bound=WIRE_QUANTITY_MAX),
    *_unsigned("buffer"),
    *_unsigned("horizon_s", bound=DURATION_MAX_S),
    *_flag("adopted"),
    Index(None, "sku"),
    Index(None, "channel", "field_key"),
)

# -- stock -----------------------------------------------------------------------------------

SHORT: Final = text("on_hand < reserved + held")
"""What makes a shelf short: more is reserved and held than is there. The lone column stands first:
SQLite turns it round otherwise, and finds the index no more.
"""
HOLDING: Final = text("hold > 0")
"""What makes a field hold back units that its channel seems to have sold untold."""

shelf: Final = Table(
    "shelf",
    metadata,
    _key("sku", ForeignKey("item.sku")),
    _whole("on_hand"),
    _whole("reserved"),
    _text("rests"),
    _whole("held"),
    _whole("guard_level"),
    _whole("guarded"),
    _key("pool"),
    _text("pins"),
    _whole("coming"),
    _text("coming_by"),
    *_filled("pool"),
    *_signed("on_hand", "coming"),
    *_unsigned("reserved", "held", "guard_level"),
    *_flag("guarded"),
    Index("ix_shelf_short", "sku", "pool", sqlite_where=SHORT, postgresql_where=SHORT),
)

lot: Final = Table(
    "lot",
    metadata,
    _key("sku", ForeignKey("item.sku")),
    _key("location"),
    _key("lot"),
    _whole("since"),
    _whole("on_hand"),
    _whole("expires_at", absent=True),
    _whole("available_from", absent=True),
    _whole("quarantined"),
    _whole("counts"),
    _whole("turns_at", absent=True),
    _text("cost"),
    _text("supplier"),
    _text("note"),
    _whole("comes"),
    _whole("within_s", absent=True),
    *_filled("location"),
    *_signed("on_hand"),
    *_unsigned("within_s", bound=DURATION_MAX_S),
    *_flag("quarantined", "counts", "comes"),
    Index(None, "turns_at"),
    Index(None, "location"),
)

movement: Final = Table(
    "movement",
    metadata,
    _row_id(),
    _whole("at"),
    Column("sku", TEXT, ForeignKey("item.sku"), nullable=False),
    _whole("quantity"),
    _text("kind"),
    _text("cause"),
    _text("actor"),
    _text("location"),
    _text("reason"),
    Column("undoes", BigInteger, ForeignKey("movement.id"), nullable=True, unique=True),
    _text("lot", absent=True),
    _text("owed", absent=True),
    *_signed("quantity"),
    _one_of("kind", MovementKind),
    Index(None, "sku", "id"),
    Index(None, "cause"),
    sqlite_autoincrement=True,
)

reservation: Final = Table(
    "reservation",
    metadata,
    _key("channel"),
    _key("order_id"),
    _key("line_id"),
    _whole("updated_at"),
    _whole("fetch_number"),
    _text("order_key"),
    _whole("placed_at"),
    _whole("ordered"),
    _whole("open"),
    _whole("shipped"),
    _whole("written_off"),
    _whole("deducted"),
    _text("state"),
    _text("order_state"),
    _whole("baseline_shipped"),
    _whole("baseline_written_off"),
    Column("sku", TEXT, ForeignKey("item.sku"), nullable=True),
    _whole("pack"),
    _text("field_key", absent=True),
    _whole("bill"),
    _whole("sent"),
    _field_reference(),
    *_flag("sent"),
    *_counter("fetch_number"),
    CheckConstraint("bill >= 1", name="bill_range"),
    *_unsigned(
        "ordered",
        "open",
        "shipped",
        "written_off",
        "deducted",
        "baseline_shipped",
        "baseline_written_off",
        bound=WIRE_QUANTITY_MAX,
    ),
    _one_of("state", ReservationState),
    _between("pack", 1, QUANTITY_MAX),
    Index(None, "channel", "order_key"),
)

hold: Final = Table(
    "hold",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("key", TEXT, nullable=False, unique=True),
    _whole("placed_at"),
    _whole("until"),
    _text("state"),
    _text("actor"),
    _text("note"),
    _text("reason"),
    _whole("ended_at", absent=True),
    _text("pool"),
    *_filled("key", "pool"),
    _one_of("state", HoldState),
    CheckConstraint("id >= 1", name="id_range"),
    CheckConstraint("(state = 'held') = (ended_at IS NULL)", name="ended"),
    Index(None, "state", "until"),
)

hold_line: Final = Table(
    "hold_line",
    metadata,
    Column("hold_id", BigInteger, ForeignKey("hold.id"), primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("sku", TEXT, ForeignKey("item.sku"), nullable=False),
    _whole("quantity"),
    _whole("bill"),
    UniqueConstraint("hold_id", "sku"),
    _between("quantity", 1, QUANTITY_MAX),
    CheckConstraint("bill >= 1", name="bill_range"),
    *_counter("position"),
)

# -- fields and what is sent to them -----------------------------------------------------------

field: Final = Table(
    "field",
    metadata,
    _key("channel"),
    _key("key"),
    Column("sku", TEXT, ForeignKey("item.sku"), nullable=False),
    _whole("pack"),
    _whole("expected", absent=True),
    _whole("hold"),
    _whole("surplus"),
    _whole("uneaten"),
    _whole("undeducted"),
    _whole("revision"),
    _whole("observed", absent=True),
    _whole("observed_at", absent=True),
    _whole("observed_date", absent=True),
    _whole("first_observed_at", absent=True),
    _whole("first_observed_date", absent=True),
    _whole("suspense_since", absent=True),
    _whole("suspense_reads"),
    _whole("overwritten"),
    _whole("doubt"),
    _whole("let_go"),
    _whole("let_go_date", absent=True),
    _whole("written_at", absent=True),
    _whole("pushed_at", absent=True),
    _whole("gap_from", absent=True),
    _whole("gap_until", absent=True),
    _whole("read_due_at", absent=True),
    _whole("lost_compares"),
    _whole("sold_since_push"),
    _whole("shadowed", absent=True),
    _whole("adopted"),
    _text("parked_reason", absent=True),
    _whole("uneaten_surplus"),
    _whole("surplus_date", absent=True),
    _whole("overwritten_sold"),
    _whole("unsure"),
    _whole("unsure_since", absent=True),
    _whole("risen"),
    *_filled("channel", "key"),
    _between("pack", 1, QUANTITY_MAX),
    *_signed("expected", "overwritten", "sold_since_push", "shadowed"),
    *_signed("observed", bound=WIRE_QUANTITY_MAX),
    *_unsigned("hold", "surplus", "uneaten", "undeducted", "doubt", "let_go", "uneaten_surplus"),
    *_unsigned("overwritten_sold"),
    *_unsigned("unsure", "risen"),
    *_counter("revision", "suspense_reads", "lost_compares"),
    *_flag("adopted"),
    Index(None, "sku"),
    Index(None, "channel", "read_due_at"),
    Index("ix_field_holding", "channel", "key", sqlite_where=HOLDING, postgresql_where=HOLDING),
)

dirty: Final = Table(
    "dirty",
    metadata,
    _key("channel"),
    _key("field_key"),
    _whole("revision"),
    _whole("due_at"),
    _whole("decrease"),
    _whole("attempts"),
    _text("because"),
    _field_reference(),
    *_counter("revision", "attempts"),
    *_flag("decrease"),
    Index(None, "channel", "due_at"),
)

push: Final = Table(
    "push",
    metadata,
    _row_id(),
    _text("call_id"),
    _whole("position"),
    _text("channel"),
    _text("field_key"),
    _whole("expected"),
    _whole("target"),
    _whole("revision"),
    _whole("sent_at"),
    _text("terms"),
    _whole("settled_at", absent=True),
    _text("outcome", absent=True),
    _field_reference(),
    UniqueConstraint("call_id", "position"),
    *_filled("call_id"),
    *_counter("position", "revision"),
    *_signed("expected"),
    *_signed("target", bound=WIRE_QUANTITY_MAX),
    _one_of("outcome", PushOutcomeKind),
    CheckConstraint("settled_at IS NULL OR outcome IS NOT NULL", name="settled_outcome"),
    Index(None, "channel", "field_key", "id"),
    Index(
        "uq_push_in_flight",
        "channel",
        "field_key",
        unique=True,
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

# -- what came in ------------------------------------------------------------------------------

delivery: Final = Table(
    "delivery",
    metadata,
    _row_id(),
    _text("channel"),
    _text("digest"),
    _text("topic"),
    _whole("received_at"),
    _text("state"),
    _text("reason"),
    _text("order_id", absent=True),
    Column("body", LargeBinary, nullable=True),
    *_filled("channel", "digest"),
    _one_of("state", DeliveryState),
    Index(None, "channel", "digest", "id"),
    Index(None, "channel", "state", "id"),
    sqlite_autoincrement=True,
)

drift: Final = Table(
    "drift",
    metadata,
    _row_id(),
    _text("channel"),
    _text("field_key"),
    _whole("expected"),
    _whole("observed"),
    _text("drift_class"),
    _whole("opened_at"),
    _text("resolution"),
    _whole("closed_at", absent=True),
    _field_reference(),
    *_signed("expected"),
    *_signed("observed", bound=WIRE_QUANTITY_MAX),
    _one_of("drift_class", DriftClass),
    Index(None, "channel", "field_key", "id"),
    sqlite_autoincrement=True,
)

channel: Final = Table(
    "channel",
    metadata,
    _key("name"),
    _whole("version"),
    _whole("started_date", absent=True),
    _text("cursor", absent=True),
    _whole("polled_begun_at", absent=True),
    _whole("previous_poll_begun_at", absent=True),
    _whole("last_order_at", absent=True),
    _text("health"),
    _text("health_reason"),
    _text("heard"),
    *_filled("name"),
    _one_of("health", Health),
    CheckConstraint("version >= 1", name="version_range"),
)

credential: Final = Table(
    "credential",
    metadata,
    _key("channel"),
    _whole("version"),
    Column("sealed", LargeBinary, nullable=False),
    _text("origin"),
    _whole("leased_until", absent=True),
    *_filled("channel"),
    CheckConstraint("version >= 1", name="version_range"),
)

note: Final = Table(
    "note",
    metadata,
    _key("channel"),
    _key("key"),
    _text("text"),
    *_filled("channel", "key"),
)

# -- commands and requests ---------------------------------------------------------------------

command: Final = Table(
    "command",
    metadata,
    _key("key"),
    _text("digest"),
    _whole("at"),
    _text("movement_ids"),
    *_filled("key"),
)

request: Final = Table(
    "request",
    metadata,
    _row_id(),
    _text("kind"),
    _text("arguments"),
    _whole("asked_at"),
    _whole("answered_at", absent=True),
    *_filled("kind"),
    Index(None, "answered_at", "id"),
    sqlite_autoincrement=True,
)

CATALOGUE_REVISION: Final = "catalogue_revision"
NEXT_FETCH: Final = "next_fetch"
META_AT_FIRST: Final = {CATALOGUE_REVISION: 0, NEXT_FETCH: 1}
"""The rows of `meta` in a new database. A webhook body has fetch number 0; fetches start at 1."""

meta: Final = Table("meta", metadata, _key("name"), _whole("value"), *_counter("value"))
