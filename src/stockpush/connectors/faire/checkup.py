"""How one Faire account stands: whether its token reads orders and quantities.

Theory of operation. Both kinds of credentials are tried alike, by the smallest page of orders that
the API gives and by the quantity of a variant that is nobody's. Only a refusal of the token tells
anything there: whether an unknown variant is missing from the answer or an error is not verified.
What the token may write is seen at the first push: nothing tells it before.
Source: Faire's OpenAPI 3.0.3 (GET /orders); live-call notes of 2026-06 (limit 10 to 50).
"""

from __future__ import annotations

from stockpush.connectors.base import Api, Finding, Hooks
from stockpush.connectors.faire.variants import PATH
from stockpush.connectors.faire.wire import Orders, decode_answer, read
from stockpush.errors import AuthFailed

LIMIT = "10"
"""Orders of the smallest page."""
NOBODYS = "po_0000000000"
"""A variant's id that is well-formed and nobody's."""


async def check(api: Api) -> tuple[Finding, ...]:
    """Return whether orders and quantities can be read. `AuthFailed`: not even orders."""
    answer = await read(api, "/orders", (("limit", LIMIT),))
    decode_answer(answer, Orders, "list of orders")
    return (Finding("access", ok=True, told="the token reads orders"), await _quantities(api))


async def _quantities(api: Api) -> Finding:
    try:
        await read(api, PATH, (("ids", NOBODYS),))
    except AuthFailed:
        return Finding(
            "quantities",
            ok=False,
            told="the token reads orders and no quantities",
            mend="make a token with the scopes READ_INVENTORIES and WRITE_INVENTORIES as well",
            access=True,
        )
    return Finding("quantities", ok=True, told="the token reads quantities")


def webhooks() -> Hooks:
    """Return what there is to do for webhooks: nothing."""
    return Hooks(advice="Faire has none: sales are found by polling")
