"""Listening: an application at an address, until the block ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from stockpush.errors import ConfigInvalid


@asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, *, field: str
) -> AsyncIterator[tuple[str, int]]:
    """Serve at host and port (0: any free one); yield where it really listens.

    Raises `ConfigInvalid` naming the setting `field` when the address cannot be had.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigInvalid(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                field=field,
                found=f"{host}:{port}",
                expected="a free port on an address of this machine",
                next="stop what listens there, or change the address in the configuration",
            ) from error
        address = runner.addresses[0]
        yield address[0], address[1]
    finally:
        await runner.cleanup()
