"""The floor below the daemon: its listener and handler, verifying and reading, with no database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench import world
from stockpush import compose, keys
from stockpush.clock import SystemIds
from stockpush.connectors.base import Connector, WebhookRequest
from stockpush.engine.intake import Receipt
from stockpush.web.listener import listening
from stockpush.web.webhooks import public_app, public_runner


@dataclass(frozen=True, slots=True)
class Job:
    """Serve what the configuration in `folder` says, until the process is ended."""

    folder: str


class _Forgetful:
    """An intake that verifies and reads a delivery, and forgets it."""

    def __init__(self, connectors: dict[str, Connector]) -> None:
        self._connectors = connectors

    async def receive(self, channel: str, request: WebhookRequest) -> Receipt:
        """Return at once; raises as the real one does."""
        connector = self._connectors[channel]
        connector.verify(request)
        connector.read(request)
        return Receipt("forgotten")


async def serve(job: Job) -> None:
    """Serve until cancelled."""
    settings = world.Address(Path(job.folder)).settings()
    secret = settings.daemon.resolved_secret_key()
    connectors = {name: compose.connect(each) for name, each in settings.channels.items()}
    tokens = {name: keys.webhook_token(secret, name) for name in connectors}
    app = public_app(_Forgetful(connectors), tokens, tuple, ids=SystemIds())
    async with listening(public_runner(app), *settings.daemon.listen, field="daemon.listen"):
        await asyncio.Event().wait()
