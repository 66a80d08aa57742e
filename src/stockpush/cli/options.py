"""Options that many commands share, so that they are named, explained and read alike.

A command that writes at once says `@writing` and is handed what these options said as a `Write`;
its own arguments and options stand in its signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeAlias

import typer
from typer.models import OptionInfo

from stockpush.engine.given import one_line
from stockpush.errors import UsageError

P = ParamSpec("P")

Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The configuration, instead of the usual places."
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Reason: TypeAlias = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Idempotency key: the same command with the same key happens once.",
    ),
]


@dataclass(frozen=True, slots=True)
class Write:
    """What was asked of a command that writes, besides what the command is about."""

    config: Path | None
    as_json: bool
    dry_run: bool
    reason: str
    key: str | None
    options: Sequence[str] = ()
    """Which options the command has, for whoever mistypes one."""

    def key_or(self, new: Callable[[], str]) -> str:
        """Return the idempotency key that was given, or a `new` one."""
        key = new() if self.key is None else one_line(self.key, field="--key")
        if not key:
            raise UsageError("--key is empty.", field="--key", expected="any text of your own")
        return key


def writing(command: Callable[Concatenate[Write, P], None]) -> Callable[..., None]:
    """Return `command` with the options of every command that writes at once."""
    return _with_options(command, dict(_SHARED.parameters))


def stating(command: Callable[Concatenate[Write, P], None]) -> Callable[..., None]:
    """Do as `writing` for a command that says how something is: twice is once, without a key."""
    shared = dict(_SHARED.parameters)
    del shared["key"]
    return _with_options(command, shared)


def _write(
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> Write:
    del yes  # taken by every writing command; these act at once
    return Write(config, as_json, dry_run, one_line(reason, field="--reason"), key)


_SHARED: Final = inspect.signature(_write, eval_str=True)


def _with_options(
    command: Callable[Concatenate[Write, P], None], shared: dict[str, inspect.Parameter]
) -> Callable[..., None]:
    """Return `command` with a signature in which `shared` stand for its `Write`."""
    own = inspect.signature(command, eval_str=True)
    _, *parameters = own.parameters.values()

    carried_out: Callable[..., None] = command

    @wraps(carried_out)
    def taken(**given: Any) -> None:
        said = {name: given.pop(name) for name in shared}
        carried_out(replace(_write(**said), options=options), **given)

    parameters += shared.values()
    options = tuple(name for each in parameters for name in _names(each))
    vars(taken)["__signature__"] = own.replace(parameters=parameters)  # what Typer reads
    taken.__annotations__ = {each.name: each.annotation for each in parameters}
    return taken


def _names(parameter: inspect.Parameter) -> Iterator[str]:
    """Yield how a parameter is typed, if it is an option."""
    for each in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(each, OptionInfo):
            yield from (str(each.default), *(each.param_decls or ()))
