"""`run`: the daemon, in the foreground.

Every mistake in the configuration, a missing secret included, is an error before anything starts.
SIGTERM and SIGINT drain: a push under way may finish, nothing new is begun, and the exit code is 0.
SIGHUP reads the configuration again and, if it is sound, drains and starts anew with it. Log lines
go to stderr: aligned on a terminal, JSON for a service manager.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stockpush import logs
from stockpush.cli.options import Config
from stockpush.cli.output import note, print_error
from stockpush.cli.session import settings_of
from stockpush.errors import StockPushError
from stockpush.settings import Settings

TURN_S = 0.0005
"""How long a thread may keep the interpreter while another one waits for it."""
COLLECT_AFTER = 20_000
"""After how many more values than are gone the collector looks at them."""


def run_daemon(config: Config = None) -> None:
    """Run the daemon in the foreground.

    Webhooks in, pushes out. SIGTERM and Ctrl-C finish what is under way, then it ends; SIGHUP
    reads the configuration again.
    """
    with _uncollected():
        settings = _checked(config)
    take_short_turns()
    logs.configure(json=not sys.stderr.isatty())
    try:
        asyncio.run(_serve(config, settings))
    except BaseExceptionGroup as broken:
        # A worker's own error says more than the group that it ended.
        raise innermost(broken) from broken


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without the collector, which would look through everything again and again.

    What is there afterwards stays, and is never looked at. It saves a tenth of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        collect_seldom()
        gc.enable()


def collect_seldom() -> None:
    """Have the collector leave alone what is there, and look less often at what comes.

    A group of sales makes some thousands of values that are gone with it and are no garbage.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def take_short_turns() -> None:
    """Have threads wait less long for the interpreter.

    SQLite's thread gives it up at each step of a statement and then waits for it, with the usual
    5 ms most of the time while sales come in.
    """
    sys.setswitchinterval(TURN_S)


def _checked(config: Path | None) -> Settings:
    """Return the configuration with every secret there and every channel's settings sound."""
    from stockpush import compose

    settings = settings_of(config)
    settings.daemon.resolved_secret_key()
    settings.daemon.resolved_admin_token()
    for channel in settings.channels.values():
        compose.connect(channel)
    return settings


@dataclass(slots=True)
class _Turn:
    """One turn of the daemon, from start to stop; `after` is the next one's configuration."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    after: Settings | None = None

    def end(self) -> None:
        """End the daemon with this turn."""
        self.after = None
        self.stop.set()

    def reload(self, config: Path | None) -> None:
        """Start anew with the configuration as it is now; go on as before if it has a mistake."""
        try:
            self.after = _checked(config)
        except StockPushError as error:
            print_error(error, as_json=False)
            return
        self.stop.set()


async def _serve(config: Path | None, settings: Settings) -> None:
    """Run until a signal comes, or a worker ends the daemon."""
    loop = asyncio.get_running_loop()
    present: Settings | None = settings
    while present is not None:
        turn = _Turn()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, turn.end)
        loop.add_signal_handler(signal.SIGHUP, turn.reload, config)
        await _turn(present, turn.stop)
        present = turn.after


async def _turn(settings: Settings, stop: asyncio.Event) -> None:
    from stockpush import compose
    from stockpush.compose import database

    await database.examine(settings)
    async with compose.parts(settings) as parts:
        if not parts.connectors:
            note("No channel is configured: there is nothing to sell on yet.")
        async with compose.daemon(parts, stop=stop) as daemon:
            if sys.stderr.isatty():
                note(f"Webhooks: http://{daemon.public}   Private: http://{daemon.admin}")
                note("Stop with Ctrl-C.")
            await stop.wait()


def innermost(broken: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of ours in the group, else the first of any kind."""
    leaves = _leaves(broken)
    return next((each for each in leaves if isinstance(each, StockPushError)), leaves[0])


def _leaves(broken: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in broken.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found
