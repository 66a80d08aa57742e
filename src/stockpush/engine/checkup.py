"""One channel looked at from end to end: access, clocks, listings, webhooks; nothing is changed.

Theory of operation. The connector knows its platform (`base.Checkup`) and the framework what every
platform has: a clock in each answer, listings that must be found, webhooks that must go to our
address. A fault ends the part that met it and is told with what to type; the other parts go on,
unless access itself was refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from stockpush.connectors.base import Api, Checkup, Connector, Finding, Hooks
from stockpush.engine.transport import ChannelApi
from stockpush.errors import AuthFailed, ChannelError, PayloadInvalid
from stockpush.messages import ListingResolved
from stockpush.model import Listing

SKEW_MAX = timedelta(seconds=60)
"""How far a channel's clock and ours may be apart; signed instants are believed for 300 s."""

NO_ADDRESS = "no address is configured for them: sales are found by polling alone, which is slower"
SET_ADDRESS = "set public_url under [daemon] to how the shop reaches this machine"


async def examine(
    connector: Connector,
    api: ChannelApi,
    *,
    listings: Sequence[Listing],
    hook_url: str | None,
) -> list[Finding]:
    """Return how the channel stands. `hook_url` is where its webhooks go, None: nowhere yet."""
    found = await access(connector, api)
    if any(each.access and not each.ok for each in found):
        return found
    found += await _told("listings", lambda: _listings(connector, api, listings))
    found += await _told("webhooks", lambda: _webhooks(connector, api, hook_url))
    if api.skew is not None:
        found.insert(0, _clock(api.skew))
    return found


async def access(connector: Connector, api: Api) -> list[Finding]:
    """Return how the account stands, as far as the connector can tell."""

    async def look() -> list[Finding]:
        if isinstance(connector, Checkup):
            return list(await connector.check(api))
        mend = "write its `check`: docs/adding-a-channel.md"
        return [Finding("access", ok=False, told="this connector cannot look at it", mend=mend)]

    return await _told("access", look)


async def _told(what: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """Return what was found, or the fault that was met."""
    try:
        return await look()
    except ChannelError as error:
        return [fault_met(what, error)]


def fault_met(what: str, error: ChannelError) -> Finding:
    """Return the finding that a fault is of what was looked at, or done."""
    if isinstance(error, AuthFailed):
        mend = error.next or "check the credentials in the configuration"
        return Finding(what, ok=False, told=error.message, mend=mend, access=True, grant=True)
    mend = error.next or "try again; the channel may be in trouble"
    return Finding(what, ok=False, told=error.message, mend=mend)


def _clock(skew: timedelta) -> Finding:
    seconds = skew.total_seconds()
    return Finding(
        "clock",
        ok=abs(skew) <= SKEW_MAX,
        told=f"{abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the channel's",
        mend="have this machine's clock set by the network (NTP)",
    )


async def _listings(connector: Connector, api: Api, listings: Sequence[Listing]) -> list[Finding]:
    """Return what a person must mend of the listings, and how many are well."""
    if not listings:
        told = "none is mapped yet"
        return [Finding("listings", ok=True, told=told, mend="stockpush import FILE")]
    resolved: list[ListingResolved] = []
    step = connector.manifest.read_max
    for start in range(0, len(listings), step):
        resolved += await _resolved(connector, api, listings[start : start + step])
    wrong = [each for each in resolved if each.problem is not None]
    well = Finding("listings", ok=True, told=f"{len(resolved) - len(wrong)} found on the channel")
    return [
        well,
        *(
            Finding(
                f"listing {each.listing.ref}",
                ok=False,
                told=(each.problem or "").rstrip("."),
                mend="mend it in the shop, or map it to another listing: stockpush import FILE",
            )
            for each in wrong
        ),
    ]


async def _resolved(
    connector: Connector, api: Api, listings: Sequence[Listing]
) -> list[ListingResolved]:
    """Ask about listings in one call, or by halves where one makes the answer unreadable."""
    try:
        return list(await connector.resolve(api, listings))
    except PayloadInvalid as error:
        if len(listings) == 1:
            return [ListingResolved(listings[0].key, None, None, error.message)]
        middle = len(listings) // 2
        first = await _resolved(connector, api, listings[:middle])
        return first + await _resolved(connector, api, listings[middle:])


async def _webhooks(connector: Connector, api: Api, hook_url: str | None) -> list[Finding]:
    """Return how the subscriptions stand."""
    topics = connector.manifest.webhook_topics
    if not topics:
        told = "the platform has none: sales are found by polling"
        return [Finding("webhooks", ok=True, told=told)]
    if hook_url is None:
        return [Finding("webhooks", ok=True, told=NO_ADDRESS, mend=SET_ADDRESS)]
    if not isinstance(connector, Checkup):
        return []
    hooks = await connector.ensure_webhooks(api, hook_url, dry_run=True)
    if hooks.advice:
        return [Finding("webhooks", ok=True, told=hooks.advice)]
    wrong = told_of(hooks)
    return [
        Finding(
            "webhooks",
            ok=not wrong,
            told=wrong or f"{len(hooks.kept)} topics come to our address",
            mend=f"stockpush connect {connector.channel}",
        )
    ]


def told_of(hooks: Hooks) -> str:
    """Return what is, or was, wrong with webhooks, in words; nothing where all were right."""
    parts = (
        ("missing", hooks.made),
        ("switched off by the shop", hooks.revived),
        ("double or for a former address", hooks.removed),
        ("not known to sign with the configured secret", hooks.rekeyed),
    )
    return "; ".join(f"{what}: {', '.join(topics)}" for what, topics in parts if topics)
