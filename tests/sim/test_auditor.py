"""The auditor: silent about a daemon that does right, and not deaf to one that does not.

The daemons here are scripts that write numbers through the shops' real doors.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stockpush.connectors.shopify.operations import LEVELS, SET_QUANTITIES
from stockpush.sim.accounts import ACCESS_TOKEN, CONSUMER_KEY, CONSUMER_SECRET, SHOPIFY
from stockpush.sim.auditor import WATCHED, Auditor
from stockpush.sim.auditor.languages.shopify import Shopify
from stockpush.sim.network import Change, Exchange
from stockpush.sim.shops.base import ShopRequest, SoldOut, WebhookOut
from stockpush.sim.shops.shopify import ShopifyShop
from stockpush.sim.shops.woocommerce import WooShop
from stockpush.sim.world import Listed
from tests.sim.small_world import Small

BASIC = base64.b64encode(f"{CONSUMER_KEY}:{CONSUMER_SECRET}".encode()).decode()


@dataclass
class Script:
    """A hand-driven daemon between two shops and the auditor."""

    small: Small
    auditor: Auditor
    sent: int = 0
    orders: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def open(cls, *, stock: int, database: Path | None = None) -> Script:
        """Open with every listing showing its offer, as after the first pushes."""
        small = Small.open(stock=stock)
        books = None if database is None else lambda: database
        script = cls(small, Auditor(small.world, small.truth, lambda: small.at, books))
        for listed in small.world.listings:
            script.shop(listed).merchant_sets(listed.listing, stock)
        script.auditor.begin()
        return script

    def shop(self, listed: Listed) -> ShopifyShop | WooShop:
        """Return the listing's shop."""
        return self.small.world.shops[listed.channel]

    def buy(self, listed: Listed, units: int = 1, *, heard: bool = True) -> str:
        """A shopper buys; where it is `heard` its webhook is acknowledged."""
        before = self.auditor.before_sale(listed)
        order = self.shop(listed).checkout([(listed.listing, units)])
        self.small.truth.refresh(listed.channel, order)
        self.auditor.sold(order, [(before, units)])
        if heard:
            self.hear(listed.channel, order)
        return order

    def hear(self, channel: str, order: str, *, status: str = "processing") -> None:
        """The order's webhook is acknowledged, a moment later."""
        self.small.at += 0.5
        lines = [{"id": int(key[2])} for key in self.small.truth.lines if key[1] == order]
        topic = "x-shopify-topic" if channel == SHOPIFY else "x-wc-webhook-topic"
        out = WebhookOut(
            1,
            "",
            {
                topic: "orders/create" if channel == SHOPIFY else "order.created",
                "content-type": "application/json",
            },
            json.dumps({"id": int(order), "status": status, "line_items": lines}).encode(),
        )
        self.auditor.delivered(channel, out, 200)
        self.small.at += 0.5

    def request(self, listed: Listed, target: int, expected: int) -> ShopRequest:
        """Return the request that writes `target`."""
        self.sent += 1
        if listed.channel == SHOPIFY:
            entry = {
                "inventoryItemId": f"gid://shopify/InventoryItem/{listed.field}",
                "locationId": "gid://shopify/Location/1",
                "quantity": target,
                "changeFromQuantity": expected,
            }
            given = {"name": "available", "reason": "correction", "quantities": [entry]}
            body = {
                "query": SET_QUANTITIES.document,
                "operationName": "SetQuantities",
                "variables": {"input": given, "key": f"key {self.sent}"},
            }
            return ShopRequest(
                "POST",
                "/admin/api/2026-10/graphql.json",
                headers={
                    "x-shopify-access-token": ACCESS_TOKEN,
                    "content-type": "application/json",
                },
                body=json.dumps(body).encode(),
            )
        return ShopRequest(
            "PUT",
            f"/wp-json/wc/v3/products/{listed.field}",
            headers={"authorization": f"Basic {BASIC}"},
            body=json.dumps({"manage_stock": True, "stock_quantity": target}).encode(),
        )

    def exchange(self, listed: Listed, request: ShopRequest, *, late_s: float = 0.1) -> Exchange:
        """Let a shop handle a request; nobody has been told yet."""
        exchange = Exchange(self.sent, listed.channel, request, self.small.at)
        self.small.at += late_s
        before = {each: self.small.world.shows(each) for each in self.small.world.listings}
        exchange.answer = self.shop(listed).handle(request)
        assert exchange.answer.status == 200, exchange.answer
        exchange.handled_at = self.small.at
        exchange.changes = tuple(
            Change(each.listing, was, self.small.world.shows(each))
            for each, was in before.items()
            if each.channel == listed.channel and was != self.small.world.shows(each)
        )
        self.auditor.handled(exchange)
        return exchange

    def tell(self, exchange: Exchange) -> None:
        """The daemon gets the answer."""
        self.small.at += 0.1
        exchange.told_at = self.small.at
        self.auditor.told(exchange)

    def write(self, listed: Listed, target: int, *, late_s: float = 0.1) -> None:
        """Write a number against the one that is there, whatever it is."""
        request = self.request(listed, target, self.small.world.shows(listed))
        self.tell(self.exchange(listed, request, late_s=late_s))

    def read(self, listed: Listed) -> None:
        """Read the number, as a push does where nothing compares."""
        self.sent += 1
        request = ShopRequest(
            "GET",
            "/wp-json/wc/v3/products",
            (("include", listed.field),),
            {"authorization": f"Basic {BASIC}"},
        )
        self.tell(self.exchange(listed, request))

    def look(self) -> None:
        """Read Shopify's number."""
        self.sent += 1
        listed = self.small.on_shopify
        asked = {
            "ids": [f"gid://shopify/InventoryItem/{listed.field}"],
            "location": "gid://shopify/Location/1",
        }
        body = {"query": LEVELS.document, "operationName": LEVELS.name, "variables": asked}
        write = self.request(listed, 0, 0)
        self.tell(self.exchange(listed, replace(write, body=json.dumps(body).encode())))

    def found(self) -> set[str]:
        """Return which invariants were violated."""
        return {each.invariant for each in self.auditor.violations}


@pytest.mark.parametrize("seed", range(20))
def test_a_perfect_daemon_is_not_accused(seed: int) -> None:
    """Who hears every sale and always writes what is true has no violation, oversold or not."""
    dice = random.Random(seed)
    script = Script.open(stock=dice.randint(1, 6))
    listings = script.small.world.listings
    for _ in range(60):
        roll = dice.random()
        try:
            if roll < 0.5:
                script.buy(dice.choice(listings), heard=roll < 0.4)
            elif roll < 0.55:
                state = script.small.truth.begin({"soap": dice.choice((-1, 1, 2))})
                script.small.truth.durable(state)
            else:
                for listed in listings:
                    if script.small.world.shows(listed) != script.small.truth.target(listed):
                        script.write(listed, script.small.truth.target(listed))
        except SoldOut:
            pass
        script.small.at += dice.uniform(0, 30)
    assert not script.auditor.violations
    assert not script.auditor.excused


def naive(seed: int) -> Script:
    """Return a run of a daemon that blindly sets what it knows of on both shops."""
    dice = random.Random(seed)
    script = Script.open(stock=4)
    listings, known = script.small.world.listings, 4
    waiting: list[tuple[str, str, int]] = []
    for _ in range(40):
        listed = dice.choice(listings)
        try:
            waiting.append((listed.channel, script.buy(listed, heard=False), 1))
        except SoldOut:
            script.small.truth.durable(script.small.truth.begin({"soap": 3}))
            known += 3
        if len(waiting) > 2:
            channel, order, units = waiting.pop(0)
            script.hear(channel, order)
            known -= units
        for each in listings:
            if script.small.world.shows(each) != known:
                script.write(each, max(0, known))
    return script


def test_a_naive_daemon_is_caught() -> None:
    """Who sets the central number over a sale that it has not heard of is caught at the write."""
    for seed in range(5):
        script = naive(seed)
        assert "F30" in script.found()
        assert script.auditor.seen["met_unseen_sale"]
        assert script.auditor.oversold["unexplained"], "and what came of it is nobody else's fault"


def test_a_sale_elsewhere_that_is_not_reflected_yet_is_a_witness() -> None:
    """Two shops sell the last one in the same second: that is the cross-channel window."""
    script = Script.open(stock=1)
    script.buy(script.small.on_shopify, heard=False)
    script.buy(script.small.on_woo)
    assert script.auditor.oversold == {"cross_channel": 1}
    assert not script.auditor.violations


def test_a_sale_that_was_known_when_the_number_was_written_is_no_witness() -> None:
    """A number computed after the other sale was heard must take it in."""
    script = Script.open(stock=2)
    script.buy(script.small.on_shopify)
    script.write(script.small.on_woo, 3)
    assert script.found() == {"F30"}
    script.buy(script.small.on_woo, 2)
    assert script.found() == {"F30", "I10"}
    assert script.auditor.oversold == {"unexplained": 1}


def test_an_operators_correction_is_a_cause_of_its_own() -> None:
    """Stock that turned out not to be there was on sale until the next write."""
    script = Script.open(stock=1)
    script.small.at += 1
    script.small.truth.begin({"soap": -1})
    script.buy(script.small.on_woo)
    assert script.auditor.oversold == {"operator": 1}
    assert not script.auditor.violations


def test_a_merchants_own_number_is_a_cause_of_its_own() -> None:
    """The merchant typed a number that was never true."""
    script = Script.open(stock=1)
    script.shop(script.small.on_woo).merchant_sets("10", 3)
    script.auditor.merchant_edited(script.small.on_woo)
    script.buy(script.small.on_woo, 2)
    assert script.auditor.oversold == {"merchant_edit": 1}
    assert not script.auditor.violations


def test_an_edit_hides_the_sales_around_it_and_no_later_one() -> None:
    """Once a write has met what the merchant left there, a sale is put back for no reason (F30)."""
    script = Script.open(stock=3)
    listed = script.small.on_shopify
    script.small.at += 1
    script.shop(listed).merchant_sets(listed.listing, 5)
    script.auditor.merchant_edited(listed)
    script.buy(listed, heard=False)
    script.small.at += 1
    script.write(listed, 3)
    assert script.auditor.excused == {"merchant_edit": 1}
    script.small.at += 1
    script.buy(listed, heard=False)
    script.small.at += 1
    script.write(listed, 3)
    assert script.found() == {"F30"}


def test_a_number_that_rises_after_an_edit_was_met_is_nobody_s_edit() -> None:
    """An edit of two hours ago does not answer for whatever is sold too much (I10)."""
    script = Script.open(stock=3)
    listed = script.small.on_woo
    script.small.at += 1
    script.shop(listed).merchant_sets(listed.listing, 5)
    script.auditor.merchant_edited(listed)
    script.small.at += 1
    script.read(listed)
    script.write(listed, 3)
    script.small.at += 60
    script.shop(listed).merchant_sets(listed.listing, 50)  # by nobody's hand
    script.buy(listed, 10)
    assert script.auditor.oversold == {"unexplained": 7}
    assert script.found() == {"I10"}


def test_a_sale_in_the_gap_of_a_channel_without_compare_is_excused() -> None:
    """Between reading and writing a sale may be overwritten there, and only there."""
    script = Script.open(stock=3)
    script.read(script.small.on_woo)
    script.buy(script.small.on_woo, heard=False)
    script.write(script.small.on_woo, 3)
    assert not script.auditor.violations
    assert script.auditor.excused == {"read_write_gap": 1}


def test_a_sale_before_the_gap_is_not_excused() -> None:
    """What the reading already showed must not be put back."""
    script = Script.open(stock=3)
    script.buy(script.small.on_woo, heard=False)
    script.small.at += 5
    script.read(script.small.on_woo)
    script.write(script.small.on_woo, 3)
    assert script.found() == {"F30"}


def test_a_reading_that_is_too_old_makes_no_gap() -> None:
    """A machine that slept between reading and writing overwrites no sale: it reads again."""
    script = Script.open(stock=3)
    script.read(script.small.on_woo)
    script.buy(script.small.on_woo, heard=False)
    script.small.at += 60
    script.write(script.small.on_woo, 3)
    assert script.found() == {"F30"}


def test_a_zombie_is_excused_where_nothing_compares() -> None:
    """A request that lands after its deadline may undo a newer one on such a channel."""
    script = Script.open(stock=3)
    request = script.request(script.small.on_woo, 3, 3)
    sent_at = script.small.at
    script.buy(script.small.on_woo)
    script.small.at = sent_at
    script.exchange(script.small.on_woo, request, late_s=60)
    assert not script.auditor.violations
    assert script.auditor.excused == {"zombie": 1}


def test_a_zombie_is_not_excused_for_what_was_never_true() -> None:
    """However late it lands: it was wrong when it was sent."""
    script = Script.open(stock=3)
    request = script.request(script.small.on_woo, 900, 3)
    script.exchange(script.small.on_woo, request, late_s=60)
    assert script.found() == {"F30"}


def test_a_write_before_the_one_under_way_has_had_its_time_is_found() -> None:
    """A request that was given up early still arrives, after the one sent in its place (I7)."""
    script = Script.open(stock=3)
    script.small.at += 1
    early = script.request(script.small.on_woo, 2, 3)
    script.small.at += 5
    script.write(script.small.on_woo, 1)
    script.small.at -= 5.2
    script.exchange(script.small.on_woo, early, late_s=15)
    assert "I7" in script.found()


def test_a_number_written_over_itself_is_found() -> None:
    """An equal value is never written (I15)."""
    script = Script.open(stock=3)
    script.write(script.small.on_shopify, 3)
    assert script.found() == {"I15"}


def test_a_number_written_over_itself_is_found_where_nothing_compares(
    tmp_path: Path, books: sqlite3.Connection
) -> None:
    """There the request does not tell what was expected; the committed push does."""
    script = audited(tmp_path)
    opens(books, script, 3, expected=3)
    script.small.at += 1
    script.write(script.small.on_woo, 3)
    script.auditor.close()
    assert script.found() == {"I15"}


@pytest.mark.parametrize(
    ("remembers", "late_s", "found"),
    [(True, 0.1, {"I8"}), (True, 60.0, {"I8"}), (False, 0.1, {"I8"}), (False, 60.0, set())],
)
def test_a_push_after_a_newer_one_is_found(
    remembers: bool, late_s: float, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old write must not be the last cause of a number (I8). Only where no shop remembers what
    was repeated can nobody keep one that was given up from meeting the number that it expected.
    """
    monkeypatch.setattr(Shopify, "remembers", remembers)
    script = Script.open(stock=3)
    old = script.exchange(script.small.on_shopify, script.request(script.small.on_shopify, 2, 3))
    late = script.request(script.small.on_shopify, 1, 0)
    late_number = script.sent
    script.tell(old)
    script.small.at += 60
    script.write(script.small.on_shopify, 0)
    script.sent = late_number
    script.exchange(script.small.on_shopify, late, late_s=late_s)
    assert script.found() == found


def test_two_writes_under_way_on_one_field_are_found() -> None:
    """The second is sent while the first may still land (I7)."""
    script = Script.open(stock=3)
    script.exchange(script.small.on_shopify, script.request(script.small.on_shopify, 2, 3))
    script.exchange(script.small.on_shopify, script.request(script.small.on_shopify, 1, 2))
    assert script.found() == {"I7"}


def test_other_things_than_stock_must_not_be_written() -> None:
    """A write of a price, or of a product that is not ours, is found (I11)."""
    script = Script.open(stock=3)
    body = json.dumps({"stock_quantity": 2, "regular_price": "1"}).encode()
    headers = {"authorization": f"Basic {BASIC}"}
    path = f"/wp-json/wc/v3/products/{script.small.on_woo.field}"
    script.exchange(script.small.on_woo, ShopRequest("PUT", path, headers=headers, body=body))
    assert script.found() == {"I11"}


TABLES = """
CREATE TABLE push (id INTEGER PRIMARY KEY, channel, field_key, expected, target, sent_at, terms,
    settled_at, outcome);
CREATE TABLE movement (sku, quantity, location, lot);
CREATE TABLE reservation (channel, order_id, line_id, sku, open, pack, deducted,
    updated_at DEFAULT 0, fetch_number DEFAULT 0, ordered, shipped, written_off);
CREATE TABLE shelf (sku, on_hand, reserved, guard_level, guarded, held DEFAULT 0, coming DEFAULT 0,
    pool DEFAULT 'main');
CREATE TABLE hold (id, key, state, until, pool DEFAULT 'main');
CREATE TABLE hold_line (hold_id, position, sku, quantity);
CREATE TABLE lot (sku, location, lot, on_hand, counts, comes);
CREATE TABLE field (channel, key, sku, pack, hold, surplus, undeducted, let_go, expected);
CREATE TABLE delivery (channel, digest, state);
CREATE TABLE listing (channel, field_key, adopted, parked_reason);
INSERT INTO movement (sku, quantity) VALUES ('soap', 3);
INSERT INTO shelf (sku, on_hand, reserved, guard_level, guarded) VALUES ('soap', 3, 0, 0, 0);
"""


LOT = (
    "INSERT INTO movement VALUES ('soap', 3, 'main', 'a');"
    " INSERT INTO lot (sku, on_hand, location, lot, counts, comes)"
)
SET_ASIDE = (
    "INSERT INTO hold VALUES (1, 'clerk 1', 'held', 0, 'main');"
    " INSERT INTO hold_line (hold_id, position, sku, quantity)"
)
SOLD = "INSERT INTO reservation (channel, order_id, line_id, sku, open, pack)"
HELD = "INSERT INTO field (channel, key, sku, pack, hold, undeducted)"


@pytest.fixture
def books(tmp_path: Path) -> sqlite3.Connection:
    """Sound books of a daemon that knows of three soaps and no order."""
    connection = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    connection.executescript(TABLES + WATCHED)
    return connection


def audited(tmp_path: Path) -> Script:
    """Return a world over those books."""
    return Script.open(stock=3, database=tmp_path / "books.db")


def test_sound_books_are_sound(tmp_path: Path, books: sqlite3.Connection) -> None:
    """Nothing is found, and everything agrees with the truth."""
    script = audited(tmp_path)
    script.auditor.check_books()
    script.auditor.check_rest()
    script.auditor.close()
    assert not script.auditor.violations


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        ("INSERT INTO movement (sku, quantity) VALUES ('soap', 1)", "I1"),
        ("INSERT INTO lot VALUES ('soap', 'main', 'a', 2, 1, 0)", "I1"),
        (f"{LOT} VALUES ('soap', 3, 'main', 'a', 1, 0)", "I1"),
        ("UPDATE shelf SET held = 1", "I2"),
        (f"{SET_ASIDE} VALUES (1, 0, 'soap', 2)", "I2"),
        ("UPDATE shelf SET reserved = 1", "I2"),
        (f"{SOLD} VALUES ('woo', '1', '1', 'soap', 2, 1)", "I2"),
        ("INSERT INTO push VALUES (1, 'woo', '10', 3, 2, 0, '[[\"on_hand\", 3]]', 1, '')", "I9"),
    ],
)
def test_books_that_do_not_add_up_are_found(
    tmp_path: Path, books: sqlite3.Connection, change: str, invariant: str
) -> None:
    """Each balance is recomputed from what it is the sum of."""
    books.executescript(change)
    script = audited(tmp_path)
    script.auditor.check_books()
    script.auditor.close()
    assert script.found() == {invariant}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE shelf SET on_hand = 2",
        "UPDATE shelf SET reserved = 1",
        "UPDATE shelf SET held = 1",
        "INSERT INTO field (channel, key, hold, surplus) VALUES ('woo', '10', 1, 0)",
        "INSERT INTO field (channel, key, hold, surplus) VALUES ('woo', '10', 0, 1)",
        "INSERT INTO delivery VALUES ('woo', 'x', 'pending')",
        "INSERT INTO push VALUES (1, 'woo', '10', 3, 3, 0, '[[\"on_hand\", 3]]', NULL, NULL)",
    ],
)
def test_what_is_left_to_do_at_the_end_is_found(
    tmp_path: Path, books: sqlite3.Connection, change: str
) -> None:
    """Wrong books, holds, pending deliveries and open pushes do not agree with the truth."""
    books.execute(change)
    script = audited(tmp_path)
    script.auditor.check_rest()
    script.auditor.close()
    assert script.found() == {"I14"}


def test_a_number_that_is_not_true_at_the_end_is_found() -> None:
    """Every listing must show exactly what can be sold."""
    script = Script.open(stock=3)
    script.auditor.check_rest()
    assert not script.auditor.violations
    script.buy(script.small.on_shopify)
    script.auditor.check_rest()
    assert script.found() == {"I14"}


def test_an_acknowledged_delivery_that_is_nowhere_is_found(
    tmp_path: Path, books: sqlite3.Connection
) -> None:
    """What was answered 200 must be in the inbox (I3)."""
    script = audited(tmp_path)
    out = WebhookOut(1, "", {"content-type": "application/json"}, b"{}")
    script.auditor.delivered("woo", out, 200)
    digest = hashlib.sha256(b"{}").hexdigest()
    books.execute("INSERT INTO delivery VALUES ('woo', ?, 'applied')", (digest,))
    script.auditor.check_books()
    assert not script.auditor.violations
    script.auditor.delivered("shopify", out, 200)
    script.auditor.check_books()
    script.auditor.close()
    assert script.found() == {"I3"}


def opens(
    books: sqlite3.Connection,
    script: Script,
    target: int,
    *,
    listed: Listed | None = None,
    expected: int = 3,
) -> None:
    """The daemon commits a push, of WooCommerce's field if nothing is said, at this instant."""
    listed = listed or script.small.on_woo
    terms = json.dumps([["on_hand", target]])
    books.execute(
        "INSERT INTO push (channel, field_key, expected, target, sent_at, terms)"
        " VALUES (?, ?, ?, ?, 0, ?)",
        (listed.channel, listed.field, expected, target, terms),
    )
    script.auditor.committed()


def test_fetches_that_are_numbered_anew_after_a_restart_are_found(
    tmp_path: Path, books: sqlite3.Connection
) -> None:
    """A life's fetches come after those of every life before it (I5)."""
    columns = "channel, order_id, line_id, sku, open, pack, updated_at, fetch_number"
    row = "'woo', '1', '1', 'soap', 0, 1, 7, 20"
    books.execute(f"INSERT INTO reservation ({columns}) VALUES ({row})")
    script = audited(tmp_path)
    script.auditor.check_books()
    script.auditor.restarted()
    script.auditor.check_books()
    books.execute("UPDATE reservation SET updated_at = 8, fetch_number = 21")
    script.auditor.check_books()
    assert not script.auditor.violations
    books.execute("UPDATE reservation SET updated_at = 9, fetch_number = 2")
    script.auditor.check_books()
    script.auditor.close()
    assert script.found() == {"I5"}


def test_a_number_that_stays_wrong_while_nothing_happens_is_found() -> None:
    """In a calm world what happened some time ago shows everywhere (I14)."""
    script = Script.open(stock=3)
    script.buy(script.small.on_shopify)
    script.small.at += 43.0
    script.auditor.check_calm(45.0)
    assert not script.auditor.violations
    script.small.at += 2.0
    script.auditor.restarted()  # then it has longer
    script.auditor.check_calm(45.0)
    assert not script.auditor.violations
    script.small.at += 420.0
    script.auditor.check_calm(45.0)
    assert script.found() == {"I14"}


def test_a_write_without_a_committed_push_is_found(
    tmp_path: Path, books: sqlite3.Connection
) -> None:
    """Every number that is sent has a row, committed before it was sent (I13)."""
    script = audited(tmp_path)
    opens(books, script, 2)
    script.small.at += 1
    script.write(script.small.on_woo, 2)
    assert not script.auditor.violations
    script.write(script.small.on_woo, 1)
    script.auditor.close()
    assert script.found() == {"I13"}


@pytest.mark.parametrize(
    ("looks", "found"),
    [("before", set()), ("between", {"F30"}), ("after", set())],
)
def test_there_and_back_again_is_excused_unless_a_reading_lies_between(
    tmp_path: Path, books: sqlite3.Connection, looks: str, found: set[str]
) -> None:
    """An unseen sale behind an unseen restock cannot be told, but by a reading between the two."""
    script = audited(tmp_path)
    listed = script.small.on_shopify
    old = script.buy(listed)
    ((_, _, line),) = script.small.truth.lines
    books.execute(
        "INSERT INTO reservation (channel, order_id, line_id, sku, open, pack, deducted)"
        " VALUES ('shopify', ?, ?, 'soap', 1, 1, 1)",
        (old, line),
    )
    for step in ("before", "restock", "between", "sale", "after"):
        script.small.at += 5
        if step == "restock":
            script.small.shopify.cancel(old, restock=True)
            script.small.truth.refresh(listed.channel, old)
        elif step == "sale":
            script.buy(listed, heard=False)
        elif step == looks:
            script.look()
    script.small.truth.durable(script.small.truth.begin({"soap": 1}))
    # That the order is open no more is known, but not that its unit is back on sale.
    books.execute("UPDATE shelf SET on_hand = 4, reserved = 0")
    opens(books, script, 4, listed=listed, expected=2)
    script.small.at += 5
    script.write(listed, 4)
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(
    ("then", "shown", "found"),
    [
        ("fails", 3, set()),
        ("fails and is told", 3, {"F30"}),
        ("is paid", 3, {"F30"}),
        ("is held", 3, {"F30"}),
        ("fails", 0, {"F30"}),
    ],
)
def test_a_number_is_lowered_to_an_unpaid_order_whose_end_is_unheard(
    tmp_path: Path, books: sqlite3.Connection, then: str, shown: int, found: set[str]
) -> None:
    """It stands in the target of a short item until the daemon hears that nobody will pay for it.

    That raises no number and hides no sale: neither is excused by it.
    """
    script = audited(tmp_path)
    listed, woo = script.small.on_woo, script.small.woo
    assert isinstance(woo, WooShop)
    order = woo.checkout([(listed.listing, 1)], paid=False)
    script.small.truth.refresh(listed.channel, order)
    script.hear(listed.channel, order, status="pending")
    ((_, _, line),) = script.small.truth.lines
    books.execute(
        "INSERT INTO reservation (channel, order_id, line_id, sku, open, pack, deducted)"
        " VALUES ('woo', ?, ?, 'soap', 1, 1, 0)",
        (order, line),
    )
    held = int(then == "is held")
    books.execute(f"{HELD} VALUES ('woo', '10', 'soap', 1, ?, 1)", (held,))
    script.small.truth.durable(script.small.truth.begin({"soap": -3}))
    books.execute("UPDATE shelf SET on_hand = 0, reserved = 1")
    books.execute("DELETE FROM movement")
    if then == "is paid":
        woo.pay(order)
    else:
        woo.fail(order)
    script.small.truth.refresh(listed.channel, order)
    if then == "fails and is told":
        script.hear(listed.channel, order, status="failed")
    woo.merchant_sets(listed.listing, shown)
    script.small.at += 5
    script.auditor.committed()
    opens(books, script, 1, expected=shown)
    script.small.at += 5
    script.write(listed, 1)
    if not found:
        script.buy(listed)
        assert script.auditor.oversold == {"operator": 1}
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(("sent", "found"), [(1, {"F30"}), (2, set())])
def test_what_was_sent_of_an_order_just_before_it_was_deleted_cannot_be_known(
    tmp_path: Path, books: sqlite3.Connection, sent: int, found: set[str]
) -> None:
    """Two are sold and known, one as sent. The shop sends the other and deletes the order: nobody
    can be asked any more. What was known as sent is not excused.
    """
    script = audited(tmp_path)
    listed, shop = script.small.on_shopify, script.small.world.shops[SHOPIFY]
    assert isinstance(shop, ShopifyShop)
    order = script.buy(listed, 2)
    (line,) = (key[2] for key in script.small.truth.lines if key[1] == order)
    script.small.at += 5
    for _ in range(sent):
        shop.ship_units(order, [(listed.listing, 1)])
        script.small.truth.refresh(SHOPIFY, order)
    shop.delete_order(order)
    script.small.truth.refresh(SHOPIFY, order)
    books.execute(f"{SOLD} VALUES ('shopify', ?, ?, 'soap', 0, 1)", (order, line))
    books.execute("UPDATE reservation SET shipped = 1, written_off = 0, deducted = 2")
    target = 2 if sent == 2 else 3
    opens(books, script, target, listed=listed, expected=1)
    script.small.at += 1
    script.write(listed, target)
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(("heard_first", "found"), [(True, {"F30"}), (False, set())])
def test_a_push_knows_what_was_committed_before_it(
    tmp_path: Path, books: sqlite3.Connection, heard_first: bool, found: set[str]
) -> None:
    """What the daemon had to know is told by the order of its commits, whatever its clock says."""
    script = audited(tmp_path)
    script.shop(script.small.on_woo).merchant_sets("10", 0)
    order = script.buy(script.small.on_shopify, heard=False)
    line = next(key[2] for key in script.small.truth.lines if key[1] == order)

    def hears() -> None:
        books.execute(f"{SOLD} VALUES ('shopify', ?, ?, 'soap', 1, 1)", (order, line))
        script.auditor.committed()

    if heard_first:
        hears()
    opens(books, script, 3, expected=0)
    if not heard_first:
        hears()
    script.small.at += 1
    script.write(script.small.on_woo, 3)
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE shelf SET reserved = 0", set()),
        ("UPDATE shelf SET reserved = 1", {"I9"}),
        ("UPDATE shelf SET on_hand = 2", {"I9"}),
        ("UPDATE shelf SET on_hand = 2, coming = 1", set()),
        ("UPDATE shelf SET held = 1", {"I9"}),
        (f"{HELD} VALUES ('shopify', '1', 'soap', 1, 1, 0)", {"I9"}),
        (f"{HELD} VALUES ('woo', '10', 'soap', 1, 1, 0)", {"I9"}),
        (
            f"UPDATE shelf SET reserved = 1; {HELD} VALUES ('woo', '10', 'soap', 1, 0, 1)",
            set(),
        ),
    ],
)
def test_a_push_is_held_against_the_daemons_own_books(
    tmp_path: Path, books: sqlite3.Connection, change: str, found: set[str]
) -> None:
    """I9: on hand less what is reserved and held; units that are not deducted stand on top."""
    script = audited(tmp_path)
    books.executescript(change)
    script.auditor.committed()
    opens(books, script, 3)
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("updated_at = 6, open = 1", set()),
        ("fetch_number = 1, open = 1", set()),
        ("sku = 'other'", set()),
        ("open = 1", {"I5"}),
        ("updated_at = 4, open = 1", {"I5"}),
        ("updated_at = 4, fetch_number = 9", {"I5"}),
    ],
)
def test_an_older_version_that_changes_an_order_is_found(
    tmp_path: Path, books: sqlite3.Connection, change: str, found: set[str]
) -> None:
    """I5: a line's counts change with a newer version only, and no version ever goes back."""
    script = audited(tmp_path)
    books.execute("INSERT INTO reservation VALUES ('woo', '1', '1', NULL, 0, 1, 0, 5, 0, 1, 0, 0)")
    books.execute(f"UPDATE reservation SET {change}")
    script.auditor.check_books()
    script.auditor.close()
    assert script.found() == found


@pytest.mark.parametrize(
    ("change", "unasked"),
    [
        ("", 1),
        ("UPDATE shelf SET guard_level = 2 WHERE sku = 'soap'", 0),
        ("UPDATE shelf SET guarded = 1 WHERE sku = 'soap'", 0),
        ("UPDATE listing SET parked_reason = 'off sale' WHERE channel = 'shopify'", 0),
        ("INSERT INTO shelf VALUES ('balm', 9, 0, 2, 0, 0, 0, 'main')", 1),
        ("UPDATE listing SET parked_reason = 'off sale' WHERE channel = 'etsy'", 1),
    ],
)
def test_a_write_is_asked_for_where_its_own_item_is_shared_anew(
    tmp_path: Path, books: sqlite3.Connection, change: str, unasked: int
) -> None:
    """I15: by another level, or among others, for two minutes; not where another item is."""
    script = audited(tmp_path)
    for listed in script.small.world.listings:
        row = (listed.channel, listed.field)
        books.execute("INSERT INTO listing VALUES (?, ?, 1, NULL)", row)
    books.execute("INSERT INTO listing VALUES ('etsy', '7', 1, NULL)")
    opens(books, script, 2)
    script.small.at += 1000
    books.executescript(change)
    script.auditor.committed()
    script.write(script.small.on_woo, 2)
    assert script.auditor.unasked_writes == unasked
    script.small.at += 121
    script.write(script.small.on_woo, 2)
    script.auditor.close()
    assert script.auditor.unasked_writes == unasked + 1
