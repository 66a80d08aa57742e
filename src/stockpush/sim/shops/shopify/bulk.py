"""Bulk operations: a query that runs by itself, and the file that it leaves.

Theory of operation. An operation runs for `takes_s` of the shop's clock; what it writes down is
the shop as it was when it began, one object of the outer connection a line. At most `running_max`
run at once. `fails` ends those that are still running with that error code, and a part of the file.
A file is had by its signed address alone, without a token, and for seven days; then its address is
worth nothing and the operation is EXPIRED.
Source: Admin GraphQL 2026-10, BulkOperation; shopify.dev on bulk operation queries.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from stockpush.sim.shops.base import ShopAnswer, ShopRequest, http_date
from stockpush.sim.shops.shopify.answers import Shown, gid, variant_answer
from stockpush.sim.shops.shopify.inventory import RequestError, UserErrors
from stockpush.sim.shops.shopify.state import Variant

PATH = "/bulk/"
KEPT = timedelta(days=7)
_OUTER = re.compile(r"\A\s*(?:query\s*)?\{\s*productVariants\s*\{\s*edges\s*\{\s*node\s*\{")
_LOCATION = re.compile(r'inventoryLevel\(locationId:\s*"gid://shopify/Location/(?P<number>\d+)"\)')


@dataclass(slots=True)
class Operation:
    """One bulk operation. `secret` is what signs its file's address."""

    number: int
    begun_at: datetime
    lines: tuple[bytes, ...]
    secret: str
    root: str
    canceled: bool = False
    failed: str | None = None


@dataclass(slots=True)
class Bulk:
    """The bulk operations of one app on one shop."""

    variants: Mapping[int, Variant]
    shown: Callable[[], Shown]
    clock: Callable[[], datetime]
    dice: random.Random
    schema_path: Path | None = None
    takes_s: float = 30.0
    running_max: int = 5
    fails: str | None = None
    part: float = 0.5
    """How much of the file an operation has written when it fails; 0: none, and no address."""
    root: str = "http://127.0.0.1"
    """Where files lie: the host that the last request named."""
    operations: dict[int, Operation] = field(default_factory=dict)
    fetched: list[Mapping[str, str]] = field(default_factory=list)
    """The headers of each request for a file."""

    def asked_at(self, host: str) -> None:
        """Note under which name the shop was asked: its files lie there too."""
        local = host.startswith(("127.", "localhost", "[::1]"))
        self.root = f"{'http' if local else 'https'}://{host}"

    def run(self, query: str) -> tuple[UserErrors, Operation | None]:
        """Begin an operation."""
        running = [each for each in self.operations.values() if self.status(each) == "RUNNING"]
        if len(running) >= self.running_max:
            return [_wrong("LIMIT_REACHED", "Bulk operations limit reached.")], None
        located = _LOCATION.search(query)
        if _OUTER.match(query) is None or located is None:
            return [_wrong("INVALID", "This shop does not emulate that bulk query.")], None
        try:
            nodes = self._nodes(query, int(located["number"]))
        except RequestError as error:
            return [_wrong("INVALID", str(error))], None
        number = len(self.operations) + 1
        made = Operation(
            number,
            self.clock(),
            tuple(msgspec.json.encode(node) for node in nodes),
            f"{self.dice.getrandbits(64):x}",
            self.root,
        )
        self.operations[number] = made
        return [], made

    def status(self, operation: Operation) -> str:
        """Return the state of an operation now."""
        if operation.canceled:
            return "CANCELED"
        age = self.clock() - operation.begun_at
        if self.fails is not None and operation.failed is None and age < self._takes():
            operation.failed = self.fails
        if operation.failed is not None:
            return "FAILED"
        if age < self._takes():
            return "RUNNING"
        return "COMPLETED" if age < self._takes() + KEPT else "EXPIRED"

    def answer(self, operation: Operation) -> dict[str, Any]:
        """Return an operation as GraphQL tells it."""
        status = self.status(operation)
        address = f"{operation.root}{PATH}{operation.number}.jsonl?sig={operation.secret}"
        has_part = status == "FAILED" and self.part > 0
        return {
            "id": gid("BulkOperation", operation.number),
            "status": status,
            "errorCode": operation.failed,
            "url": address if status == "COMPLETED" and operation.lines else None,
            "partialDataUrl": address if has_part else None,
        }

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer the request for a file: its address is all that it takes."""
        self.fetched.append(request.headers)
        name = request.path.removeprefix(PATH).removesuffix(".jsonl")
        operation = self.operations.get(int(name)) if name.isdecimal() else None
        signed = operation is not None and ("sig", operation.secret) in request.query
        if operation is None or not signed or self.status(operation) == "EXPIRED":
            return ShopAnswer(403, self._headers("application/xml"), b"<Error>AccessDenied</Error>")
        lines = operation.lines
        if operation.failed is not None:
            lines = lines[: int(len(lines) * self.part)]
        body = b"".join(line + b"\n" for line in lines)
        return ShopAnswer(200, self._headers("application/jsonl"), body)

    def _nodes(self, query: str, location: int) -> list[dict[str, Any]]:
        shown = self.shown()
        nodes = [
            variant_answer(each, location, shown)
            for each in self.variants.values()
            if not each.deleted
        ]
        if self.schema_path is None:
            return nodes
        # Imported late: graphql-core is needed only by a shop that checks.
        from stockpush.sim.shops.shopify import contract  # noqa: PLC0415 - see above

        tree = {"productVariants": {"edges": [{"node": each} for each in nodes]}}
        picked = contract.select(self.schema_path, query, None, {}, tree)
        return [edge["node"] for edge in picked["productVariants"]["edges"]]

    def _takes(self) -> timedelta:
        return timedelta(seconds=self.takes_s)

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"content-type": content_type, "date": http_date(self.clock())}


def _wrong(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "field": None, "message": message}
