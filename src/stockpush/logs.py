"""The log: which events there are, which fields they may carry, and how lines are written.

Theory of operation. A line is an event name from `EVENTS` and fields from `FIELDS`; whatever is
not on these lists does not get out, so that a token, a buyer's name or an address that strays
into a log call stays inside. Text in fields comes from channels and is hostile: what is not
printable is escaped, long text is cut, and values that are not plain are replaced by their type.
Lines go to stderr, as JSON for machines or aligned for people; stdout belongs to the command line.
Importing this module sets that up with its defaults, so that no line is ever written unguarded.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from stockpush.messages import Event

Line: TypeAlias = Mapping[str, Any]
"""A line on its way out: `event`, `level` and the fields that may be seen."""
TEXT_LENGTH_MAX = 300
"""Longest text of a field, in characters; the rest is cut."""
FRAMES_MAX = 8
"""Most frames of an exception that are written, the innermost."""

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "access.renewed": "a channel granted new access, which is saved; the old one is forgotten",
        "channel.down": "a channel cannot be reached; retries go on in silence",
        "channel.read": "everything that a large channel holds was held against what we believe",
        "channel.silent": "no order came for longer than a channel's own rate of orders explains",
        "channel.stopped": "pushing to a channel has stopped until a person helps",
        "channel.up": "a channel that was down or stopped answers again",
        "daemon.started": "listeners, database and workers are up",
        "daemon.stopped": "everything was drained and closed",
        "delivery.failed": "a delivery met a defect of ours; the sender was told to come back",
        "delivery.quarantined": "a genuine delivery cannot be understood and waits for a person",
        "delivery.refused": "deliveries were not signed by their channel; nothing was stored",
        "drift.closed": "a difference between expected and observed was settled",
        "drift.opened": "a channel shows another number than expected",
        "guard.entered": "little is left of an item: its listings share it from now on",
        "guard.left": "enough is there of an item again: each of its listings shows the whole",
        "hold.expired": "a hold came to its end; what it set aside is on sale again",
        "hold.placed": "somebody set units aside",
        "hold.released": "somebody gave back what a hold set aside",
        "hold.renewed": "somebody had a hold end at another instant",
        "hold.sold": "a hold was turned into a sale",
        "library.warned": "a library that we use logged a warning or an error",
        "line.unmapped": "an order line names a listing that is mapped to no item",
        "line.withheld": "a log line with an unlisted name was held back: a defect of ours",
        "listing.parked": "a listing is not pushed any more until a person helps",
        "lot.turned": "a lot is sold no more, or from now on, or comes soon, by the clock alone",
        "number.changed": "a number that others may change was changed there; ours is set again",
        "order.flagged": "an order in a state we do not know counts as still to be sent",
        "poll.completed": "every page of a channel's changed orders was read",
        "push.applied": "a channel took our number",
        "push.conflicted": "a channel held another number than expected and took nothing",
        "push.failed": "a push had no effect and is due again",
        "push.shadowed": "a push was computed and, in shadow mode, not sent",
        "push.unknown": "a push was sent and no answer came; a reading settles it",
        "request.failed": "a request to the private listener met a defect of ours",
        "request.refused": "what came to a listener was no HTTP, or could be read in two ways",
        "reservation.committed": "an order line claimed units",
        "reservation.released": "an order line gave its claim back",
        "shortage.found": "more was sold than can be supplied: a person must act",
        "store.unavailable": "the database cannot be used; senders are told to come back",
        "webhooks.mended": "webhooks were missing or off and are back; what they missed is polled",
        "webhooks.missing": "webhooks are not as they should be and, in shadow mode, stay so",
        "webhooks.unchecked": "a channel does not let us see whether it still sends webhooks",
        "webhooks.unheard": "webhooks are subscribed, but none come: is your address reachable?",
        "worker.failed": "a worker broke and is started again",
    }
)
"""Every event there is, with its meaning (docs/configuration.md shows how to read them)."""

FIELDS: frozenset[str] = frozenset(
    {
        "age_s",
        "atp",
        "attempt",
        "channel",
        "channels",
        "class",
        "command",
        "count",
        "delivery",
        "duplicate",
        "error",
        "expected",
        "host",
        "id",
        "items",
        "latency_s",
        "listing",
        "listings",
        "location",
        "logger",
        "mode",
        "movement",
        "number",
        "observed",
        "offer",
        "order",
        "order_line",
        "orders",
        "pool",
        "port",
        "pushes",
        "reason",
        "resolution",
        "retry_s",
        "short",
        "sku",
        "state",
        "status",
        "topic",
        "trace",
        "units",
        "version",
        "wait_s",
        "worker",
    }
)
"""Every field that a line may carry besides time, level and event."""

_LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "channel.stopped": logging.ERROR,
        "delivery.failed": logging.ERROR,
        "line.withheld": logging.ERROR,
        "request.failed": logging.ERROR,
        "shortage.found": logging.ERROR,
        "store.unavailable": logging.ERROR,
        "worker.failed": logging.ERROR,
        "channel.down": logging.WARNING,
        "channel.silent": logging.WARNING,
        "delivery.quarantined": logging.WARNING,
        "delivery.refused": logging.WARNING,
        "drift.opened": logging.WARNING,
        "library.warned": logging.WARNING,
        "line.unmapped": logging.WARNING,
        "listing.parked": logging.WARNING,
        "order.flagged": logging.WARNING,
        "push.unknown": logging.WARNING,
        "request.refused": logging.WARNING,
        "webhooks.mended": logging.WARNING,
        "webhooks.missing": logging.WARNING,
        "webhooks.unchecked": logging.WARNING,
        "webhooks.unheard": logging.WARNING,
    }
)
"""Levels of the events that are worse than news."""
_WORDS: Mapping[int, str] = MappingProxyType(
    {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
)
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)
_straight_from: int | None = None
"""From which level on events are written as JSON without structlog; None: they take its way."""
_OURS = frozenset({"event", "level", "timestamp"})


def emit(event: Event) -> None:
    """Write one line for `event`, at the level that its name has."""
    emit_all((event,))


def emit_all(events: Iterable[Event]) -> None:
    """Write one line for each event, in order.

    A line of JSON for an event that is listed needs none of structlog's way, which takes several
    times as long; a hundred lines at once are written in one piece.
    """
    if _straight_from is None:
        for event in events:
            _events().log(_LEVELS.get(event.name, logging.INFO), event.name, **event.fields)
        return
    lines = []
    for event in events:
        level = _LEVELS.get(event.name, logging.INFO)
        if level >= _straight_from:
            line = {**event.fields, "event": event.name, "level": _WORDS[level]}
            lines.append(_line(keep_listed(None, "", _STAMP(None, "", line))))
    if lines:
        _Stderr().msg("\n".join(lines))


def _line(line: Mapping[str, Any]) -> str:
    return msgspec.json.encode(line).decode()


@cache
def _events() -> FilteringBoundLogger:
    """Return the logger of events as it is now configured: binding one takes as long as a line."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


def get(name: str) -> FilteringBoundLogger:
    """Return a logger whose lines carry `logger=name`; the first argument is an event name."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind(logger=name))


def configure(
    *, json: bool, level: str = "info", lines: Callable[[Line], None] | None = None
) -> None:
    """Write lines of `level` (debug, info, warning or error) and worse, as JSON or for people.

    With `lines` nothing is written: each line is handed over, without the time of day.
    May be called again. Lines of libraries (standard `logging`) of level warning and worse
    become `library.warned` with the library's name alone: their text is not ours to vouch for.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *_stamps(to_people=lines is None),
            summarise_exception,
            keep_listed,
            *(_renderers(json=json) if lines is None else [_handing_to(lines)]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    global _straight_from  # noqa: PLW0603  # the log is the process's, as structlog's settings are
    straight = json and lines is None
    _straight_from = logging.getLevelNamesMapping()[level.upper()] if straight else None
    _events.cache_clear()
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _LibraryHandler):
            root.removeHandler(handler)
    root.addHandler(_LibraryHandler(logging.WARNING))


def summarise_exception(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type and where it came from, without its text."""
    given = line.pop("exc_info", None)
    if given is True:
        given = sys.exception()
    elif isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        frames = traceback.extract_tb(given.__traceback__)[-FRAMES_MAX:]
        line["error"] = type(given).__name__
        line["trace"] = " > ".join(
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames
        )
    return line


def keep_listed(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Return the line with listed names and plain, printable values alone.

    `withheld` counts the fields that were held back.
    """
    if line.get("event") not in EVENTS:
        kept = {key: line[key] for key in ("level", "timestamp") if key in line}
        return {**kept, "event": "line.withheld", "withheld": len(line) - len(kept)}
    kept = {key: _plain(value) for key, value in line.items() if key in FIELDS or key in _OURS}
    if len(kept) < len(line):
        kept["withheld"] = len(line) - len(kept)
    return kept


def _plain(value: object) -> object:
    """Return `value` as JSON has it: text is made printable and cut, the unknown is its type."""
    if type(value) is str and len(value) <= TEXT_LENGTH_MAX and value.isprintable():
        return value  # nearly always
    match value:
        case str():
            return _printable(value)
        case None | bool() | int() | float():
            return value
        case Decimal() | datetime():
            return str(value)
        case tuple() | list() | frozenset() | set():
            texts = [str(_plain(each)) for each in value]
            return _printable(
                ", ".join(sorted(texts) if isinstance(value, set | frozenset) else texts)
            )
        case _:
            return type(value).__name__


def _printable(text: str) -> str:
    """Return `text` with control, format and separator characters escaped, cut to the limit."""
    cut = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "..."
    if cut.isprintable():
        return cut
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in cut
    )


def _stamps(*, to_people: bool) -> list[Processor]:
    return [_STAMP] if to_people else []


def _handing_to(lines: Callable[[Line], None]) -> Processor:
    """Return the last processor of lines that are not written."""

    def hand_over(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        lines(line)
        raise structlog.DropEvent

    return hand_over


def _renderers(*, json: bool) -> list[Processor]:
    if json:
        return [structlog.processors.JSONRenderer(lambda line, **_: _line(line))]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


class _Stderr:
    """Writes lines to what is stderr at the time, each at once and in one piece."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, line: str) -> None:
        # A log on a full disk, or whose reader has gone, is no reason to stop selling.
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = msg


class _LibraryHandler(logging.Handler):
    """Turns a record of standard `logging` into `library.warned`."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        get(record.name).log(record.levelno, "library.warned", **fields)


configure(json=False, level="warning")
