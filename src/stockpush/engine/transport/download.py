"""A long file in lines, within bounds: a file has no end that could be trusted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from stockpush.engine.answers import AnswerUnusable

FILE_BYTES_MAX: Final = 2**30
"""Largest file: about three million records."""
LINE_BYTES_MAX: Final = 64 * 1024
"""Longest line."""
SILENCE_MAX_S: Final = 60.0
"""How long nothing of it may come; whoever reads it bounds the whole."""


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the lines of chunks that are cut anywhere, without those that are empty.

    Raises `AnswerUnusable` past the bounds.
    """
    rest, received = b"", 0
    async for chunk in chunks:
        received += len(chunk)
        if received > FILE_BYTES_MAX:
            raise AnswerUnusable(f"a file larger than {FILE_BYTES_MAX} bytes")
        *whole, rest = (rest + chunk).split(b"\n")
        if any(len(line) > LINE_BYTES_MAX for line in (*whole, rest)):
            raise AnswerUnusable(f"a line longer than {LINE_BYTES_MAX} bytes")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
