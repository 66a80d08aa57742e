"""What the terms of a number are called, and what each is made of now, in words.

Theory of operation. `WORDINGS` has a row for every term that reservation/exposure.py and
reservation/pushes.py can produce, and that is all that a term needs: its line then says what it
means. Where more can be said of the present (which orders, which material) a function of
`_OF_ITEM` or `_OF_LISTING` says it, from the view that the number itself was derived from. Words
are those of docs/glossary.md. Lists are bounded and say how much they leave out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, NamedTuple, Protocol

from stockpush.model import (
    MAIN,
    ChannelPolicy,
    Field,
    HoldState,
    Item,
    Listing,
    Lot,
    PushOutcomeKind,
    Reservation,
    StockMovement,
    shelf_key,
    sku_of,
)
from stockpush.reservation import atp as netting
from stockpush.reservation.atp import Netting
from stockpush.reservation.bom import item_of
from stockpush.reservation.holds import name_of
from stockpush.reservation.orders import undeducted
from stockpush.reservation.pushes import limits_on, shown_in
from stockpush.reservation.sharing import level_of
from stockpush.reservation.view import View
from stockpush.units import format_duration, format_quantity

ORDERS_MAX: Final = 5
"""Most orders that a line names of one channel."""
NAMES_MAX: Final = 3
"""Most items that a line names beside one another."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a term is called, what it means, and what is said where there is none of it."""

    label: str
    means: str
    none: str = "none"


WORDINGS: Mapping[str, Wording] = {
    "on_hand": Wording("on hand", "what is there, ordered units included"),
    "coming": Wording("coming", "in lots that become available by its horizon"),
    "reserved": Wording("reserved", "ordered, and not sent yet", "no open orders"),
    "held": Wording("held", "set aside for somebody, and not sold yet", "nothing is set aside"),
    "suspense": Wording(
        "in suspense",
        "seemingly sold by a channel that has not told of the order yet",
        "no channel shows less than it should",
    ),
    "used_in_builds": Wording(
        "used in builds",
        "to make other items that are ordered",
        "nothing that is ordered is still to be made of it",
    ),
    "substitutes": Wording(
        "substitutes",
        "what bills take under a name that items share, of the one or the other",
        "no bill takes it in place of another",
    ),
    "to_build": Wording(
        "to build",
        "can be built, to make up for what is ordered and used above",
        "nothing has to be made up for",
    ),
    "buildable": Wording("buildable", "what the materials can still make"),
    "per_order": Wording(
        "supplies",
        "more than its orders have supplies for",
        "there are supplies for as many orders",
    ),
    "buffer": Wording("buffer", "kept back on this channel", "nothing is kept back here"),
    "part_of_a_pack": Wording(
        "parts of packs", "what the lines above leave out of whole packs, put together"
    ),
    "oversold": Wording("oversold", "below none is shown as none", "not below none"),
    "guard": Wording(
        "shared out",
        "little is left, and the item's listings share it",
        "all that is left is this listing's",
    ),
    "exposure_max": Wording(
        "limited", "so that not too much is sold if all its listings sell out at once"
    ),
    "split": Wording(
        "other listings",
        "set aside for other listings, or not given up by them yet",
        "nothing is set aside for others",
    ),
    "listing_cap": Wording("its cap", "more than it is to show", "no more than it may show"),
    "cap": Wording("cap", "more than the channel can hold", "less than the channel can hold"),
    "undeducted": Wording(
        "undeducted",
        "sold, but the channel has not taken it off its number yet",
        "the channel has taken off what is ordered",
    ),
    "caution": Wording("caution", "held back: it sold faster than its number could be written"),
}
"""By the name of the term."""

OUTCOMES: Mapping[PushOutcomeKind, str] = {
    PushOutcomeKind.APPLIED: "the channel took it",
    PushOutcomeKind.UNCHANGED: "the channel showed it already",
    PushOutcomeKind.CONFLICT: "not written: the channel held another number than expected",
    PushOutcomeKind.UNKNOWN: "no answer came: it may have been written",
    PushOutcomeKind.UNAVAILABLE: "not written: the channel could not be reached",
    PushOutcomeKind.RATE_LIMITED: "not written: the channel told us to wait",
    PushOutcomeKind.AUTH_FAILED: "not written: the channel refused our credentials",
    PushOutcomeKind.REJECTED: "not written: the channel refused the number",
    PushOutcomeKind.GONE: "not written: the channel has no such listing any more",
    PushOutcomeKind.SHADOW: "only recorded, not written: the channel was in shadow mode",
}
"""How a push ended."""


def wording(name: str) -> Wording:
    """Return how a term is put; one that an older or newer version stored, by its own name."""
    return WORDINGS.get(name) or Wording(name.replace("_", " "), "")


class Note(NamedTuple):
    """What is said of a term, and what it comes from: references separated by commas."""

    text: str
    source: str = ""


class OpenUnits(Protocol):
    """An item's open units on one channel, in its smallest units, and of how many orders."""

    @property
    def channel(self) -> str:
        """Return the channel's name."""
        ...

    @property
    def orders(self) -> int:
        """Return how many orders there are."""
        ...

    @property
    def units(self) -> int:
        """Return how many units they come to."""
        ...


@dataclass(frozen=True, slots=True)
class Now:
    """What the notes of one item are made of, all of one instant.

    All is of one `pool`. `lines` are its newest open order lines, newest first; `settings` names
    the setting that each channel's buffer comes from. `zone` None: instants are told in this
    machine's time.
    """

    view: View
    net: Netting
    item: Item
    last: StockMovement | None
    open: Sequence[OpenUnits]
    lines: Sequence[Reservation]
    settings: Mapping[str, str]
    zone: tzinfo | None
    pool: str = MAIN

    @property
    def shelf(self) -> str:
        """Return the key of the item's shelf."""
        return shelf_key(self.item.sku, self.pool)

    def units(self, quantity: int) -> str:
        """Return a quantity of the item, without its sign."""
        return format_quantity(abs(quantity), self.item.scale)

    def amount(self, quantity: int, sku: str) -> str:
        """Return a quantity of any item, named by its SKU or a shelf's key, with its unit."""
        return amount(quantity, self.view.catalogue.items[sku_of(sku)])


def amount(quantity: int, item: Item) -> str:
    """Return a quantity of an item with its unit, but for pieces: "600 g", "4"."""
    text = format_quantity(quantity, item.scale)
    return text if item.unit == "piece" else f"{text} {item.unit}"


def when(at: datetime, zone: tzinfo | None) -> str:
    """Return an instant in words, in this machine's time, or with the name of the zone.

    >>> from datetime import UTC
    >>> when(datetime.fromisoformat("2026-11-22T10:00:00+00:00"), UTC)
    '2026-11-22 10:00:00 UTC'
    """
    text = at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return text if zone is None else f"{text} {at.astimezone(zone).tzname()}"


def of_item(now: Now, name: str, quantity: int) -> Note:
    """Return what is said of one of the item's terms, in its smallest units."""
    said, words = _OF_ITEM.get(name), wording(name)
    if said is not None and (quantity or name in _ALWAYS):
        return said(now, quantity)
    return Note(words.means, f"item {now.item.sku}") if quantity else Note(words.none)


def of_listing(now: Now, name: str, quantity: int, field: Field, policy: ChannelPolicy) -> Note:
    """Return what is said of a term that only listings have, in the channel's units."""
    said, words = _OF_LISTING.get(name), wording(name)
    if said is not None:
        return said(now, quantity, field, policy)
    return Note(words.means, f"field {'/'.join(field.key)}") if quantity else Note(words.none)


# -- terms of the item -----------------------------------------------------------------------


def _on_hand(now: Now, _quantity: int) -> Note:
    if now.last is None:
        return Note("it has never moved")
    said, catalogue = moved(now.last, now.item, now.zone), now.view.catalogue
    if len(catalogue.pools) == 1:
        return said
    return said._replace(text=f"{said.text} in {catalogue.pool_at(now.last.location)}")


def moved(last: StockMovement, item: Item, zone: tzinfo | None) -> Note:
    """Return what is said of an item's stock, whose newest movement is `last`."""
    sign = "+" if last.quantity >= 0 else ""
    change = f"{last.kind.value} {sign}{amount(last.quantity, item)}"
    means = WORDINGS["on_hand"].means
    return Note(f"{means}; last {change}, {when(last.at, zone)} (mv-{last.id})", f"mv-{last.id}")


def _coming(now: Now, _quantity: int) -> Note:
    horizon_s = now.net.times.horizons.get(now.shelf)
    is_own = horizon_s == now.item.horizon_s

    def comes(lot: Lot) -> bool:
        if is_own or horizon_s is None:
            return lot.comes
        return lot.within_s is not None and lot.within_s <= horizon_s

    found = [
        lot
        for key, lot in sorted(now.view.rows.lots.items())
        if key.sku == now.item.sku
        and comes(lot)
        and now.view.catalogue.pool_at(key.location) == now.pool
    ]
    texts = [
        f"lot {lot.key.lot} ({now.units(lot.on_hand)}) from {when(lot.available_from, now.zone)}"
        for lot in found[:NAMES_MAX]
        if lot.available_from is not None
    ]
    if len(found) > NAMES_MAX:
        texts.append(f"{len(found) - NAMES_MAX} more lots")
    named = f": {_listed(texts)}" if texts else ""
    return Note(f"{WORDINGS['coming'].means}{named}", f"item {now.item.sku}")


def _reserved(now: Now, _quantity: int) -> Note:
    texts, sources = [], []
    for each in now.open:
        orders: dict[str, int] = {}
        for line in now.lines:
            if line.key.channel != each.channel:
                continue
            if line.key.order_id not in orders and len(orders) == ORDERS_MAX:
                break
            orders[line.key.order_id] = orders.get(line.key.order_id, 0) + line.open * line.pack
            sources.append(f"order {'/'.join(line.key)}")
        named = [f"{order} ({now.units(units)})" for order, units in orders.items()]
        left, units_left = each.orders - len(orders), each.units - sum(orders.values())
        if left > 0:
            named.append(f"{left} more ({now.units(units_left)})")
        texts.append(f"{each.channel}: order {_listed(named)}")
    orders_of = [
        sku
        for sku, lines in sorted(now.view.catalogue.per_order.items())
        if any(line.supply == now.item.sku for line in lines)
    ]
    if orders_of:
        named = orders_of[:NAMES_MAX]
        if len(orders_of) > NAMES_MAX:
            named.append(more_items(len(orders_of) - NAMES_MAX))
        texts.append(f"to go once with each open order of {_listed(named)}")
        sources += [f"bill {sku}" for sku in orders_of[:NAMES_MAX]]
    return Note("; ".join(texts) or WORDINGS["reserved"].means, ", ".join(sources))


def more_items(count: int) -> str:
    """Return how many items are not named besides those that are.

    >>> more_items(1), more_items(2)
    ('1 more item', '2 more items')
    """
    return "1 more item" if count == 1 else f"{count} more items"


def _held(now: Now, _quantity: int) -> Note:
    found = [
        (hold, line.quantity)
        for _, hold in sorted(now.view.rows.holds.items(), reverse=True)
        if hold.state is HoldState.HELD and hold.pool == now.pool
        for line in hold.lines
        if line.sku == now.item.sku
    ]
    named = found[:ORDERS_MAX]
    texts = [
        f"{name_of(hold.id)} ({now.units(units)}) until {when(hold.until, now.zone)}"
        for hold, units in named
    ]
    if len(found) > ORDERS_MAX:
        left = sum(units for _, units in found[ORDERS_MAX:])
        texts.append(f"{len(found) - ORDERS_MAX} more ({now.units(left)})")
    text = _listed(texts) if texts else WORDINGS["held"].means
    return Note(text, ", ".join(name_of(hold.id) for hold, _ in named))


def _suspense(now: Now, _quantity: int) -> Note:
    held = [
        field
        for key in now.view.catalogue.fields_of.get(now.shelf, ())
        if (field := now.view.field(key)) is not None and field.hold
    ]
    texts = [
        f"{field.key.channel} shows {now.units(field.hold * field.pack)} fewer than it should"
        + ("" if field.suspense_since is None else f" since {when(field.suspense_since, now.zone)}")
        for field in held
    ]
    said = "seemingly sold there: the order is looked for"
    return Note(
        f"{'; '.join(texts)}; {said}", ", ".join(f"field {'/'.join(field.key)}" for field in held)
    )


def _used_in_builds(now: Now, _quantity: int) -> Note:
    takers = _takers(now, now.shelf)
    used = [text for text, _ in takers[:NAMES_MAX]]
    if len(takers) > NAMES_MAX:
        used.append(more_items(len(takers) - NAMES_MAX))
    return Note(
        f"to make what is ordered: {_listed(used)}",
        ", ".join(f"bill {parent}" for _, parent in takers[:NAMES_MAX]),
    )


def _substitutes(now: Now, quantity: int) -> Note:
    bills, shelf = now.view.catalogue.netted, now.shelf
    if (name := bills.name_of.get(shelf)) is None:
        members = bills.substitutes.get(shelf, ())
        there = [
            f"{now.amount(netting.left(now.net, each), each)} of {sku_of(each)}" for each in members
        ]
        sources = ", ".join(f"item {sku_of(each)}" for each in members)
        return Note(f"what is left of its substitutes: {_listed(there)}" if there else "", sources)
    if not quantity:
        return Note(WORDINGS["substitutes"].none)
    takers = [text for text, _ in _takers(now, name)[:NAMES_MAX]]
    others = [sku_of(each) for each in bills.substitutes[name] if each != shelf]
    beside = f", beyond what is left of {_listed(others)}" if others else ""
    return Note(f"taken as {sku_of(name)}: {_listed(takers)}{beside}", f"item {sku_of(name)}")


def _to_build(now: Now, _quantity: int) -> Note:
    bills = now.view.catalogue.netted
    by_others = [
        f"{now.units(now.net.built[name])} by its bill {bills.made[name].version}"
        + (f" ({now.units(owed)} sent before they were built)" if owed else "")
        for name in bills.older.get(now.shelf, ())
        if now.net.built[name]
        for owed in (max(0, -now.net.on_hand[name]),)
    ]
    text = WORDINGS["to_build"].means
    return Note(f"{text}; {_listed(by_others)}" if by_others else text, f"bill {now.item.sku}")


def _per_order(now: Now, _quantity: int) -> Note:
    stops, texts = netting.gated_by(now.net, now.shelf), []
    for gate in now.net.gates[now.shelf]:
        if gate.supply in stops:
            room, each = now.net.room[gate.supply], now.amount(gate.quantity, gate.supply)
            left = f"{now.amount(abs(room), gate.supply)} {'left' if room >= 0 else 'short'}"
            if comes := now.net.times.coming.get(gate.supply, 0):
                left += f" ({now.amount(comes, gate.supply)} still to come and not counted)"
            texts.append(f"each order takes {each} {sku_of(gate.supply)}, of which there is {left}")
    return Note("; ".join(texts), ", ".join(f"item {sku_of(each)}" for each in stops))


def _buildable(now: Now, quantity: int) -> Note:
    sku = now.item.sku
    bill = now.view.catalogue.bills.by_item.get(sku)
    if bill is None:
        return Note("it has no bill of materials: it is not made here")
    limits, rules = netting.limited_by(now.net, now.shelf), netting.ruled_by(now.net, now.shelf)
    late = netting.late_for(now.net, now.shelf)
    few, ruled = (list(map(sku_of, each[:NAMES_MAX])) for each in (limits, rules))
    texts = [
        (f"{sku_of(each)} " if len(few) > 1 else "") + _claimed(now, each)
        for each in limits[:NAMES_MAX]
    ]
    if len(limits) > NAMES_MAX:
        texts.append(f"{len(limits) - NAMES_MAX} more materials end with it")
    if few:
        one = len(few) == 1
        first = (
            ("ends" if one else "end") + " first"
            if quantity
            else ("has" if one else "have") + " ended"
        )
        texts[0] = f"{_listed(few)} {first}: {texts[0]}"
    texts += [_rule(now, each) for each in ruled]
    if len(rules) > NAMES_MAX:
        texts.append(f"{len(rules) - NAMES_MAX} more promise rules")
    texts += [told_late(now.view, now.shelf, each) for each in late[:NAMES_MAX]]
    if len(late) > NAMES_MAX:
        texts.append(f"{len(late) - NAMES_MAX} more are not there in time")
    ruled += [sku_of(each.sku) for each in late[:NAMES_MAX]]
    if bill.batch_only:
        size = format_quantity(bill.yield_quantity, now.item.scale)
        texts.append(f"made in whole batches of {size}")
    return Note(
        "; ".join(texts),
        ", ".join([f"bill {sku}", *(f"item {each}" for each in dict.fromkeys((*few, *ruled)))]),
    )


def not_in_time(view: View, net: Netting, shelf: str) -> str | None:
    """Return what is not promised of a shelf since it would not be there in time, None if nothing
    is: "not promised from oil: building takes 42 days, promised are 3 days".
    """
    late = netting.late_for(net, shelf)
    if not late:
        return None
    more = f", and {len(late) - 1} more" if len(late) > 1 else ""
    return told_late(view, shelf, late[0]) + more


def told_late(view: View, shelf: str, late: netting.Late) -> str:
    """Return that something is not there in time for one more of `shelf`, in words."""
    name, left = sku_of(late.sku), format_duration(late.left_s)
    if late.takes_s is None:
        return f"not promised from the {name} that is still to come: {left} are left for it"
    lines = view.catalogue.netted.components(late.sku)
    parts = [sku_of(line.component) for line in lines[:NAMES_MAX]]
    if len(lines) > NAMES_MAX:
        parts.append(f"{len(lines) - NAMES_MAX} more")
    takes = f"building takes {format_duration(late.takes_s)}"
    if late.sku == shelf:
        return f"not promised from {_listed(parts)}: {takes}, promised are {left}"
    return f"not promised from {name} made of {_listed(parts)}: {takes}, left for it are {left}"


def _rule(now: Now, sku: str) -> str:
    """Return what the promise rule of an item says that stops one more."""
    whose = "its promise rule" if sku == now.item.sku else f"the promise rule of {sku}"
    most = now.net.ceilings[shelf_key(sku, now.pool)]
    if not most:
        return f"{whose}: only what is finished is promised"
    return f"{whose}: at most {now.amount(most, sku)} may wait to be built"


def _claimed(now: Now, material: str) -> str:
    """Return how much of a material there is, who has claimed some of it, and what is left."""
    net = now.net
    on_hand, gross = net.on_hand[material], net.gross[material]
    takers = [text for text, _ in _takers(now, material)]
    if net.demand[material]:
        takers.insert(0, f"{now.amount(net.demand[material], material)} ordered as it is")
    coming = net.times.coming.get(material, 0)
    text = f"{now.amount(on_hand - coming, material)} on hand"
    if members := net.bills.substitutes.get(material):
        there = sum(netting.left_now(net, each) for each in members)
        coming = sum(netting.left(net, each) for each in members) - there
        text = f"{now.amount(there, material)} of {_listed([sku_of(each) for each in members])}"
    if coming:
        text += f", {now.amount(coming, material)} coming"
    if not takers:
        return f"{text}, none of it claimed"
    if len(takers) > NAMES_MAX:
        takers[NAMES_MAX:] = [f"{len(takers) - NAMES_MAX} more"]
    left = on_hand - gross
    ends = (
        f"{now.amount(left, material)} left"
        if left >= 0
        else f"{now.amount(-left, material)} short"
    )
    return f"{text}, {_listed(takers)}, {ends}"


def _takers(now: Now, component: str) -> list[tuple[str, str]]:
    """Return whose builds, for what is ordered, take how much of a component; the most first."""
    bills, found = now.view.catalogue.netted, []
    for parent in bills.parents(component):
        built = now.net.built.get(parent, 0)
        if not built:
            continue
        bill, made = bills.made[parent], item_of(parent)
        name = sku_of(made)
        rests = now.net.rests.get(parent, {})
        used = sum(
            netting.use(bill, line, built, rests.get(component, 0))
            for line in bill.lines
            if line.component == component
        )
        if made != parent:
            others = f" (ordered by its bill {bill.version})"
        else:
            ordered = _ordered_as(now, parent)
            others = "" if ordered == [name] else f" (ordered as {_listed(ordered[:NAMES_MAX])})"
        text = f"{now.amount(used, component)} for {now.amount(built, made)} {name}{others}"
        found.append((-used, text, name))
    return [(text, parent) for _, text, parent in sorted(found)]


def _ordered_as(now: Now, sku: str) -> list[str]:
    """Return the items whose orders have `sku` made, itself among them, by name."""
    bills, found, waiting = now.view.catalogue.netted, {sku}, [sku]
    while waiting:
        above = [
            each
            for each in bills.parents(waiting.pop())
            if each not in found and now.net.built.get(each, 0)
        ]
        found.update(above)
        waiting += above
    ordered = {sku_of(item_of(each)) for each in found if now.net.demand[each]}
    return sorted(ordered) or [sku_of(sku)]


_OF_ITEM: Mapping[str, Callable[[Now, int], Note]] = {
    "on_hand": _on_hand,
    "coming": _coming,
    "reserved": _reserved,
    "held": _held,
    "suspense": _suspense,
    "used_in_builds": _used_in_builds,
    "substitutes": _substitutes,
    "to_build": _to_build,
    "buildable": _buildable,
    "per_order": _per_order,
}
_ALWAYS = frozenset({"on_hand", "buildable", "substitutes"})
"""Terms of which something is said even where they are 0."""

# -- terms of a listing ----------------------------------------------------------------------


def _buffer(now: Now, _quantity: int, field: Field, policy: ChannelPolicy) -> Note:
    buffer = limits_on(now.view, field, policy).buffer
    if not buffer:
        return Note(WORDINGS["buffer"].none)
    source = _said_by(now, field, lambda each: each.buffer == buffer)
    if not source:
        source = f"setting {now.settings.get(policy.name, 'stock.buffer')}"
    return Note(f"{now.units(buffer)} {now.item.unit} kept back: {source}", source)


def _listing_cap(now: Now, quantity: int, field: Field, policy: ChannelPolicy) -> Note:
    cap = limits_on(now.view, field, policy).cap
    source = _said_by(now, field, lambda each: each.cap == cap) or "setting stock.cap"
    if not quantity:
        return Note(WORDINGS["listing_cap"].none, source)
    return Note(f"it shows {cap} at the most: {source}", source)


def _said_by(now: Now, field: Field, says: Callable[[Listing], bool]) -> str:
    """Return which listing on a field says something of its own, "" where none does."""
    for listing in now.view.catalogue.listings_on.get(field.key, ()):
        if listing.sku == field.sku and says(listing):
            return f"listing {'/'.join(listing.key)}"
    return ""


def _guard(now: Now, _quantity: int, field: Field, policy: ChannelPolicy) -> Note:
    sku, atp = now.item.sku, netting.atp(now.net, now.shelf)
    shown = shown_in(now.view, now.net, field, policy)
    level = level_of(now.view, now.shelf)
    said = f"{now.units(shown.offer * field.pack)} of {now.units(max(0, atp))} for this listing"
    owners = now.view.catalogue.guard_min(sku)
    whose = "yours" if owners == level else "as measured"
    home = now.view.catalogue.home_channel(now.shelf)
    last = f", and the last one is at {home}" if home is not None else ""
    return Note(f"{said}: the guard level is {now.units(level)} ({whose}){last}", f"item {sku}")


def _exposure_max(now: Now, _quantity: int, _field: Field, _policy: ChannelPolicy) -> Note:
    limit = now.item.exposure_max
    assert limit is not None
    sold = f"no more than {now.units(limit)} may be sold that are not there"
    return Note(f"{sold}, if all its listings sold out at once", f"item {now.item.sku}")


def _cap(_now: Now, quantity: int, _field: Field, policy: ChannelPolicy) -> Note:
    if not quantity:
        return Note(WORDINGS["cap"].none)
    return Note(
        f"the channel can hold {policy.cap} at the most", f"connector {policy.connector} cap"
    )


def _undeducted(now: Now, quantity: int, field: Field, _policy: ChannelPolicy) -> Note:
    words = WORDINGS["undeducted"]
    if not quantity:
        return Note(words.none)
    found = [(line, undeducted(line)) for line in now.lines if line.field == field.key]
    lines = [(line, units) for line, units in found if units][:ORDERS_MAX]
    if not lines:
        return Note(words.means)
    named = [f"{line.key.order_id} ({units})" for line, units in lines]
    left = field.undeducted - sum(units for _, units in lines)
    if left > 0:
        named.append(f"others ({left})")
    return Note(
        f"{words.means}: order {_listed(named)}",
        ", ".join(f"order {'/'.join(line.key)}" for line, _ in lines),
    )


_OF_LISTING: Mapping[str, Callable[[Now, int, Field, ChannelPolicy], Note]] = {
    "buffer": _buffer,
    "guard": _guard,
    "exposure_max": _exposure_max,
    "listing_cap": _listing_cap,
    "cap": _cap,
    "undeducted": _undeducted,
}


def _listed(texts: Iterable[str]) -> str:
    """Return texts one after the other as a sentence has them.

    >>> _listed(["1003 (2)", "1002 (1)", "3 more (7)"])
    '1003 (2), 1002 (1) and 3 more (7)'
    """
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
