"""Calls to a channel's token endpoint, which need no token themselves."""

from __future__ import annotations

import asyncio

from stockpush.connectors.base import Answer, TokenCall
from stockpush.engine.credentials import CALL_MAX_S
from stockpush.engine.transport.call import Call
from stockpush.engine.transport.wire import Wire


async def granted(wire: Wire, token: TokenCall) -> tuple[Call, Answer]:
    """Send one call to the token endpoint: no credentials of ours, and no second attempt.

    It is not held to the rate limit either: without a token no other call can be made.
    """
    call = Call("POST", token.path, write=False)
    request = wire.build(call, headers=token.headers, body=token.body)
    try:
        async with asyncio.timeout(CALL_MAX_S):
            return call, await wire.exchange(call, request, wire.moment())
    except TimeoutError:
        raise call.broken(f"no answer within {CALL_MAX_S:g} s") from None


def is_refusal(answer: Answer) -> bool:
    """Answer whether the endpoint itself says no, which the connector reads."""
    return 400 <= answer.status < 500 and answer.status != 429
