"""How one Faire account stands: whether its token reads orders.

Theory of operation. Both kinds of credentials are tried alike, by the smallest page of orders that
the API gives. What the token may write is seen at the first push: nothing tells it before.
Source: Faire's OpenAPI 3.0.3 (GET /orders); live-call notes of 2026-06 (limit 10 to 50).
"""

from __future__ import annotations

from stockpush.connectors.base import Api, Finding, Hooks
from stockpush.connectors.faire.wire import Orders, decode_answer, read

LIMIT = "10"
"""Orders of the smallest page."""


async def check(api: Api) -> tuple[Finding, ...]:
    """Return whether orders can be read."""
    answer = await read(api, "/orders", (("limit", LIMIT),))
    decode_answer(answer, Orders, "list of orders")
    return (Finding("access", ok=True, told="the token reads orders"),)


def webhooks() -> Hooks:
    """Return what there is to do for webhooks: nothing."""
    return Hooks(advice="Faire has none: sales are found by polling")
