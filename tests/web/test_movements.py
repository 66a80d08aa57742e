"""The ledger over HTTP: read in pages, and written by the stock verbs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stockpush.engine import posted
from stockpush.engine.channel_report import Reads
from stockpush.errors import StoreUnavailable
from stockpush.messages import ImportCatalogue, MoveStock, StockMove
from stockpush.model import MAIN, Item, Kind, Location, MovementKind
from stockpush.reservation.view import View
from tests.web.private import TOKEN, Listener, listener, office
from tests.web.test_holds import sent

MOVEMENTS = "/api/v1/movements"
LAST, FIRST = "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"
"""Instants that UTC has no day for."""


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Listener]:
    """Five candles and wax for 16 more, shared with soaps."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened) as running:
            yield running


async def read(private: Listener, query: str = "") -> Any:
    """Return a page of the ledger."""
    answer = await private.get(MOVEMENTS + query)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_movements_are_read_as_the_log_tells_them(private: Listener) -> None:
    """Newest first, with reason, actor and what was paid."""
    move = StockMove("wax", 1500, MovementKind.RECEIPT, reason="cost 12.50; from Imkerei Moser")
    await private.office.do(MoveStock((move,), "came", "cli:anna", "early"))
    row = (await read(private))["data"][0]
    assert row == {
        "id": "mv-3",
        "at": "2026-11-22T12:00:01Z",
        "kind": "receipt",
        "sku": "wax",
        "quantity": "1.5",
        "unit": "kg",
        "lot": None,
        "location": "main",
        "reason": "early; cost 12.50; from Imkerei Moser",
        "actor": "cli:anna",
        "cause": "cmd came",
        "cost": "12.50",
        "supplier": "Imkerei Moser",
        "undoes": None,
    }


async def test_movements_come_in_pages_of_one_item_and_since(private: Listener) -> None:
    """The cursor is an id; what is asked for may be put together."""
    for _ in range(3):
        private.office.clock.pass_s(60)
        await private.office.sell("candle", 1)
    page = await read(private, "?sku=candle&limit=2")
    assert ([row["id"] for row in page["data"]], page["next"]) == (["mv-5", "mv-4"], "mv-4")
    page = await read(private, "?sku=candle&limit=2&cursor=mv-4")
    assert ([row["kind"] for row in page["data"]], page["next"]) == (["sale", "opening"], None)
    page = await read(private, "?since=-1m")
    assert [row["id"] for row in page["data"]] == ["mv-5", "mv-4"]
    assert (await private.get(f"{MOVEMENTS}?sku=nothing")).status == 404


# -- writing -----------------------------------------------------------------------------------

RECEIVE = {"verb": "receive", "sku": "wax", "quantity": "1500 g"}


@pytest.fixture
async def placed(private: Listener) -> Listener:
    """The same with another place of the pool main, and one where nothing is sold."""
    places = (Location("market", pool=MAIN), Location("seconds", sellable=False))
    await private.office.do(ImportCatalogue((), (), (), (), "places", "test", locations=places))
    return private


async def on_hand(private: Listener, sku: str) -> str:
    """What is there of an item."""
    row = await (await private.get(f"/api/v1/items/{sku}")).json()
    return row["on_hand"]


async def test_stock_is_received_and_the_receipt_undone(private: Listener) -> None:
    """201 and what changed, with what shares the material; the undo compensates all of it."""
    body = {
        **RECEIVE,
        "lot": "A12",
        "expires_at": "2027-03-02T00:00:00+01:00",
        "cost": "12.50",
        "supplier": "Imkerei Moser",
        "reason": "early",
    }
    status, told = await sent(private, "POST", MOVEMENTS, body)
    assert (status, told) == (
        201,
        {
            "id": "mv-3",
            "undo": "stockpush undo mv-3",
            "dry_run": False,
            "replayed": False,
            "undone_by": None,
            "movements": ["mv-3"],
            "changed": [
                {
                    "sku": "wax",
                    "unit": "kg",
                    "pool": "main",
                    "before": {"on_hand": "2.5", "held": "0", "atp": "2.5"},
                    "after": {"on_hand": "4", "held": "0", "atp": "4"},
                },
                {
                    "sku": "candle",
                    "unit": "piece",
                    "pool": "main",
                    "before": {"on_hand": "5", "held": "0", "atp": "21"},
                    "after": {"on_hand": "5", "held": "0", "atp": "31"},
                },
                {
                    "sku": "soap",
                    "unit": "piece",
                    "pool": "main",
                    "before": {"on_hand": "0", "held": "0", "atp": "100"},
                    "after": {"on_hand": "0", "held": "0", "atp": "160"},
                },
            ],
        },
    )
    row = (await read(private))["data"][0]
    assert (row["lot"], row["reason"]) == ("A12", "early; cost 12.50; from Imkerei Moser")
    assert (row["actor"], row["cost"], row["supplier"]) == ("api", "12.50", "Imkerei Moser")
    status, told = await sent(private, "POST", MOVEMENTS, {"verb": "undo", "id": "mv-3"})
    assert (status, told["id"], told["undo"]) == (201, "mv-4", None)
    assert (await read(private))["data"][0]["undoes"] == "mv-3"
    assert await on_hand(private, "wax") == "2.5"


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (RECEIVE, [("receipt", "wax", "1.5", "main", None)]),
        (
            {"verb": "build", "sku": "candle", "quantity": 10, "lot": "L1"},
            [
                ("build-in", "candle", "10", "main", "L1"),
                ("build-out", "wax", "-1.5", "main", None),
            ],
        ),
        (
            {
                "verb": "build",
                "sku": "candle",
                "quantity": 10,
                "used": [{"sku": "wax", "quantity": "2 kg"}],
                "scrapped": 1,
                "take": [],
            },
            [
                ("build-in", "candle", "10", "main", None),
                ("scrap", "candle", "-1", "main", None),
                ("build-out", "wax", "-2", "main", None),
            ],
        ),
        (
            {"verb": "count", "sku": "wax", "quantity": 0},
            [("count", "wax", "-2.5", "main", None)],
        ),
        (
            {"verb": "adjust", "sku": "candle", "quantity": -3},
            [("adjustment", "candle", "-3", "main", None)],
        ),
        (
            {"verb": "adjust", "sku": "candle", "quantity": "2", "pool": "main"},
            [("adjustment", "candle", "2", "main", None)],
        ),
        (
            {"verb": "adjust", "sku": "candle", "quantity": "2", "location": "market"},
            [("adjustment", "candle", "2", "market", None)],
        ),
        (
            {"verb": "scrap", "sku": "candle", "quantity": 1},
            [("scrap", "candle", "-1", "main", None)],
        ),
        (
            {"verb": "return", "sku": "candle", "quantity": 1, "location": "market"},
            [("return", "candle", "1", "market", None)],
        ),
        (
            {"verb": "transfer", "sku": "candle", "quantity": 2, "from": "main", "to": "market"},
            [
                ("transfer", "candle", "-2", "main", None),
                ("transfer", "candle", "2", "market", None),
            ],
        ),
    ],
    ids=lambda given: str(given.get("verb")) if isinstance(given, dict) else None,
)
async def test_each_verb_writes_what_its_command_does(
    placed: Listener, body: dict[str, Any], written: list[tuple[object, ...]]
) -> None:
    """Kind, item, quantity, place and lot of each movement, and the reason and actor of all."""
    status, told = await sent(placed, "POST", MOVEMENTS, {**body, "reason": "why not"})
    assert status == 201, told
    page = (await read(placed))["data"][: len(told["movements"])]
    names = ("kind", "sku", "quantity", "location", "lot")
    found = [tuple(row[name] for name in names) for row in page]
    assert sorted(found, key=str) == sorted(written, key=str)
    assert {row["reason"].partition("; ")[0] for row in page} == {"why not"}
    assert {row["actor"] for row in page} == {"api"}
    assert sorted(row["id"] for row in page) == sorted(told["movements"])
    assert ("used" in told) == (body["verb"] == "build")
    again = {"verb": "undo", "id": told["id"]}
    assert (await sent(placed, "POST", MOVEMENTS, again))[0] == 201


async def test_what_was_used_is_told_against_the_plan(private: Listener) -> None:
    """Where it was stated."""
    used = [{"sku": "wax", "quantity": "2 kg"}]
    body = {"verb": "build", "sku": "candle", "quantity": 10, "used": used}
    status, told = await sent(private, "POST", MOVEMENTS, body)
    assert status == 201
    assert told["used"] == [{"sku": "wax", "unit": "kg", "planned": "1.5", "used": "2"}]


async def test_the_same_key_moves_stock_once(private: Listener) -> None:
    """200 the second time with the same id; 409 with another body; undone since, it says so."""
    status, told = await sent(private, "POST", MOVEMENTS, RECEIVE, Idempotency_Key="k")
    assert (status, told["replayed"]) == (201, False)
    status, again = await sent(private, "POST", MOVEMENTS, RECEIVE, Idempotency_Key="k")
    assert (status, again["id"], again["replayed"], again["changed"]) == (200, "mv-3", True, [])
    other = {**RECEIVE, "quantity": 2}
    status, told = await sent(private, "POST", MOVEMENTS, other, Idempotency_Key="k")
    assert (status, told["refused"]) == (409, "key_reused")
    assert told["next"] == "the same command with another Idempotency-Key, or without"
    assert await on_hand(private, "wax") == "4"
    await sent(private, "POST", MOVEMENTS, {"verb": "undo", "id": "3"})
    _, again = await sent(private, "POST", MOVEMENTS, RECEIVE, Idempotency_Key="k")
    assert (again["undone_by"], again["undo"]) == ("mv-4", None)
    assert await on_hand(private, "wax") == "2.5"


class _Unread:
    """Reads that fail once something was written."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reads, name)

    async def view(self) -> View:
        """Return the view the first time."""
        self.seen += 1
        if self.seen > 1:
            raise StoreUnavailable
        return await self.reads.view()

    async def hold(self, _number: int) -> None:
        """Fail."""
        raise StoreUnavailable


async def test_what_was_written_and_cannot_be_read_is_not_answered_as_undone(
    tmp_path: Path,
) -> None:
    """The database goes away after the commit: 503 would have a client do it once more."""
    async with office(tmp_path) as opened:
        await opened.fill()
        async with listener(opened, _Unread(opened.parts)) as running:  # type: ignore[arg-type]
            status, told = await sent(running, "POST", MOVEMENTS, RECEIVE)
            assert (status, told["id"], told["changed"]) == (201, "mv-3", [])
            body = {"lines": [{"sku": "candle", "quantity": 1}]}
            status, told = await sent(running, "POST", "/api/v1/holds", body)
            assert (status, told["id"]) == (202, "hold-2")
        assert (await opened.parts.hold(2)) is not None


async def test_lists_in_lists_that_nobody_can_print_are_a_mistake(private: Listener) -> None:
    """Deep enough to be read and too deep to be told."""
    body = b'{"verb":' + b"[" * 998 + b"]" * 998 + b"}"
    async with private.http.post(private.url + MOVEMENTS, data=body) as answer:
        assert answer.status == 400, await answer.text()


async def test_many_requests_with_one_key_at_once_move_stock_once(private: Listener) -> None:
    """One is 201, the others 200."""
    asked = (sent(private, "POST", MOVEMENTS, RECEIVE, Idempotency_Key="k") for _ in range(5))
    answers = await asyncio.gather(*asked)
    assert sorted(status for status, _ in answers) == [200, 200, 200, 200, 201]
    assert await on_hand(private, "wax") == "4"


async def test_a_dry_run_says_what_would_change(private: Listener) -> None:
    """200, the same changes as the real one, and nothing was written."""
    status, would = await sent(private, "POST", MOVEMENTS, {**RECEIVE, "dry_run": True})
    assert (status, would["id"], would["undo"], would["dry_run"]) == (200, None, None, True)
    assert await on_hand(private, "wax") == "2.5"
    _, did = await sent(private, "POST", MOVEMENTS, {**RECEIVE, "dry_run": False})
    assert would["changed"] == did["changed"] != []


async def test_rehearsals_and_writes_do_not_get_in_each_other_s_way(private: Listener) -> None:
    """Asked at once, all are answered, and what was written counts once each."""
    dry = {**RECEIVE, "dry_run": True}
    lane, items = (
        private.office.parts.lane,
        [Item(f"i{n}", "", Kind.SUPPLY, "piece") for n in range(5)],
    )
    catalogues = [
        lane.submit(ImportCatalogue((each,), (), (), (), each.sku, "test")) for each in items
    ]
    asked = [sent(private, "POST", MOVEMENTS, each) for each in (RECEIVE, dry) * 5]
    answers, _ = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*catalogues))
    assert [status for status, _ in answers] == [201, 200] * 5
    assert await on_hand(private, "wax") == "10"


@pytest.mark.parametrize(
    ("body", "status", "field", "found"),
    [
        ([], 400, "body", "[]"),
        (b"{", 400, "body", None),
        ({}, 400, "verb", None),
        ({"verb": "sell", "sku": "candle", "quantity": 1}, 400, "verb", "sell"),
        ({"verb": ["build"]}, 400, "verb", "['build']"),
        ({"verb": "receive", "sku": "wax"}, 400, "quantity", None),
        ({"verb": "receive", "quantity": 1}, 400, "sku", None),
        ({**RECEIVE, "sku": "wex"}, 404, "sku", "wex"),
        ({**RECEIVE, "sku": 5}, 400, "sku", "5"),
        ({**RECEIVE, "quantity": 0}, 400, "quantity", "0"),
        ({**RECEIVE, "quantity": "-1"}, 400, "quantity", "-1"),
        ({**RECEIVE, "quantity": 1.5}, 400, "quantity", "1.5"),
        ({**RECEIVE, "quantity": "5 l"}, 400, "quantity", "5 l"),
        ({**RECEIVE, "quantity": []}, 400, "quantity", "[]"),
        ({**RECEIVE, "pool": "main"}, 400, "pool", "main"),
        ({**RECEIVE, "lot": ""}, 400, "lot", None),
        ({**RECEIVE, "lot": 5}, 400, "lot", "5"),
        ({**RECEIVE, "lot": "x" * 201}, 400, "lot", "201 characters"),
        ({**RECEIVE, "reason": "a\nb"}, 400, "reason", "a\nb"),
        ({**RECEIVE, "location": "nowhere"}, 404, "location", "nowhere"),
        ({**RECEIVE, "cost": "12 euro"}, 400, "cost", "12 euro"),
        ({**RECEIVE, "expires_at": "2027-03-01T00:00Z"}, 400, "expires_at", "2027-03-01T00:00Z"),
        ({**RECEIVE, "lot": "A", "expires_at": "2027-03-01"}, 400, "expires_at", "2027-03-01"),
        ({**RECEIVE, "lot": "A", "expires_at": LAST}, 400, "expires_at", LAST),
        ({**RECEIVE, "lot": "A", "available_from": FIRST}, 400, "available_from", FIRST),
        ({**RECEIVE, "dry_run": "yes"}, 400, "dry_run", "yes"),
        ({"verb": "scrap", "sku": "wax", "quantity": 1, "lot": "B07"}, 404, "lot", "B07"),
        ({"verb": "adjust", "sku": "wax", "quantity": 1, "pool": "north"}, 404, "pool", "north"),
        (
            {"verb": "adjust", "sku": "wax", "quantity": 1, "pool": "x", "location": " main "},
            400,
            "pool",
            "x",
        ),
        ({"verb": "transfer", "sku": "wax", "quantity": 1, "from": "main"}, 400, "to", None),
        (
            {"verb": "transfer", "sku": "wax", "quantity": 1, "from": "main", "to": "nowhere"},
            404,
            "to",
            "nowhere",
        ),
        (
            {"verb": "build", "sku": "candle", "quantity": 1, "used": [{"sku": "wex"}]},
            404,
            "used[0].sku",
            "wex",
        ),
        (
            {"verb": "build", "sku": "candle", "quantity": 1, "used": [{"sku": "wax"}]},
            400,
            "used[0].quantity",
            None,
        ),
        ({"verb": "build", "sku": "candle", "quantity": 1, "used": {}}, 400, "used", "{}"),
        ({"verb": "build", "sku": "candle", "quantity": 1, "take": [1]}, 400, "take[0]", "1"),
        ({"verb": "build", "sku": "candle", "quantity": 1, "bill": True}, 400, "bill", "True"),
        ({"verb": "undo", "id": "hold-1"}, 400, "id", "hold-1"),
        ({"verb": "undo", "id": "mv-99"}, 404, "id", None),
        ({"verb": "undo"}, 400, "id", None),
    ],
    ids=str,
)
async def test_a_mistake_is_named_and_nothing_moves(
    private: Listener, body: Any, status: int, field: str, found: object
) -> None:
    """400 or 404 with the field as it was posted; the ledger is as before."""
    before = await read(private)
    got, told = await sent(private, "POST", MOVEMENTS, body)
    assert (got, told["error"]["field"]) == (status, field), told
    assert told["error"]["found"] == found
    assert (await read(private)) == before


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"verb": "build", "sku": "wax", "quantity": 1}, "no_bill"),
        ({"verb": "build", "sku": "candle", "quantity": 1, "bill": 9}, "no_such_bill"),
        ({"verb": "build", "sku": "candle", "quantity": 1, "scrapped": 2}, "more_lost_than_built"),
        ({"verb": "build", "sku": "candle", "quantity": 1, "take": ["soap"]}, "not_a_substitute"),
        (
            {"verb": "transfer", "sku": "wax", "quantity": 1, "from": "main", "to": "main"},
            "same_place",
        ),
        ({"verb": "receive", "sku": "candle", "quantity": 10**15}, "out_of_bounds"),
    ],
    ids=str,
)
async def test_what_is_not_possible_is_refused(
    private: Listener, body: dict[str, Any], refused: str
) -> None:
    """409 with the reason and what to do next, in the words of what was posted."""
    before = await read(private)
    status, told = await sent(private, "POST", MOVEMENTS, body)
    assert (status, told.get("refused")) == (409, refused), told
    assert told["message"]
    assert "--" not in (told["next"] or "")
    assert (await read(private)) == before


async def test_nothing_is_moved_without_the_token(private: Listener) -> None:
    """401, and the ledger is as before."""
    wrong = f"Bearer {TOKEN}x"
    status, _ = await sent(private, "POST", MOVEMENTS, RECEIVE, Authorization=wrong)
    assert status == 401
    assert await on_hand(private, "wax") == "2.5"


async def test_what_is_posted_is_as_described(placed: Listener) -> None:
    """Bodies and answers are valid under the schemas that the description gives them."""
    document = (await sent(placed, "GET", "/api/v1/openapi.json"))[1]
    described = document["paths"][MOVEMENTS]["post"]
    asked = described["requestBody"]["content"]["application/json"]["schema"]

    def check(content: object, schema: Any) -> None:
        jsonschema.Draft202012Validator(document | schema).validate(content)

    bodies: list[dict[str, Any]] = [
        {**RECEIVE, "reason": "x", "dry_run": True},
        {"verb": "build", "sku": "candle", "quantity": 1, "used": [{"sku": "wax", "quantity": 1}]},
        {"verb": "undo", "id": "mv-99"},
        {"verb": "build", "sku": "wax", "quantity": 1},
    ]
    for body in bodies:
        check(body, asked)
        status, told = await sent(placed, "POST", MOVEMENTS, body)
        answers = described["responses"]
        answer = answers.get(str(status), answers["default"])
        check(told, answer["content"]["application/json"]["schema"])
    wrong: list[dict[str, Any]] = [{}, {"verb": "sell"}, {**RECEIVE, "pool": "x"}, {"verb": "undo"}]
    for body in wrong:
        with pytest.raises(jsonschema.ValidationError):
            check(body, asked)
    verbs = document["components"]["schemas"]["NewMovement"]["oneOf"]
    assert [each["title"] for each in verbs] == list(posted.FIELDS)
