"""Holds of our own: units that a person sets aside for a market, a quote, a wholesale order.

Theory of operation. A hold claims units of one or several items for a while. It is placed all or
nothing against ATP: the demand of all its lines is put on together and netted once, so that lines
which share a component compete for it; it is refused unless every line's item is then covered.
Whatever was covered before stays so: a unit that a hold takes from a component is taken through an
item of the hold, which would not be covered itself if the component were short. An order line, in
contrast, is a fact and is never refused.

Where what can be promised is parted (`split`), a unit that a listing may still sell is not free for
a hold, though it is in the ATP: a checkout could sell it before the listing is lowered. There a
hold is refused unless all of it is on no listing, or it says `lower`: then it is placed, its units
are demand at once, which lowers the listings, and it is covered when they have been.

While it is held its units are demand (`Shelf.held`), in whole and part as an order's would be. A
hold ends once: it is sold, released, or expires. The table of its life says what may follow what;
a command that would do anything else is refused as `not_held`. From the instant `until` on a hold
cannot be renewed or sold any more, whether or not anybody has noted yet that it has expired.
A hold keeps the bill that it was placed with (`older`), and its sale goes by it.
Selling writes the movements of all its lines, which takes the units off the shelf and the demand
at once and so changes no ATP. Expiring and releasing are the same for stock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from stockpush.messages import (
    Accepted,
    CommandDone,
    Decision,
    Event,
    ExpireHolds,
    PlaceHold,
    Refused,
    ReleaseHold,
    RenewHold,
    Replayed,
    SellHold,
)
from stockpush.model import (
    HOLD_LINES_MAX,
    MAIN,
    QUANTITY_MAX,
    Hold,
    HoldLine,
    HoldState,
    Item,
    MovementKind,
    StockMovement,
    shelf_key,
    sku_of,
)
from stockpush.reservation import atp as netting
from stockpush.reservation import backflush, keyed, parting, substitutes
from stockpush.reservation.draft import Draft
from stockpush.reservation.lot_verbs import unknown_pool
from stockpush.reservation.view import View
from stockpush.units import format_quantity
from stockpush.values import replace

TRANSITIONS: Final[dict[tuple[HoldState | None, HoldState], str]] = {
    (None, HoldState.HELD): "placed",
    (HoldState.HELD, HoldState.HELD): "renewed",
    (HoldState.HELD, HoldState.SOLD): "sold",
    (HoldState.HELD, HoldState.RELEASED): "released",
    (HoldState.HELD, HoldState.EXPIRED): "expired",
}
"""(from, to) -> what happened, in a word; None is a hold that is not there yet."""
_TOLD: Final = {
    "placed": "hold.placed",
    "renewed": "hold.renewed",
    "sold": "hold.sold",
    "released": "hold.released",
    "expired": "hold.expired",
}
"""The event that tells of each change."""
ON_SALE_TOLD_MAX: Final = 3
"""How many listings a refusal names in words."""
HOLD_MAX: Final = timedelta(days=366)
"""Longest time from now that a hold may last."""


def place(view: View, command: PlaceHold, at: datetime) -> Decision:
    """Set units aside, every line or none."""
    in_pool = () if command.pool == MAIN else (command.pool,)
    content = keyed.digest("hold", command.lines, command.until, command.note, *in_pool)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=_with_hold(view, command.key, before))
    until = _until(command.until, at)
    if isinstance(until, Refused):
        return Decision(outcome=until)
    lines, pool = merged(command.lines), command.pool
    if (refused := unknown_pool(view, pool)) is not None:
        return Decision(outcome=refused)
    if (refused := _impossible(view, command.lines, lines, pool)) is not None:
        return Decision(outcome=refused)
    if (refused := shortfall(view, lines, pool)) is not None:
        return Decision(outcome=refused)
    if not command.lower and (refused := still_on_sale(view, lines, pool)) is not None:
        return Decision(outcome=refused)
    draft = Draft(view, at)
    lines = tuple(replace(line, bill=draft.present_bill(line.sku)) for line in lines)
    hold = Hold(
        id=view.rows.next_hold,
        key=command.key,
        lines=lines,
        placed_at=at,
        until=until,
        state=HoldState.HELD,
        actor=command.actor,
        note=command.note,
        reason=command.reason,
        pool=pool,
    )
    for line in lines:
        draft.hold(shelf_key(line.sku, pool), line.quantity, line.bill)
    _change(draft, None, hold)
    return _accepted(draft, hold, CommandDone(command.key, content, at))


def renew(view: View, command: RenewHold, at: datetime) -> Decision:
    """Have a hold that is held end at another instant, later or earlier."""
    content = keyed.digest("renew", command.hold, command.until)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=_of_hold(before, command.hold))
    hold = _held(view, command.hold, at)
    if isinstance(hold, Refused):
        return Decision(outcome=hold)
    until = _until(command.until, at)
    if isinstance(until, Refused):
        return Decision(outcome=until)
    draft = Draft(view, at)
    renewed = replace(hold, until=until, reason=command.reason)
    _change(draft, hold, renewed)
    return _accepted(draft, renewed, CommandDone(command.key, content, at))


def release(view: View, command: ReleaseHold, at: datetime) -> Decision:
    """Give back what a hold set aside; one that is due and not yet noted as expired, too."""
    content = keyed.digest("release", command.hold)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=_of_hold(before, command.hold))
    hold = _held(view, command.hold, None)
    if isinstance(hold, Refused):
        return Decision(outcome=hold)
    draft = Draft(view, at)
    ended = _end(draft, hold, HoldState.RELEASED, command.reason)
    return _accepted(draft, ended, CommandDone(command.key, content, at))


def sell(view: View, command: SellHold, at: datetime) -> Decision:
    """Turn a hold into a sale: one movement for each line, and the hold ends."""
    content = keyed.digest("sell hold", command.hold, command.place)
    if (before := keyed.answered(view, command.key, content)) is not None:
        return Decision(outcome=before)
    hold = _held(view, command.hold, at)
    if isinstance(hold, Refused):
        return Decision(outcome=hold)
    draft = Draft(view, at)
    why = ": ".join(
        each for each in (f"sold at {command.place} ({name_of(hold.id)})", command.reason) if each
    )
    for line in hold.lines:
        backflush.write(
            draft,
            StockMovement(
                at=at,
                sku=line.sku,
                quantity=-line.quantity,
                kind=MovementKind.SALE,
                cause=f"cmd {command.key}",
                actor=command.actor,
                reason=why,
            ),
            pool=hold.pool,
            version=line.bill,
        )
    for shelf in draft.shelves.values():
        if abs(shelf.on_hand) > QUANTITY_MAX:
            return Decision(outcome=_out_of_bounds(shelf.sku))
    ended = _end(draft, hold, HoldState.SOLD, command.reason)
    return _accepted(draft, ended, CommandDone(command.key, content, at))


def expire(view: View, command: ExpireHolds, at: datetime) -> Decision:
    """End the holds among these that are held and due."""
    draft = Draft(view, at)
    for number in command.holds:
        hold = view.rows.holds.get(number)
        if hold is not None and is_due(hold, at):
            _end(draft, hold, HoldState.EXPIRED, hold.reason)
    return draft.decision()


def is_due(hold: Hold, at: datetime) -> bool:
    """Answer whether a hold is held still and has come to its end at `at`."""
    return hold.state is HoldState.HELD and hold.until <= at


def as_of(hold: Hold, at: datetime) -> Hold:
    """Return the hold as it is at `at`: one that is due has expired, noted or not."""
    if not is_due(hold, at):
        return hold
    return replace(hold, state=HoldState.EXPIRED, ended_at=hold.until)


def name_of(hold: int) -> str:
    """Return a hold's id as people type it.

    >>> name_of(12)
    'hold-12'
    """
    return f"hold-{hold}"


def merged(lines: Iterable[HoldLine]) -> tuple[HoldLine, ...]:
    """Add up the lines of each item, in order of first mention.

    >>> merged([HoldLine("a", 2), HoldLine("b", 1), HoldLine("a", 3)])
    (HoldLine(sku='a', quantity=5), HoldLine(sku='b', quantity=1))
    """
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return tuple(HoldLine(sku, quantity) for sku, quantity in units.items())


# -- may it be taken? ------------------------------------------------------------------------


def taken(view: View, lines: Sequence[HoldLine], pool: str = MAIN) -> View:
    """Return the view as it would be with these lines (each item once) held in a pool too, covered
    or not.
    """
    shelves = [view.shelf(shelf_key(line.sku, pool)) for line in lines]
    return view.after(
        Decision(
            shelves=tuple(
                replace(shelf, held=shelf.held + line.quantity)
                for shelf, line in zip(shelves, lines, strict=True)
            )
        )
    )


def shortfall(view: View, lines: Sequence[HoldLine], pool: str = MAIN) -> Refused | None:
    """Return why these lines (each item once) cannot be held together in a pool, None if they can.

    The refusal names the first line that does not fit beside those before it: `short` of what was
    `asked`, because of `limited_by`. `to_buy` is what would make all of them possible. Where a
    promise rule or a horizon is in the way even then, `limited_by` names that.
    """
    skus = [shelf_key(line.sku, pool) for line in lines]
    net = taken(view, lines, pool).net(skus)
    if (first := _first_short(view, lines, pool)) is not None:
        asked = {shelf_key(each.sku, pool): each.quantity for each in lines}
        to_buy = {**netting.missing(net, asked), **netting.supplies_missing(net, asked)}
        vain = _first_short(_bought(view, to_buy), lines, pool)
        return _insufficient(view, first, to_buy, vain, pool)
    blocked = [sku for sku in skus if sku in net.blocked]
    assert not blocked, f"{blocked} are not covered together and each beside the others"
    return None


def still_on_sale(view: View, lines: Sequence[HoldLine], pool: str = MAIN) -> Refused | None:
    """Return why lines (each item once) that can be promised cannot be set aside yet, None if they
    can: where each unit is on one listing, one that a listing may still sell is its own.
    """
    for position, line in enumerate(lines):
        shelf = shelf_key(line.sku, pool)
        if not view.catalogue.is_split(shelf):
            continue
        beside = parting.spare(taken(view, lines[:position], pool), shelf)
        free = max(0, netting.atp(beside, shelf))
        if free < line.quantity:
            return _unlowered(view, line, free, parting.on_sale(view, shelf), pool)
    return None


def _unlowered(
    view: View, line: HoldLine, free: int, on_sale: Sequence[parting.OnSale], pool: str
) -> Refused:
    """Return the refusal of a line of which `free` units are on no listing."""
    item = view.catalogue.items[line.sku]
    where = f" in the pool {pool}" if len(view.catalogue.pools) > 1 else ""
    told = ", ".join(_told_of(view, each) for each in on_sale[:ON_SALE_TOLD_MAX])
    left = len(on_sale) - ON_SALE_TOLD_MAX
    more = f" and {left} more listings" if left > 0 else ""
    return Refused(
        "still_on_sale",
        f"{_of(line.quantity, item)} were asked for and {_amount(free, item)} are on no "
        f"listing{where}; still to be sold are {told}{more}",
        {
            "sku": item.sku,
            "unit": item.unit,
            "asked": format_quantity(line.quantity, item.scale),
            "available": format_quantity(free, item.scale),
            "short": format_quantity(line.quantity - free, item.scale),
            "on_sale": [
                {
                    "channel": each.field.channel,
                    "ref": dict(view.catalogue.listings_on[each.field][0].ref),
                    "sku": other.sku,
                    "unit": other.unit,
                    "quantity": format_quantity(each.units, other.scale),
                }
                for each in on_sale
                for other in (view.catalogue.items[sku_of(each.shelf)],)
            ],
            **({"pool": pool} if where else {}),
        },
    )


def _told_of(view: View, each: parting.OnSale) -> str:
    """Return what a listing may sell, in words."""
    ref = view.catalogue.listings_on[each.field][0].ref
    named = " ".join(f"{name}={value}" for name, value in ref.items())
    units = _of(each.units, view.catalogue.items[sku_of(each.shelf)])
    return f"{units} at {each.field.channel} {named}"


@dataclass(frozen=True, slots=True)
class _Short:
    """A line of which `available` units fit beside the lines before it, as `beside` has them."""

    line: HoldLine
    available: int
    beside: netting.Netting


def _first_short(view: View, lines: Sequence[HoldLine], pool: str) -> _Short | None:
    """Return the first line that does not fit beside those before it."""
    for position, line in enumerate(lines):
        shelf = shelf_key(line.sku, pool)
        beside = taken(view, lines[:position], pool).net([shelf])
        available = max(0, netting.atp(beside, shelf))
        if available < line.quantity:
            return _Short(line, available, beside)
    return None


def _bought(view: View, to_buy: Mapping[str, int]) -> View:
    """Return the view as it would be with so much more on each shelf, smallest units.

    What may be any of several substitutes is added to what they have left for their name.
    """
    shelves = (
        replace(view.shelf(key), on_hand=view.shelf(key).on_hand + units)
        for key, units in to_buy.items()
    )
    return view.after(Decision(shelves=tuple(shelves)))


def _limits(short: _Short, pool: str) -> tuple[str, ...]:
    """Return what stops the next unit of a line that does not fit."""
    return netting.stopped_by(short.beside, shelf_key(short.line.sku, pool))


def _insufficient(
    view: View, short: _Short, to_buy: Mapping[str, int], vain: _Short | None, pool: str
) -> Refused:
    """Return the refusal of a line that does not fit.

    `to_buy` is by shelf, smallest units; `vain` what would not fit if the missing were bought.
    """
    line, available = short.line, short.available
    item = view.catalogue.items[line.sku]
    limits = _limits(short, pool)
    after = (
        () if vain is None else tuple(each for each in _limits(vain, pool) if each not in limits)
    )
    where = f" in the pool {pool}" if len(view.catalogue.pools) > 1 else ""
    return Refused(
        "insufficient_atp",
        f"{_of(line.quantity, item)} were asked for and {_amount(available, item)} can be "
        f"promised{where}, {_amount(line.quantity - available, item)} fewer; "
        f"{' and '.join(limits)} {'limits' if len(limits) == 1 else 'limit'} it"
        + (f", and {' and '.join(after)} after that" if after else ""),
        {
            "sku": item.sku,
            "unit": item.unit,
            "asked": format_quantity(line.quantity, item.scale),
            "available": format_quantity(available, item.scale),
            "short": format_quantity(line.quantity - available, item.scale),
            "limited_by": (limits if vain is None else _limits(vain, pool))[0],
            "to_buy": [
                {
                    "sku": sku,
                    "unit": view.catalogue.items[sku].unit,
                    "quantity": format_quantity(units, view.catalogue.items[sku].scale),
                    **_purchase(units, view.catalogue.items[sku]),
                    **_any_of(view, sku),
                }
                for shelf, units in to_buy.items()
                for sku in (sku_of(shelf),)
            ],
            **({"pool": pool, "location": view.catalogue.home(pool)} if where else {}),
        },
    )


def _purchase(units: int, item: Item) -> dict[str, dict[str, str]]:
    """Return how many of what an item is bought in are as many units (> 0) or more: of the first
    unit that it names.
    """
    if not item.purchase_units:
        return {}
    first = item.purchase_units[0]
    return {"purchase": {"unit": first.name, "quantity": str(-(-units // first.size))}}


def _any_of(view: View, sku: str) -> dict[str, list[str]]:
    """Return what can be bought in the place of a name that substitutes share."""
    substitutes = view.catalogue.bills.substitutes.get(sku)
    return {"any_of": list(substitutes)} if substitutes else {}


def _amount(units: int, item: Item) -> str:
    number = format_quantity(units, item.scale)
    return number if item.unit == "piece" else f"{number} {item.unit}"


def _of(units: int, item: Item) -> str:
    amount = _amount(units, item)
    return f"{amount} {item.sku}" if item.unit == "piece" else f"{amount} of {item.sku}"


def _impossible(
    view: View, given: Sequence[HoldLine], lines: Sequence[HoldLine], pool: str
) -> Refused | None:
    """Return why no stock could be enough for these lines, None where some could."""
    if not 1 <= len(given) <= HOLD_LINES_MAX:
        return Refused(
            "out_of_bounds", f"a hold has 1 to {HOLD_LINES_MAX} lines, and not {len(given)}"
        )
    for line in given:
        if line.sku not in view.catalogue.items:
            return Refused("not_found", f"there is no item {line.sku!r}", {"sku": line.sku})
        if (refused := substitutes.refused(view.catalogue.bills, line.sku)) is not None:
            return refused
        if line.quantity < 1:
            return _out_of_bounds(line.sku)
    for line in lines:
        if view.shelf(shelf_key(line.sku, pool)).held + line.quantity > QUANTITY_MAX:
            return _out_of_bounds(line.sku)
    return None


def _out_of_bounds(sku: str) -> Refused:
    return Refused(
        "out_of_bounds",
        f"{sku} would not be within 1 to {QUANTITY_MAX} in its smallest unit",
        {"sku": sku},
    )


# -- changing one ----------------------------------------------------------------------------


def _until(asked: datetime | timedelta, at: datetime) -> datetime | Refused:
    """Return the instant at which a hold ends, or the refusal of one that cannot be."""
    latest = at + HOLD_MAX
    # A span beyond the bound may lie outside the calendar as well.
    until = at + min(asked, 2 * HOLD_MAX) if isinstance(asked, timedelta) else asked
    facts = {"until": until.isoformat(), "latest": latest.isoformat()}
    if until <= at:
        return Refused("until_past", f"{_said(until)} is not in the future", facts)
    if until > latest:
        return Refused(
            "until_too_late",
            f"a hold lasts at most {HOLD_MAX.days} days, until {_said(latest)}",
            facts,
        )
    return until


def _said(at: datetime) -> str:
    """Return an instant as people read it, in a zone that is named.

    >>> from datetime import UTC
    >>> _said(datetime(2026, 12, 24, 18, 0, 0, 123456, tzinfo=UTC))
    '2026-12-24 18:00:00+00:00'
    """
    return at.isoformat(sep=" ", timespec="seconds")


def _held(view: View, number: int, at: datetime | None) -> Hold | Refused:
    """Return a hold that is held, and at the instant `at`, if any, not due; or the refusal."""
    hold = view.rows.holds.get(number)
    if hold is None:
        return Refused("not_found", f"there is no hold {name_of(number)}")
    facts: dict[str, Any] = {"hold": name_of(number), "state": hold.state.value}
    if hold.state is not HoldState.HELD:
        ended = "" if hold.ended_at is None else f" at {_said(hold.ended_at)}"
        text = f"{name_of(number)} was {hold.state.value}{ended}"
        if hold.state is HoldState.EXPIRED:
            text = f"{name_of(number)} expired at {_said(hold.until)}"
        return Refused("not_held", text, facts)
    if at is not None and is_due(hold, at):
        text = f"{name_of(number)} expired at {_said(hold.until)}"
        return Refused("not_held", text, facts | {"state": HoldState.EXPIRED.value})
    return hold


def _end(draft: Draft, hold: Hold, state: HoldState, reason: str) -> Hold:
    """End a hold: its units are nobody's any more."""
    for line in hold.lines:
        draft.hold(shelf_key(line.sku, hold.pool), -line.quantity, line.bill)
    ended = replace(hold, state=state, ended_at=draft.at, reason=reason)
    _change(draft, hold, ended)
    return ended


def _change(draft: Draft, before: Hold | None, after: Hold) -> None:
    """Record a step of a hold's life; one that is not in the table is a defect."""
    happened = TRANSITIONS[None if before is None else before.state, after.state]
    draft.holds[after.id] = after
    draft.events.append(
        Event(
            _TOLD[happened],
            {"id": name_of(after.id), "sku": tuple(line.sku for line in after.lines)},
        )
    )


def _accepted(draft: Draft, hold: Hold, done: CommandDone) -> Decision:
    return replace(draft.decision(), outcome=Accepted(facts={"hold": hold.id}), commands=(done,))


def _with_hold(view: View, key: str, outcome: Replayed | Refused) -> Replayed | Refused:
    """Return an outcome with the hold that was placed under the key, where it is replayed."""
    if isinstance(outcome, Refused):
        return outcome
    placed = [hold.id for hold in view.rows.holds.values() if hold.key == key]
    return _of_hold(outcome, placed[0]) if placed else outcome


def _of_hold(outcome: Replayed | Refused, hold: int) -> Replayed | Refused:
    """Return an outcome with the hold that the command was on, where it is replayed."""
    return replace(outcome, facts={"hold": hold}) if isinstance(outcome, Replayed) else outcome
