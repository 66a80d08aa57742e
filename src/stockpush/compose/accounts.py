"""A channel's account outside of the daemon: how it stands, its webhooks, access to it.

This is what `doctor` and `connect` do. Each opens a door of its own, at the channel's rate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stockpush import keys
from stockpush.compose.assembly import Parts, door_of, to_examine, undecided
from stockpush.connectors.base import Checkup, Connector, Finding, Granting, Hooks
from stockpush.engine import checkup
from stockpush.engine.transport import ChannelApi, Network, Reached, reach
from stockpush.errors import ChannelError, ConfigInvalid, UsageError


@asynccontextmanager
async def door(
    parts: Parts, name: str, connector: Connector, *, transport: Network | None = None
) -> AsyncIterator[ChannelApi]:
    """Open a channel's door outside of the daemon, for a look or a grant."""
    async with door_of(parts, name, connector, transport) as api:
        yield api


async def examine_access(connector: Connector, api: ChannelApi) -> list[Finding]:
    """Return how a channel's account stands, as far as its connector can tell."""
    return await checkup.access(connector, api)


async def ensure_webhooks(
    parts: Parts, name: str, connector: Connector, api: ChannelApi, *, dry_run: bool
) -> Hooks | Finding | None:
    """Have a channel's webhooks come to our address; None where the platform has none.

    A finding is why they could not be had; what else the channel does, it does without them.
    """
    if not isinstance(connector, Checkup) or not connector.manifest.webhook_topics:
        return None
    url = parts.hook_url(name)
    if url is None:
        hooks = Hooks(advice=f"{checkup.NO_ADDRESS}; {checkup.SET_ADDRESS}")
    else:
        try:
            hooks = await connector.ensure_webhooks(api, url, dry_run=dry_run)
        except ChannelError as error:
            return checkup.fault_met("webhooks", error)
    if not hooks.advice:
        return hooks
    poll_s = parts.settings.channels[name].poll_s
    return Hooks(advice=f"{hooks.advice}. Polling finds a sale within {poll_s:g} s in any case")


async def grant(
    parts: Parts,
    name: str,
    connector: Connector,
    api: ChannelApi,
    *,
    redirect: str | None,
    ask: Callable[[str], str],
) -> bool:
    """Have a person grant access in a browser and keep it; False where there is no such way.

    `ask` shows the address to open and returns the one where the browser ended; `redirect` is what
    is registered with the platform, `public_url`/connected if that is left out.
    """
    vault = parts.vault(name, connector)
    if not isinstance(connector, Granting) or vault is None:
        return False
    root = parts.settings.daemon.public_url
    back = redirect or (None if root is None else f"{root}/connected")
    if back is None:
        raise UsageError(
            "The platform sends the browser to an address that is registered with it.",
            field="--redirect",
            expected="that address, letter for letter; or public_url under [daemon]",
            next=f"stockpush connect {name} --redirect URL",
        )
    state, verifier = keys.new_code_verifier(), keys.new_code_verifier()
    ended = ask(connector.authorize_url(back, state=state, verifier=verifier))
    call = connector.exchange(ended, back, state=state, verifier=verifier)
    answer = await api.post(call)
    await vault.keep(connector.first_tokens(answer, now=parts.clock.now()))
    return True


async def examine_channel(
    parts: Parts, name: str, *, transport: Network | None = None
) -> list[Finding]:
    """Return how one configured channel stands; wrong settings of it are a finding too."""
    try:
        connector = to_examine(parts.settings.channels[name])
        hook_url = parts.hook_url(name)
        opened = door_of(parts, name, connector, transport)
    except ConfigInvalid as error:
        mend = error.next or f"expected: {error.expected}"
        return [Finding("configuration", ok=False, told=error.message, mend=mend)]
    if undecided(connector) is not None:
        async with opened as api:
            return await checkup.access(connector, api)
    catalogue = await parts.store.catalogue()
    listings = [row for row in catalogue.listings if row.key.channel == name]
    async with opened as api:
        return await checkup.examine(connector, api, listings=listings, hook_url=hook_url)


async def examine_address(parts: Parts, *, transport: Network | None = None) -> list[Finding]:
    """Return how the address answers under which shops reach this machine (F11).

    No sender follows a redirect: a delivery that is answered with one is lost.
    """
    root = parts.settings.daemon.public_url
    if root is None:
        return []
    hooks = [url for name in parts.settings.channels if (url := parts.hook_url(name)) is not None]
    found = []
    for what, url, right in (
        ("public address", f"{root}/healthz", 200),
        *(("webhook path", url, 405) for url in hooks[:1]),
    ):
        reached = await reach(url, transport=transport)
        found.append(_address(what, root, reached, right))
        if not found[-1].ok:
            break
    return found


def _address(what: str, root: str, reached: Reached, right: int) -> Finding:
    """Return what an answer of our own address means; `right` is the status that ours gives."""
    status = reached.status
    if status == right:
        return Finding(what, ok=True, told=f"{root} leads to a daemon of ours")
    if status is None:
        told, mend = f"nobody answers at {root}", "stockpush run, behind your proxy or tunnel"
    elif 300 <= status < 400:
        told = f"{root} redirects ({status}) to {reached.location or 'somewhere'}"
        mend = "set public_url to the address that it leads to: no shop follows a redirect"
    elif status == 404:
        told = f"{root} does not know the path (404)"
        mend = "let the proxy pass /webhooks/ and /healthz; all daemons have one secret_key"
    else:
        told, mend = f"{root} answers {status}", "look at the proxy's log"
    return Finding(what, ok=False, told=told, mend=mend)
