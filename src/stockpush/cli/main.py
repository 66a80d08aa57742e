"""The program `stockpush`: its commands in the order of the help, and its exit codes.

Theory of operation. `run` is the one place where anything that went wrong is caught: it becomes
the error shape and an exit code of docs/interface.md. A mistake of the user is never a stack trace.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache, partial
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.main import get_command

from stockpush import __version__, logs
from stockpush.cli import (
    catalogue,
    channel,
    channels,
    check,
    connect,
    deliveries,
    doctor,
    holds,
    log,
    lots,
    output,
    prove,
    resync,
    setup,
    stock,
    verbs,
    why,
)
from stockpush.cli import run as daemon
from stockpush.cli.options import Json
from stockpush.errors import ExitCode, StockPushError, UsageError

FRAMES_MAX: Final = 6
"""Most places that are named of a defect of ours."""

app = typer.Typer(
    name="stockpush",
    help="One stock count for everything you make, pushed to every channel you sell on.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        output.say(f"stockpush {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def stockpush(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """One stock count for everything you make, pushed to every channel you sell on."""
    del version  # its callback has printed it
    if context.invoked_subcommand is None:
        output.screen().out(context.get_help())


# What looks like an unknown option may be a negative quantity: `adjust wick -3`.
_QUANTITIES = {"ignore_unknown_options": True}

app.command()(setup.init)
app.command()(connect.connect)
app.command()(doctor.doctor)
app.command()(setup.migrate)
app.command("import")(catalogue.import_files)
app.command()(stock.stock)
app.command()(why.why)
app.command(context_settings=_QUANTITIES)(verbs.receive)
app.command(context_settings=_QUANTITIES)(verbs.build)
app.command(context_settings=_QUANTITIES)(verbs.count)
app.command(context_settings=_QUANTITIES)(verbs.adjust)
app.command(context_settings=_QUANTITIES)(verbs.scrap)
app.command("return", context_settings=_QUANTITIES)(verbs.take_back)
app.command(context_settings=_QUANTITIES)(verbs.sell)
app.command(context_settings=_QUANTITIES)(lots.transfer)
app.command()(verbs.undo)
app.command()(lots.lots)
app.command()(log.log)
app.command()(lots.quarantine)
app.command(context_settings=_QUANTITIES)(holds.hold)
app.command()(holds.holds)
app.command()(holds.release)
app.command()(holds.renew)
app.command()(check.check)
app.command()(catalogue.adopt)
app.command()(channels.channels)
app.command()(stock.plan)
app.command()(resync.resync)
app.add_typer(deliveries.app, name="deliveries")
app.command("run")(daemon.run_daemon)
app.add_typer(channel.app, name="channel")


@app.command()
def demo(
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="How long, for example 20s; else until Ctrl-C."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which shoppers come.")] = 1,
    as_json: Json = False,
) -> None:
    """Watch stock move between four shops.

    A candle shop on emulated Etsy, Shopify, WooCommerce and Faire, with shoppers.

    After the time is up (or Ctrl-C) the shops come to rest, which is checked, and single sales are
    timed: that takes some seconds more.
    """
    # The shops and the daemon take a while to import, and no other command needs the shops.
    from stockpush.cli.demo import command

    command(duration, seed, json=as_json)


app.command()(prove.prove)


def main() -> NoReturn:
    """Run the command that was typed and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to fail.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # both are text files
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
        code = code or ExitCode.FAILED
    sys.exit(code)


_commands: Final = cache(partial(get_command, app))
"""Returns what can be typed. It takes as long as many a command, so it is made once a process."""


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line (without the program's name); return its exit code."""
    # Commands say what they did in their own words; log lines are the daemon's.
    logs.configure(json=False, level="critical")
    as_json = "--json" in arguments[: _end_of_options(arguments)]
    try:
        ended = _commands().main(args=list(arguments), prog_name="stockpush", standalone_mode=False)
    except StockPushError as error:
        if isinstance(error, UsageError) and error.next is None:
            error.next = f"stockpush {arguments[0]} --help"
        output.print_error(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        output.print_error(_slip(error), as_json=as_json)
        return ExitCode.USAGE
    except typer.Abort:
        output.note("Nothing was changed.")
        return ExitCode.FAILED
    except BrokenPipeError:
        _leave_pipe()
        return ExitCode.FAILED
    except Exception as defect:  # noqa: BLE001  # the last place where it can be said calmly
        output.print_error(_defect(defect), as_json=as_json)
        return ExitCode.FAILED
    return ended if isinstance(ended, int) else ExitCode.OK


def _end_of_options(arguments: Sequence[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def _slip(error: typer.TyperException) -> UsageError:
    """Return a slip in the command line in our shape, with the help to ask for."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "stockpush"
    param = getattr(error, "param", None)
    return UsageError(
        error.format_message(),
        field=None if param is None else _typed(param),
        next=f"{command} --help",
    )


def _typed(param: Any) -> str | None:
    """Return what an option is called where it is typed, or the name of an argument."""
    name: str | None = param.name
    return next((each for each in param.opts if each.startswith("-")), name)


def _defect(defect: Exception) -> StockPushError:
    """Return what is nobody's mistake but ours: its type and where, without values."""
    frames = traceback.extract_tb(defect.__traceback__)[-FRAMES_MAX:]
    places = " > ".join(f"{each.filename.rpartition('/')[2]}:{each.lineno}" for each in frames)
    return StockPushError(
        f"This is a defect in Stock Push, not your mistake: {type(defect).__name__} at {places}.",
        next="report it with the line above",
    )


def _leave_pipe() -> None:
    """Say nothing more to a reader who has gone (`stockpush stock | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
