"""The emulated shop's REST v3: routes, paging, filters, stock writes, per-item batch errors.

Theory of operation. A handler returns a JSON value or raises `RestError`, which becomes the
WordPress error object. Where the contract is at hand every request is checked against it first.
What no schema says is here: an unknown id is 400 to a write and 404 to a read; a quantity sent to
something that does not manage stock is dropped with 200; a null quantity sets 0; a batch is a
loop whose failures stand beside the successes, with 200 over all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from stockpush.sim.shops.woocommerce import render
from stockpush.sim.shops.woocommerce.backoffice import Backoffice
from stockpush.sim.shops.woocommerce.contract import Contract, ContractBroken
from stockpush.sim.shops.woocommerce.outbox import Outbox, Webhook
from stockpush.sim.shops.woocommerce.state import HIDDEN_STATUSES, Order, Product

ROOT = "/wp-json/wc/v3"
BATCH_MAX = 100
"""Most items of one batch, created, updated and deleted together."""
PER_PAGE_MAX = 100
PER_PAGE_DEFAULT = 10
_WRITES = ("PUT", "POST", "PATCH")
Row = TypeVar("Row", Product, Order)
Reading = Callable[[], Callable[[Product], int]]

_UNMANAGED_TYPES = frozenset({"grouped", "external"})


class RestError(Exception):
    """An error answer: HTTP status, WordPress error code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def as_json(self) -> dict[str, Any]:
        """Return the error object."""
        return {"code": self.code, "message": str(self), "data": {"status": self.status}}


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A JSON answer before it is encoded."""

    status: int
    value: Any
    headers: Mapping[str, str]


class Rest:
    """The routes over one back office."""

    def __init__(
        self,
        office: Backoffice,
        outbox: Outbox,
        contract: Contract | None,
        reading: Reading,
        shuffle: Callable[[], random.Random | None] = lambda: None,
    ) -> None:
        """`reading` is asked once for each read of products: what it shows of their numbers.

        `shuffle` returns dice where equals of a list are to come in any order.
        """
        self._office = office
        self._reading = reading
        self._shuffle = shuffle
        self._outbox = outbox
        self._contract = contract

    def answer(
        self, method: str, path: str, query: Mapping[str, str], content: bytes
    ) -> RestAnswer:
        """Answer one request whose credentials are in order."""
        try:
            body = _decoded(content) if method in _WRITES else {}
            if not path.startswith(ROOT + "/"):
                raise _no_route()
            if self._contract is not None:
                self._check(self._contract, method, path.removeprefix(ROOT), query, body)
            return self._route(method, path.removeprefix(ROOT + "/").split("/"), query, body)
        except RestError as error:
            return RestAnswer(error.status, error.as_json(), {})

    def object(self, topic: str, object_id: int) -> Any:
        """Return what a webhook of `topic` carries now: the REST object, or an error object."""
        resource, _, event = topic.partition(".")
        if event == "deleted":
            return {"id": object_id}
        try:
            if resource == "order":
                return render.order(self._order(object_id))
            row = self._office.products.get(object_id)
            return self._product_json(row or self._product(object_id, 0, missing=404))
        except RestError as error:
            return error.as_json()

    @staticmethod
    def _check(
        contract: Contract,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> None:
        try:
            contract.check(method, path, query, body)
        except ContractBroken as broken:
            raise RestError(
                400, "rest_invalid_param", f"Invalid parameter(s): {broken}"
            ) from broken

    def _route(
        self, method: str, parts: list[str], query: Mapping[str, str], body: Mapping[str, Any]
    ) -> RestAnswer:
        write = method in _WRITES
        match parts:
            case ["products"] if method == "GET":
                return _page(self._products(query), query, self._read_product())
            case ["products", "batch"] if write:
                return self._batch(body, parent_id=0)
            case ["products", product_id] if method == "GET":
                return _ok(self._read_product()(self._product(_id(product_id), 0, missing=404)))
            case ["products", product_id] if write:
                return _ok(self._write_stock(self._product(_id(product_id), 0), body))
            case ["products", parent_id, "variations"] if method == "GET":
                rows = self._variations(_id(parent_id), query)
                return _page(rows, query, self._read_product())
            case ["products", parent_id, "variations", "batch"] if write:
                return self._batch(body, parent_id=_id(parent_id))
            case ["products", parent_id, "variations", variation_id] if method == "GET":
                row = self._product(_id(variation_id), _id(parent_id), missing=404)
                return _ok(self._read_product()(row))
            case ["products", parent_id, "variations", variation_id] if write:
                row = self._product(_id(variation_id), _id(parent_id))
                return _ok(self._write_stock(row, body))
            case ["orders"] if method == "GET":
                return _page(self._orders(query), query, render.order)
            case ["orders", order_id] if method == "GET":
                return _ok(render.order(self._order(_id(order_id))))
            case ["orders", order_id, "refunds"] if method == "GET":
                refunds = list(reversed(self._order(_id(order_id)).refunds))
                return _page(refunds, query, render.refund)
            case ["webhooks"] if method == "GET":
                return _page(list(self._outbox.webhooks.values()), query, _webhook_json)
            case ["webhooks"] if method == "POST":
                return self._create_webhook(body)
            case ["webhooks", webhook_id] if method == "DELETE":
                return self._delete_webhook(_id(webhook_id), query)
            case ["settings", "products", "woocommerce_manage_stock"] if method == "GET":
                managed = "yes" if self._office.manages_stock else "no"
                return _ok({"id": "woocommerce_manage_stock", "value": managed})
            case ["webhooks", webhook_id] if write:
                return self._update_webhook(_id(webhook_id), body)
            case _:
                raise _no_route()

    # -- products ----------------------------------------------------------------------------

    def _product_json(self, row: Product) -> dict[str, Any]:
        return render.product(self._office, row)

    def _read_product(self) -> Callable[[Product], dict[str, Any]]:
        """Return what writes the products of one read, all as of one instant."""
        shown = self._reading()
        return lambda row: render.product(self._office, row, shown)

    def _product(self, row_id: int, parent_id: int, *, missing: int = 400) -> Product:
        """Return a product, or a variation of `parent_id`; the missing one answers `missing`."""
        row = self._office.products.get(row_id)
        if row is None or row.parent_id not in (0, parent_id) or (parent_id and not row.parent_id):
            kind = "product_variation" if parent_id else "product"
            raise RestError(missing, f"woocommerce_rest_{kind}_invalid_id", "Invalid ID.")
        return row

    def _products(self, query: Mapping[str, str]) -> list[Product]:
        """Return what the list filters leave; only with `sku` are variations among it."""
        rows = [row for row in self._office.products.values() if not row.parent_id]
        if query.get("sku"):
            wanted = {query["sku"], *query["sku"].split(",")}
            rows = [row for row in self._office.products.values() if row.sku in wanted]
        return _selected(rows, query, self._shuffle())

    def _variations(self, parent_id: int, query: Mapping[str, str]) -> list[Product]:
        rows = [row for row in self._office.products.values() if row.parent_id == parent_id]
        return _selected(rows, query, self._shuffle())

    def _write_stock(self, row: Product, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Apply the stock fields of an update as the shop does, and answer the saved object."""
        if not self._office.manages_stock:
            # Only a stock status would be written; the answer is 200 all the same.
            self._office.saved(row)
            return self._product_json(row)
        may_manage = row.type not in _UNMANAGED_TYPES
        if fields.get("manage_stock") is not None and may_manage:
            # "parent" only says that the variation does not manage: v3 cannot set it otherwise.
            row.manages = fields["manage_stock"] in (True, "true", "1", 1)
        if row.manages and may_manage:
            row.backorders = fields.get("backorders", row.backorders)
            if "stock_quantity" in fields:
                row.stock = int(fields["stock_quantity"] or 0)
        else:
            row.stock = 0
            row.backorders = "no"
        self._office.saved(row)
        return self._product_json(row)

    def _batch(self, body: Mapping[str, Any], *, parent_id: int) -> RestAnswer:
        size = sum(len(items) for items in body.values())
        if size > BATCH_MAX:
            raise RestError(
                413,
                "woocommerce_rest_request_entity_too_large",
                f"Unable to accept more than {BATCH_MAX} items for this request.",
            )
        return _ok({"update": [self._item(item, parent_id) for item in body.get("update", [])]})

    def _item(self, item: Mapping[str, Any], parent_id: int) -> dict[str, Any]:
        item_id = int(item.get("id", 0))
        try:
            return self._write_stock(self._product(item_id, parent_id), item)
        except RestError as error:
            return {"id": item_id, "error": error.as_json()}

    # -- orders ------------------------------------------------------------------------------

    def _order(self, order_id: int) -> Order:
        if order_id not in self._office.orders:
            raise RestError(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return self._office.orders[order_id]

    def _orders(self, query: Mapping[str, str]) -> list[Order]:
        statuses = set(query.get("status", "any").split(","))
        after, before = _bound(query, "modified_after"), _bound(query, "modified_before")
        if "include" in query:
            rows = list(self._office.orders.values())
        else:
            start = 0 if after is None else int(after.timestamp())
            known = self._office.changed.after((start, 0), now=self._office.exactly())
            rows = [self._office.orders[number] for _, number in known]
        return _selected(
            [
                row
                for row in rows
                if row.status in statuses
                or ("any" in statuses and row.status not in HIDDEN_STATUSES)
                if (after is None or row.modified > after)
                and (before is None or row.modified < before)
            ],
            query,
            self._shuffle(),
        )

    # -- webhooks ----------------------------------------------------------------------------

    def _create_webhook(self, body: Mapping[str, Any]) -> RestAnswer:
        for name in ("topic", "delivery_url"):
            if not body.get(name):
                raise RestError(400, "rest_missing_callback_param", f"Missing parameter(s): {name}")
        webhook = self._outbox.subscribe(
            body["topic"], body["delivery_url"], body.get("secret", "")
        )
        return RestAnswer(201, _webhook_json(webhook), {})

    def _update_webhook(self, webhook_id: int, body: Mapping[str, Any]) -> RestAnswer:
        webhook = self._outbox.webhooks.get(webhook_id)
        if webhook is None:
            raise RestError(400, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        if body.get("status"):
            webhook.status = body["status"]
            webhook.failures = 0
        webhook.secret = body.get("secret") or webhook.secret
        return _ok(_webhook_json(webhook))

    def _delete_webhook(self, webhook_id: int, query: Mapping[str, str]) -> RestAnswer:
        if webhook_id not in self._outbox.webhooks:
            raise RestError(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        if query.get("force") != "true":
            raise RestError(501, "woocommerce_rest_trash_not_supported", "It cannot be trashed.")
        return _ok(_webhook_json(self._outbox.remove(webhook_id)))


def _webhook_json(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook; its secret can be written and not read."""
    return {
        "id": webhook.id,
        "name": f"Webhook {webhook.id}",
        "status": webhook.status,
        "topic": webhook.topic,
        "resource": webhook.topic.partition(".")[0],
        "event": webhook.topic.partition(".")[2],
        "delivery_url": webhook.url,
    }


def _ok(value: Any) -> RestAnswer:
    return RestAnswer(200, value, {})


def _no_route() -> RestError:
    return RestError(
        404, "rest_no_route", "No route was found matching the URL and request method."
    )


def _id(text: str) -> int:
    if not text.isdecimal():
        raise _no_route()
    return int(text)


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content or b"{}")
    except ValueError as error:
        raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.") from error
    if not isinstance(body, dict):
        raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.")
    return body


def _bound(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a date filter as UTC; without `dates_are_gmt` it is read in the site's own zone."""
    if name not in query:
        return None
    bound = datetime.fromisoformat(query[name]).replace(tzinfo=UTC)
    return bound if query.get("dates_are_gmt") in ("true", "1") else bound - render.SITE_OFFSET


def _selected(rows: list[Row], query: Mapping[str, str], dice: random.Random | None) -> list[Row]:
    """Return the rows that `include` names (all without it), in the order that was asked for.

    Without `orderby=id` the platform sorts by date alone; equals then come as `dice` say.
    """
    if query.get("include"):
        wanted = {int(each) for each in query["include"].split(",")}
        rows = [row for row in rows if row.id in wanted]
    backwards = query.get("order", "desc") == "desc"
    rows = sorted(rows, key=lambda row: row.id, reverse=backwards)
    if query.get("orderby", "date") == "date":
        if dice is not None:
            dice.shuffle(rows)
        rows.sort(key=_created, reverse=backwards)
    return rows


def _created(row: Product | Order) -> datetime:
    return row.created


def _page(
    rows: Sequence[Any], query: Mapping[str, str], to_json: Callable[[Any], dict[str, Any]]
) -> RestAnswer:
    """Return one page of `rows`, with the totals and the link to the next one in the headers."""
    page, per_page = int(query.get("page", 1)), int(query.get("per_page", PER_PAGE_DEFAULT))
    if not (page >= 1 and 1 <= per_page <= PER_PAGE_MAX):
        raise RestError(400, "rest_invalid_param", "Invalid parameter(s): page, per_page")
    pages = -(-len(rows) // per_page)
    headers = {"x-wp-total": str(len(rows)), "x-wp-totalpages": str(pages)}
    if page < pages:
        headers["link"] = f'<?page={page + 1}>; rel="next"'
    start = (page - 1) * per_page
    return RestAnswer(200, [to_json(row) for row in rows[start : start + per_page]], headers)
