"""The private listener: what there is to read, as JSON, and the metrics; and what moves stock.

Theory of operation. What reads has the rows of `stock --json`, `why --json`, `lots --json`,
`plan --json`, `channels --json`, `holds --json`, `log --json` and `deliveries --json`, made by the
same functions, so that the two cannot disagree. What writes, stock verbs, sales and holds, becomes
a command of the commit lane as on the command line, read and refused by the same functions, under
the idempotency key that comes with it. Lists that grow come in pages: `limit` says how many rows,
`cursor` where to go on, taken from `next` of the page before. Who may ask is decided in door.py
alone.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
from aiohttp import web

from stockpush.engine import (
    channel_report,
    holding,
    lot_report,
    movements,
    moving,
    posted,
    report,
)
from stockpush.engine.channel_report import ChannelRow, Reads, StoredChannel
from stockpush.engine.commit import Done
from stockpush.engine.posted import POSTED, Posted
from stockpush.errors import NotFound, StoreUnavailable, UsageError
from stockpush.messages import Command, PlaceHold, Refused, ReleaseHold, RenewHold, Replayed
from stockpush.model import MAIN, Hold, HoldLine, HoldState
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
ROW_ID_MAX = 2**63 - 1
"""Largest id that the database can hold."""
BODY_BYTES_MAX = 64 * 1024
"""Largest body that is read: a hundred lines take a tenth of it."""
KEY_LENGTH_MAX = 200
"""Longest idempotency key, in characters."""
NUL = "\0"
"""What PostgreSQL keeps in no text, and takes none with: nothing has such a name."""
ALL = "all"
"""What is asked for where holds, or drifts, of every state are."""
OPEN = "open"
"""What is asked for where drifts are that are not closed."""
ACTOR = "api"
"""Who acts, for the record."""
IDLE_TIMEOUT_S = 5.0
"""How long a client may take over the request line and headers, and idle between requests."""
SHUTDOWN_TIMEOUT_S = 1.0
"""How long answers under way may take when the daemon stops: nothing is lost with a reading."""


CarryOut: TypeAlias = Callable[[Command], Awaitable[Done]]
"""Carries out a command; returns once it is durable."""


def private_app(
    reads: Reads,
    metrics: Metrics,
    channel_row: Callable[[StoredChannel], ChannelRow],
    *,
    carry_out: CarryOut,
    hold_for: timedelta,
    token: str,
    host: str,
    ids: Ids,
) -> web.Application:
    """Return the private application.

    `channel_row` makes a channel's row out of what the database and the daemon know of it.
    `hold_for` is how long a hold lasts that is placed without saying.
    `token` is the admin token and `host` the name or address (no port) that the listener is
    configured with: besides loopback names, the only one it answers to.
    """
    api = _Api(reads, metrics, channel_row)
    holds = _Holds(reads, carry_out, ids, hold_for)
    stock = _Stock(reads, carry_out, ids)
    app = web.Application(
        middlewares=[door(token=token, host=host, ids=ids)], client_max_size=BODY_BYTES_MAX
    )
    app.on_response_prepare.append(protect)
    app.router.add_get("/metrics", api.metrics)
    app.router.add_get("/api/v1/items", api.items)
    app.router.add_get("/api/v1/items/{sku}", api.item)
    app.router.add_get("/api/v1/items/{sku}/why", api.why)
    app.router.add_get("/api/v1/listings", api.listings)
    app.router.add_get("/api/v1/lots", api.lots)
    app.router.add_get("/api/v1/plan", api.plan)
    app.router.add_get("/api/v1/channels", api.channels)
    app.router.add_get("/api/v1/deliveries", api.deliveries)
    app.router.add_get("/api/v1/drifts", api.drifts)
    app.router.add_get("/api/v1/movements", api.movements)
    app.router.add_post("/api/v1/movements", stock.move)
    app.router.add_post("/api/v1/orders", stock.sell)
    app.router.add_get("/api/v1/holds", holds.list)
    app.router.add_post("/api/v1/holds", holds.place)
    app.router.add_get("/api/v1/holds/{id}", holds.one)
    app.router.add_patch("/api/v1/holds/{id}", holds.renew)
    app.router.add_delete("/api/v1/holds/{id}", holds.release)
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
        pool = _parameters(request, "pool").get("pool", MAIN)
        sku = request.match_info["sku"]
        view = await self._reads.view()
        if sku not in view.catalogue.items:
            raise _no_item(sku)
        holding.check_pool(pool, view.catalogue, field="pool")
        return answer(report.stock_in(view, sku, pool))

    async def why(self, request: web.Request) -> web.Response:
        at = _parameters(request, "at").get("at")
        sku = request.match_info["sku"]
        asked = None if at is None else shown(at)
        found = await self._reads.why(sku, at=asked, zone=UTC, field="at")
        if found is None:
            raise _no_item(sku)
        return answer(found)

    async def listings(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor", "channel")
        limit, after = _limit(asked), _cursor(asked)
        view = await self._reads.view()
        channel = _channel(asked, view.catalogue.policies)
        return _page(*report.listings_page(view, limit=limit, after=after, channel=channel))

    async def lots(self, request: web.Request) -> web.Response:
        sku = _parameters(request, "sku").get("sku")
        view = await self._reads.view()
        if sku is not None and sku not in view.catalogue.items:
            raise _no_item(sku)
        return _page(list(lot_report.rows(view, sku, self._reads.now())), None)

    async def plan(self, request: web.Request) -> web.Response:
        _parameters(request)
        return answer(report.plan_document(await self._reads.view()))

    async def channels(self, request: web.Request) -> web.Response:
        _parameters(request)
        stored = await self._reads.channel_rows()
        return _page([self._channel_row(each) for each in stored], None)

    async def deliveries(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor")
        limit, before = _limit(asked), _row_cursor(asked)
        page = await self._reads.deliveries(limit=limit, before=before)
        return _page(
            [channel_report.delivery(each) for each in page.data],
            None if page.next is None else str(page.next),
        )

    async def drifts(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor", "channel", "state")
        limit, before, state = _limit(asked), _row_cursor(asked), asked.get("state", OPEN)
        if state not in (OPEN, ALL):
            raise _no_state(state, (OPEN, ALL))
        channel, only_open = asked.get("channel"), state == OPEN
        if channel is not None and NUL in channel:
            raise _no_channel(channel)
        page = await self._reads.drifts(
            limit=limit, before=before, channel=channel, only_open=only_open
        )
        catalogue = await self._reads.catalogue()
        _channel(asked, catalogue.policies)
        rows = [channel_report.drift(each, catalogue).as_json() for each in page.data]
        return _page(rows, None if page.next is None else str(page.next))

    async def movements(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor", "sku", "since")
        limit, cursor = _limit(asked), _cursor(asked)
        sku, since = asked.get("sku"), asked.get("since")
        if sku is not None and NUL in sku:
            raise _no_item(sku)
        before = None
        if cursor is not None:
            before = movements.read_id(cursor, field="cursor", next="stockpush log")
        begin = None if since is None else self._reads.since(shown(since), zone=UTC, field="since")
        page = await self._reads.movements(limit=limit, before=before, sku=sku, since=begin)
        # Read after it: an item that an import brings meanwhile may be in the page.
        catalogue = await self._reads.catalogue()
        if sku is not None and sku not in catalogue.items:
            raise _no_item(sku)
        following = None if page.next is None else movements.name_of(page.next)
        return _page([movements.row(catalogue, each) for each in page.data], following)

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


class _Stock:
    """The handlers of what moves stock."""

    def __init__(self, reads: Reads, carry_out: CarryOut, ids: Ids) -> None:
        self._reads = reads
        self._carry_out = carry_out
        self._ids = ids

    async def move(self, request: web.Request) -> web.Response:
        """Carry out a stock verb, or only decide it."""
        return await self._write(request, posted.read, field="id", where="stockpush log")

    async def sell(self, request: web.Request) -> web.Response:
        """Record a sale made elsewhere, or only decide it."""
        where = "stockpush holds --all"
        return await self._write(request, posted.read_sale, field="hold", where=where)

    async def _write(
        self, request: web.Request, read: Callable[..., Posted], *, field: str, where: str
    ) -> web.Response:
        """Do what was posted, which `read` reads; answer what it did, or why it was refused.

        201 for what was done, 200 for what had been done under its key or was only decided, 404
        for what it names and is not there, 409 for another refusal. A movement or hold is named as
        `field`, and `where` shows which there are.
        """
        _parameters(request)
        key = _idempotency_key(request, self._ids)
        content = await _json(request)
        before = await self._reads.view()
        wanted = read(content, before.catalogue, key=key, actor=ACTOR)
        told = await moving.carry_out(
            self._reads, before, wanted.asked, self._carry_out, dry_run=wanted.dry_run
        )
        if isinstance(told.outcome, Refused):
            if told.outcome.refusal == "not_found":
                raise moving.not_found(told.outcome, told.asked, POSTED, field=field, where=where)
            return _refusal(told.outcome, moving.next_after(told.outcome, POSTED))
        is_new = moving.is_new(told) and not wanted.dry_run
        document = moving.document(told, dry_run=wanted.dry_run)
        return answer(document, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


def _refusal(refused: Refused, further: str | None) -> web.Response:
    """Answer why something cannot be done, and what to do next."""
    told = {"refused": refused.refusal, "message": refused.message, **refused.facts}
    return answer({**told, "next": further}, status=HTTPStatus.CONFLICT)


class _Holds:
    """The handlers of holds."""

    def __init__(self, reads: Reads, carry_out: CarryOut, ids: Ids, hold_for: timedelta) -> None:
        self._reads = reads
        self._carry_out = carry_out
        self._ids = ids
        self._hold_for = hold_for

    async def list(self, request: web.Request) -> web.Response:
        asked = _parameters(request, "limit", "cursor", "state")
        limit, state = _limit(asked), _state(asked)
        cursor = _cursor(asked)
        before = None if cursor is None else holding.read_id(cursor, field="cursor")
        page = await self._reads.holds(limit=limit, before=before, state=state)
        catalogue = await self._reads.catalogue()
        following = None if page.next is None else f"hold-{page.next}"
        parted = any(holding.is_parted(catalogue, each) for each in page.data)
        view = await self._reads.view() if parted else None
        catalogue = catalogue if view is None else view.catalogue
        return _page([holding.row(catalogue, each, view) for each in page.data], following)

    async def one(self, request: web.Request) -> web.Response:
        _parameters(request)
        return await self._answer(await self._named(request))

    async def place(self, request: web.Request) -> web.Response:
        _parameters(request)
        key = _idempotency_key(request, self._ids)
        content = await _json(request)
        catalogue = await self._reads.catalogue()
        asked = holding.read_posted(content, catalogue, default=self._hold_for)
        command = PlaceHold(
            asked.lines,
            asked.until,
            asked.note,
            key,
            ACTOR,
            asked.reason,
            asked.pool,
            asked.lower,
        )
        if asked.dry_run:
            return await self._rehearse(command)
        return await self._write(command, lines=asked.lines, pool=asked.pool)

    async def _rehearse(self, command: PlaceHold) -> web.Response:
        """Answer whether a hold could be placed, and what would change with it; place nothing."""
        view = await self._reads.view()
        decision = await self._reads.rehearse(command)
        outcome = decision.outcome
        if isinstance(outcome, Refused):
            return await self._refuse(outcome, command.lines, command.pool)
        return answer(holding.possible(view, decision, command.lines, command.pool))

    async def renew(self, request: web.Request) -> web.Response:
        _parameters(request)
        key, hold = _idempotency_key(request, self._ids), await self._named(request)
        until, reason = holding.read_renewal(await _json(request))
        return await self._write(RenewHold(hold.id, until, key, ACTOR, reason), hold)

    async def release(self, request: web.Request) -> web.Response:
        _parameters(request)
        key, hold = _idempotency_key(request, self._ids), await self._named(request)
        return await self._write(ReleaseHold(hold.id, key, ACTOR), hold)

    async def _named(self, request: web.Request) -> Hold:
        """Return the hold of the path; `NotFound` where there is none."""
        given = request.match_info["id"]
        try:
            hold = await self._reads.hold(holding.read_id(given, field="id"))
        except UsageError:
            hold = None
        if hold is None:
            raise NotFound(
                "There is no hold with that id.",
                field="id",
                found=shown(given),
                expected="an id of /api/v1/holds",
                next="stockpush holds --all",
            )
        return hold

    async def _write(
        self,
        command: Command,
        named: Hold | None = None,
        *,
        lines: Sequence[HoldLine] = (),
        pool: str = MAIN,
    ) -> web.Response:
        """Carry out a command; answer the hold as it is then, or why it was refused.

        201 for a hold that is new, 200 for one that was there, 409 for a refusal.
        """
        outcome = (await self._carry_out(command)).outcome
        if isinstance(outcome, Refused):
            return await self._refuse(outcome, lines, pool)
        number = outcome.facts["hold"] if named is None else named.id
        is_new = named is None and not isinstance(outcome, Replayed)
        try:
            hold = await self._reads.hold(number)
            assert hold is not None, f"hold {number} was written and is not there"
            return await self._answer(hold, HTTPStatus.CREATED if is_new else HTTPStatus.OK)
        except StoreUnavailable:
            # It is written: whoever was told that it is not would do it once more.
            return answer(holding.unread(number), status=HTTPStatus.ACCEPTED)

    async def _refuse(self, refused: Refused, lines: Sequence[HoldLine], pool: str) -> web.Response:
        """Answer why something cannot be done to a hold of these lines."""
        if refused.refusal == "insufficient_atp":
            refused = holding.explained(await self._reads.view(), lines, refused, pool)
        further = holding.next_after(
            refused, key="Idempotency-Key", until="until", lower='"lower": true'
        )
        return _refusal(refused, further)

    async def _answer(self, hold: Hold, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        catalogue = await self._reads.catalogue()
        view = await self._reads.view() if holding.is_parted(catalogue, hold) else None
        catalogue = catalogue if view is None else view.catalogue
        return answer(holding.row(catalogue, hold, view), status=status)


async def _json(request: web.Request) -> Any:
    """Return what the body says; `UsageError` for what is no JSON."""
    try:
        return msgspec.json.decode(await request.read())
    except (web.RequestPayloadError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError("The body is not JSON.", field="body", expected="a JSON object") from error


def _idempotency_key(request: web.Request, ids: Ids) -> str:
    """Return the key that came with the request, or a fresh one."""
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return ids.new()
    key = given[0].strip()
    if len(given) > 1 or not 0 < len(key) <= KEY_LENGTH_MAX or not key.isprintable():
        raise UsageError(
            "Idempotency-Key cannot be used as it stands.",
            field="Idempotency-Key",
            found=shown(", ".join(given)),
            expected=f"one line of at most {KEY_LENGTH_MAX} printable characters, once",
        )
    return key


def _state(asked: Mapping[str, str]) -> HoldState | None:
    """Return which holds are asked for: those that are held unless told otherwise, None for all."""
    text = asked.get("state", HoldState.HELD.value)
    if text == ALL:
        return None
    try:
        return HoldState(text)
    except ValueError:
        raise _no_state(text, (*HoldState, ALL)) from None


def _no_state(text: str, known: Sequence[str]) -> UsageError:
    expected = f"one of {', '.join(known)}"
    return UsageError(
        "There is no such state.", field="state", found=shown(text), expected=expected
    )


def _channel(asked: Mapping[str, str], known: Collection[str]) -> str | None:
    """Return the channel that is asked for, None for all; `NotFound` for an unknown one."""
    text = asked.get("channel")
    if text is not None and text not in known:
        raise _no_channel(text)
    return text


def _no_channel(name: str) -> NotFound:
    return NotFound(
        "There is no channel of that name.",
        field="channel",
        found=shown(name),
        expected="a name of /api/v1/channels",
        next="stockpush channels",
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


def _row_cursor(asked: Mapping[str, str]) -> int | None:
    text = _cursor(asked)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > ROW_ID_MAX:
        raise _not_a_cursor(text)
    return int(text)


def _not_a_cursor(text: str) -> UsageError:
    return UsageError(
        "cursor is not one of ours.",
        field="cursor",
        found=shown(text),
        expected="the value of next in the page before",
    )
