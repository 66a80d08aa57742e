"""What the suite must be told of a platform, and how one finds it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import Connector, WebhookRequest
from stockpush.sim.shops.base import ShopRequest

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "tests/samples"
VECTORS = REPOSITORY / "tests/vectors"
NAMES = tuple(registry.manifests())
"""Every connector there is."""
KITS = "tests/contract/kits"
ERRORS = "errors.toml"
"""The file of sampled error answers among a connector's samples."""

Reader = Callable[[Connector, bytes], object]
"""Reads one kind of sample; raises for one that cannot be read."""


class Clock(Protocol):
    """A clock that only tests move."""

    def __call__(self) -> Any:
        """Return the instant at which it stands."""
        ...

    def move(self, seconds: float) -> None:
        """Move forward."""
        ...


class Stage(Protocol):
    """An emulated shop, its clock, the connector configured for it, and the door between them."""

    hands: Clock
    shop: Any
    connector: Any
    api: Any


@dataclass
class Opened:
    """A stage as plain as it can be."""

    hands: Clock
    shop: Any
    connector: Any
    api: Any


def nothing_more(stage: Any) -> Awaitable[None]:
    """Do nothing: the suite's own life of a channel sends every request there is."""
    del stage

    async def done() -> None:
        pass

    return done()


def kind_of(request: ShopRequest) -> str:
    """Return a request's method and path, ids left out.

    >>> kind_of(ShopRequest("PUT", "/wp-json/wc/v3/products/30"))
    'PUT /wp-json/wc/v3/products/{}'
    """
    return f"{request.method} " + re.sub(r"/(?!v\d+/)[^/]*\d[^/]*", "/{}", request.path)


def is_write(request: ShopRequest) -> bool:
    """Answer whether a request may change the shop."""
    return request.method != "GET"


@dataclass(frozen=True, slots=True)
class Kit:
    """What differs from platform to platform.

    `settings` configure a channel, `slip` is a change to them that must be refused by that name.
    `open` opens a shop that tells the daemon's address everything; its stage's connector has these
    settings. `sell(shop, n, quantity)` puts one more thing on sale and returns (its reference as an
    owner writes it, the shop's own name of it).
    `requests` are all kinds of requests that the connector can send, as `kind_of` names them, and
    `more` has those sent that the suite's own life of a channel does not.
    `contract`: the machine-readable contract that the stage holds every request against, relative
    to ../shared; None: there is none.
    `samples`: pattern of a file's name -> what reads it. Every sample has one.
    `signed` are the headers by which a delivery is verified; `vectors` is a file of tests/vectors
    and `vector(case)` (settings to change, delivery) of one of its cases, None for none of ours;
    `vectors_exempt`: another list of cases in that file -> why no connector is held against it.
    """

    settings: Mapping[str, str]
    slip: tuple[Mapping[str, str], str]
    open: Callable[[], Any]
    sell: Callable[[Any, int, int], tuple[Mapping[str, Any], str]]
    requests: frozenset[str]
    contract: str | None
    samples: Mapping[str, Reader]
    more: Callable[[Any], Awaitable[None]] = nothing_more
    signed: tuple[str, ...] = ()
    vectors: str | None = None
    vector: (
        Callable[[Mapping[str, Any]], tuple[Mapping[str, str], WebhookRequest] | None] | None
    ) = None
    vectors_exempt: Mapping[str, str] = field(default_factory=dict)
    kind_of: Callable[[ShopRequest], str] = kind_of
    is_write: Callable[[ShopRequest], bool] = is_write
    versioned: bool = field(default=True)
    """Whether every path names the API's version."""


def kit(name: str) -> Kit:
    """Return a connector's kit; one that has none, or an unwritten one, fails the test."""
    found = find_kit(name)
    if found is None:
        pytest.fail(f"{name} has no kit: write {KITS}/{name}.py (tests/contract says what it is)")
    path = REPOSITORY / KITS / f"{name}.py"
    if "TODO" in path.read_text(encoding="utf-8"):
        pytest.fail(f"{name}'s kit is not written yet: {KITS}/{name}.py")
    return found


def find_kit(name: str) -> Kit | None:
    """Return a connector's kit as it is, None if there is none."""
    module = f"tests.contract.kits.{name}"
    try:
        found = importlib.import_module(module).KIT
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
    assert isinstance(found, Kit)
    return found


def with_webhooks(name: str) -> bool:
    """Answer whether a platform has webhooks."""
    return bool(registry.manifest(name).webhook_topics)
