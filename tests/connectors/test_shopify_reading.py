"""Reading Shopify: which field a listing goes by, what it holds, and orders by poll.

Which trap of the platform is met by which test: test_shopify_traps.py.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from stockpush.connectors.base import Answer
from stockpush.connectors.shopify import levels
from stockpush.connectors.shopify.graphql import RESERVE_POINTS
from stockpush.connectors.shopify.polling import PAGE_ORDERS
from stockpush.errors import (
    AuthFailed,
    CatalogueInvalid,
    ChannelUnavailable,
    ConfigInvalid,
    PayloadInvalid,
    RateLimited,
)
from stockpush.messages import OrderSeen
from stockpush.model import FieldKey, Listing, ListingKey
from stockpush.sim.shops.shopify.state import Level
from tests.connectors.hands import BEGUN
from tests.connectors.shopify_world import LOCATION, World, connector, needs_schema, settings, world

CHECKED = [False, pytest.param(True, marks=needs_schema)]

# -- settings and references ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shop": ""}, "shop"),
        ({"shop": "not a host"}, "shop"),
        ({"location": "gid://shopify/Product/1"}, "location"),
        ({"location": "0"}, "location"),
        ({"access_token": " "}, "access_token"),
        ({"access_token": "tok\nen"}, "access_token"),
        ({"webhook_secret": ""}, "webhook_secret"),
        ({"webhook_secret_previous": ""}, "webhook_secret_previous"),
        ({"base_url": "http://shop.example"}, "base_url"),
        ({"base_url": "https://user:pw@shop.example"}, "base_url"),
        ({"base_url": "ftp://127.0.0.1"}, "base_url"),
        ({"base_url": "https://[::1"}, "base_url"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named(change, field: str) -> None:
    """Each mistake is ConfigInvalid naming the setting, and repeats no secret."""
    with pytest.raises(ConfigInvalid) as caught:
        connector(**change)
    assert caught.value.field == field
    assert "pw" not in str(caught.value.as_json())


def test_a_missing_setting_is_named() -> None:
    """A setting that is not there at all is named as well."""
    made = connector()
    for name in ("shop", "access_token", "webhook_secret"):
        given = {key: value for key, value in settings().items() if key != name}
        with pytest.raises(ConfigInvalid) as caught:
            type(made)("s", made.manifest, levels_settings(given))
        assert caught.value.field == name


def levels_settings(given):
    """Read settings through the module that checks them."""
    from stockpush.connectors.shopify.settings import read_settings

    return read_settings(given)


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ({}, "https://demo.myshopify.com"),
        ({"base_url": "http://127.0.0.1:8123/"}, "http://127.0.0.1:8123"),
        ({"base_url": "http://[::1]:8123"}, "http://[::1]:8123"),
        ({"base_url": "https://proxy.example/shop"}, "https://proxy.example/shop"),
    ],
)
def test_the_root_is_https_or_loopback(given, root: str) -> None:
    """The API root is the shop's own, or another one that a token may be sent to."""
    made = connector(**given)
    assert made.base_url() == root
    assert "shpat" not in repr(made)
    assert made.auth_headers() == {"x-shopify-access-token": settings()["access_token"]}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"variant_id": 808950810}, "variant/808950810"),
        ({"variant_id": "808950810"}, "variant/808950810"),
        ({"variant_id": "gid://shopify/ProductVariant/808950810"}, "variant/808950810"),
        ({"inventory_item_id": "gid://shopify/InventoryItem/7"}, "item/7"),
        ({"inventory_item_id": 7, "variant_id": 9007199254740993}, "variant/9007199254740993"),
    ],
)
def test_a_reference_is_ids_only(given, key: str) -> None:
    """Numbers and global ids of the right kind are one reference; SKUs are none."""
    assert connector().ref(given) == key


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "variant_id"),
        ({"sku": "A"}, "sku"),
        ({"variant_id": "gid://shopify/InventoryItem/7"}, "variant_id"),
        ({"variant_id": 7.0}, "variant_id"),
        ({"variant_id": True}, "variant_id"),
        ({"variant_id": None}, "variant_id"),
        ({"inventory_item_id": -1}, "inventory_item_id"),
        ({"inventory_item_id": "9" * 30}, "inventory_item_id"),
    ],
)
def test_a_wrong_reference_is_named(given, field: str) -> None:
    """Anything else is CatalogueInvalid naming the field."""
    with pytest.raises(CatalogueInvalid) as caught:
        connector().ref(given)
    assert caught.value.field == field


# -- resolve and observe -------------------------------------------------------------------------


def listing(w: World, **ref) -> Listing:
    """Make a mapped listing."""
    return Listing(ListingKey("s", w.connector.ref(ref)), "SKU", ref=ref)


@pytest.mark.parametrize("checked", CHECKED)
async def test_a_listing_is_resolved_by_variant_or_item(checked: bool) -> None:
    """Either reference leads to the variant (order key) and its inventory item (field key)."""
    w = world(checked=checked)
    a = w.sell("A", 5)
    item = w.shop.variants[int(a)].item_id
    refs = [
        {"variant_id": a},
        {"inventory_item_id": item},
        {"variant_id": a, "inventory_item_id": item},
    ]
    resolved = await w.connector.resolve(w.api, [listing(w, **ref) for ref in refs])
    assert [(each.order_key, each.field_key, each.problem) for each in resolved] == [
        (a, str(item), None)
    ] * 3


@pytest.mark.parametrize("checked", CHECKED)
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"tracked": False}, levels.NOT_TRACKED),
        ({"policy": "CONTINUE"}, levels.CONTINUES),
        ({"bundle": True}, levels.BUNDLE),
        ({"stocked": False}, levels.NOT_STOCKED),
    ],
)
async def test_a_problem_is_told_in_words(how, problem: str, checked: bool) -> None:
    """What makes the number useless is told, with what to do, whichever way it is referred to."""
    w = world(checked=checked)
    a = w.sell("A", 5, **how)
    item = w.shop.variants[int(a)].item_id
    resolved = await w.connector.resolve(
        w.api, [listing(w, variant_id=a), listing(w, inventory_item_id=item)]
    )
    assert [each.problem for each in resolved] == [problem, problem]


@pytest.mark.parametrize("checked", CHECKED)
async def test_what_is_gone_or_wrong_is_told(checked: bool) -> None:
    """An unknown id, an id of another kind of thing, and two ids that do not belong together."""
    w = world(checked=checked)
    a, b = w.sell("A", 5), w.sell("B", 5)
    of_b = w.shop.variants[int(b)].item_id
    resolved = await w.connector.resolve(
        w.api,
        [
            listing(w, variant_id=1),
            listing(w, inventory_item_id=1),
            listing(w, variant_id=a, inventory_item_id=of_b),
        ],
    )
    assert [each.problem for each in resolved] == [levels.GONE, levels.GONE, levels.OTHER_ITEM]


async def test_an_item_of_several_variants_is_a_problem() -> None:
    """An inventory item that serves two variants does not say which one a listing is."""
    w = world()
    a = w.sell("A", 5)
    item = w.shop.variants[int(a)].item_id
    b = w.sell("B", 0, item_id=item)
    by_item, by_variant = await w.connector.resolve(
        w.api, [listing(w, inventory_item_id=item), listing(w, variant_id=b)]
    )
    assert by_item.problem == levels.SHARED
    assert (by_variant.problem, by_variant.field_key) == (None, str(item))


async def test_a_wrong_location_is_a_problem_of_every_listing() -> None:
    """If the configured location does not exist, each listing says so."""
    w = world()
    a = w.sell("A", 5)
    lost = connector(location="5")
    (resolved,) = await lost.resolve(w.api, [listing(w, variant_id=a)])
    assert resolved.problem == levels.NO_LOCATION


async def test_many_listings_are_resolved_in_several_requests() -> None:
    """More listings than one request takes are asked for in turn, one answer each, in order."""
    w = world()
    many = [w.sell(f"S{i}", 1) for i in range(levels.RESOLVE_MAX + 3)]
    resolved = await w.connector.resolve(w.api, [listing(w, variant_id=each) for each in many])
    assert [each.order_key for each in resolved] == many
    assert w.shop.door.asked == ["Listings", "Listings"]


@pytest.mark.parametrize("checked", CHECKED)
async def test_observe_reads_one_number_per_field(checked: bool) -> None:
    """One request reads all fields, in order, with the channel's clock; useless ones say why."""
    w = world(checked=checked)
    good, untracked = w.sell("A", 5), w.sell("B", 7, tracked=False)
    unstocked = w.sell("C", 7, stocked=False)
    fields = [w.field(good), w.field(untracked), w.field(unstocked), FieldKey("s", "1")]
    readings = await w.connector.observe(w.api, fields)
    assert readings.date == BEGUN.replace(microsecond=0)
    assert [reading.field for reading in readings.readings] == fields
    assert [(reading.quantity, reading.problem) for reading in readings.readings] == [
        (5, None),
        (None, levels.NOT_TRACKED),
        (None, levels.NOT_STOCKED),
        (None, levels.GONE),
    ]
    assert w.shop.door.asked == ["Levels"]


async def test_observing_nothing_asks_nothing() -> None:
    """No fields: no request."""
    w = world()
    assert (await w.connector.observe(w.api, [])).readings == ()
    assert w.api.sent == []


async def test_only_our_location_counts() -> None:
    """Units at another location are neither read nor written."""
    w = world(other_locations=(77,))
    a = w.sell("A", 5)
    w.shop.variants[int(a)].levels[77] = Level(100)
    (reading,) = (await w.connector.observe(w.api, [w.field(a)])).readings
    assert reading.quantity == 5
    await w.connector.push(w.api, [w.line(a, expected=5, target=6)], call_id="c")
    assert w.shop.variants[int(a)].levels[77].available == 100
    assert w.shop.variants[int(a)].levels[LOCATION].available == 6


async def test_a_negative_number_is_read_as_it_is() -> None:
    """An oversold field is negative; it can be compared with and set back to zero."""
    w = world()
    a = w.sell("A", -2)
    (reading,) = (await w.connector.observe(w.api, [w.field(a)])).readings
    assert reading.quantity == -2
    (outcome,) = await w.connector.push(w.api, [w.line(a, expected=-2, target=0)], call_id="c")
    assert outcome.kind == "applied"


async def test_the_largest_reading_is_one_request() -> None:
    """`read_max` fields fit into one request."""
    w = world()
    fields = [w.field(w.sell(f"S{i}", i)) for i in range(w.connector.manifest.read_max)]
    readings = await w.connector.observe(w.api, fields)
    assert [reading.quantity for reading in readings.readings] == list(range(len(fields)))
    assert w.shop.door.asked == ["Levels"]


# -- the poll --------------------------------------------------------------------------------------


async def poll(w: World, since: str | None, *, fetch: int = 1):
    """Poll to the end; return (orders by id, new cursor, pages)."""
    pages = [page async for page in w.connector.poll_orders(w.api, since=since, fetch=fetch)]
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    orders = {seen.order_id: seen for page in pages for seen in page.orders}
    return orders, pages[-1].cursor, pages


@pytest.mark.parametrize("checked", CHECKED)
async def test_the_first_poll_reads_open_orders_of_any_age(checked: bool) -> None:
    """Open orders count however old they are; closed ones only if they changed just now."""
    w = world(checked=checked)
    a = w.sell("A", 50)
    old_open, old_shipped = w.shop.checkout([(a, 1)]), w.shop.checkout([(a, 1)])
    w.shop.ship(old_shipped)
    w.hands.move(90 * 86400)
    new_shipped = w.shop.checkout([(a, 1)])
    w.shop.ship(new_shipped)
    orders, cursor, _ = await poll(w, None, fetch=4)
    assert set(orders) == {old_open, new_shipped}
    assert {seen.version.fetch for seen in orders.values()} == {4}
    assert cursor == w.hands().replace(microsecond=0).isoformat()


async def test_an_order_closed_during_the_first_poll_is_seen() -> None:
    """An order that ships while the open ones are paged is found among the recent ones."""
    w = world()
    a = w.sell("A", 500)
    ids = [w.shop.checkout([(a, 1)]) for _ in range(PAGE_ORDERS + 5)]
    seen: dict[str, OrderSeen] = {}
    last = ids[-1]
    async for page in w.connector.poll_orders(w.api, since=None, fetch=1):
        seen |= {order.order_id: order for order in page.orders}
        if len(w.shop.door.asked) == 1:
            w.hands.move(1)
            w.shop.ship(last)
    assert set(seen) == set(ids)
    assert (seen[last].lines[0].open, seen[last].lines[0].shipped) == (0, 1)


@pytest.mark.parametrize("checked", CHECKED)
async def test_ties_and_shifting_pages_lose_nothing(checked: bool) -> None:
    """Many orders of one second over several pages, some updated while paging: all are seen."""
    w = world(checked=checked)
    a = w.sell("A", 500)
    ids = [w.shop.checkout([(a, 1)]) for _ in range(PAGE_ORDERS * 3)]
    start = w.hands().replace(microsecond=0).isoformat()
    seen: dict[str, OrderSeen] = {}
    async for page in w.connector.poll_orders(w.api, since=start, fetch=1):
        seen |= {order.order_id: order for order in page.orders}
        if not page.last and len(seen) == PAGE_ORDERS:
            w.hands.move(2)
            for moved in ids[:3]:
                w.shop.refund(moved, a, 1, restock=True)
    assert set(seen) == set(ids)
    assert all(seen[moved].lines[0].deducted == 0 for moved in ids[:3])


async def test_the_cursor_is_the_newest_update_seen() -> None:
    """A complete poll goes on from the newest update it saw, by the channel's clock."""
    w = world()
    a = w.sell("A", 50)
    w.shop.checkout([(a, 1)])
    _, cursor, _ = await poll(w, None)
    w.hands.move(100)
    second = w.shop.checkout([(a, 1)])
    updated = w.hands().replace(microsecond=0)
    w.hands.move(50)
    orders, cursor, _ = await poll(w, cursor)
    assert second in orders
    assert cursor == updated.isoformat()


async def test_the_overlap_is_subtracted() -> None:
    """A poll looks back by the manifest's overlap, to the second, and no further."""
    w = world()
    a = w.sell("A", 50)
    overlap = w.connector.manifest.poll_overlap_s
    too_old = w.shop.checkout([(a, 1)])
    w.hands.move(1)
    just_in = w.shop.checkout([(a, 1)])
    since = (w.hands() + timedelta(seconds=overlap)).replace(microsecond=0)
    w.hands.move(2 * overlap)
    orders, _, _ = await poll(w, since.isoformat())
    assert set(orders) == {just_in}
    assert too_old not in orders


@pytest.mark.parametrize("first", [True, False])
async def test_an_empty_poll_never_moves_to_our_now(first: bool) -> None:
    """Nothing changed: the cursor stays, or starts an overlap before the channel's own Date."""
    w = world()
    overlap = timedelta(seconds=w.connector.manifest.poll_overlap_s)
    given = None if first else "2026-11-20T00:00:00+00:00"
    orders, cursor, _ = await poll(w, given)
    assert orders == {}
    expected = (BEGUN.replace(microsecond=0) - overlap).isoformat() if first else given
    assert cursor == expected


async def test_a_channel_without_a_clock_starts_from_the_beginning_again() -> None:
    """No Date header at the first poll: there is no cursor, and nothing was skipped."""
    w = world()
    order_id = w.shop.checkout([(w.sell("A", 5), 1)])
    send = w.api.send

    class Dateless:
        async def send(self, *args, **kwargs) -> Answer:
            answer = await send(*args, **kwargs)
            return Answer(answer.status, answer.headers, answer.body, None)

        def pause(self, seconds: float) -> None:
            w.api.pause(seconds)

    pages = [page async for page in w.connector.poll_orders(Dateless(), since=None, fetch=1)]
    assert (pages[-1].last, pages[-1].cursor) == (True, None)
    assert [seen.order_id for page in pages for seen in page.orders] == [order_id]


async def test_what_changes_behind_a_page_that_was_read_is_left_to_the_next_poll() -> None:
    """A change on a later page is newer than one on an earlier page that nobody has seen: the
    cursor stays before both.
    """
    w = world()
    a = w.sell("A", 90)
    placed = [w.shop.checkout([(a, 1)]) for _ in range(PAGE_ORDERS + 5)]
    begun = w.hands().replace(microsecond=0)
    handle = w.shop.door.handlers["Orders"]
    first: list[str] = []

    def changing(variables):
        if variables["after"] is not None:
            w.hands.move(3600)
            w.shop.cancel(first[0], restock=True)
            w.hands.move(3600)
            w.shop.cancel(next(each for each in placed if each not in first), restock=True)
        data = handle(variables)
        first.extend(node["id"].rpartition("/")[2] for node in data["orders"]["nodes"])
        return data

    w.shop.door.handlers = {**w.shop.door.handlers, "Orders": changing}
    _, cursor, _ = await poll(w, begun.isoformat())
    assert cursor == begun.isoformat()
    w.shop.door.handlers = {**w.shop.door.handlers, "Orders": handle}
    orders, _, _ = await poll(w, cursor)
    assert [line.open for line in orders[first[0]].lines] == [0]


@pytest.mark.parametrize("since", ["", "yesterday", "2026-11-22T10:00:00"])
async def test_a_cursor_that_is_not_ours_is_refused(since: str) -> None:
    """A damaged cursor is an error, never a poll from somewhere."""
    with pytest.raises(PayloadInvalid) as caught:
        await poll(world(), since)
    assert caught.value.field == "cursor"


async def test_an_unreadable_order_is_set_aside() -> None:
    """One order of the page that cannot be read is told with its id and body; the rest goes on."""
    w = world()
    a = w.sell("A", 50)
    good, bad = w.shop.checkout([(a, 1)]), w.shop.checkout([(a, 1)])
    handle = w.shop.door.handlers["Orders"]

    def spoil(variables):
        data = handle(variables)
        for node in data["orders"]["nodes"]:
            if node["id"].endswith(bad):
                node["lineItems"]["nodes"][0]["quantity"] = "two"
        return data

    w.shop.door.handlers = {**w.shop.door.handlers, "Orders": spoil}
    orders, _, pages = await poll(w, None)
    assert set(orders) == {good}
    ((order_id, reason, body, _),) = {entry for page in pages for entry in page.unreadable}
    assert order_id == bad
    assert "lineItems.nodes[0].quantity" in reason
    assert json.loads(body)["id"].endswith(bad)


async def test_an_unknown_restock_type_is_set_aside() -> None:
    """An order with a word that is not known is quarantined by the poll too."""
    w = world()
    a = w.sell("A", 50)
    order_id = w.shop.checkout([(a, 1)])
    w.shop.refund(order_id, a, 1, restock=True)
    w.shop.book.orders[int(order_id)].refunds[0].units[0].restock_type = "teleported"
    orders, _, pages = await poll(w, None)
    assert orders == {}
    assert {entry[0] for page in pages for entry in page.unreadable} == {order_id}


async def test_a_page_that_leads_nowhere_is_a_fault() -> None:
    """A next page without a new cursor ends the poll with an error instead of turning for ever."""
    w = world()
    w.shop.checkout([(w.sell("A", 5), 1)])
    handle = w.shop.door.handlers["Orders"]

    def stuck(variables):
        data = handle(variables)
        data["orders"]["pageInfo"] = {"hasNextPage": True, "endCursor": "1.1"}
        return data

    w.shop.door.handlers = {**w.shop.door.handlers, "Orders": stuck}
    with pytest.raises(PayloadInvalid, match="new cursor"):
        await poll(w, None)


async def test_a_failing_poll_has_no_last_page() -> None:
    """A poll that breaks off raises before any page says that it is complete."""
    w = world()
    a = w.sell("A", 500)
    for _ in range(PAGE_ORDERS + 1):
        w.shop.checkout([(a, 1)])
    pages = w.connector.poll_orders(w.api, since=None, fetch=1)
    assert not (await anext(pages)).last
    w.shop.faults.server_error_next = 1
    with pytest.raises(ChannelUnavailable):
        await anext(pages)


# -- faults of any call ----------------------------------------------------------------------------


async def test_a_low_bucket_pauses_the_channel() -> None:
    """When the answer shows few points left, the limiter is asked to wait for the reserve."""
    w = world()
    field = w.field(w.sell("A", 5))
    await w.connector.observe(w.api, [field])
    assert w.api.paused == []
    w.shop.door.bucket.held = 104
    await w.connector.observe(w.api, [field])
    ((pause),) = w.api.paused
    missing = RESERVE_POINTS - w.shop.door.bucket.held
    assert pause == pytest.approx(missing / 100)


async def test_throttled_names_the_wait() -> None:
    """THROTTLED at 200 is RateLimited with (price - available) / rate, and pauses the channel."""
    w = world()
    fields = [w.field(w.sell(f"S{i}", 5)) for i in range(100)]
    w.shop.door.bucket.held = 1
    with pytest.raises(RateLimited) as caught:
        await w.connector.observe(w.api, fields)
    assert caught.value.retry_after_s == pytest.approx(2.0)
    assert w.api.paused == [caught.value.retry_after_s]


class Canned:
    """A door behind which every answer is the same."""

    def __init__(self, body: object, status: int = 200) -> None:
        self.raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status

    async def send(self, *_args, **_kwargs) -> Answer:
        """Answer."""
        return Answer(self.status, {}, self.raw, datetime(2026, 11, 22, tzinfo=UTC))

    def pause(self, seconds: float) -> None:
        """Take note of a wait that is one."""
        assert seconds > 0


def failing(code: str | None, **more) -> dict:
    """Return an answer that carries one error."""
    extensions = {} if code is None else {"extensions": {"code": code}}
    return {"errors": [{"message": "no", **extensions}], **more}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (failing("THROTTLED"), 200, RateLimited),
        (failing("ACCESS_DENIED"), 200, AuthFailed),
        (failing("ACCESS_DENIED", data={"nodes": [None]}), 200, AuthFailed),
        (failing("SHOP_INACTIVE"), 200, AuthFailed),
        (failing("INTERNAL_SERVER_ERROR"), 200, ChannelUnavailable),
        (failing("MAX_COST_EXCEEDED"), 200, PayloadInvalid),
        (failing(None), 200, PayloadInvalid),
        (failing(None, data={"nodes": [None]}), 200, PayloadInvalid),
        ({"data": None}, 200, PayloadInvalid),
        ({}, 200, PayloadInvalid),
        ({"data": {"nodes": []}}, 200, PayloadInvalid),
        ({"data": {"nodes": [{"tracked": "yes"}]}}, 200, PayloadInvalid),
        ({"errors": "Not Found"}, 404, ChannelUnavailable),
        ({"errors": "Payment Required"}, 402, ChannelUnavailable),
        (b"<html>maintenance</html>", 200, PayloadInvalid),
        (b"", 200, PayloadInvalid),
    ],
)
async def test_graphql_errors_are_named(body, status: int, error) -> None:
    """Each way in which a reading fails has its one error; half an answer is none."""
    with pytest.raises(error):
        await connector().observe(Canned(body, status), [FieldKey("s", "1")])
