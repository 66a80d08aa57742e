"""What else is done with stock in some worlds, besides buying, making and sending it.

Theory of operation. Drawn from dice of its own, so that a world without it stays what it was when
there was none, and one with it has the same shops, shoppers and misfortunes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from stockpush.sim.people import between
from stockpush.sim.swarm import HOUR

LIKELY: Final = 1 / 3
"""How many drawn worlds have one."""
DEEDS_PER_HOUR: Final = (4.0, 90.0)
"""How often one of its people does something: from, to."""
LOTS: Final = 0.5
"""How many of them have lots."""
HORIZONS_S: Final = (None, None, 60, 900)


@dataclass(frozen=True, slots=True)
class Storeroom:
    """`clerks` are those who set stock aside: how many deeds a second each does. `lots` is how
    many a second are done to lots; `horizon_s` is that of every item, None for none.
    """

    clerks: tuple[float, ...] = ()
    lots: float = 0.0
    horizon_s: int | None = None

    @classmethod
    def draw(cls, dice: random.Random) -> Storeroom:
        """Draw one."""

        def rate() -> float:
            return between(dice, *DEEDS_PER_HOUR) / HOUR

        clerks = tuple(rate() for _ in range(dice.choice((0, 1, 1, 2, 3))))
        lots = rate() if dice.random() < LOTS or not clerks else 0.0
        return cls(clerks, lots, dice.choice(HORIZONS_S) if lots else None)
