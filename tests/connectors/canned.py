"""A channel of prepared answers, for what no emulated shop says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stockpush.connectors.base import Answer, Moment
from tests.connectors.hands import BEGUN


@dataclass
class CannedApi:
    """A door behind which lies one prepared answer (or error) per request, in turn.

    `sent` are method, path and query of every request, `costs` what each took of the rate.
    """

    answers: list[Answer | Exception]
    sent: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Any = (),
        headers: Any = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Hand out the next prepared answer."""
        self.sent.append((method, path, list(params)))
        self.costs.append(cost)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    def pause(self, seconds: float) -> None:
        """Take no notice."""


@dataclass
class PathedApi(CannedApi):
    """The same with the prepared answers by the end of a path; the last of each comes again."""

    answers: list[Answer | Exception] = field(default_factory=list)
    paths: Mapping[str, list[bytes]] = field(default_factory=dict)

    async def send(self, method: str, path: str, **more: Any) -> Answer:
        """Hand out the next prepared answer of the path."""
        (those,) = (each for end, each in self.paths.items() if path.endswith(end))
        self.answers = [answer(those.pop(0) if len(those) > 1 else those[0])]
        return await CannedApi.send(self, method, path, **more)


def answer(body: bytes | Mapping[str, Any], status: int = 200, **headers: str) -> Answer:
    """Return a prepared answer at BEGUN by the channel's clock; `x_name` is the header x-name."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, content, BEGUN.replace(microsecond=0))
