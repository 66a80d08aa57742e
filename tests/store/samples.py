"""One value of every class that the store keeps, with no field at its default."""

from __future__ import annotations

from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from stockpush.messages import CommandDone, Decision
from stockpush.model import (
    DURATION_MAX_S,
    QUANTITY_MAX,
    SCRAP_OF_MAX,
    WEIGHT_MAX,
    WIRE_QUANTITY_MAX,
    BillLine,
    BillOfMaterials,
    ChannelState,
    Coming,
    Credential,
    Delivery,
    DeliveryState,
    Dirty,
    Drift,
    DriftClass,
    Exposure,
    Feed,
    Field,
    FieldKey,
    Health,
    HeardBy,
    Hold,
    HoldLine,
    HoldState,
    Item,
    Kind,
    Listing,
    ListingKey,
    Location,
    Lot,
    LotKey,
    LotRule,
    MovementKind,
    OrderSupply,
    OrderVersion,
    Owed,
    Pin,
    Promise,
    PurchaseUnit,
    Push,
    PushOutcomeKind,
    Reservation,
    ReservationKey,
    ReservationState,
    Rest,
    Scrap,
    Shelf,
    StockMovement,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, 123457, tzinfo=UTC)
FIELD = FieldKey("my-shopify", "inventory/9007199254740993")


def at(seconds: float) -> datetime:
    """Return an instant `seconds` after NOON."""
    return NOON + timedelta(seconds=seconds)


ITEM = Item(
    "candle-lav",
    "Lavender candle · größe",
    Kind.PRODUCT,
    "piece",
    scale=2,
    purchase_units=(PurchaseUnit("box", 14400), PurchaseUnit("kiste größe", QUANTITY_MAX)),
    promise=Promise.FINISHED,
    buildable_max=QUANTITY_MAX,
    lots=LotRule.ALWAYS,
    exposure=Exposure.SPLIT,
    guard_min=QUANTITY_MAX,
    home_channel="my-shopify",
    exposure_max=7,
    substitute_for="kerze größe",
    per_order=(OrderSupply("box", 3, gate=True), OrderSupply("leaflet größe", QUANTITY_MAX)),
    horizon_s=DURATION_MAX_S,
)
WAX = Item("beeswax", "Beeswax", Kind.MATERIAL, "g", scale=1)
WICK = Item("wick", "Wick", Kind.COMPONENT, "piece", scale=1)
BILL = BillOfMaterials(
    "candle-lav",
    10,
    (BillLine("wick", 10, Scrap(1, 30)), BillLine("beeswax", 15000)),
    batch_only=True,
    kit=True,
    backflush=True,
    base="beeswax",
    overrides=(BillLine("wick", 10, Scrap(1, 30)), BillLine("tin größe", 0)),
    version=3,
    build_time_s=DURATION_MAX_S,
)
OLDER_BILL = BillOfMaterials(
    "candle-lav",
    12,
    (BillLine("wick", 11, Scrap(1, 20)), BillLine("beeswax", 1)),
    batch_only=True,
    kit=True,
    backflush=True,
    version=2,
)
LISTING = Listing(
    key=ListingKey("my-shopify", "variant/808950810"),
    sku="candle-lav",
    pack=6,
    ref={"variant_id": 9007199254740993, "note": "a \"quoted\" 'word'"},
    order_key="808950810",
    field_key=FIELD.key,
    adopted=True,
    parked_reason="not tracked",
    weight=WEIGHT_MAX,
    cap=WIRE_QUANTITY_MAX,
    buffer=QUANTITY_MAX,
    horizon_s=DURATION_MAX_S,
)
LOCATION = Location("fair", sellable=False, pool="market größe")
FEED = Feed("my-shopify", "market größe")
LOT = Lot(
    key=LotKey("candle-lav", "fair", "A 12"),
    since=at(11),
    on_hand=-QUANTITY_MAX,
    expires_at=at(12),
    available_from=at(13),
    quarantined=True,
    counts=False,
    turns_at=at(14),
    cost="12.50",
    supplier="Imkerei Grün",
    note="quarantined by anna",
    comes=True,
    within_s=DURATION_MAX_S,
)
SHELF = Shelf(
    "candle-lav",
    on_hand=-QUANTITY_MAX,
    reserved=QUANTITY_MAX,
    held=QUANTITY_MAX,
    rests=(Rest("wick größe", -3), Rest("beeswax", QUANTITY_MAX * SCRAP_OF_MAX)),
    guard_level=QUANTITY_MAX,
    guarded=True,
    pool="market größe",
    pins=(Pin(2, QUANTITY_MAX, (Rest("wick größe", 5),), 7), Pin(3, 1)),
    coming=-QUANTITY_MAX,
    coming_by=(Coming(0, -QUANTITY_MAX), Coming(DURATION_MAX_S, QUANTITY_MAX)),
)
FIELD_ROW = Field(
    key=FIELD,
    sku="candle-lav",
    pack=6,
    expected=-3,
    hold=1,
    surplus=2,
    uneaten=3,
    uneaten_surplus=1,
    risen=1,
    surplus_date=at(2),
    overwritten_sold=1,
    unsure=2,
    unsure_since=at(3),
    undeducted=4,
    revision=5,
    observed=-6,
    observed_at=at(1),
    observed_date=at(2),
    first_observed_at=at(3),
    first_observed_date=at(4),
    suspense_since=at(5),
    suspense_reads=7,
    overwritten=8,
    doubt=1,
    let_go=9,
    let_go_date=at(9),
    written_at=at(6),
    pushed_at=at(7),
    gap_from=at(8),
    gap_until=at(9),
    read_due_at=at(10),
    lost_compares=9,
    sold_since_push=10,
    shadowed=11,
    adopted=True,
    parked_reason="gone",
)
RESERVATION = Reservation(
    key=ReservationKey("my-shopify", "5001", "1"),
    version=OrderVersion(at(20), 17),
    order_key="808950810",
    placed_at=at(19),
    ordered=9,
    open=5,
    shipped=3,
    written_off=1,
    deducted=2,
    state=ReservationState.COMMITTED,
    order_state="partially_fulfilled",
    baseline_shipped=1,
    baseline_written_off=1,
    sku="candle-lav",
    pack=6,
    field=FIELD,
    bill=2,
    sent=True,
)
HOLD = Hold(
    id=7,
    key="hold key",
    lines=(HoldLine("wick", 3), HoldLine("candle-lav", QUANTITY_MAX, 2)),
    placed_at=at(21),
    until=at(9000),
    state=HoldState.HELD,
    actor="anna",
    note="for the market · größe",
    reason="they asked",
    pool="market größe",
)
MOVEMENT = StockMovement(
    at=at(30),
    sku="candle-lav",
    quantity=-7,
    kind=MovementKind.BUILD_OUT,
    cause="cmd key-1",
    actor="anna",
    location="workshop",
    reason="a batch",
    undoes=None,
    lot="A 12",
    owed=(Owed(2, -QUANTITY_MAX, "market größe"), Owed(3, 7)),
)
DIRTY = Dirty(FIELD, revision=6, due_at=at(40), decrease=True, attempts=2, because="sale")
PUSH = Push(
    call_id="call-1",
    position=3,
    field=FIELD,
    expected=-5,
    target=7,
    revision=6,
    sent_at=at(50),
    terms=(("on hand", 9), ("reserved", -2)),
)
DELIVERY = Delivery(
    channel="my-shopify",
    digest="d" * 64,
    topic="orders/edited",
    received_at=at(60),
    state=DeliveryState.PENDING,
    reason="a hint",
    order_id="5001",
    body=b"\x00\xffsealed",
)
DRIFT = Drift(
    field=FIELD,
    expected=5,
    observed=-4,
    drift_class=DriftClass.UNSEEN_SALE,
    opened_at=at(70),
    resolution="held",
)
CHANNEL = ChannelState(
    name="my-shopify",
    started_date=at(80),
    cursor="2026-11-22T12:00:00Z",
    polled_begun_at=at(81),
    previous_poll_begun_at=at(82),
    last_order_at=at(83),
    health=Health.NEEDS_LOGIN,
    health_reason="credentials",
    heard=(HeardBy("webhook", 0.5, 2.25, 7),),
)
CREDENTIAL = Credential("my-etsy", 1, b"\x01sealed\x00", "origin-1", at(60))
COMMAND = CommandDone("key-1", "digest-1", at(90))

EVERYTHING = Decision(
    items=(ITEM, WAX, WICK),
    bills=(BILL,),
    older_bills=(OLDER_BILL,),
    listings=(LISTING,),
    locations=(LOCATION,),
    feeds=(FEED,),
    lots=(LOT,),
    shelves=(SHELF,),
    fields=(FIELD_ROW,),
    reservations=(RESERVATION,),
    holds=(HOLD,),
    movements=(MOVEMENT,),
    dirty=(DIRTY,),
    pushes=(PUSH,),
    deliveries=(DELIVERY,),
    drifts=(DRIFT,),
    channels=(CHANNEL,),
    commands=(COMMAND,),
)
"""Every kind of row at once."""

SETTLED = (at(51), PushOutcomeKind.APPLIED)


def at_default(value: Any, *, but: frozenset[str] = frozenset()) -> list[str]:
    """Return the fields of a dataclass value that are at their default, `but` some."""
    return [
        field.name
        for field in fields(value)
        if field.name not in but
        and field.default is not MISSING
        and getattr(value, field.name) == field.default
    ]
