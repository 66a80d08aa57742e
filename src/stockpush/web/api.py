"""The private listener: what there is to read, as JSON, and the metrics.

Theory of operation. Everything here reads; what writes is the command line. The rows are those of
`stock --json`, `why --json`, `channels --json` and `deliveries --json`, made by the same functions,
so that the two cannot disagree. Lists that grow come in pages: `limit` says how many rows, `cursor`
where to go on, taken from `next` of the page before. Who may ask is decided in door.py alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

from aiohttp import web

from stockpush.engine import channel_report, report
from stockpush.engine.channel_report import ChannelRow, Reads, StoredChannel
from stockpush.errors import NotFound, UsageError
from stockpush.ports import Ids
from stockpush.web import openapi
from stockpush.web.door import answer, door, protect, shown
from stockpush.web.listener import Runner
from stockpush.web.metrics import CONTENT_TYPE, Metrics

LIMIT_DEFAULT = 100
"""Rows in a page unless asked otherwise."""
LIMIT_MAX = 500
"""Most rows in a page."""
CURSOR_LENGTH_MAX = 300
"""Longest cursor, in characters: a SKU, or a number."""
DELIVERY_ID_MAX = 2**63 - 1
"""Largest id that the database can hold."""
IDLE_TIMEOUT_S = 5.0
"""How long a client may take over the request line and headers, and idle between requests."""
SHUTDOWN_TIMEOUT_S = 1.0
"""How long answers under way may take when the daemon stops: nothing is lost with a reading."""


def private_app(
    reads: Reads,
    metrics: Metrics,
    channel_row: Callable[[StoredChannel], ChannelRow],
    *,
    token: str,
    host: str,
    ids: Ids,
) -> web.Application:
    """Return the private application.

    `channel_row` makes a channel's row out of what the database and the daemon know of it.
    `token` is the admin token and `host` the name or address (no port) that the listener is
    configured with: besides loopback names, the only one it answers to.
    """
    api = _Api(reads, metrics, channel_row)
    app = web.Application(middlewares=[door(token=token, host=host, ids=ids)])
    app.on_response_prepare.append(protect)
    app.router.add_get("/metrics", api.metrics)
    app.router.add_get("/api/v1/items", api.items)
    app.router.add_get("/api/v1/items/{sku}", api.item)
    app.router.add_get("/api/v1/items/{sku}/why", api.why)
    app.router.add_get("/api/v1/channels", api.channels)
    app.router.add_get("/api/v1/deliveries", api.deliveries)
    app.router.add_get("/api/v1/openapi.json", api.openapi)
    return app


def private_runner(app: web.Application) -> web.AppRunner:
    """Return the runner of the private application: slow headers end, and so does a slow stop."""
    return Runner(
        app,
        access_log=None,
        keepalive_timeout=IDLE_TIMEOUT_S,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )


class _Api:
    """The handlers."""

    def __init__(
        self,
        reads: Reads,
        metrics: Metrics,
        channel_row: Callable[[StoredChannel], ChannelRow],
    ) -> None:
        self._reads = reads
        self._metrics = metrics
        self._channel_row = channel_row

    async def metrics(self, request: web.Request) -> web.Response:
        _parameters(request)
        view = await self._reads.view()
        stored = await self._reads.channel_rows()
        body = self._metrics.render(view.rows, stored, shortages=len(report.shortages(view)))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def items(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor")
        limit, after = _limit(asked), _cursor(asked)
        rows, following = report.stock_page(await self._reads.view(), limit=limit, after=after)
        return _page(rows, following)

    async def item(self, request: web.Request) -> web.Response:
        _parameters(request)
        sku = request.match_info["sku"]
        view = await self._reads.view()
        if sku not in view.catalogue.items:
            raise _no_item(sku)
        return answer(report.stock(view, [sku])[0])

    async def why(self, request: web.Request) -> web.Response:
        at = _parameters(request, "at").get("at")
        sku = request.match_info["sku"]
        asked = None if at is None else shown(at)
        found = await self._reads.why(sku, at=asked, zone=UTC, field="at")
        if found is None:
            raise _no_item(sku)
        return answer(found)

    async def channels(self, request: web.Request) -> web.Response:
        _parameters(request)
        stored = await self._reads.channel_rows()
        return _page([self._channel_row(each) for each in stored], None)

    async def deliveries(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor")
        limit, before = _limit(asked), _delivery_cursor(asked)
        page = await self._reads.deliveries(limit=limit, before=before)
        return _page(
            [channel_report.delivery(each) for each in page.data],
            None if page.next is None else str(page.next),
        )

    async def openapi(self, request: web.Request) -> web.Response:
        _parameters(request)
        return answer(openapi.document(limit_default=LIMIT_DEFAULT, limit_max=LIMIT_MAX))


def _no_item(sku: str) -> NotFound:
    return NotFound(
        "There is no item with that SKU.",
        field="sku",
        found=shown(sku),
        expected="a SKU of /api/v1/items",
        next="stockpush stock",
    )


def _page(rows: Sequence[Any], following: str | None) -> web.Response:
    return answer({"data": rows, "next": following})


def _parameters(request: web.Request, *known: str) -> Mapping[str, str]:
    """Return the query's parameters, each given once and none that would be ignored."""
    for name in request.query:
        if name not in known:
            raise UsageError(
                "There is no such parameter here.",
                field=shown(name),
                found=shown(request.query[name]),
                expected=" or ".join(known) or "no parameters",
            )
        if len(request.query.getall(name)) > 1:
            raise UsageError(f"{name} is given more than once.", field=name, expected="once")
    return request.query


def _limit(asked: Mapping[str, str]) -> int:
    text = asked.get("limit", str(LIMIT_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= LIMIT_MAX:
        expected = f"a whole number from 1 to {LIMIT_MAX}"
        raise UsageError(
            f"limit must be {expected}.", field="limit", found=shown(text), expected=expected
        )
    return int(text)


def _cursor(asked: Mapping[str, str]) -> str | None:
    text = asked.get("cursor")
    if text is not None and not 0 < len(text) <= CURSOR_LENGTH_MAX:
        raise _not_a_cursor(text)
    return text


def _delivery_cursor(asked: Mapping[str, str]) -> int | None:
    text = _cursor(asked)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > DELIVERY_ID_MAX:
        raise _not_a_cursor(text)
    return int(text)


def _not_a_cursor(text: str) -> UsageError:
    return UsageError(
        "cursor is not one of ours.",
        field="cursor",
        found=shown(text),
        expected="the value of next in the page before",
    )
