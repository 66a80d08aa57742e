"""An `Api` that calls an emulated shop in process, with the error mapping that `base.Api` states.

It has no limiter and repeats nothing: a test sees each fault once, as the connector would after
the real transport gave up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

from stockpush.connectors.base import Answer, Connector, Moment
from stockpush.errors import (
    AuthFailed,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
    RateLimited,
)
from stockpush.sim.shops.base import ConnectionDropped, Shop, ShopRequest


@dataclass(slots=True)
class InProcessApi:
    """One channel's door to `shop`. `sent` lists every request, `paused` every pause asked for;
    `moment` is the present one, where a test tells it.
    """

    shop: Shop
    connector: Connector
    sent: list[ShopRequest] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    moment: Moment | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Hand the request to the shop and map its answer as `base.Api` documents."""
        assert path.startswith("/"), "a path is relative to base_url and starts with /"
        assert cost > 0
        merged = {"user-agent": "stockpush/0", **self.connector.auth_headers(), **(headers or {})}
        request = ShopRequest(
            method=method,
            path=path,
            query=tuple(params),
            headers={name.lower(): value for name, value in merged.items()},
            body=body or b"",
        )
        if until is not None and self.moment is not None and until.is_before(self.moment):
            raise ChannelUnavailable
        self.sent.append(request)
        sent = self.moment
        try:
            given = self.shop.handle(request)
        except ConnectionDropped as dropped:
            raise (OutcomeUnknown() if write else ChannelUnavailable()) from dropped
        answer_headers = {name.lower(): value for name, value in given.headers.items()}
        date = _date(answer_headers.get("date"))
        answer = Answer(given.status, answer_headers, given.body, date, sent=sent)
        if answer.status == 403 and answer.is_page:
            raise OutcomeUnknown(answered=True) if write else ChannelUnavailable
        raise_for(given.status, answer_headers, write=write)
        return answer

    def pause(self, seconds: float) -> None:
        """Record that the limiter was asked to hold the channel."""
        assert seconds >= 0
        self.paused.append(seconds)


def raise_for(status: int, headers: Mapping[str, str], *, write: bool) -> None:
    """Raise what `base.Api` says an answer of this status means; return if it is handed on."""
    retry_after = headers.get("retry-after")
    if status == 429 or (status == 503 and retry_after is not None):
        raise RateLimited(retry_after_s=float(retry_after or 1))
    if status in {401, 403}:
        raise AuthFailed(found=status)
    if status >= 500:
        raise OutcomeUnknown if write else ChannelUnavailable
    if 300 <= status < 400:
        raise PayloadInvalid("The channel answered with a redirect.")


def _date(value: str | None) -> datetime | None:
    return parsedate_to_datetime(value) if value else None
