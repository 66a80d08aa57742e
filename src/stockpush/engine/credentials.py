"""Access that runs out: renewed by one, kept sealed, durable before it is used.

Theory of operation. A platform whose access runs out grants a new pair of tokens for the old one,
and some of them make the old one worthless at once. So a pair exists in three places, in this
order: the configuration, with which everything begins; the database, sealed, which wins from then
on and is what every process of a business shares; and memory, which may only hold what the
database has. The configuration wins again when it begins with something new (digests of what it
began with are kept beside the tokens).

One renews, the others wait. Within a process they wait for one task, which no cancellation of
theirs ends: an answer that nobody saves is a grant that nobody has. Between processes the row is
leased: every write of it names the version that it replaces, so of two who take the lease one
fails, and reads again. A lease that nobody gives back lapses, and the next one tries the pair that
the database has. If a process died between the answer and saving it, a platform that rotates
refuses that pair; then, and only then, a person must grant access anew (`stockpush connect`).
What was refused is not asked for again until the row or the configuration is another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec

from stockpush import logs
from stockpush.connectors.base import Answer, Renewal, TokenCall, Tokens
from stockpush.errors import (
    AuthFailed,
    ChannelError,
    ChannelUnavailable,
    ConfigInvalid,
    StoreUnavailable,
)
from stockpush.messages import Event
from stockpush.model import Credential
from stockpush.ports import Clock, Store

MARGIN = timedelta(seconds=120)
"""How long before it runs out access is renewed: longer than any call takes that begins with it."""
ORIGINS_MAX = 8
"""How many configured beginnings are remembered: one that was seen before is not a new one, though
a process that has not read the configuration again may still have it.
"""
CALL_MAX_S = 10.0
"""How long a token call may take."""
LEASE = timedelta(seconds=15)
"""How long one process alone may renew: longer than its call may take. Whoever starts after a crash
waits for so long.
"""
LEASE_LOOK_S = 0.5
"""How often it is looked whether another process has renewed."""
STOP_S = 2.0
"""How long a stop waits for a renewal, after it has waited for pushes: ten seconds in all."""
SAVE_TRIES_MAX = 10
SAVE_WAIT_S = 1.0
"""How often, and how far apart, saving what was granted is tried at once; later calls go on."""

Post: TypeAlias = Callable[[TokenCall], Awaitable[Answer]]
"""Sends one token call, once."""


class _Kept(msgspec.Struct):
    """What is sealed. Its member names are those of `Tokens`."""

    access: str
    expires_at: datetime | None
    refresh: str | None


@dataclass(frozen=True, slots=True)
class Seal:
    """What the secret key does for a channel's row: it is derived and kept elsewhere."""

    close: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]
    digest: Callable[[bytes], str]
    """A keyed digest, so that a stored one tells nothing of what it was made from."""


class Vault:
    """The renewed access of one channel."""

    def __init__(
        self, channel: str, renewal: Renewal, *, store: Store, clock: Clock, seal: Seal
    ) -> None:
        """Nothing is read or asked for until access is needed."""
        self._channel = channel
        self._renewal = renewal
        self._store = store
        self._clock = clock
        self._seal = seal
        self._origin = seal.digest(_packed(renewal.first()))
        self._tokens: Tokens | None = None
        self._unsaved: tuple[Tokens, Tokens] | None = None
        """What was renewed, and what was granted for it."""
        self._refused: tuple[int, str] | None = None
        """The version whose tokens the platform refused to renew, and why."""
        self._renewing: asyncio.Task[Tokens] | None = None

    async def tokens(self, post: Post, *, refused: Tokens | None = None) -> Tokens:
        """Return access that is good for at least `MARGIN`, renewed with `post` where it is not.

        `refused` is access that the channel has just refused, however long it was to last.
        Raises `AuthFailed` where a person must grant access anew, and what `post` raises.
        """
        known = self._tokens
        if known is not None and known != refused and self._lasts(known):
            return known
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(post, refused))
        try:
            # Whoever waits may be cancelled; the renewal goes on, for its answer comes only once.
            return await asyncio.shield(self._renewing)
        except StoreUnavailable as error:
            raise ChannelUnavailable(
                f"The access of channel {self._channel} cannot be read from the database"
            ) from error

    async def keep(self, tokens: Tokens) -> None:
        """Store what a person has just granted, over whatever there is."""
        while not await self._store.keep_credential(self._next(await self._row(), tokens)):
            pass  # another process was first; a person's word is the last one
        self._tokens, self._refused, self._unsaved = tokens, None, None

    async def idle(self) -> None:
        """Return once no renewal is under way, or soon: it must not lose its answer."""
        if self._renewing is not None:
            await asyncio.wait({self._renewing}, timeout=STOP_S)

    def _lasts(self, tokens: Tokens) -> bool:
        """Answer whether there is access, and for long enough."""
        if not tokens.access:
            return False
        return tokens.expires_at is None or tokens.expires_at - self._clock.now() > MARGIN

    async def _renew(self, post: Post, refused: Tokens | None) -> Tokens:
        """Return access that lasts: another process's, or our own after leasing the row."""
        if self._unsaved is not None:
            await self._save(*self._unsaved)
        while True:
            row = await self._row()
            tokens = self._begun(row)
            if tokens != refused and self._lasts(tokens):
                self._tokens = tokens
                return tokens
            version = 0 if row is None else row.version
            if self._refused is not None and self._refused[0] == version:
                raise self._needs_person(self._refused[1])
            if row is not None and row.leased_until is not None:
                left = row.leased_until - self._clock.now()
                # No lease is longer than `LEASE`: beyond that, a clock was set back.
                if timedelta(0) < left <= LEASE:
                    await self._clock.sleep(LEASE_LOOK_S)
                    continue
            leased = self._next(row, tokens, leased_until=self._clock.now() + LEASE)
            if await self._store.keep_credential(leased):
                return await self._ask(post, leased, tokens)

    async def _ask(self, post: Post, leased: Credential, tokens: Tokens) -> Tokens:
        """Renew as the one who has the lease, which is given back whatever comes."""
        try:
            answer = await post(self._renewal.call(tokens))
            granted = self._renewal.granted(tokens, answer, now=self._clock.now())
        except AuthFailed as error:
            self._tokens = None
            if await self._give_back(leased):
                self._refused = (leased.version + 1, error.message)
            raise self._needs_person(error.message) from error
        except ChannelError:
            await self._give_back(leased)
            raise
        self._unsaved = (tokens, granted)
        return await self._save(tokens, granted)

    async def _save(self, renewed: Tokens, granted: Tokens) -> Tokens:
        """Make what was granted durable, and only then use it (F38, F39)."""
        for attempt in range(SAVE_TRIES_MAX):
            try:
                row = await self._row()
                known = self._begun(row)
                # Other tokens than those that were renewed: somebody has granted access by hand.
                theirs = known != renewed
                if not theirs and not await self._store.keep_credential(self._next(row, granted)):
                    continue
            except StoreUnavailable:
                if attempt + 1 < SAVE_TRIES_MAX:
                    await self._clock.sleep(SAVE_WAIT_S)
                continue
            self._unsaved = None
            if theirs:
                return known
            logs.emit(Event("access.renewed", {"channel": self._channel}))
            self._tokens = granted
            return granted
        raise ChannelUnavailable(
            f"Channel {self._channel} granted new access, which cannot be saved and so is not used",
            next="stockpush check",
        )

    async def _give_back(self, leased: Credential) -> bool:
        """End the lease; answer whether it was ours to end. Otherwise it lapses by itself."""
        given_back = replace(leased, version=leased.version + 1, leased_until=None)
        try:
            return await self._store.keep_credential(given_back)
        except StoreUnavailable:
            return False

    async def _row(self) -> Credential | None:
        return await self._store.credential(self._channel)

    def _begun(self, row: Credential | None) -> Tokens:
        """Return the newest tokens that there are: stored ones, or what the configuration says."""
        first = self._renewal.first()
        if row is None or (self._origin not in row.origin.split() and _says(first)):
            return first
        try:
            kept = msgspec.json.decode(self._seal.open(row.sealed), type=_Kept)
        except ConfigInvalid as error:
            raise AuthFailed(error.message, field=error.field, next=error.next) from error
        return Tokens(kept.access, kept.expires_at, kept.refresh)

    def _next(
        self, row: Credential | None, tokens: Tokens, *, leased_until: datetime | None = None
    ) -> Credential:
        """Return the row that replaces `row`."""
        known = [] if row is None else [each for each in row.origin.split() if each != self._origin]
        return Credential(
            channel=self._channel,
            version=1 if row is None else row.version + 1,
            sealed=self._seal.close(_packed(tokens)),
            origin=" ".join([self._origin, *known][:ORIGINS_MAX]),
            leased_until=leased_until,
        )

    def _needs_person(self, reason: str) -> AuthFailed:
        return AuthFailed(reason, next=f"stockpush connect {self._channel}")


def _says(tokens: Tokens) -> bool:
    return bool(tokens.access or tokens.refresh)


def _packed(tokens: Tokens) -> bytes:
    """Return tokens as they are sealed."""
    until = tokens.expires_at
    utc = None if until is None else until.astimezone(UTC)
    return msgspec.json.encode(_Kept(tokens.access, utc, tokens.refresh))
