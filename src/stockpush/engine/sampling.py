"""Lines that strangers can cause as often as they like: the first at once, then one a minute."""

from __future__ import annotations

EVERY_S = 60.0
"""Shortest time between two lines of one kind, in seconds."""


class Sampled:
    """Counts one kind of occurrence; each line says how many it stands for.

    >>> forged = Sampled()
    >>> [forged.count(at) for at in (0.0, 1.0, 2.0, 61.0)]
    [1, 0, 0, 3]
    """

    __slots__ = ("_due_at", "_unwritten")

    def __init__(self) -> None:
        self._due_at = float("-inf")
        self._unwritten = 0

    def count(self, now: float) -> int:
        """Count one at `now` (monotonic seconds); return what a line is to say, 0 for no line.

        What came after the last line is told by the next one.
        """
        self._unwritten += 1
        if now < self._due_at:
            return 0
        self._due_at = now + EVERY_S
        told, self._unwritten = self._unwritten, 0
        return told
