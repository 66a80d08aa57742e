"""What is run besides the seed: worlds, faults, people and lengths that are not drawn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stockpush.sim.people import Pace
from stockpush.sim.shopfront import Shopfront
from stockpush.sim.storeroom import Storeroom
from stockpush.sim.swarm import FaultKind

PEOPLE = ("merchant", "maker", "rush", "housekeeper", "typist", "clerk", "storekeeper")
"""Who may stay at home."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run besides the seed. `channels` are those that there may be, as `drawing.draw_world`
    says (None: drawn). `without` leaves kinds of faults out; `span_s` sets the length
    of act one, `silent_s` that of the silence (both else drawn). `shopify_only` has one channel,
    which compares; `busy` has many shoppers, and a maker who keeps up with them. `split` has one
    or two shops on Shopify, among whose listings what there is is parted, most items on several,
    and nobody takes away what a shop may sell. `storeroom` has people who set stock aside, keep
    lots and feed a market (True: drawn; None: for a third of the drawn worlds; never with the
    naive sync).

    `shopfront` is simulated in place of a drawn world; `naive` runs the naive sync in place of the
    daemon. `cut_s` ends act one early and changes nothing before that; `away` are people (`PEOPLE`)
    who stay at home: both are what shrinking tries. `traced` keeps what people did.

    What a hunt for one bug narrows: `faults` are exactly the kinds there are, each with its
    strength (None: drawn), and `spell_s` how long their spells last; `history` is how many orders
    the shops took before the daemon's first start; `pace` how people act; `travel_s` how long
    requests, answers and webhooks travel, from and to; `early` ends the run at its first violation.
    """

    without: Collection[FaultKind] = frozenset()
    span_s: float | None = None
    silent_s: float | None = None
    shopify_only: bool = False
    channels: frozenset[str] | None = None
    busy: bool = False
    split: bool = False
    storeroom: bool | Storeroom | None = None
    shopfront: Shopfront | None = None
    naive: bool = False
    cut_s: float | None = None
    away: Collection[str] = frozenset()
    traced: bool = False
    faults: Mapping[FaultKind, float | None] | None = None
    spell_s: float | None = None
    history: int = 0
    pace: Pace | None = None
    travel_s: tuple[float, float] | None = None
    early: bool = False
