"""What is left to do before everything has come to rest.

Workers never say that they are done, since more may always come. Whoever runs them for once
(`stockpush resync` without a daemon) asks here, by what the database and the channels know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from stockpush.engine.channel import Channel
from stockpush.ports import Store

SOON_S = 2.5
"""A reading due as soon as this belongs to the work at hand (a reading that could not count is
repeated within two seconds); one that is due later is routine."""


async def left(
    store: Store, channels: Iterable[Channel], *, since: datetime, now: datetime
) -> Mapping[str, tuple[str, ...]]:
    """Return what each channel still has to do, in words; nothing left is an empty mapping.

    Its orders must have been read by a poll that began at `since` or later. Requests that were
    not carried out yet are everybody's.
    """
    asked = bool(await store.asked())
    found = {}
    for channel in channels:
        things = await _of_channel(store, channel, since=since, now=now)
        if asked:
            things = ("what was asked for has not begun", *things)
        if things:
            found[channel.name] = things
    return found


async def _of_channel(
    store: Store, channel: Channel, *, since: datetime, now: datetime
) -> tuple[str, ...]:
    name = channel.name
    polled_at = (await store.channel_state(name)).polled_begun_at
    soon_s = min(SOON_S, channel.policy.reconcile_s / 2)
    reads = await store.reads_due(name, at=now + timedelta(seconds=soon_s), limit=1)
    things = (
        ("its orders are not read", polled_at is None or polled_at < since),
        ("its listings are not looked up", channel.resolve_wanted),
        ("numbers wait to be read", bool(reads)),
        ("orders wait to be fetched", bool(await store.hints(name, limit=1))),
        ("numbers wait to be written", await store.next_due(name) is not None),
        ("a write is without an answer", bool(await store.open_pushes(name))),
    )
    return tuple(words for words, holds in things if holds)
