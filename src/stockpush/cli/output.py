"""What the commands print: tables for people, JSON for scripts, and errors in one shape.

Theory of operation. Answers go to stdout; errors, questions and progress to stderr, except that
with `--json` an error is the one document on stdout. Text may come from a shop or a file, so what
is not printable is escaped and nothing in it is read as markup. Into a pipe, lines are not cut.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NoReturn

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stockpush.errors import ExitCode, StockPushError
from stockpush.messages import Refused

PIPE_WIDTH: Final = 1000
"""Columns of a line that no terminal limits."""
PATIENCE_S: Final = 1.0
"""How long work may take before a spinner says that it goes on."""


def screen(*, stderr: bool = False) -> Console:
    """Return where to print for people: no markup, no guessing at numbers and paths."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def say(text: str = "", style: str = "") -> None:
    """Print one line for people."""
    screen().print(Text(plain(text), style), soft_wrap=True)


def note(text: str) -> None:
    """Print one line beside the answer, on stderr."""
    screen(stderr=True).print(Text(plain(text), "dim"), soft_wrap=True)


def print_json(document: Any) -> None:
    """Print one JSON document: indented on a terminal, on one line otherwise."""
    builtins = msgspec.to_builtins(document)
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(builtins, ensure_ascii=False, indent=indent) + "\n")


def plain(text: str) -> str:
    r"""Return `text` with every control, format and lone surrogate character escaped, but for
    line breaks: it cannot move the cursor or colour the terminal.

    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )


# -- tables ----------------------------------------------------------------------------------


def table(*columns: str) -> Table:
    """Return an empty table.

    A heading that begins with ">" stands over numbers, one with "=" over words that stay whole.
    """
    made = Table(
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    for column in columns:
        # What does not fit goes on in the next line: half a SKU is of no use to anybody.
        made.add_column(
            column.lstrip(">="),
            justify="right" if column.startswith(">") else "left",
            no_wrap=column.startswith((">", "=")),
            overflow="fold",
        )
    return made


def show(made: Table) -> None:
    """Print a table."""
    screen().print(made)


def cell(value: object, style: str = "") -> Text:
    """Return a table's cell: nothing for None, zeros dim, instants in local time."""
    match value:
        case None:
            return Text("")
        case datetime():
            return Text(value.astimezone().strftime("%Y-%m-%d %H:%M:%S"), style)
        case _:
            text = plain(str(value))
            return Text(text, style or ("dim" if text == "0" else ""))


def say_reasons(reasons: Iterable[tuple[str, str | None]]) -> None:
    """Print each reason once, with the names of what has it: it would not fit into a table."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        if reason:
            names.setdefault(reason, []).append(name)
    if names:
        say()
    for reason, those in names.items():
        listed = ", ".join(dict.fromkeys(those))
        screen().print(Text.assemble(plain(listed), (f": {plain(reason)}", "dim")), soft_wrap=True)


def balance(value: str) -> Text:
    """Return the cell of a signed quantity: what is below zero stands out."""
    return cell(value, "bold red" if value.startswith("-") else "")


def reference(ref: Mapping[str, Any]) -> str:
    """Return a listing's reference in short.

    >>> reference({"product_id": 30, "variation_id": 31})
    'product_id=30 variation_id=31'
    """
    return " ".join(f"{name}={value}" for name, value in ref.items())


# -- errors and refusals ---------------------------------------------------------------------


def print_error(error: StockPushError, *, as_json: bool) -> None:
    """Print an error: what happened, where, what was found and expected, and what to type next."""
    if as_json:
        print_json({"error": _plain_values(error.as_json())})
        return
    console = screen(stderr=True)
    message = plain(error.message)
    console.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)
    for label, value in (
        ("where", error.field),
        ("found", error.found),
        ("expected", error.expected),
    ):
        text = plain(str(value))
        if value is not None and text not in message:
            console.print(Text.assemble((f"  {label:<9}", "dim"), text), soft_wrap=True)
    if error.next:
        console.print(Text.assemble(("Next: ", "bold"), plain(error.next)), soft_wrap=True)


def _plain_values(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error's shape with what was found as JSON can hold it."""
    found = shape["found"]
    kept = found if isinstance(found, str | int | float | bool | None) else str(found)
    return {**shape, "found": kept}


def refuse(refused: Refused, *, as_json: bool, next: str | None = None) -> NoReturn:
    """Print a refusal and end with its exit code: nothing was changed."""
    if as_json:
        print_json(
            {
                "refused": refused.refusal,
                "message": refused.message,
                **refused.facts,
                "next": next,
            }
        )
    else:
        console = screen(stderr=True)
        message = plain(refused.message)
        console.print(
            Text.assemble(("Refused: ", "bold yellow"), message, "; nothing was changed"),
            soft_wrap=True,
        )
        if next:
            console.print(Text.assemble(("Next: ", "bold"), plain(next)), soft_wrap=True)
    raise typer.Exit(ExitCode.REFUSED)


# -- patience --------------------------------------------------------------------------------


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a spinner with `what` on a terminal if the block takes longer than PATIENCE_S."""
    console = screen(stderr=True)
    if not console.is_terminal:
        yield
        return
    spinner = console.status(Text(what, "dim"))
    timer = threading.Timer(PATIENCE_S, spinner.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        spinner.stop()
