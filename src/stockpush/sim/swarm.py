"""Which misfortunes a seed has: their kinds first, then how strong, then when.

Theory of operation. A run in which everything goes wrong at once shows little: most of the daemon's
answers to one fault hide behind its answer to another. So the *kinds* are drawn first, few of them
for most seeds, and only then strengths and times (swarm testing). A kind with a strength strikes by
chance all through act one; one with spells strikes between two instants. Workload, what people do
in any shop on any day, is no fault and is not drawn here.

`ROWS` says for every row of the table of faults how a run shows that it happened, or why no channel
of this simulator can.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from stockpush.sim.accounts import ETSY
from stockpush.sim.drawing import NARROW

HOUR = 3600.0
SPAN_S = ((0.75, 15 * 60.0, HOUR), (0.22, HOUR, 3 * HOUR), (0.03, 8 * HOUR, 30 * HOUR))
"""How long act one is: (how likely, from, to), seconds."""
NO_FAULTS = 0.08
"""How many seeds have no fault at all: what fails there fails on a sunny day."""
ALL_FAULTS = 0.05
"""How many seeds have every fault at once."""
FEW_MEAN = 3.0
"""How many kinds the others have, on average."""


class FaultKind(Enum):
    """What can go wrong. The value names the rows of the table of faults that it shows."""

    WEBHOOK_LOST = "F1"
    WEBHOOK_COPIES = "F2"
    WEBHOOK_REORDERED = "F3"
    WEBHOOK_LATE = "F4"
    WEBHOOK_REPLAYED = "F7"
    SAME_SECOND = "F9"
    PING = "F10"
    HOOK_LOST = "F12"
    CRASH = "F13 F14 F41"
    REQUEST_LOST = "F25"
    ANSWER_LOST = "F24 F26"
    ZOMBIE = "F27"
    RATE_LIMIT = "F28"
    SERVER_ERROR = "F29 errors"
    UNREACHABLE = "F29 outage"
    BAD_ANSWER = "F29 garbage"
    MERCHANT_EDIT = "F33"
    STALE_READ = "F34"
    ORDERS_LATE = "F36 lag"
    CLOCK_SKEW = "F37"
    REVOKED = "F40"
    OTHER_CONNECTION = "F45"
    CLOCK_JUMP = "F49"
    SUSPEND = "F50"
    TOKEN_ENDED = "F38"  # noqa: S105  # a row of a table
    GRANT_LOST = "F39"
    QUOTA_SPENT = "quota"
    DOCUMENT_EDIT = "F31"

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the rows, such as ("F13", "F14")."""
        return tuple(word for word in self.value.split() if word.startswith("F"))


STRENGTHS: Mapping[FaultKind, tuple[float, float, str]] = MappingProxyType(
    {
        FaultKind.WEBHOOK_LOST: (0.05, 1.0, "probability of a delivery"),
        FaultKind.WEBHOOK_COPIES: (2, 50, "most copies of a delivery"),
        FaultKind.WEBHOOK_REORDERED: (0.1, 0.8, "probability of a delivery"),
        FaultKind.WEBHOOK_LATE: (20, 26 * HOUR, "longest delay, seconds"),
        FaultKind.WEBHOOK_REPLAYED: (0.05, 0.5, "probability of a delivery"),
        FaultKind.SAME_SECOND: (0.1, 0.8, "probability that another sale follows at once"),
        FaultKind.PING: (1, 6, "how many"),
        FaultKind.HOOK_LOST: (1, 2, "how often"),
        FaultKind.CRASH: (1, 8, "how often"),
        FaultKind.REQUEST_LOST: (0.02, 0.4, "probability of a request"),
        FaultKind.ANSWER_LOST: (0.02, 0.4, "probability of a request"),
        FaultKind.ZOMBIE: (0.02, 0.3, "probability of a request"),
        FaultKind.RATE_LIMIT: (0.2, 1.0, "probability of a request, during a spell"),
        FaultKind.SERVER_ERROR: (0.2, 1.0, "probability of a request, during a spell"),
        FaultKind.UNREACHABLE: (1, 3, "how often"),
        FaultKind.BAD_ANSWER: (0.02, 0.3, "probability of a request"),
        FaultKind.MERCHANT_EDIT: (0.5, 8, "edits an hour"),
        FaultKind.STALE_READ: (1, 60, "how old a reading may be, seconds"),
        FaultKind.ORDERS_LATE: (1, 60, "how late an order is listed, seconds"),
        FaultKind.CLOCK_SKEW: (1, 600, "how far a shop's clock is off, seconds"),
        FaultKind.REVOKED: (1, 2, "how often"),
        FaultKind.OTHER_CONNECTION: (0.3, 1.0, "probability of an operator's act"),
        FaultKind.CLOCK_JUMP: (1, 3, "how often"),
        FaultKind.SUSPEND: (1, 2, "how often"),
        FaultKind.TOKEN_ENDED: (1, 4, "how often"),
        FaultKind.GRANT_LOST: (1, 2, "how often"),
        FaultKind.QUOTA_SPENT: (1, 2, "how often"),
        FaultKind.DOCUMENT_EDIT: (0.1, 1.0, "probability of a document that is read to be written"),
    }
)
"""Kind -> (weakest, strongest, what the number is). Drawn evenly on a logarithmic scale."""

SPELLS: Mapping[FaultKind, tuple[float, float]] = MappingProxyType(
    {
        FaultKind.RATE_LIMIT: (60, HOUR),
        FaultKind.SERVER_ERROR: (30, 2 * HOUR),
        FaultKind.UNREACHABLE: (30, 8 * HOUR),
        FaultKind.REVOKED: (60, HOUR),
        FaultKind.HOOK_LOST: (0, 0),
        FaultKind.PING: (0, 0),
        FaultKind.CRASH: (1, 20 * 60),
        FaultKind.CLOCK_JUMP: (-HOUR, HOUR),
        FaultKind.SUSPEND: (60, 8 * HOUR),
        FaultKind.TOKEN_ENDED: (0, 0),
        FaultKind.GRANT_LOST: (0, 0),
        FaultKind.QUOTA_SPENT: (60, HOUR),
    }
)
"""Kinds that strike at instants or for a while -> (shortest, longest), seconds. For CRASH: how long
the daemon stays down; for CLOCK_JUMP: how far its wall clock jumps."""
AT_SHOPS = frozenset(
    {
        FaultKind.RATE_LIMIT,
        FaultKind.SERVER_ERROR,
        FaultKind.UNREACHABLE,
        FaultKind.REVOKED,
        FaultKind.HOOK_LOST,
        FaultKind.PING,
    }
)
"""Kinds whose spells befall one channel."""
ONLY_AT: Mapping[FaultKind, str] = MappingProxyType(
    {
        FaultKind.TOKEN_ENDED: ETSY,
        FaultKind.GRANT_LOST: ETSY,
        FaultKind.QUOTA_SPENT: ETSY,
        FaultKind.DOCUMENT_EDIT: ETSY,
    }
)
"""Kinds that only one channel can have -> that channel."""
EXTRA = 0.3
"""How often a world with faults, and with that channel, has such a kind."""
LOSES_WEBHOOKS = frozenset(
    {
        FaultKind.WEBHOOK_LOST,
        FaultKind.WEBHOOK_LATE,
        FaultKind.HOOK_LOST,
        FaultKind.CRASH,
        FaultKind.UNREACHABLE,
        FaultKind.SUSPEND,
        FaultKind.REQUEST_LOST,
        FaultKind.ANSWER_LOST,
        FaultKind.REVOKED,
    }
)
"""Kinds by which a delivery may never be heard: WooCommerce sends each only once."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One spell of a kind from `begin_s`, `lasts_s` long (a jump: how far, signed), on `channel`
    ("" where it is the daemon's own machine).
    """

    kind: FaultKind
    channel: str
    begin_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Swarm:
    """What goes wrong in one run; its text is one line. Instants are seconds from act one's begin.

    `strengths` are as `STRENGTHS` says, one for each of `kinds`; `skew_s` how far each channel's
    clock is ahead of the truth; `span_s` how long act one lasts.
    """

    kinds: frozenset[FaultKind] = frozenset()
    strengths: Mapping[FaultKind, float] = field(default_factory=dict)
    spells: tuple[Spell, ...] = ()
    skew_s: Mapping[str, float] = field(default_factory=dict)
    span_s: float = HOUR

    @classmethod
    def draw(
        cls,
        dice: random.Random,
        channels: tuple[str, ...] = (),
        *,
        strengths: Mapping[FaultKind, float | None] | None = None,
        span_s: float | None = None,
    ) -> Swarm:
        """Draw a swarm for a world with these channels. Where they are given, and not drawn:
        `strengths`, the kinds there are with their strengths (None: that one is drawn), and
        `span_s`, act one's length.
        """
        kinds, given = _kinds(dice), strengths or {}
        if strengths is not None:
            kinds = frozenset(strengths)
        span_s = _span(dice) if span_s is None else span_s
        if len(channels) > len(NARROW):
            # Many shops show as much in less time.
            span_s *= len(NARROW) / len(channels)
        strong: dict[FaultKind, float] = {}
        spells: list[Spell] = []

        def have(kinds: Iterable[FaultKind]) -> None:
            for kind in kinds:
                strong[kind], wanted = _strength(dice, kind), given.get(kind)
                if wanted is not None:
                    strong[kind] = wanted
            for kind in kinds:
                if kind in SPELLS:
                    spells.extend(_spells(dice, kind, strong[kind], channels, span_s))

        have(_in_order(kinds))
        skew_s = (
            {name: dice.choice((-1, 1)) * dice.uniform(1, most) for name in channels}
            if (most := strong.get(FaultKind.CLOCK_SKEW))
            else {}
        )
        if strengths is None:
            # Last, so that a world without these channels has what it had before they were there.
            extra = _extra(dice, kinds, channels)
            have(_in_order(extra))
            kinds |= extra
        return cls(
            kinds, strong, tuple(sorted(spells, key=lambda each: each.begin_s)), skew_s, span_s
        )

    def without(self, kind: FaultKind) -> Swarm:
        """Return the same run but for one kind: what shrinking tries."""
        return replace(
            self,
            kinds=self.kinds - {kind},
            strengths={each: value for each, value in self.strengths.items() if each is not kind},
            spells=tuple(spell for spell in self.spells if spell.kind is not kind),
            skew_s={} if kind is FaultKind.CLOCK_SKEW else self.skew_s,
        )

    def strength(self, kind: FaultKind) -> float:
        """Return a kind's strength, 0 where it is off."""
        return self.strengths.get(kind, 0.0)

    @property
    def tells_everything(self) -> bool:
        """Whether every webhook is heard in the end: nothing here can lose one for good."""
        return not self.kinds & LOSES_WEBHOOKS

    def __str__(self) -> str:
        kinds = " ".join(
            f"{kind.name.lower()}={self.strengths[kind]:.3g}" for kind in _in_order(self.kinds)
        )
        return f"{self.span_s:.0f} s, {kinds or 'no faults'}"


def _in_order(kinds: frozenset[FaultKind]) -> list[FaultKind]:
    """Return the kinds in the order of their definition: a set has none that a seed repeats."""
    return [kind for kind in FaultKind if kind in kinds]


def _kinds(dice: random.Random) -> frozenset[FaultKind]:
    roll = dice.random()
    if roll < NO_FAULTS:
        return frozenset()
    every = [kind for kind in FaultKind if kind not in ONLY_AT]
    if roll < NO_FAULTS + ALL_FAULTS:
        return frozenset(every)
    number = min(len(every), 1 + int(dice.expovariate(1 / (FEW_MEAN - 0.5))))
    return frozenset(dice.sample(every, number))


def _extra(
    dice: random.Random, kinds: frozenset[FaultKind], channels: tuple[str, ...]
) -> frozenset[FaultKind]:
    """Return the kinds besides that only some of the channels can have."""
    possible = [kind for kind in FaultKind if ONLY_AT.get(kind) in channels]
    if len(kinds) == len(FaultKind) - len(ONLY_AT):
        return frozenset(possible)
    return frozenset(kind for kind in possible if kinds and dice.random() < EXTRA)


def _span(dice: random.Random) -> float:
    roll = dice.random()
    for likely, shortest, longest in SPAN_S:
        roll -= likely
        if roll < 0:
            return dice.uniform(shortest, longest)
    return dice.uniform(*SPAN_S[0][1:])


def _strength(dice: random.Random, kind: FaultKind) -> float:
    low, high, _ = STRENGTHS[kind]
    if kind is FaultKind.WEBHOOK_LATE:
        # Minutes usually; a day is Shopify's last retry, and rare.
        high = high if dice.random() < 0.15 else 600.0
    drawn = math.exp(dice.uniform(math.log(low), math.log(high)))
    return float(round(drawn)) if kind in SPELLS and high > 1 else drawn


def _spells(
    dice: random.Random,
    kind: FaultKind,
    strength: float,
    channels: tuple[str, ...],
    span_s: float,
) -> list[Spell]:
    low, high = SPELLS[kind]
    often = dice.randint(1, 2) if STRENGTHS[kind][1] <= 1 else int(strength)
    spells = []
    for _ in range(often):
        if kind is FaultKind.CLOCK_JUMP or high <= 0:
            lasts_s = dice.uniform(low, high)
        else:
            # Most spells are short against the run; the whole of it is possible.
            lasts_s = math.exp(dice.uniform(math.log(low), math.log(min(high, max(low, span_s)))))
        channel = dice.choice(channels) if kind in AT_SHOPS and channels else ""
        channel = ONLY_AT.get(kind, channel)
        spells.append(Spell(kind, channel, dice.uniform(0, span_s), lasts_s))
    return spells


ROWS: Mapping[str, str] = MappingProxyType(
    {row: f"fault {kind.name.lower()}" for kind in FaultKind for row in kind.rows}
    | {
        "F16": "deed edited",
        "F17": "deed refunded_unshipped",
        "F18": "deed refunded_shipped",
        "F19": "deed unpaid",
        "F20": "deed sold_unmapped",
        "F21": "deed renamed",
        "F22": "deed delisted",
        "F23": "deed sold_twin",
        "F30": "audit met_unseen_sale",
        "F35": "audit paged",
        "F6": "audit refused_instant",
        "F32": "audit took_off_sale",
        "F36": "audit polled_during_sale",
        "F55": "audit oversold",
        "F59": "deed bill_changed",
        "F60": "deed sold_sharing",
        "F64": "deed flash_sale",
        "F66": "deed reloaded",
        "F69": "audit echo",
        "F70": "deed cancelled",
    }
)
"""Row -> how a run counts it: a fault that struck, a deed of people, or what the auditor saw."""

MOMENTS: Mapping[str, str] = MappingProxyType(
    {
        "a compare was lost": "audit compare_lost",
        "an unknown write had been applied": "audit unknown_applied",
        "an unknown write was told by a number": "audit unknown_read",
        "a hold was opened": "audit hold_opened",
        "a hold was eaten by its order": "audit hold_eaten",
        "a hold was let go": "audit hold_let_go",
        "a life began with a full inbox": "audit began_with_inbox",
        "a lost webhook was made again": "audit hook_mended",
        "a day's allowance was used up": "fault quota_spent",
        "a listing was put on sale again": "audit put_on_sale",
        "a listing was renewed for a fee": "audit renewed",
        "somebody granted access anew": "deed granted",
        "a backorder became an order of its own": "deed backordered",
        "an order was sent by the platform itself": "deed sold_by_platform",
        "somebody set stock aside": "audit own_hold_placed",
        "somebody set aside more than there was": "deed hold_refused",
        "what was set aside was renewed": "audit own_hold_held",
        "what was set aside was given back": "audit own_hold_released",
        "what was set aside was sold": "audit own_hold_sold",
        "what was set aside lapsed": "audit own_hold_expired",
    }
)
"""Rare moments of the protocol that many runs together must show -> how a run counts them."""
COUNTED: Mapping[str, str] = MappingProxyType({**ROWS, **MOMENTS})

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "F5": "a signature is right or wrong: vectors",
        "F8": "the endpoint comes from the URL: vectors",
        "F11": "a proxy in front of a real listener",
        "F15": "a bug to be planted, not a fault of the world",
        "F42": "needs a disk that loses pages",
        "F43": "needs a disk that is full",
        "F44": "needs a disk that fails",
        "F46": "needs a broken file",
        "F47": "no epoch yet: a restored database is not noticed",
        "F48": "needs a broken file or NFS",
        "F51": "two processes",
        "F52": "PostgreSQL, two daemons",
        "F53": "PostgreSQL",
        "F54": "PostgreSQL",
        "F56": "numbers no shop of ours would send: vectors",
        "F57": "units of bills: property tests",
        "F58": "bills: property tests",
        "F61": "the shops tell UTC",
        "F62": "every crash between two statements shows it; it has no count of its own",
        "F63": "bodies no shop of ours would send",
        "F65": "load, not order",
        "F67": "two versions of the program",
        "F68": "bodies no shop of ours would send",
    }
)
"""Row -> why no run of this simulator counts it."""
