"""A build as it went: what was planned, what was really used, and what was lost.

Theory of operation. The bill of materials says what a build consumes; a person may say what it did
consume. The ledger gets what happened, and each movement that is not as planned says in its reason
what the plan was, so that no plan is lost. A unit that was built and lost is built, and scrapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stockpush.messages import Refused, StockMove
from stockpush.model import QUANTITY_MAX, Item, MovementKind
from stockpush.units import format_quantity
from stockpush.values import replace

LOST = "lost in the build"
"""The reason of the movement that takes lost units off."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a build consumed of one component against its plan, as decimals in the item's unit."""

    sku: str
    unit: str
    planned: str
    used: str


@dataclass(frozen=True, slots=True)
class Build:
    """The moves of a build as it went, and what was used otherwise than planned or stated to be.

    `stated` are the components of the bill of which, or of whose substitutes, that was said.
    """

    moves: tuple[StockMove, ...]
    used: tuple[Used, ...]
    stated: frozenset[str] = frozenset()


def as_it_went(
    planned: Sequence[StockMove],
    *,
    components: Sequence[str],
    used: Sequence[tuple[str, int]],
    scrapped: int,
    items: Mapping[str, Item],
    substitutes: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Build | Refused:
    """Return a build with what was really consumed and what was lost of it.

    `planned` are the moves of `ledger.build_moves`, the finished item first; `components` those of
    the bill, of which some may have no move; `used` are (component, smallest units, 0 or more). Of
    what is a name in `substitutes` they may be told instead: then nothing else was used of it, and
    what they come to is told under the name.
    Refused as `not_on_bill` for a component that the bill does not name, as `used_twice`, as
    `out_of_bounds` for a quantity past the largest, and as `more_lost_than_built`.

    >>> from stockpush.model import Kind
    >>> wax = Item("wax", "", Kind.MATERIAL, "kg", scale=3)
    >>> planned = [StockMove("candle", 40, MovementKind.BUILD_IN),
    ...            StockMove("wax", -6000, MovementKind.BUILD_OUT)]
    >>> build = as_it_went(
    ...     planned, components=["wax"], used=[("wax", 6200)], scrapped=2, items={"wax": wax})
    >>> [(move.sku, move.quantity, move.reason) for move in build.moves]
    [('candle', 40, ''), ('wax', -6200, 'planned 6 kg, used 6.2 kg'), \
('candle', -2, 'lost in the build')]
    """
    made, *parts = planned
    actual = dict(used)
    members = {sku: name for name in components for sku in substitutes.get(name, ())}
    on_bill = {*components, *members}
    for doubled in {name for sku, name in members.items() if sku in actual} & actual.keys():
        return Refused(
            "used_twice",
            f"what was used of {doubled} is told as a whole and by its substitutes",
            {"sku": doubled, "expected": list(substitutes[doubled])},
        )
    for sku, units in actual.items():
        if sku not in on_bill:
            return Refused(
                "not_on_bill",
                f"{sku} is not on the bill of materials of {made.sku}, which names "
                + ", ".join(sorted(on_bill)),
                {"sku": sku, "expected": sorted(on_bill)},
            )
        if not 0 <= units <= QUANTITY_MAX:
            return Refused(
                "out_of_bounds",
                f"a build cannot use {units} of {sku}; expected 0 to {QUANTITY_MAX} in the "
                "smallest unit",
                {"sku": sku, "quantity": units},
            )
    if not 0 <= scrapped <= made.quantity:
        item = items.get(made.sku)
        scale = 0 if item is None else item.scale
        shown = [format_quantity(each, scale) for each in (scrapped, made.quantity)]
        return Refused(
            "more_lost_than_built",
            f"{shown[0]} of {shown[1]} {made.sku} cannot have been lost",
            {"sku": made.sku, "scrapped": shown[0], "built": shown[1]},
        )
    moves = [made]
    told = []
    by_plan = {move.sku: move for move in parts}
    for sku in components:
        move = by_plan.get(sku, StockMove(sku, 0, MovementKind.BUILD_OUT))
        chosen = [each for each in substitutes.get(sku, ()) if each in actual]
        if chosen:
            # The plan is of the name, whichever of them it would have taken.
            row = _used(items[sku], -move.quantity, sum(actual[each] for each in chosen))
            told.append(row)
            for each in chosen:
                of_it = format_quantity(actual[each], items[each].scale)
                reason = f"planned {row.planned} {row.unit} of {sku}, used {of_it} {row.unit}"
                moves.append(replace(move, sku=each, quantity=-actual[each], reason=reason))
        elif sku in actual:
            row = _used(items[sku], -move.quantity, actual[sku])
            told.append(row)
            reason = f"planned {row.planned} {row.unit}, used {row.used} {row.unit}"
            moves.append(replace(move, quantity=-actual[sku], reason=reason))
        elif move.quantity:
            moves.append(move)
    if scrapped:
        moves.append(StockMove(made.sku, -scrapped, MovementKind.SCRAP, LOST))
    return Build(tuple(moves), tuple(told), frozenset(members.get(sku, sku) for sku in actual))


def _used(item: Item, planned: int, used: int) -> Used:
    return Used(
        item.sku,
        item.unit,
        format_quantity(planned, item.scale),
        format_quantity(used, item.scale),
    )
