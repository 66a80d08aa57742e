"""One GraphQL request at the emulated shop: token, faults, price, dispatch, answer.

Theory of operation. GraphQL says what went wrong in the body, so nearly every answer is 200. The
price of a document is taken from a bucket that refills with the shop's clock; an empty bucket
answers THROTTLED. Faults strike where they would in life: before anything was done, or after.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from stockpush.sim.shops.base import (
    ConnectionDropped,
    Faults,
    ShopAnswer,
    ShopRequest,
    answer_through,
    http_date,
)
from stockpush.sim.shops.shopify.access import Access
from stockpush.sim.shops.shopify.answers import BadCursor
from stockpush.sim.shops.shopify.inventory import RequestError

Handler = Callable[[dict[str, Any]], dict[str, Any]]
"""From an operation's variables to its data."""

MUTATION_POINTS = 10.0
"""What a mutation costs."""

_PAGE = b"<!DOCTYPE html><html><head><title>Something went wrong</title></head></html>"
_IDEMPOTENT = re.compile(r"@idempotent\s*\(\s*key\s*:\s*\$(?P<variable>\w+)\s*\)")


class _Asked(msgspec.Struct, rename="camel"):
    query: str
    operation_name: str
    variables: dict[str, Any] = {}


@dataclass(slots=True)
class Bucket:
    """Cost points: `held` of at most `maximum`, refilled at `rate` points per second."""

    maximum: float
    rate: float
    held: float
    at: datetime

    def covers(self, points: float, *, at: datetime) -> bool:
        """Refill to `at`, then answer whether `points` are there."""
        gained = max(0.0, (at - self.at).total_seconds()) * self.rate
        self.held = min(self.maximum, self.held + gained)
        self.at = at
        return points <= self.held

    def status(self) -> dict[str, float]:
        """Return `throttleStatus`."""
        return {
            "maximumAvailable": self.maximum,
            "currentlyAvailable": self.held,
            "restoreRate": self.rate,
        }


@dataclass(slots=True)
class GraphQLDoor:
    """Answers requests. `throttled_status`: sources disagree whether THROTTLED is 200 or 429."""

    path: str
    access_token: str | None
    handlers: Mapping[str, Handler]
    mutations: frozenset[str]
    clock: Callable[[], datetime]
    dice: random.Random
    faults: Faults
    bucket: Bucket
    schema_path: Path | None = None
    access: Access | None = None
    throttled_status: int = 200
    asked: list[str] = field(default_factory=list)
    """Operation names in the order in which they were executed."""

    def handle(self, request: ShopRequest) -> ShopAnswer:
        """Answer one request; `ConnectionDropped` where a fault says so."""
        if self.faults.is_on("unreachable"):
            raise ConnectionDropped(applied=False)
        if request.path != self.path:
            return self._answer(404, {"errors": "Not Found"})
        if request.method != "POST":
            return self._answer(405, {"errors": "Method Not Allowed"})
        try:
            asked = msgspec.json.decode(request.body, type=_Asked)
        except msgspec.DecodeError:
            return self._answer(400, {"errors": {"query": "Required parameter missing"}})
        writes = asked.operation_name in self.mutations
        if writes:
            key = asked.variables.get("key", "")
            self.faults.writes_seen.append(f"{asked.operation_name} {key}")
        token = request.headers.get("x-shopify-access-token")
        if self.faults.is_on("unauthorized") or not self._is_good(token):
            return self._answer(401, {"errors": "[API] Invalid API key or access token"})
        return answer_through(
            self.faults,
            self.dice,
            write=writes,
            act=lambda: self._execute(asked),
            refuse=self._refuse,
        )

    def _is_good(self, token: str | None) -> bool:
        if token is not None and token == self.access_token:
            return True
        return self.access is not None and self.access.accepts(token)

    def _refuse(self, fault: str) -> ShopAnswer:
        match fault:
            case "rate_limit":
                return self._throttled(MUTATION_POINTS)
            case "server_error":
                return ShopAnswer(502, self._headers("text/html"), b"<html>Bad gateway</html>")
            case _:
                return ShopAnswer(200, self._headers("text/html"), _PAGE)

    def _execute(self, asked: _Asked) -> ShopAnswer:
        writes = asked.operation_name in self.mutations
        try:
            handler = self._checked(asked)
            points = price(asked.variables, mutation=writes)
            if not self.bucket.covers(points, at=self.clock()):
                return self._throttled(points)
            data = self._selected(asked, handler(asked.variables))
        except (RequestError, BadCursor) as error:
            return self._answer(200, {"errors": [{"message": str(error)}]})
        self.asked.append(asked.operation_name)
        # What a document may bring must be there; what it brought is taken.
        actual = points if writes else min(points, float(objects_in(data)))
        self.bucket.held -= actual
        cost = {
            "requestedQueryCost": points,
            "actualQueryCost": actual,
            "throttleStatus": self.bucket.status(),
        }
        return self._answer(200, {"data": data, "extensions": {"cost": cost}})

    def _checked(self, asked: _Asked) -> Handler:
        """Return what answers the request; `RequestError` if it is refused before execution."""
        handler = self.handlers.get(asked.operation_name)
        if handler is None:
            raise RequestError(f"This shop does not emulate {asked.operation_name!r}.")
        if self.schema_path is not None:
            # Imported late: graphql-core is needed only by a shop that checks.
            from stockpush.sim.shops.shopify import contract  # noqa: PLC0415 - see above

            contract.coerce(self.schema_path, asked.query, asked.operation_name, asked.variables)
        self._require_key(asked)
        return handler

    def _selected(self, asked: _Asked, tree: dict[str, Any]) -> dict[str, Any]:
        """Return of `tree` what the document selects, or all of it without a schema."""
        if self.schema_path is None:
            return tree
        from stockpush.sim.shops.shopify import contract  # noqa: PLC0415 - as in _checked

        return contract.select(
            self.schema_path, asked.query, asked.operation_name, asked.variables, tree
        )

    def _require_key(self, asked: _Asked) -> None:
        """Refuse a mutation without @idempotent: required at run time, not by the schema."""
        if asked.operation_name not in self.mutations:
            return
        found = _IDEMPOTENT.search(asked.query)
        if found is None or found["variable"] != "key" or "key" not in asked.variables:
            raise RequestError("The @idempotent directive is required for this mutation.")

    def _throttled(self, points: float) -> ShopAnswer:
        body = {
            "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
            "extensions": {
                "cost": {
                    "requestedQueryCost": points,
                    "actualQueryCost": None,
                    "throttleStatus": self.bucket.status(),
                }
            },
        }
        answer = self._answer(self.throttled_status, body)
        if self.throttled_status == 429:
            return ShopAnswer(429, {**answer.headers, "retry-after": "1.0"}, answer.body)
        return answer

    def _answer(self, status: int, body: Mapping[str, Any]) -> ShopAnswer:
        return ShopAnswer(status, self._headers("application/json"), msgspec.json.encode(body))

    def _headers(self, content_type: str) -> dict[str, str]:
        return {
            "content-type": f"{content_type}; charset=utf-8",
            "date": http_date(self.clock()),
        }


def price(variables: Mapping[str, Any], *, mutation: bool) -> float:
    """Return the points that a document may cost: 10 for a mutation, else by what may come back.

    The vendor's formula is not published in full; this one rises with the same variables.
    """
    if mutation:
        return MUTATION_POINTS
    objects = len(variables.get("ids", ())) * 2 + variables.get("first", 0)
    nested = variables.get("lines", 0) + variables.get("parts", 0) * variables.get("units", 0)
    return float(1 + objects + nested)


def objects_in(tree: object) -> int:
    """Return how many objects an answer, of dicts and lists, holds."""
    objects, left = 0, [tree]
    while left:
        each = left.pop()
        if type(each) is dict:
            objects += 1
            left.extend(each.values())
        elif type(each) is list:
            left.extend(each)
    return objects
