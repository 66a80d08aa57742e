"""Idempotency keys: a command that comes again under its key happens once.

A key stands for one content, of which only a digest is kept: the same content again is `Replayed`,
another one `Refused`.
"""

from __future__ import annotations

import hashlib

from stockpush.messages import Refused, Replayed
from stockpush.reservation.view import View


def digest(*content: object) -> str:
    """Return what identifies a command's content, hexadecimal."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def answered(view: View, key: str, content: str) -> Replayed | Refused | None:
    """Return what a command under `key` has been answered already; None for a key of its own.

    `content` is the digest of what is asked for now.
    """
    done = view.rows.commands.get(key)
    if done is None:
        return None
    if done.digest == content:
        return Replayed(done.movement_ids)
    return Refused("key_reused", f"the key {key!r} was used for another command")
