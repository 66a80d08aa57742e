"""What is known of each field, from the requests and answers that named it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stockpush.sim.truth import NEVER, FieldName
from stockpush.sim.world import Listed, World


@dataclass(slots=True)
class FieldNote:
    """What is known of a field. `reflected_at`: its number takes in what was known then."""

    listed: Listed
    reflected_at: float = -NEVER
    edited_at: float = -NEVER
    masks: list[tuple[float, float]] = field(default_factory=list)
    """From when until when the merchant's edits may hide a sale: from the last reading before the
    first to the first write after the last, which met what was there.
    """
    excused: str = ""
    """Why the number last written may be above its bound."""
    unheard: int = 0
    """Units in the number last written for unpaid orders that had come to nothing unheard."""
    unsent: int = 0
    """Units in it for orders that had been sent unheard, where those stand apart (R11)."""
    unkept: int = 0
    """Units in it that the shop had ceased to keep apart, unread (R11)."""
    pairs: list[tuple[float, float]] = field(default_factory=list)
    """When the daemon was told how many the shop keeps apart: (as of, told at)."""
    written_at: float = -NEVER
    """When it was written."""
    acknowledged: int = 0
    """The newest push of which the daemon knows that it was applied."""
    flying: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Writes that were handled and not answered: exchange -> (sent at, push)."""
    sent_at: float = -NEVER
    """When the newest write was sent that was handled."""
    gone: bool = False
    looks: list[tuple[float, float]] = field(default_factory=list)
    """Between which two instants a number stood that the daemon was told, one for each telling
    that counts (R2)."""
    moved_at: float = -NEVER
    """When the daemon last changed what it expects the field to hold."""
    answered: dict[int, float] = field(default_factory=dict)
    """When the daemon was last told what became of a push, by push."""

    def pair_before(self, instant: float) -> float:
        """Return as of when the daemon had been told at `instant` what the shop keeps apart."""
        return max((of for of, told in self.pairs if told < instant), default=-NEVER)

    @property
    def read_until(self) -> float:
        """Return since when the daemon has not looked at the field, as far as it was told."""
        return max((begin for begin, _ in self.looks), default=-NEVER)


class Notes:
    """The notes of a world's fields."""

    def __init__(self, world: World) -> None:
        """Know the fields."""
        self.fields: dict[FieldName, FieldNote] = {}
        self.by_listing: dict[tuple[str, str], FieldName] = {}
        for listed in world.listings:
            name = (listed.channel, listed.field)
            self.fields.setdefault(name, FieldNote(listed))
            self.by_listing[listed.channel, listed.listing] = name

    def of(self, listed: Listed) -> FieldNote:
        """Return the note of a listing's field."""
        return self.fields[listed.channel, listed.field]

    def gone(self) -> Iterator[FieldNote]:
        """Yield those whose field the merchant has deleted."""
        return (note for note in self.fields.values() if note.gone)
