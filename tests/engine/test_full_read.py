"""Everything of a large channel, read by the platform itself: what follows from what it wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stockpush import logs
from stockpush.connectors.base import FullReading, Reading
from stockpush.engine import full_read
from stockpush.engine.answers import AnswerUnusable
from stockpush.engine.full_read import EVERY_S, FIRST_S, TAKES_MAX_S, FullReader
from stockpush.engine.transport.download import FILE_BYTES_MAX, LINE_BYTES_MAX, lines_of
from stockpush.errors import (
    ChannelError,
    ChannelUnavailable,
    OutcomeUnknown,
    PayloadInvalid,
    RateLimited,
)
from stockpush.model import FieldKey
from stockpush.sim.loop import Owner, spawn
from tests.engine.world import SHOP, Floor, floor, ran


@dataclass
class Platform:
    """What the platform does when it is to read everything; `asked` are the calls."""

    states: list[FullReading] = field(
        default_factory=lambda: [FullReading(done=False), FullReading(done=True, url="first")]
    )
    files: dict[str, list[dict[str, Any]] | ChannelError] = field(default_factory=dict)
    refusals: list[ChannelError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@dataclass
class Read:
    """A floor whose channel can be read whole."""

    floor: Floor
    platform: Platform
    reader: FullReader
    lines: list[logs.Line]

    def told(self) -> list[tuple[str, int]]:
        """How each reading ended, and how many fields it left in doubt."""
        return [
            (line["state"], line["count"]) for line in self.lines if line["event"] == "channel.read"
        ]

    def observed(self) -> int:
        """How often the channel was asked for numbers."""
        return self.floor.shop.log.count("observe")


@asynccontextmanager
async def readable(folder: Path, *, from_fields: int = 1) -> AsyncIterator[Read]:
    """A floor whose platform has written down what it holds."""
    async with floor(folder) as made:
        platform = Platform(files={"first": [{"a": made.shop.numbers["a"]}]})

        async def begin_full(_api: Any) -> str:
            platform.asked.append("begin")
            if platform.refusals:
                raise platform.refusals.pop(0)
            return "op"

        async def full(_api: Any, name: str) -> FullReading:
            platform.asked.append("look")
            return platform.states.pop(0) if len(platform.states) > 1 else platform.states[0]

        async def end_full(_api: Any, name: str) -> None:
            platform.asked.append("end")

        def full_record(line: bytes) -> Reading:
            said = msgspec.json.decode(line)
            if not isinstance(said, dict):
                raise PayloadInvalid("odd")
            ((key, number),) = said.items()
            return Reading(FieldKey(SHOP, key), number, None if number is not None else "bundle")

        async def download(url: str) -> AsyncGenerator[bytes]:
            platform.asked.append(url)
            found = platform.files.get(url, ChannelUnavailable("gone"))
            if isinstance(found, ChannelError):
                raise found
            for each in found:
                yield msgspec.json.encode(each)

        for each in (begin_full, full, end_full, full_record):
            setattr(made.shop, each.__name__, each)
        workers = made.workers
        reader = FullReader(
            workers.channel,
            made.lane,
            made.store,
            made.lane.clock,
            workers.reconciler,
            download=download,
            from_fields=from_fields,
        )
        lines: list[logs.Line] = []
        logs.configure(json=True, lines=lines.append)
        yield Read(made, platform, reader, lines)


def reading(work: Callable[[Read], Awaitable[None]], folder: Path, **how: Any) -> None:
    """Run one test of a readable floor on virtual time."""

    async def run() -> None:
        async with readable(folder, **how) as made:
            await work(made)

    ran(run())


def test_what_agrees_leads_to_nothing(tmp_path: Path) -> None:
    """The file says what we believe: no request follows, and it is told how it went."""

    async def work(made: Read) -> None:
        before = made.observed()
        await made.reader.read()
        await made.floor.passes(5)
        assert made.observed() == before
        assert made.told() == [("whole", 0)]
        assert made.platform.asked == ["begin", "look", "look", "first"]

    reading(work, tmp_path)


def test_what_differs_is_read_by_itself_and_not_believed(tmp_path: Path) -> None:
    """An old number is no observation: the field is read, and what it holds now counts."""

    async def work(made: Read) -> None:
        made.platform.files["first"] = [{"a": 3}]
        before = made.observed()
        await made.reader.read()
        await made.floor.passes(5)
        assert made.observed() == before + 1
        row = await made.floor.row()
        assert (row.expected, row.hold, row.surplus) == (10, 0, 0)
        assert made.told() == [("whole", 1)]

    reading(work, tmp_path)


@pytest.mark.parametrize("others", [[], [{"somebody else's": 4}]])
def test_what_the_file_does_not_name_is_read(tmp_path: Path, others: list[dict[str, int]]) -> None:
    """A listing that is gone, or lies in the part that is missing; others' are of no concern."""

    async def work(made: Read) -> None:
        made.platform.files["first"] = others
        before = made.observed()
        await made.reader.read()
        await made.floor.passes(5)
        assert made.observed() == before + 1

    reading(work, tmp_path)


def test_what_cannot_be_written_any_more_has_its_listing_asked_about(tmp_path: Path) -> None:
    """A variant that became a bundle has a number as before: only its listing tells."""

    async def work(made: Read) -> None:
        made.platform.files["first"] = [{"a": None}]
        before = made.floor.shop.log.count("resolve")
        await made.reader.read()
        await made.floor.passes(5)
        assert made.floor.shop.log.count("resolve") == before + 1

    reading(work, tmp_path)


def test_a_part_is_used_and_the_rest_read_in_pages(tmp_path: Path) -> None:
    """The platform failed half-way: what it wrote is held against ours, the rest is asked about."""

    async def work(made: Read) -> None:
        failed = FullReading(done=True, url="first", whole=False, reason="failed TIMEOUT")
        made.platform.states = [failed]
        made.platform.files["first"] = []
        before = made.observed()
        await made.reader.read()
        await made.floor.passes(5)
        assert made.observed() == before + 1
        assert made.told() == [("in part", 1)]

    reading(work, tmp_path)


def test_an_address_that_has_run_out_is_asked_for_again(tmp_path: Path) -> None:
    """The first address is worth nothing any more; the platform gives another one."""

    async def work(made: Read) -> None:
        made.platform.states = [
            FullReading(done=True, url="run out"),
            FullReading(done=True, url="first"),
        ]
        await made.reader.read()
        assert made.platform.asked == ["begin", "look", "run out", "look", "first"]
        assert made.told() == [("whole", 0)]

    reading(work, tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("no answer"),
        PayloadInvalid("an unknown state"),
        ChannelUnavailable("down"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_fails_every_field_is_read_in_pages(tmp_path: Path, error: ChannelError) -> None:
    """The reading by the platform is a convenience: without it the same fields are read."""

    async def work(made: Read) -> None:
        made.platform.refusals = [error]
        before = made.observed()
        await made.reader.read()
        await made.floor.passes(5)
        assert made.observed() == before + 1
        assert made.told() == [("read in pages", 1)]

    reading(work, tmp_path)


def test_a_platform_that_is_busy_is_asked_later(tmp_path: Path) -> None:
    """As many run already as may: twice it is waited as long as it says, then pages are read."""

    async def work(made: Read) -> None:
        begun = made.floor.clock.monotonic()
        made.platform.refusals = [RateLimited(retry_after_s=600)] * 2
        await made.reader.read()
        assert made.platform.asked[:3] == ["begin"] * 3
        assert made.floor.clock.monotonic() - begun >= 1200
        made.platform.refusals = [RateLimited(retry_after_s=600)] * 3
        await made.reader.read()
        assert made.told() == [("whole", 0), ("read in pages", 1)]

    reading(work, tmp_path)


def test_one_that_never_ends_is_ended(tmp_path: Path) -> None:
    """After hours the operation is cancelled, so that it holds no place, and pages are read."""

    async def work(made: Read) -> None:
        made.platform.states = [FullReading(done=False)]
        begun = made.floor.clock.monotonic()
        await made.reader.read()
        took_s = made.floor.clock.monotonic() - begun
        assert TAKES_MAX_S < took_s < TAKES_MAX_S + 120
        assert made.platform.asked[-1] == "end"
        assert made.platform.asked.count("look") < 300
        assert made.told() == [("read in pages", 1)]

    reading(work, tmp_path)


def test_a_file_that_cannot_be_read_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line or two may be odd; a file of them is none."""
    monkeypatch.setattr(full_read, "UNREADABLE_MAX", 2)

    async def work(made: Read) -> None:
        made.platform.files["first"] = ["odd", "odd", {"a": 10}]  # type: ignore[list-item]
        await made.reader.read()
        made.platform.files["first"] = ["odd", "odd", "odd", {"a": 10}]  # type: ignore[list-item]
        await made.reader.read()
        assert made.told() == [("whole", 0), ("read in pages", 1)]

    reading(work, tmp_path)


def test_a_small_channel_is_read_in_pages_anyway(tmp_path: Path) -> None:
    """Where a request or two read everything, the platform is not troubled."""

    async def work(made: Read) -> None:
        await made.reader.read()
        assert made.platform.asked == []

    reading(work, tmp_path, from_fields=2)


def test_it_is_done_once_a_day(tmp_path: Path) -> None:
    """First an hour after the start, then each day."""

    async def work(made: Read) -> None:
        made.platform.states = [FullReading(done=True, url="first")]
        running = spawn(made.floor.loop, made.reader.run(), Owner("whole"))
        await made.floor.passes(FIRST_S - 1)
        assert made.told() == []
        await made.floor.passes(60)
        assert len(made.told()) == 1
        await made.floor.passes(EVERY_S + 60)
        assert len(made.told()) == 2
        running.cancel()

    reading(work, tmp_path)


# -- lines ---------------------------------------------------------------------------------------


async def cut(*chunks: bytes) -> AsyncIterator[bytes]:
    """Chunks as they come."""
    for each in chunks:
        yield each


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc"], [b"ab", b"c"]),
        ([b"a\n", b"\n", b"\r\n", b"b"], [b"a", b"b"]),
        ([], []),
        ([b"", b""], []),
    ],
)
async def test_lines_are_cut_anywhere(chunks: list[bytes], expected: list[bytes]) -> None:
    """Wherever the network cuts, lines are whole; empty ones are none."""
    assert [line async for line in lines_of(cut(*chunks))] == expected


async def test_a_file_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, or a file, without end is not read to its end; up to the bounds it is."""
    whole = [line async for line in lines_of(cut(b"x" * LINE_BYTES_MAX + b"\n"))]
    assert [len(line) for line in whole] == [LINE_BYTES_MAX]
    with pytest.raises(AnswerUnusable, match="line longer"):
        [line async for line in lines_of(cut(b"x" * LINE_BYTES_MAX, b"x"))]
    assert FILE_BYTES_MAX == 2**30
    monkeypatch.setattr("stockpush.engine.transport.download.FILE_BYTES_MAX", 4)
    assert [line async for line in lines_of(cut(b"a\nb\n"))] == [b"a", b"b"]
    with pytest.raises(AnswerUnusable, match="file larger"):
        [line async for line in lines_of(cut(b"a\nb\n", b"c"))]


def test_a_file_that_drips_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it comes, after a while pages are read instead."""
    monkeypatch.setattr(full_read, "DOWNLOAD_MAX_S", 30.0)

    async def work(made: Read) -> None:
        made.platform.states = [FullReading(done=True, url="first")]

        async def drip(_url: str) -> AsyncGenerator[bytes]:
            while True:
                await asyncio.sleep(10)
                yield b'{"other": 1}'

        made.reader._download = drip
        await made.reader.read()
        assert made.told() == [("read in pages", 1)]

    reading(work, tmp_path)
