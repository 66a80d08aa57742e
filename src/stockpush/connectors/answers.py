"""What an answer is before a platform's own rules read it: done, its words, a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from stockpush.connectors.base import Answer
from stockpush.connectors.payload import decode
from stockpush.errors import PayloadInvalid

WORDS_MAX = 200
"""Longest piece of a channel's own words that is repeated."""

T = TypeVar("T")


def decoded(answer: Answer, kind: type[T], what: str, *, told: str) -> T:
    """Return the body of a 200 answer to a read as a `kind`, else raise `PayloadInvalid`.

    `told` is what any other answer says, for people.
    """
    if answer.status == 200:
        return decode(answer.body, kind, what=what)
    raise PayloadInvalid(
        f"The {what} was answered with {answer.status}.", field=what, found=told, expected="200"
    )


def is_done(answer: Answer) -> bool:
    """Answer whether the channel says that it did what it was asked to (2xx), whatever it adds.

    A write that is answered so was taken; it is never one that was certainly not written.
    """
    return 200 <= answer.status < 300


def printable(words: str) -> str:
    r"""Return a channel's words as they may be shown: printable, short, '' where nothing is left.

    >>> printable(" sold\x07 out ")
    'sold out'
    """
    return "".join(each for each in words if each.isprintable()).strip()[:WORDS_MAX]


def count_in(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number (>= 0) that a header holds, None where it holds none.

    >>> count_in({"x-wp-total": "12"}, "x-wp-total")
    12
    """
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None
