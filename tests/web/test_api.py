"""The private listener, over real HTTP on loopback and a real database."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import jsonschema
import pytest
import structlog
from aiohttp import web

from stockpush.engine import channel_report, holding, lot_report, movements, report
from stockpush.errors import AuthFailed, StoreUnavailable
from stockpush.messages import ImportCatalogue, LotTerms, MoveStock, NoteHeard, StockMove
from stockpush.model import (
    ChannelState,
    DeliveryState,
    Drift,
    DriftClass,
    Health,
    HeardBy,
    Item,
    Kind,
    Listing,
    ListingKey,
    MovementKind,
    PushOutcomeKind,
)
from stockpush.reservation.catalogue import build
from stockpush.sim.candle_shop import SHOPIFY, WOO
from stockpush.store.reads import DriftRow
from stockpush.web.api import CURSOR_LENGTH_MAX, LIMIT_MAX, private_app
from tests.web.private import CANDLE, NOON, SOAP, TOKEN, Listener, Office, listener, office

ROUTES = (
    "/metrics",
    "/api/v1/items",
    "/api/v1/items/candle",
    "/api/v1/items/candle/why",
    "/api/v1/listings",
    "/api/v1/lots",
    "/api/v1/plan",
    "/api/v1/channels",
    "/api/v1/deliveries",
    "/api/v1/drifts",
    "/api/v1/movements",
    "/api/v1/holds",
    "/api/v1/holds/hold-1",
    "/api/v1/openapi.json",
)
WRITES = {
    "/api/v1/movements": ["POST"],
    "/api/v1/holds": ["POST"],
    "/api/v1/holds/hold-1": ["DELETE", "PATCH"],
}
"""What else can be done with a path besides reading it."""
ONLY_WRITTEN = {"/api/v1/orders": ["POST"]}
"""What is not read there: the ledger has what came of it."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ERROR_KEYS = ["code", "message", "field", "found", "expected", "next"]


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Office]:
    """Two products of one wax; the soap's listing shows another number than it should."""
    async with office(tmp_path) as opened:
        await opened.fill()
        yield opened


@pytest.fixture
async def private(filled: Office) -> AsyncIterator[Listener]:
    """The listener over it."""
    async with listener(filled) as running:
        yield running


def error(text: str) -> dict[str, object]:
    """Return the error of an answer, which has exactly the documented keys."""
    body = json.loads(text)
    assert list(body) == ["error"]
    assert list(body["error"]) == ERROR_KEYS
    return body["error"]


def filled_in(path: str) -> str:
    """A path of the router with something that there is."""
    return path.replace("{sku}", "candle").replace("{id}", "hold-1")


def no_app() -> web.Application:
    """The application as it is put together, with nothing behind it."""
    return private_app(
        None, None, None, carry_out=None, hold_for=None, token=TOKEN, host="x", ids=None
    )


async def data(private: Listener, path: str) -> object:
    """Return the JSON at a path."""
    answer = await private.get(path)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/json"
    return await answer.json()


# -- who gets in --------------------------------------------------------------------------------


async def test_every_route_asks_for_the_token(private: Listener) -> None:
    """Whatever the router has, and what it has not, is 401 without the token."""
    app = no_app()
    routes = {(route.method, route.resource.canonical) for route in app.router.routes()}
    paths = {filled_in(path) for _, path in routes}
    assert paths == {*ROUTES, *ONLY_WRITTEN}
    written = {(method, filled_in(path)) for method, path in routes} - {
        (method, path) for path in ROUTES for method in ("GET", "HEAD")
    }
    writes = WRITES | ONLY_WRITTEN
    assert written == {(method, path) for path, methods in writes.items() for method in methods}
    for path in (*sorted(paths), "/", "/api/v1/nowhere", "/metrics/"):
        for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"):
            status, answer = await private.raw(f"{method} {path} HTTP/1.1", "Host: localhost")
            assert status == 401, (method, path)
            assert "WWW-Authenticate: Bearer" in answer
    for path in ROUTES:
        assert (await private.get(path)).status == 200, path


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer ",
        f"Bearer {'u' * 43}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}t",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN[:-1]}\xe9",
        f"Basic {TOKEN}",
        f"Bearer{TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}",
        f"Bearer {'u' * 43}\r\nAuthorization: Bearer {TOKEN}",
    ],
)
async def test_a_wrong_token_is_refused(private: Listener, given: str) -> None:
    """Only the whole token, once, as a bearer token; the answer repeats nothing of it."""
    status, answer = await private.raw(
        "GET /api/v1/items HTTP/1.1", "Host: localhost", f"Authorization: {given}"
    )
    assert status == 401
    refused = error(answer.rpartition("\r\n\r\n")[2])
    assert (refused["code"], refused["field"]) == ("token_refused", "Authorization")
    assert TOKEN[:-1] not in answer
    assert "candle" not in answer


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(private: Listener, scheme: str) -> None:
    """Schemes have no case (RFC 9110, 11.1)."""
    answer = await private.get("/api/v1/items", Authorization=f"{scheme} {TOKEN}")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Host: localhost"], 200),
        (["Host: LOCALHOST:8378"], 200),
        (["Host: 127.0.0.1:1"], 200),
        (["Host: [::1]:8378"], 200),
        (["Host: stock.example:8378"], 200),
        (["Host: evil.example"], 421),
        (["Host: evil.example:8378"], 421),
        (["Host: localhost.evil.example"], 421),
        (["Host: evil@localhost"], 421),
        (["Host: localhost:8378@evil.example"], 421),
        (["Host: localhost:port"], 421),
        (["Host: 127.0.0.2"], 421),
        (["Host: 0.0.0.0:8378"], 421),
        (["Host: [::2]"], 421),
        (["Host: ::1"], 421),
        (["Host: "], 421),
        (["Host: \xff"], 421),
        ([], 421),
        (["Host: localhost", "X-Forwarded-Host: evil.example"], 200),
    ],
)
async def test_only_known_host_names_are_answered(
    private: Listener, lines: list[str], status: int
) -> None:
    """A page whose name was pointed at this machine is refused even if it had the token."""
    # Without a Host header only HTTP/1.0 is well-formed.
    version = "HTTP/1.1" if lines else "HTTP/1.0"
    got, answer = await private.raw(
        f"GET /api/v1/items {version}", *lines, f"Authorization: Bearer {TOKEN}"
    )
    assert got == status
    if status == 421:
        refused = error(answer.rpartition("\r\n\r\n")[2])
        assert (refused["code"], refused["field"]) == ("host_refused", "Host")
        assert "localhost" in refused["expected"]


async def test_two_host_headers_are_refused(private: Listener) -> None:
    """A second Host header cannot hide behind the first."""
    status, _ = await private.raw(
        "GET /metrics HTTP/1.1",
        "Host: localhost",
        "Host: evil.example",
        f"Authorization: Bearer {TOKEN}",
    )
    assert status in {400, 421}


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/api/v1/items", TOKEN, 200),
        ("GET", "/metrics", TOKEN, 200),
        ("GET", "/api/v1/items?limit=0", TOKEN, 400),
        ("GET", "/api/v1/items", "wrong", 401),
        ("OPTIONS", "/api/v1/items", "wrong", 401),
        ("GET", "/nowhere", TOKEN, 404),
        ("OPTIONS", "/api/v1/items", TOKEN, 405),
    ],
)
async def test_every_answer_has_the_security_headers(
    private: Listener, method: str, path: str, token: str, status: int
) -> None:
    """Nothing is cached, sniffed, framed or run, no other origin may read, no software is named."""
    async with private.http.request(
        method,
        private.url + path,
        headers={
            "Authorization": f"Bearer {token}",
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "GET",
        },
    ) as answer:
        assert answer.status == status
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Server"] == "stockpush"


# -- what is asked wrongly ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/api/v1/items/", "/api/v2/items", "/metrics/x", "/%00", "/%ff", "//"],
)
async def test_an_unknown_path_is_404_as_json(private: Listener, path: str) -> None:
    """The error says which paths there are."""
    answer = await private.get(path)
    assert (answer.status, answer.content_type) == (404, "application/json")
    told = error(await answer.text())
    assert (told["code"], told["field"]) == ("not_found", "path")
    assert "openapi" in told["expected"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_only_movements_sales_and_holds_are_written(private: Listener, method: str) -> None:
    """Other methods are 405 on every path and named with what is allowed."""
    for path in ROUTES:
        if method in WRITES.get(path, ()):
            continue
        allowed = ", ".join(sorted({"GET", "HEAD", *WRITES.get(path, ())}))
        async with private.http.request(method, private.url + path) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, allowed)
            told = error(await answer.text())
        assert (told["code"], told["found"]) == ("method_refused", method)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_what_is_only_written_is_not_read(private: Listener, method: str) -> None:
    """405, and named with what is allowed."""
    for path, methods in ONLY_WRITTEN.items():
        async with private.http.request(method, private.url + path) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, ", ".join(methods))


@pytest.mark.parametrize(
    ("path", "field", "found"),
    [
        ("/api/v1/items?limit=0", "limit", "0"),
        ("/api/v1/items?limit=-1", "limit", "-1"),
        (f"/api/v1/items?limit={LIMIT_MAX + 1}", "limit", str(LIMIT_MAX + 1)),
        ("/api/v1/items?limit=", "limit", ""),
        ("/api/v1/items?limit=ten", "limit", "ten"),
        ("/api/v1/items?limit=1.5", "limit", "1.5"),
        ("/api/v1/items?limit=1e2", "limit", "1e2"),
        ("/api/v1/items?limit=%D9%A1", "limit", "\u0661"),
        ("/api/v1/items?limit=%2B1", "limit", "+1"),
        ("/api/v1/deliveries?limit=" + "9" * 5000, "limit", "9" * 100),
        ("/api/v1/items?limit=1&limit=2", "limit", None),
        ("/api/v1/items?cursor=", "cursor", ""),
        ("/api/v1/items?cursor=" + "x" * (CURSOR_LENGTH_MAX + 1), "cursor", "x" * 100),
        ("/api/v1/movements?cursor=hold-1", "cursor", "hold-1"),
        ("/api/v1/movements?since=soon", "since", "soon"),
        ("/api/v1/movements?since=2099-01-01", "since", "2099-01-01"),
        ("/api/v1/deliveries?cursor=soon", "cursor", "soon"),
        ("/api/v1/drifts?cursor=soon", "cursor", "soon"),
        ("/api/v1/drifts?state=held", "state", "held"),
        ("/api/v1/drifts?channel=a&channel=b", "channel", None),
        ("/api/v1/listings?limit=0", "limit", "0"),
        ("/api/v1/listings?sku=candle", "sku", "candle"),
        ("/api/v1/deliveries?cursor=-1", "cursor", "-1"),
        (f"/api/v1/deliveries?cursor={2**63}", "cursor", str(2**63)),
        ("/api/v1/items?limt=5", "limt", "5"),
        ("/api/v1/items/candle?limit=5", "limit", "5"),
        ("/api/v1/channels?cursor=x", "cursor", "x"),
        ("/api/v1/items/candle/why?at=soon", "at", "soon"),
        ("/api/v1/items/candle/why?at=", "at", ""),
        ("/api/v1/items/candle/why?at=%ff", "at", "\ufffd"),
        ("/api/v1/items/candle/why?at=2026-11-23", "at", "2026-11-23"),
        (
            "/api/v1/items/candle/why?at=2026-11-22T10:00:00+00:00",
            "at",
            "2026-11-22T10:00:00 00:00",
        ),
        ("/api/v1/items/candle/why?at=-1h&at=-2h", "at", None),
        ("/api/v1/items/candle/why?limit=5", "limit", "5"),
        ("/metrics?name%5B%5D=up", "name[]", "up"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_400(
    private: Listener, path: str, field: str, found: str | None
) -> None:
    """The error names the parameter, what was found and what was expected; none is ignored."""
    answer = await private.get(path)
    assert answer.status == 400
    told = error(await answer.text())
    assert (told["code"], told["field"], told["found"]) == ("usage", field, found)
    assert told["expected"]


@pytest.mark.parametrize("given", ["%ff", "%ed%a0%80", "%00", "%F0%9F%95%AF"])
async def test_text_that_is_no_text_is_a_clean_error(private: Listener, given: str) -> None:
    """Bytes that are no UTF-8, lone surrogates and NUL are refused like any other wrong text."""
    for path in ("/api/v1/items/{}", "/api/v1/items?limit={}", "/api/v1/items?{}=1", "/{}"):
        answer = await private.get(path.format(given))
        assert answer.status in {400, 404}
        error(await answer.text())


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """A fresh database of each kind, None for one in the folder of the test."""
    if request.param == "sqlite":
        return None
    return request.getfixturevalue("migrated_postgres_url")


async def test_a_name_with_a_nul_is_no_name(database: str | None, tmp_path: Path) -> None:
    """On either database it is not found, as any other name that nothing has."""
    async with office(tmp_path, database=database) as opened:
        await opened.fill()
        async with listener(opened) as running:
            for path in (
                "/api/v1/drifts?channel=",
                "/api/v1/drifts?state=all&channel=",
                "/api/v1/listings?channel=",
                "/api/v1/lots?sku=",
                "/api/v1/movements?sku=",
                "/api/v1/items/",
            ):
                for given in ("%00", "candle%00"):
                    answer = await running.get(path + given)
                    told = error(await answer.text())
                    assert (answer.status, told["code"]) == (404, "not_found"), path + given
                    assert told["next"]


# -- what is read -------------------------------------------------------------------------------


async def test_items_are_the_rows_of_the_stock_table(private: Listener) -> None:
    """Five candles on hand and wax for 16 more; the soap shows 100 where there is wax for 100."""
    body = await data(private, "/api/v1/items")
    assert body["next"] is None
    candle, soap, wax = body["data"]
    assert (candle["sku"], candle["on_hand"], candle["buildable"], candle["atp"]) == (
        "candle", "5", "16", "21",
    )  # fmt: skip
    assert (wax["unit"], wax["on_hand"], wax["kind"]) == ("kg", "2.5", "material")
    assert candle["limited_by"] == ["wax"]
    (listing,) = soap["listings"]
    assert (listing["channel"], listing["ref"]) == (WOO, {"product_id": 10})
    assert (listing["expected"], listing["offer"], listing["state"]) == (100, 100, "in_sync")
    view = await private.office.parts.view()
    assert [row.atp for row in report.stock(view)] == [each["atp"] for each in body["data"]]


async def test_quantities_are_texts_and_instants_have_a_zone(private: Listener) -> None:
    """What scripts rely on: decimal strings, integers for listings, ISO 8601 with zone."""
    office = private.office
    await office.sell("wax", 1250)
    await office.open_push(SOAP, "call")
    office.clock.pass_s(0.5)
    await office.settle(SOAP, "call", PushOutcomeKind.APPLIED)
    row = await data(private, "/api/v1/items/soap")
    (listing,) = row["listings"]
    assert listing["pushed_at"] == "2026-11-22T12:00:01.500000Z"
    assert (listing["offer"], listing["expected"]) == (50, 50)
    wax = await data(private, "/api/v1/items/wax")
    assert wax["on_hand"] == "1.25"


async def test_why_is_the_derivation_of_the_item(private: Listener) -> None:
    """Now: terms that sum to the ATP and to each listing's number. Then: those that were stored."""
    office = private.office
    await office.sell("candle", 1)
    office.clock.pass_s(1)
    sent_at = office.clock.at
    await office.open_push(CANDLE, "call")
    office.clock.pass_s(60)
    now = await data(private, "/api/v1/items/candle/why")
    assert (now["atp"], now["past"], now["at"]) == ("20", False, "2026-11-22T12:01:02Z")
    assert {term["name"]: term["quantity"] for term in now["terms"] if term["quantity"] != "0"} == {
        "on_hand": "4",
        "buildable": "16",
    }
    assert now["terms"][0]["note"].endswith("last sale -1, 2026-11-22 12:00:01 UTC (mv-3)")
    (listing,) = now["listings"]
    assert (listing["shown"], listing["expected"], listing["state"]) == (20, 5, "pushing")
    assert listing["push"]["told"] == "under way"
    await office.settle(CANDLE, "call", PushOutcomeKind.APPLIED)
    await office.sell("candle", 3)
    then = await data(private, f"/api/v1/items/candle/why?at={quote(sent_at.isoformat())}")
    (listing,) = then["listings"]
    assert (then["past"], listing["shown"]) == (True, 20)
    assert listing["push"]["outcome"] == "applied"
    assert sum(term["quantity"] for term in listing["terms"]) == 20
    assert [move["quantity"] for move in listing["since"]["movements"]] == ["-3"]
    answer = await private.get("/api/v1/items/candel/why")
    assert answer.status == 404
    assert error(await answer.text())["next"] == "stockpush stock"


async def test_pages_of_items_follow_each_other(private: Listener) -> None:
    """Every item once, by SKU, whatever the page size; odd SKUs are good cursors."""
    odd = ("a/b", "a b", "50%", "\u00a0nbsp\u2028", "\U0001f56f", "+plus+", "k\u00e4se", "Zz")
    items = tuple(Item(sku, sku, Kind.SUPPLY, "piece") for sku in odd)
    await private.office.do(ImportCatalogue(items, (), (), (), "odd", "test"))
    everything = sorted([*odd, "candle", "soap", "wax"])
    for limit in (1, 2, 3, len(everything), LIMIT_MAX):
        seen: list[str] = []
        pages = 0
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={quote(cursor, safe='')}" if cursor else ""
            body = await data(private, f"/api/v1/items?limit={limit}{more}")
            assert len(body["data"]) <= limit
            seen += [each["sku"] for each in body["data"]]
            cursor = body["next"]
            pages += 1
        assert seen == everything
        assert pages == -(-len(everything) // limit), "no page is empty"
    for sku in odd:
        row = await data(private, f"/api/v1/items/{quote(sku, safe='')}")
        assert row["sku"] == sku


async def test_a_cursor_outlives_its_item(private: Listener) -> None:
    """A cursor is a place between SKUs, so an item that went or came moves no other."""
    body = await data(private, "/api/v1/items?cursor=carrot")
    assert [each["sku"] for each in body["data"]] == ["soap", "wax"]
    body = await data(private, "/api/v1/items?cursor=zzz")
    assert body == {"data": [], "next": None}


async def test_listings_are_those_of_the_stock_table(private: Listener) -> None:
    """By the SKU of their item, each as its item has it; of all channels or of one."""
    office = private.office
    again = Listing(ListingKey(WOO, "11"), "candle", 6, {"product_id": 11})
    await office.do(ImportCatalogue((), (), (again,), (), "again", "test"))
    body = await data(private, "/api/v1/listings")
    assert body["next"] is None
    rows = [(row["sku"], row["channel"], row["ref"], row["pack"]) for row in body["data"]]
    assert rows == [
        ("candle", SHOPIFY, {"variant_id": 1}, 1),
        ("candle", WOO, {"product_id": 11}, 6),
        ("soap", WOO, {"product_id": 10}, 1),
    ]
    items = (await data(private, "/api/v1/items"))["data"]
    assert body["data"] == [row for item in items for row in item["listings"]]
    assert {row["pool"] for row in body["data"]} == {"main"}
    body = await data(private, f"/api/v1/listings?channel={WOO}")
    assert [row["sku"] for row in body["data"]] == ["candle", "soap"]
    answer = await private.get("/api/v1/listings?channel=my-ebay")
    assert answer.status == 404
    told = error(await answer.text())
    assert (told["field"], told["found"], told["next"]) == (
        "channel",
        "my-ebay",
        "stockpush channels",
    )


async def test_pages_of_listings_follow_each_other(private: Listener) -> None:
    """Every listing once; a page has so many items that are listed, with all of their listings."""
    items = tuple(Item(f"i{n}", "", Kind.PRODUCT, "piece") for n in range(4))
    listings = tuple(
        Listing(ListingKey(WOO, f"{100 + 10 * n + copy}"), f"i{n}", 1, {"product_id": 100 + n})
        for n in range(4)
        for copy in range(n % 2 + 1)
    )
    await private.office.do(ImportCatalogue(items, (), listings, (), "more", "test"))
    everything = (await data(private, "/api/v1/listings"))["data"]
    assert len(everything) == 2 + len(listings)
    for limit in (1, 2, 3, 6):
        seen, pages, cursor = [], 0, ""
        while cursor is not None and pages < 10:
            body = await data(private, f"/api/v1/listings?limit={limit}{cursor}")
            assert len({row["sku"] for row in body["data"]}) <= limit
            seen += body["data"]
            cursor = body["next"] and f"&cursor={body['next']}"
            pages += 1
        assert seen == everything
        assert pages == -(-6 // limit), "no page is empty"
    body = await data(private, f"/api/v1/listings?limit=1&channel={SHOPIFY}")
    assert ([row["sku"] for row in body["data"]], body["next"]) == (["candle"], None)


async def test_drifts_are_told_newest_first(private: Listener) -> None:
    """Open ones unless all are asked for; with what each was held for, and where it was."""
    office = private.office
    assert await data(private, "/api/v1/drifts") == {"data": [], "next": None}
    await office.read(CANDLE, 3)
    office.clock.pass_s(1)
    await office.read(SOAP, 90)
    page = await data(private, "/api/v1/drifts?limit=1")
    assert page["data"] == [
        {
            "id": 2,
            "channel": WOO,
            "field": "10",
            "ref": {"product_id": 10},
            "sku": "soap",
            "expected": 100,
            "observed": 90,
            "class": "unseen_sale",
            "resolution": None,
            "opened_at": "2026-11-22T12:00:02Z",
            "closed_at": None,
        }
    ]
    page = await data(private, f"/api/v1/drifts?limit=1&cursor={page['next']}")
    assert ([row["sku"] for row in page["data"]], page["next"]) == (["candle"], None)
    (row,) = (await data(private, f"/api/v1/drifts?channel={SHOPIFY}"))["data"]
    assert (row["id"], row["expected"], row["observed"]) == (1, 5, 3)
    assert (await private.get("/api/v1/drifts?channel=my-ebay")).status == 404
    for _ in range(2):  # no order explains it
        office.clock.pass_s(3600)
        await office.poll(SHOPIFY)
    await office.read(CANDLE, 3)
    assert [row["id"] for row in (await data(private, "/api/v1/drifts"))["data"]] == [2]
    rows = (await data(private, "/api/v1/drifts?state=all"))["data"]
    assert [(row["id"], row["closed_at"] is None) for row in rows] == [(2, True), (1, False)]
    assert (rows[1]["class"], rows[1]["resolution"]) == ("manual_edit", "restored")
    document = await data(private, "/api/v1/openapi.json")
    described = document["components"]["schemas"]["DriftRow"]
    validator = jsonschema.Draft202012Validator(document | described)
    for row in rows:
        validator.validate(row)
        assert set(row) == set(described["properties"]) == set(described["required"])


async def test_the_plan_is_that_of_the_command_line(private: Listener) -> None:
    """What would be written and why, and what a person has to mend first."""
    office = private.office
    await office.sell("candle", 2)
    plan = await data(private, "/api/v1/plan")
    view = await office.parts.view()
    assert plan["data"] == [row.as_json() for row in report.plan(view)]
    changes = {row["sku"]: (row["from"], row["to"]) for row in plan["data"]}
    assert changes == {"candle": (5, 19)}
    assert plan["parked"] == []
    assert list(plan) == ["data", "parked"]
    await office.open_push(CANDLE, "call")
    await office.settle(CANDLE, "call", PushOutcomeKind.GONE)
    plan = await data(private, "/api/v1/plan")
    assert plan["data"] == []
    assert [(row["channel"], row["sku"]) for row in plan["parked"]] == [(SHOPIFY, "candle")]
    schemas = (await data(private, "/api/v1/openapi.json"))["components"]["schemas"]
    validator = jsonschema.Draft202012Validator(
        {"components": {"schemas": schemas}} | schemas["Plan"]
    )
    validator.validate(plan)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**plan, "parked": [{"sku": "candle"}]})


async def test_lots_are_those_of_the_command_line(private: Listener) -> None:
    """By SKU, in the order in which they go out; of one item, or of all that have any."""
    office = private.office
    for lot, days in (("B07", 90), ("A12", 10)):
        terms = LotTerms(expires_at=office.clock.at + timedelta(days=days), supplier="Moser")
        move = StockMove("wax", 1000, MovementKind.RECEIPT, lot=lot, terms=terms)
        await office.do(MoveStock((move,), lot, "test"))
    body = await data(private, "/api/v1/lots")
    assert body["next"] is None
    rows = [(row["sku"], row["lot"], row["on_hand"], row["soon"]) for row in body["data"]]
    assert rows == [
        ("wax", "A12", "1", True),
        ("wax", "B07", "1", False),
        ("wax", None, "2.5", False),
    ]
    assert body["data"][0]["supplier"] == "Moser"
    (row,) = (await data(private, "/api/v1/lots?sku=candle"))["data"]
    assert (row["lot"], row["on_hand"], row["state"]) == (None, "5", "sellable")
    assert (await private.get("/api/v1/lots?sku=nothing")).status == 404
    office.clock.pass_s(11 * 86400)
    assert (await data(private, "/api/v1/lots"))["data"][0]["state"] == "expired"


async def test_an_unknown_item_is_404(private: Listener) -> None:
    """The error says what to type to see which there are."""
    answer = await private.get("/api/v1/items/candel")
    assert answer.status == 404
    told = error(await answer.text())
    assert (told["code"], told["field"], told["found"]) == ("not_found", "sku", "candel")
    assert told["next"] == "stockpush stock"


async def test_channels_tell_what_the_database_and_the_daemon_know(private: Listener) -> None:
    """Counts and latency from the database, the state from the running workers."""
    office = private.office
    await office.sell("candle", 1)
    await office.open_push(CANDLE, "call")
    office.clock.pass_s(0.25)
    await office.settle(CANDLE, "call", PushOutcomeKind.APPLIED)
    await office.sell("wax", 1250)
    office.channels[WOO].failed(AuthFailed("the key was revoked"))
    body = await data(private, "/api/v1/channels")
    shopify, woo = body["data"]
    assert body["next"] is None
    assert shopify == {
        "name": SHOPIFY,
        "connector": "shopify",
        "mode": "live",
        "webhook_path": office.parts.webhook_path(SHOPIFY),
        "state": "ok",
        "state_reason": None,
        "last_order_at": None,
        "backlog": 1,
        "listings": 1,
        "parked": 0,
        "latency_s": {"p50": 0.25, "p95": 0.25},
        "heard_s": {"webhook": None, "poll": None},
        "look_at": [],
    }
    assert (woo["state"], woo["state_reason"]) == ("needs_login", "the key was revoked")
    assert (woo["backlog"], woo["latency_s"]) == (1, None)


async def test_channels_tell_how_soon_orders_were_known(private: Listener) -> None:
    """By webhook and by poll, each as the watchdog measured it; null where none came that way."""
    office = private.office
    told, polled = HeardBy("webhook", 0.5, 2.25, 9), HeardBy("poll", 31.0, 58.5, 7)
    await office.do(NoteHeard(SHOPIFY, (told, polled)))
    await office.do(NoteHeard(WOO, (polled,)))
    shopify, woo = (await data(private, "/api/v1/channels"))["data"]
    by_poll = {"p50": 31.0, "p95": 58.5}
    assert shopify["heard_s"] == {"webhook": {"p50": 0.5, "p95": 2.25}, "poll": by_poll}
    assert woo["heard_s"] == {"webhook": None, "poll": by_poll}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, ("unreachable", "recorded")),
        (Health.OK, ("ok", None)),
        (Health.NEEDS_LOGIN, ("needs_login", "seen")),
    ],
)
def test_what_the_asker_sees_comes_before_what_was_recorded(
    seen: Health | None, expected: tuple[str, str | None]
) -> None:
    """The running daemon knows; without one, what it recorded last is all there is."""
    stored = SimpleNamespace(
        state=ChannelState("my-shop", health=Health.UNREACHABLE, health_reason="recorded"),
        backlog=0,
        listings=0,
        parked=0,
        drifts=0,
        latency_s=None,
        look_at={"30": "its price is another one"},
    )
    policy = SimpleNamespace(
        name="my-shop", connector="shopify", mode=SimpleNamespace(value="live")
    )
    reason = "seen" if seen is Health.NEEDS_LOGIN else ""
    row = channel_report.channel(policy, stored, webhook_path=None, health=seen, reason=reason)
    assert (row.state, row.state_reason) == expected
    assert row.look_at == (channel_report.LookAtRow("30", "its price is another one"),)


async def test_pages_of_deliveries_come_newest_first(private: Listener) -> None:
    """Each delivery once, without its body; a quarantined one says why."""
    for number in range(5):
        state = DeliveryState.QUARANTINED if number == 3 else DeliveryState.APPLIED
        await private.office.deliver(number, state)
    seen = []
    path = "/api/v1/deliveries?limit=2"
    while path:
        body = await data(private, path)
        seen += body["data"]
        following = body["next"]
        path = f"/api/v1/deliveries?limit=2&cursor={following}" if following else ""
    ids = [each["id"] for each in seen]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)
    assert seen[1] == {
        "id": ids[1],
        "channel": SHOPIFY,
        "topic": "orders/create",
        "received_at": "2026-11-22T12:00:01Z",
        "state": "quarantined",
        "reason": "line 3 has no quantity",
    }
    assert seen[0]["reason"] is None


@pytest.mark.parametrize(
    ("command", "row", "nested"),
    [
        ("stock", report.StockRow, (report.ListingRow, report.SupplyRow, report.OlderBillRow)),
        (
            "channels",
            channel_report.ChannelRow,
            (channel_report.LatencyRow, channel_report.HeardRow, channel_report.LookAtRow),
        ),
        ("deliveries", channel_report.DeliveryRow, ()),
        ("holds", holding.HoldRow, (holding.HoldLineRow, holding.OnSaleRow)),
        ("log", movements.LedgerRow, ()),
        ("lots", lot_report.LotRow, ()),
    ],
)
def test_rows_have_the_documented_keys(command: str, row: type, nested: tuple[type, ...]) -> None:
    """docs/interface.md lists every key that scripts rely on, of the row and inside it."""
    page = (Path(__file__).parents[2] / "docs" / "interface.md").read_text(encoding="utf-8")
    (shape,) = re.findall(rf"^\| `{command}` \| `(\{{.*?)`", page, re.MULTILINE)
    documented = set(re.findall(r'"(\w+)"', shape)) - {"data", "next"}
    ours = {each.name for kind in (row, *nested) for each in fields(kind)}
    assert documented - ours == set()


def test_drifts_have_the_documented_keys_and_classes() -> None:
    """docs/interface.md lists every key, and every word for what a drift turned out to be."""
    page = (Path(__file__).parents[2] / "docs" / "interface.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `GET /api/v1/drifts.*$", page, re.MULTILINE)
    drift = Drift(CANDLE, 5, 3, DriftClass.UNSEEN_SALE, NOON, id=1)
    told = channel_report.drift(DriftRow(drift, ()), build(1, (), (), (), {})).as_json()
    assert re.findall(r'"(\w+)"', row) == list(told)
    assert (told["ref"], told["sku"]) == (None, None)
    words = row.partition("`class`: ")[2].partition(";")[0]
    assert re.findall(r"\w+", words) == list(DriftClass)


# -- the description ----------------------------------------------------------------------------


async def test_the_description_names_every_path_and_no_other(private: Listener) -> None:
    """The table of paths is the router's."""
    document = await data(private, "/api/v1/openapi.json")
    app = no_app()
    assert set(document["paths"]) == {each.resource.canonical for each in app.router.routes()}
    assert document["openapi"].startswith("3.1.")


async def test_answers_are_as_described(private: Listener) -> None:
    """Each answer, good and bad, is valid under the schema that the description gives it."""
    office = private.office
    await office.deliver(1)
    await office.deliver(2)
    await office.sell("candle", 1)
    await office.open_push(CANDLE, "call")
    await office.settle(CANDLE, "call", PushOutcomeKind.APPLIED)
    document = await data(private, "/api/v1/openapi.json")

    def check(answer: object, schema: dict[str, object]) -> None:
        # The references are to the whole document, so the schema is tried inside it.
        jsonschema.Draft202012Validator(document | schema).validate(answer)

    tried = 0
    for path, operations in document["paths"].items():
        if path in ONLY_WRITTEN:
            continue
        answers = operations["get"]["responses"]
        if path != "/metrics":
            good = await data(private, filled_in(path))
            check(good, answers["200"]["content"]["application/json"]["schema"])
            with pytest.raises(jsonschema.ValidationError):
                check([], answers["200"]["content"]["application/json"]["schema"])
        if path.endswith("/why"):
            past = await data(private, filled_in(path) + "?at=-0s")
            assert past["listings"][0]["since"] is not None
            check(past, answers["200"]["content"]["application/json"]["schema"])
        bad = await private.get(filled_in(path) + "?surprise=1")
        check(await bad.json(), answers["default"]["content"]["application/json"]["schema"])
        tried += 1
    assert tried == len(ROUTES)


# -- what goes wrong on our side ----------------------------------------------------------------


class Broken:
    """Reads that fail."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    async def view(self) -> object:
        """Fail."""
        raise self.fault

    async def why(self, _sku: str, **_asked: object) -> object:
        """Fail."""
        raise self.fault

    async def channel_rows(self) -> object:
        """Fail."""
        raise self.fault

    async def deliveries(self, **_asked: object) -> object:
        """Fail."""
        raise self.fault

    async def drifts(self, **_asked: object) -> object:
        """Fail."""
        raise self.fault

    async def movements(self, **_asked: object) -> object:
        """Fail."""
        raise self.fault

    async def catalogue(self) -> object:
        """Fail."""
        raise self.fault

    async def holds(self, **_asked: object) -> object:
        """Fail."""
        raise self.fault

    async def hold(self, _hold_id: int) -> object:
        """Fail."""
        raise self.fault


READING = [path for path in ROUTES if not path.endswith("openapi.json")]


@pytest.mark.parametrize("path", READING)
async def test_a_database_that_cannot_be_read_is_503(filled: Office, path: str) -> None:
    """The client is told to come back."""
    async with listener(filled, Broken(StoreUnavailable())) as running:
        answer = await running.get(path)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert error(await answer.text())["code"] == "store_unavailable"


@pytest.mark.parametrize("path", READING)
async def test_a_defect_is_an_id_and_a_log_line(filled: Office, path: str) -> None:
    """The id in the answer finds the log line; nothing else of the defect gets out."""
    fault = RuntimeError("canary")
    async with listener(filled, Broken(fault)) as running:
        with structlog.testing.capture_logs() as lines:
            answer = await running.get(path)
    assert answer.status == 500
    text = await answer.text()
    (line,) = lines
    assert (line["event"], line["log_level"], line["exc_info"]) == (
        "request.failed",
        "error",
        fault,
    )
    assert line["id"] in error(text)["message"]
    assert "canary" not in text
    assert "Traceback" not in text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_reading_writes_nothing(private: Listener, tmp_path: Path) -> None:
    """No answer leaves a trace in the database."""
    before = dump(tmp_path)
    for path in ROUTES:
        assert (await private.get(path)).status == 200
    assert dump(tmp_path) == before
    await private.office.deliver(1)
    assert dump(tmp_path) != before


def dump(folder: Path) -> list[str]:
    """Return the whole database as statements."""
    with closing(sqlite3.connect(folder / "stockpush.db")) as database:
        return list(database.iterdump())
