"""How a shop of the maker's own stands: whether it answers, and knows our token.

Theory of operation. A product that no shop has is asked for, which any shop that speaks the
protocol answers with a map without it. The shop sends its webhooks by itself; whether it does is
seen when one comes.
Source: docs/channels/generic.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from stockpush.connectors.base import Api, Finding, Hooks
from stockpush.connectors.generic.products import read_page

NOBODY_S = "stockpush-access-check"
"""A product's name that stands for none."""


async def check(api: Api) -> tuple[Finding, ...]:
    """Return whether the shop answers as the protocol says."""
    await read_page(api, [NOBODY_S])
    return (Finding("access", ok=True, told="the shop answers, and knows the token"),)


def webhooks(url: str, *, topics: Sequence[str]) -> Hooks:
    """Return what the shop's own program does."""
    told = f"not seen from here; the shop's own program sends them to {url}: {', '.join(topics)}"
    return Hooks(advice=told)
