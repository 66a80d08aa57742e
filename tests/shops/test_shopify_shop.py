"""The emulated Shopify shop refuses and does what the real one does."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from stockpush.connectors.shopify import operations
from stockpush.sim.shops.base import ConnectionDropped, ShopRequest, SoldOut
from stockpush.sim.shops.shopify.outbox import ATTEMPTS_MAX, RETRY_GAPS_S
from tests.connectors.shopify_world import LOCATION, TOKEN, World, needs_schema, world

CHECKED = [False, pytest.param(True, marks=needs_schema)]


def ask(
    w: World,
    operation: operations.Operation | None,
    variables,
    *,
    document=None,
    token=TOKEN,
    path=operations.PATH,
):
    """Send one request; return (status, body)."""
    name = operation.name if operation else "SetQuantities"
    body = {
        "operationName": name,
        "query": document or operation.document,
        "variables": variables,
    }
    request = ShopRequest(
        "POST", path, headers={"x-shopify-access-token": token}, body=msgspec.json.encode(body)
    )
    answer = w.shop.handle(request)
    return answer.status, json.loads(answer.body)


def entry(w: World, listing: str, **change) -> dict:
    """Return one entry of a write that would succeed, changed."""
    variant = w.shop.variants[int(listing)]
    good = {
        "inventoryItemId": f"gid://shopify/InventoryItem/{variant.item_id}",
        "locationId": f"gid://shopify/Location/{LOCATION}",
        "quantity": 9,
        "changeFromQuantity": variant.levels[LOCATION].available,
    }
    merged = {**good, **change}
    return {key: value for key, value in merged.items() if value is not ...}


def write(w: World, entries, *, key="k", document=None, **change):
    """Write entries; return the user errors as (code, field), or the request's error."""
    given = {"name": "available", "reason": "correction", "quantities": entries, **change}
    status, body = ask(
        w, operations.SET_QUANTITIES, {"input": given, "key": key}, document=document
    )
    assert status == 200
    if "errors" in body:
        return body["errors"][0]["message"]
    errors = body["data"]["inventorySetQuantities"]["userErrors"]
    return [(error["code"], error["field"]) for error in errors]


# -- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize("checked", CHECKED)
def test_a_write_without_a_key_is_refused(checked: bool) -> None:
    """No @idempotent, or a blank key: refused at run time, though the schema allows it."""
    w = world(checked=checked)
    a = w.sell("A", 5)
    without = operations.SET_QUANTITIES.document.replace("@idempotent(key: $key)", "")
    without = without.replace(", $key: String!", "")
    assert "idempotent" in write(w, [entry(w, a)], document=without)
    assert "blank" in write(w, [entry(w, a)], key="  ")
    assert w.shop.quantity(a) == 5


@pytest.mark.parametrize("checked", CHECKED)
def test_the_compared_value_must_be_explicit(checked: bool) -> None:
    """An absent changeFromQuantity is an error; null skips the compare; a wrong number is stale."""
    w = world(checked=checked)
    a = w.sell("A", 5)
    assert "changeFromQuantity" in write(w, [entry(w, a, changeFromQuantity=...)])
    assert w.shop.quantity(a) == 5
    path = ["input", "quantities", "0", "changeFromQuantity"]
    assert write(w, [entry(w, a, changeFromQuantity=4)], key="l") == [
        ("CHANGE_FROM_QUANTITY_STALE", path)
    ]
    assert write(w, [entry(w, a, changeFromQuantity=None)], key="m") == []
    assert w.shop.quantity(a) == 9


def test_a_write_is_all_or_nothing() -> None:
    """One stale entry, named by its index, and nothing of the call is applied."""
    w = world()
    a, b = w.sell("A", 5), w.sell("B", 5)
    errors = write(w, [entry(w, a), entry(w, b, changeFromQuantity=1)])
    assert [field[2] for _, field in errors] == ["1"]
    assert (w.shop.quantity(a), w.shop.quantity(b)) == (5, 5)


@pytest.mark.parametrize("checked", CHECKED)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": -1}, "INVALID_QUANTITY_NEGATIVE"),
        ({"quantity": 10**9 + 1}, "INVALID_QUANTITY_TOO_HIGH"),
        ({"inventoryItemId": "gid://shopify/InventoryItem/1"}, "INVALID_INVENTORY_ITEM"),
        ({"inventoryItemId": "1"}, "INVALID_INVENTORY_ITEM"),
        ({"locationId": "gid://shopify/Location/5"}, "INVALID_LOCATION"),
    ],
)
def test_a_wrong_entry_is_refused(change, code: str, checked: bool) -> None:
    """Each impossible entry has its code and its index."""
    w = world(checked=checked)
    ((found, field),) = write(w, [entry(w, w.sell("A", 5), **change)])
    assert (found, field[:3]) == (code, ["input", "quantities", "0"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "committed"}, "INVALID_NAME"),
        ({"reason": " "}, "INVALID_REASON"),
        ({"referenceDocumentUri": "nonsense"}, "INVALID_REFERENCE_DOCUMENT"),
    ],
)
def test_a_wrong_call_is_refused(change, code: str) -> None:
    """What is wrong with the call as a whole names no entry."""
    w = world()
    ((found, field),) = write(w, [entry(w, w.sell("A", 5))], **change)
    assert (found, len(field)) == (code, 2)


def test_bundles_duplicates_and_too_many_are_refused() -> None:
    """A bundle cannot be set; a pair stands once in a call; an array holds 250 entries."""
    w = world()
    a, bundle = w.sell("A", 5), w.sell("B", 5, bundle=True)
    assert write(w, [entry(w, bundle)])[0][0] == "NON_MUTABLE_INVENTORY_ITEM"
    assert write(w, [entry(w, a)] * 2, key="l")[0][0] == (
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"
    )
    assert "250" in write(w, [entry(w, a)] * 251, key="m")
    status, body = ask(
        w,
        operations.LEVELS,
        {"ids": ["gid://shopify/Product/1"] * 251, "location": "gid://shopify/Location/1"},
    )
    assert (status, "250" in body["errors"][0]["message"]) == (200, True)


def test_on_hand_counts_what_is_committed() -> None:
    """A write to on_hand compares and sets available plus committed."""
    w = world()
    a = w.sell("A", 5)
    w.shop.checkout([(a, 2)])
    assert write(w, [entry(w, a, changeFromQuantity=5, quantity=9)], name="on_hand") == []
    assert w.shop.quantity(a) == 7


def test_a_key_is_remembered_for_a_day() -> None:
    """Same key, same variables: answered, not applied; other variables: mismatch; a failed one:
    a new key is asked for; after a day the key is new.
    """
    w = world()
    a = w.sell("A", 5)
    first = [entry(w, a)]
    assert write(w, first) == []
    w.shop.checkout([(a, 1)])
    assert write(w, first) == []
    assert w.shop.quantity(a) == 8
    other = [entry(w, a, quantity=3)]
    assert write(w, other)[0] == ("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None)
    stale = [entry(w, a, changeFromQuantity=1)]
    assert write(w, stale, key="l")[0][0] == "CHANGE_FROM_QUANTITY_STALE"
    assert write(w, stale, key="l")[0] == ("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", None)
    w.hands.move(timedelta(hours=24).total_seconds())
    assert write(w, other) == []
    assert w.shop.quantity(a) == 3


def test_a_wrong_door_is_shut() -> None:
    """Wrong token 401, wrong version 404, not GraphQL 400; a Date by the shop's clock always."""
    w = world()
    w.sell("A", 5)
    assert ask(w, operations.ORDER_VERSION, {"id": "x"}, token="wrong")[0] == 401
    assert ask(w, operations.ORDER_VERSION, {"id": "x"}, path="/admin/api/2025-01/x")[0] == 404
    answer = w.shop.handle(ShopRequest("POST", operations.PATH, body=b"{"))
    assert (answer.status, answer.headers["date"]) == (400, "Sun, 22 Nov 2026 10:00:00 GMT")
    assert w.shop.handle(ShopRequest("GET", operations.PATH)).status == 405


@needs_schema
@pytest.mark.parametrize(
    ("document", "variables", "complaint"),
    [
        ("query Levels {", {}, "Syntax"),
        ("query Levels { nodes }", {}, "ids"),
        ("query Levels { nodes(ids: []) { colour } }", {}, "colour"),
        ("query Other { shop { id } }", {}, "Levels"),
        (operations.LEVELS.document, {"ids": ["x"]}, "location"),
        (operations.LEVELS.document, {"ids": 5.5, "location": "x"}, "ids"),
    ],
)
def test_the_schema_is_enforced(document: str, variables, complaint: str) -> None:
    """Given the schema, documents and variables that do not fit are refused."""
    w = world(checked=True)
    _, body = ask(w, operations.LEVELS, variables, document=document)
    assert complaint in body["errors"][0]["message"]


def test_what_it_does_not_emulate_it_refuses() -> None:
    """An operation, a search or a page that the shop does not know is an error, never a guess."""
    w = world()
    orders = {"query": "name:1", "first": 5, "lines": 1}
    for operation, variables in (
        (operations.Operation("Teleport", "query Teleport { shop { id } }", 1), {}),
        (operations.ORDERS, orders),
        (operations.ORDERS, {**orders, "query": "status:open", "first": 251}),
        (operations.ORDERS, {**orders, "query": "status:open", "after": "nonsense"}),
    ):
        assert "errors" in ask(w, operation, variables)[1]


# -- stock and orders -----------------------------------------------------------------------------


def test_a_checkout_commits_and_a_shipment_takes() -> None:
    """From available to committed at checkout, off committed when shipped."""
    w = world()
    a = w.sell("A", 5)
    level = w.shop.variants[int(a)].levels[LOCATION]
    order_id = w.shop.checkout([(a, 2)])
    assert (level.available, level.committed) == (3, 2)
    w.shop.ship(order_id)
    assert (level.available, level.committed) == (3, 0)


def test_sold_out_is_refused_whole() -> None:
    """More than is there, also over two lines, and nothing is sold; CONTINUE sells."""
    w = world()
    a, b = w.sell("A", 3), w.sell("B", 1, policy="CONTINUE")
    with pytest.raises(SoldOut):
        w.shop.checkout([(b, 1), (a, 2), (a, 2)])
    assert (w.shop.quantity(a), w.shop.quantity(b)) == (3, 1)
    w.shop.checkout([(b, 4)])
    assert w.shop.quantity(b) == -3


@pytest.mark.parametrize(
    ("act", "available", "committed", "restocks"),
    [
        (lambda s, o, a: s.cancel(o), 10, 0, ["cancel"]),
        (lambda s, o, a: s.cancel(o, restock=False), 6, 0, ["no_restock"]),
        (lambda s, o, a: s.refund(o, a, 1, restock=True), 7, 3, ["cancel"]),
        (lambda s, o, a: s.refund(o, a, 1, restock=False), 6, 3, ["no_restock"]),
        (lambda s, o, a: s.edit(o, a, 1), 9, 1, ["cancel"]),
        (lambda s, o, a: s.edit(o, a, 6), 4, 6, []),
        (lambda s, o, a: (s.ship(o), s.refund(o, a, 1, restock=True)), 7, 0, ["return"]),
        (lambda s, o, a: (s.ship(o), s.refund(o, a, 1, restock=False)), 6, 0, ["no_restock"]),
        (
            lambda s, o, a: (s.ship_units(o, [(a, 3)]), s.refund(o, a, 2, restock=True)),
            8,
            0,
            ["cancel", "return"],
        ),
    ],
)
def test_what_the_merchant_does_moves_stock(act, available, committed, restocks) -> None:
    """Four of ten are ordered; each act moves available and committed, and records its restocks."""
    w = world()
    a = w.sell("A", 10)
    order_id = w.shop.checkout([(a, 4)])
    act(w.shop, order_id, a)
    level = w.shop.variants[int(a)].levels[LOCATION]
    assert (level.available, level.committed) == (available, committed)
    order = w.shop.book.orders[int(order_id)]
    assert [units.restock_type for refund in order.refunds for units in refund.units] == restocks


def test_instants_are_whole_seconds() -> None:
    """Two acts in one second leave one updated_at: ties happen."""
    w = world()
    a = w.sell("A", 10)
    order_id = w.shop.checkout([(a, 4)])
    order = w.shop.book.orders[int(order_id)]
    first = order.updated_at
    w.hands.move(0.3)
    w.shop.refund(order_id, a, 1, restock=True)
    assert order.updated_at == first == first.replace(microsecond=0)


# -- webhooks -------------------------------------------------------------------------------


def test_each_act_tells_its_topics() -> None:
    """Which webhooks each act sends, in order."""
    w = world()
    a = w.sell("A", 10)

    def topics() -> list[str]:
        return [request.headers["x-shopify-topic"] for request in w.deliveries()]

    order_id = w.shop.checkout([(a, 4)])
    assert topics() == ["orders/create", "inventory_levels/update"]
    w.shop.edit(order_id, a, 3)
    assert topics() == ["orders/edited", "orders/updated", "inventory_levels/update"]
    w.shop.refund(order_id, a, 1, restock=False)
    assert topics() == ["refunds/create", "orders/updated"]
    w.shop.cancel(order_id)
    assert topics() == [
        "orders/cancelled",
        "orders/updated",
        "refunds/create",
        "inventory_levels/update",
    ]
    w.shop.merchant_sets(a, 7)
    assert topics() == ["inventory_levels/update"]
    assert write(w, [entry(w, a)]) == []
    assert topics() == ["inventory_levels/update"]


def test_every_delivery_is_signed_and_names_itself() -> None:
    """The headers of a delivery, and a signature that the connector accepts."""
    w = world()
    w.shop.checkout([(w.sell("A", 5), 1)])
    first, second = w.deliveries()
    for request in (first, second):
        w.connector.verify(request)
        assert request.headers["x-shopify-api-version"] == "2026-10"
        assert request.headers["x-shopify-triggered-at"] == "2026-11-22T10:00:00Z"
    assert first.headers["x-shopify-webhook-id"] != second.headers["x-shopify-webhook-id"]


def test_a_failed_delivery_is_retried_with_its_first_body() -> None:
    """Eight attempts over four hours carry the original body, whatever happened meanwhile; then
    the subscription is gone.
    """
    w = world()
    w.shop.outbox.subscriptions = [
        each for each in w.shop.outbox.subscriptions if each.topic == "orders/create"
    ]
    a = w.sell("A", 5)
    begun = w.hands()
    order_id = w.shop.checkout([(a, 2)])
    w.shop.cancel(order_id)
    bodies, attempts = set(), []
    while (due := w.shop.next_webhook_at()) is not None:
        w.hands.now = max(due, w.hands())
        for out in w.shop.webhooks_due():
            bodies.add(out.body)
            attempts.append(out.attempt)
            w.shop.webhook_answered(out, None if out.attempt % 2 else 500)
    assert attempts == list(range(1, ATTEMPTS_MAX + 1))
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["cancelled_at"] is None
    assert timedelta(hours=4) - timedelta(seconds=1) <= w.hands() - begun <= timedelta(hours=4)
    assert sum(RETRY_GAPS_S) == 4 * 3600
    assert w.shop.outbox.subscriptions == []


def test_a_good_answer_ends_the_failures() -> None:
    """Failures are counted in a row: a 2xx in between keeps the subscription."""
    w = world()
    w.shop.outbox.subscriptions = w.shop.outbox.subscriptions[:1]
    a = w.sell("A", 50)
    for sale in range(ATTEMPTS_MAX + 3):
        w.shop.checkout([(a, 1)])
        (out,) = w.shop.webhooks_due()
        w.shop.webhook_answered(out, 503 if sale % 2 == 0 else 200)
        w.shop.outbox.queued.clear()
    assert len(w.shop.outbox.subscriptions) == 1


@pytest.mark.parametrize(
    ("fault", "value", "expected"),
    [
        ("webhook_drop", 1.0, 0),
        ("webhook_duplicate", 1.0, 4),
        ("webhook_delay_s", 60.0, 0),
        ("webhook_reorder", 1.0, 2),
    ],
)
def test_webhook_faults_strike(fault: str, value: float, expected: int) -> None:
    """Dropped, doubled, late or overtaken deliveries, as switched on."""
    w = world()
    setattr(w.shop.faults, fault, value)
    w.shop.checkout([(w.sell("A", 5), 1)])
    topics = [request.headers["x-shopify-topic"] for request in w.deliveries()]
    assert len(topics) == expected
    if fault == "webhook_delay_s":
        w.hands.move(60)
        assert len(w.deliveries()) == 2
    if fault == "webhook_reorder":
        assert topics == ["inventory_levels/update", "orders/create"]


# -- request faults and the bucket ---------------------------------------------------------------


def test_dropped_before_and_after() -> None:
    """A connection dropped before does nothing, after has done it; both were received."""
    w = world()
    a = w.sell("A", 5)
    w.shop.faults.only_writes = True
    w.shop.faults.drop_before_next = 1
    with pytest.raises(ConnectionDropped) as caught:
        write(w, [entry(w, a)])
    assert (caught.value.applied, w.shop.quantity(a)) == (False, 5)
    assert "data" in ask(w, operations.ORDER_VERSION, {"id": "gid://shopify/Order/1"})[1]
    w.shop.faults.drop_after_next = 1
    with pytest.raises(ConnectionDropped) as caught:
        write(w, [entry(w, a)])
    assert (caught.value.applied, w.shop.quantity(a)) == (True, 9)
    assert w.shop.faults.writes_seen == ["SetQuantities k", "SetQuantities k"]


def test_dice_make_faults_repeatable() -> None:
    """Probabilities are drawn from the shop's dice: the same seed gives the same faults."""
    runs = []
    for _ in range(2):
        w = world()
        w.shop.faults.server_error = 0.5
        version = (operations.ORDER_VERSION, {"id": "gid://shopify/Order/1"})
        statuses = []
        for _ in range(20):
            body = msgspec.json.encode(
                {"operationName": version[0].name, "query": "", "variables": version[1]}
            )
            headers = {"x-shopify-access-token": TOKEN}
            request = ShopRequest("POST", operations.PATH, headers=headers, body=body)
            statuses.append(w.shop.handle(request).status)
        runs.append(statuses)
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 502}


def test_the_bucket_empties_and_refills() -> None:
    """Points are taken, told in every answer, and come back with the shop's clock."""
    w = world(points_max=25.0, points_per_s=10.0)
    a = w.sell("A", 5)
    for n, key in enumerate(("k1", "k2")):
        assert write(w, [entry(w, a, quantity=n)], key=key) == []
    assert write(w, [entry(w, a)], key="k3") == "Throttled"
    w.hands.move(0.5)
    assert write(w, [entry(w, a)], key="k3") == []
    variables = {"id": "gid://shopify/Order/1"}
    w.hands.move(100)
    _, body = ask(w, operations.ORDER_VERSION, variables)
    status = body["extensions"]["cost"]["throttleStatus"]
    assert status == {"maximumAvailable": 25.0, "currentlyAvailable": 24.0, "restoreRate": 10.0}
