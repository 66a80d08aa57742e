"""The stock verbs: receive, build, count, adjust, scrap, return, sell, transfer, undo.

Each acts at once, prints what it changed (its own item, and every other whose ATP moved because
they share a material) and how to undo it. Nothing is deleted: undo writes what compensates.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer
from rich.text import Text

from stockpush.cli.options import Config, DryRun, Json, Key, Reason, Yes
from stockpush.cli.output import balance, cell, note, print_json, refuse, say, show, table
from stockpush.cli.places import (
    AvailableFrom,
    Cost,
    Expires,
    LocationName,
    LotName,
    Supplier,
    name_of,
    paid,
    terms_of,
)
from stockpush.cli.session import actor, find_item, one_line, with_parts
from stockpush.engine.holding import read_id
from stockpush.errors import NotFound, UsageError
from stockpush.messages import (
    Accepted,
    BuildStock,
    Command,
    CountStock,
    MoveStock,
    Outcome,
    QuarantineLot,
    Refused,
    Replayed,
    SellHold,
    StockMove,
    TransferStock,
    UndoMovement,
)
from stockpush.model import MAIN, Item, MovementKind
from stockpush.reservation.atp import atp
from stockpush.reservation.catalogue import Catalogue
from stockpush.reservation.holds import name_of as hold_name
from stockpush.reservation.production import Used
from stockpush.reservation.view import View
from stockpush.units import format_quantity, parse_quantity

if TYPE_CHECKING:
    from stockpush.compose import Parts

Sku: TypeAlias = Annotated[str, typer.Argument(metavar="SKU", help="Which item.")]
Quantity: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="QUANTITY",
        help="How much: in the item's own unit, or with another (5kg, '2.5 l', 2 boxes).",
    ),
]
_OPTIONS: Final = (
    *("--config", "--json", "--dry-run", "--yes", "--reason", "--key", "--at"),
    *(
        "--used",
        "--scrapped",
        "--take",
        "--bill",
        "--lot",
        "--location",
        "--expires",
        "--available-from",
    ),
    *("--cost", "--supplier", "--from", "--to"),
)
_MOVEMENT: Final = re.compile(r"(?:mv-)?([0-9]{1,18})", re.IGNORECASE)
CHANGES_MAX: Final = 20
"""Most items shown whose ATP moved along; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Write:
    """What was asked for besides the verb itself."""

    config: Path | None
    as_json: bool
    dry_run: bool
    reason: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One item before and after, smallest units. `stock_moved`: it moved itself."""

    item: Item
    on_hand: tuple[int, int]
    held: tuple[int, int]
    atp: tuple[int, int]

    @property
    def stock_moved(self) -> bool:
        """Answer whether its stock changed, and not what is held or promised of it alone."""
        return self.on_hand[0] != self.on_hand[1]

    @property
    def is_named(self) -> bool:
        """Answer whether something was done to itself, and not to what shares its materials."""
        return self.stock_moved or self.held[0] != self.held[1]

    def as_json(self) -> dict[str, Any]:
        """Return decimal strings in the item's unit."""
        scale = self.item.scale
        before, after = (
            {
                "on_hand": format_quantity(self.on_hand[at], scale),
                "held": format_quantity(self.held[at], scale),
                "atp": format_quantity(self.atp[at], scale),
            }
            for at in (0, 1)
        )
        return {"sku": self.item.sku, "unit": self.item.unit, "before": before, "after": after}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a verb, and the words for it."""

    what: str
    outcome: Outcome
    movement_ids: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    undo: str | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb's command, and what it did once it has done it (`Received 5 kg of beeswax`)."""

    command: Command
    what: str
    undo: str | None = None
    """What takes it back, where that is not an undo of its movements."""


# -- the verbs -------------------------------------------------------------------------------


def receive(
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    expires: Expires = None,
    available_from: AvailableFrom = None,
    cost: Cost = None,
    supplier: Supplier = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Take in what has arrived.

    For example: stockpush receive beeswax 5kg

    As a lot: stockpush receive beeswax 5kg --lot A12 --expires 2027-03-01 --cost 62.50
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item)
        named = name_of(lot, field="--lot")
        terms = terms_of(
            item,
            named,
            expires=expires,
            available_from=available_from,
            cost=cost,
            supplier=supplier,
        )
        move = StockMove(
            item.sku,
            units,
            MovementKind.RECEIPT,
            reason=paid(terms),
            location=name_of(location, field="--location"),
            lot=named,
            terms=terms,
        )
        return Asked(_move(move, key, write), f"Received {_amount(units, item)}{_of(named)}")

    _act("receive", write, sku, asked)


def build(
    sku: Sku,
    quantity: Quantity,
    used: Annotated[
        list[str] | None,
        typer.Option(
            "--used",
            metavar="SKU=QUANTITY",
            help="What was really consumed of a component, instead of what its bill says.",
        ),
    ] = None,
    scrapped: Annotated[
        str | None,
        typer.Option(
            "--scrapped", metavar="QUANTITY", help="How many of those built were lost in it."
        ),
    ] = None,
    take: Annotated[
        list[str] | None,
        typer.Option(
            "--take",
            metavar="SKU",
            help="Which substitute was taken, where the bill takes any. Otherwise by SKU.",
        ),
    ] = None,
    bill: Annotated[
        int | None,
        typer.Option(
            "--bill",
            metavar="NUMBER",
            help="By which older bill, for orders made with it. Otherwise the present one.",
        ),
    ] = None,
    lot: LotName = None,
    location: LocationName = None,
    expires: Expires = None,
    available_from: AvailableFrom = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Record what was made.

    Its materials go out, it comes in. For example: stockpush build candle-lav 40

    As it really went: stockpush build candle-lav 40 --used beeswax=6200g --scrapped 2
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(catalogue: Catalogue, item: Item, key: str) -> Asked:
        units = _units(quantity, item)
        lost = _lost(scrapped, item)
        named = name_of(lot, field="--lot")
        command = BuildStock(
            item.sku,
            units,
            key,
            actor(),
            write.reason,
            used=_really_used(used or [], catalogue),
            scrapped=lost,
            location=name_of(location, field="--location"),
            lot=named,
            terms=terms_of(item, named, expires=expires, available_from=available_from),
            take=tuple(find_item(catalogue, each).sku for each in take or ()),
            bill=bill,
        )
        less = f", of which {_bare(lost, item)} were lost" if lost else ""
        return Asked(command, f"Built {_amount(units, item)}{_of(named)}{less}")

    _act_in("build", write, sku, asked, facts=("used",))


def count(
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """State what somebody counted.

    All that lies there, what is reserved included; one movement makes the ledger agree.

    Of an item with lots: all that can be sold, or with --lot or --location what lies there.
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item, zero=True)
        named = name_of(lot, field="--lot")
        command = CountStock(
            item.sku,
            units,
            key,
            actor(),
            write.reason,
            location=name_of(location, field="--location"),
            lot=named,
        )
        return Asked(command, f"Counted {_amount(units, item)}{_of(named)}")

    _act("count", write, sku, asked)


def adjust(
    sku: Sku,
    quantity: Quantity,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Add or, with a sign, take away.

    For example: stockpush adjust wick -3 --reason broken
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item, signed=True)
        move = StockMove(item.sku, units, MovementKind.ADJUSTMENT)
        sign = "+" if units > 0 else ""
        return Asked(_move(move, key, write), f"Adjusted {item.sku} by {sign}{_bare(units, item)}")

    _act("adjust", write, sku, asked)


def scrap(
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Take off what is spoilt, broken or lost.

    For example: stockpush scrap soap-lav 3 --reason cracked
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item)
        named = name_of(lot, field="--lot")
        move = StockMove(
            item.sku,
            -units,
            MovementKind.SCRAP,
            location=name_of(location, field="--location"),
            lot=named,
        )
        return Asked(_move(move, key, write), f"Scrapped {_amount(units, item)}{_of(named)}")

    _act("scrap", write, sku, asked)


def take_back(
    sku: Sku,
    quantity: Quantity,
    lot: LotName = None,
    location: LocationName = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Put back what a buyer sent back.

    A refund alone puts nothing back on the shelf. For example: stockpush return soap-lav 1
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item)
        named = name_of(lot, field="--lot")
        move = StockMove(
            item.sku,
            units,
            MovementKind.RETURN,
            location=name_of(location, field="--location"),
            lot=named,
        )
        return Asked(_move(move, key, write), f"Took back {_amount(units, item)}{_of(named)}")

    _act("return", write, sku, asked)


def sell(
    at: Annotated[str, typer.Option("--at", metavar="PLACE", help="Where: market, shop, ...")],
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="Which item.")] = None,
    quantity: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUANTITY", help="How much: in the item's own unit, or another."),
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option("--hold", metavar="ID", help="All of a hold, instead of SKU and QUANTITY."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Record a sale made elsewhere.

    For example: stockpush sell soap-lav 3 --at market

    What was held is sold whole: stockpush sell --hold hold-12 --at market
    """
    del yes  # taken by every writing command; a verb acts at once
    place = one_line(at, field="--at")
    if not place:
        raise UsageError("--at names no place.", field="--at", expected="where it was sold")
    if hold is not None:
        if sku is not None:
            raise UsageError(
                "--hold sells all that the hold has, so no item is named beside it.",
                field="SKU",
                found=sku,
                expected="--hold alone, or an item and a quantity",
            )
        _sell_hold(hold, place, Write(config, as_json, dry_run, _reason(reason), key))
        return
    if sku is None or not quantity:
        raise UsageError(
            "What was sold is missing.",
            field="SKU" if sku is None else "QUANTITY",
            expected="an item and a quantity, or --hold",
            next="stockpush sell --help",
        )
    typed = quantity
    why = ": ".join(each for each in (f"sold at {place}", _reason(reason)) if each)
    write = Write(config, as_json, dry_run, why, key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(typed, item)
        move = StockMove(item.sku, -units, MovementKind.SALE)
        return Asked(_move(move, key, write), f"Sold {_amount(units, item)} at {place}")

    _act("sell", write, sku, asked)


def _sell_hold(hold: str, place: str, write: Write) -> None:
    """Turn a hold into a sale made at `place`."""
    number = read_id(hold, field="--hold")

    def asked(_: Catalogue, key: str) -> Asked:
        command = SellHold(number, place, key, actor(), write.reason)
        return Asked(command, f"Sold {hold_name(number)} at {place}")

    _carry_out(write, asked, where="stockpush holds --all")


def transfer(
    sku: Sku,
    quantity: Quantity,
    origin: Annotated[str, typer.Option("--from", metavar="NAME", help="Where it lay.")],
    destination: Annotated[str, typer.Option("--to", metavar="NAME", help="Where it lies now.")],
    lot: LotName = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Record that stock lies somewhere else now.

    For example: stockpush transfer soap-lav 20 --from main --to market
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(item: Item, key: str) -> Asked:
        units = _units(quantity, item)
        named = name_of(lot, field="--lot")
        command = TransferStock(
            item.sku,
            units,
            name_of(origin, field="--from") or MAIN,
            name_of(destination, field="--to") or MAIN,
            key,
            actor(),
            write.reason,
            lot=named,
        )
        where = f"from {command.origin} to {command.destination}"
        return Asked(command, f"Moved {_amount(units, item)}{_of(named)} {where}")

    _act("transfer", write, sku, asked)


def quarantine(
    sku: Sku,
    lot: Annotated[str, typer.Argument(metavar="LOT", help="Which lot.")],
    release: Annotated[bool, typer.Option("--release", help="It can be sold again.")] = False,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Withhold a lot from sale until it is released.

    Wherever it lies. For example: stockpush quarantine soap-lav A12 --reason "soft bars"
    """
    del yes  # taken by every writing command; a verb acts at once
    write = Write(config, as_json, dry_run, _reason(reason), None)

    def asked(catalogue: Catalogue, _key: str) -> Asked:
        item = find_item(catalogue, sku)
        named = name_of(lot, field="LOT") or ""
        command = QuarantineLot(
            item.sku, named, quarantined=not release, actor=actor(), reason=write.reason
        )
        back = "" if release else " --release"
        undo = f"stockpush quarantine {shlex.quote(item.sku)} {shlex.quote(named)}{back}"
        what = "Released" if release else "In quarantine:"
        return Asked(command, f"{what} lot {named} of {item.sku}", undo)

    _carry_out(write, asked)


def undo(
    movement: Annotated[
        str, typer.Argument(metavar="ID", help="What the command printed: mv-1042.")
    ],
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
    key: Key = None,
) -> None:
    """Take a whole command back.

    By the id that it printed: stockpush undo mv-1042. Nothing is deleted; what compensates it is
    written.
    """
    del yes  # taken by every writing command; a verb acts at once
    match = _MOVEMENT.fullmatch(movement.strip())
    if match is None:
        raise UsageError(
            f"{movement!r} is not the id of a movement.",
            field="ID",
            found=movement,
            expected="an id that a command has printed, such as mv-1042",
            next="stockpush release ID" if "hold" in movement.lower() else None,
        )
    number = int(match[1])
    write = Write(config, as_json, dry_run, _reason(reason), key)

    def asked(_: Catalogue, key: str) -> Asked:
        command = UndoMovement(number, key, actor(), write.reason)
        return Asked(command, f"Undid mv-{number}")

    _carry_out(write, asked, undoes=True)


# -- carrying out ----------------------------------------------------------------------------


def _act(verb: str, write: Write, sku: str, asked: Callable[[Item, str], Asked]) -> None:
    """Carry out a verb on the item that was named; a quantity that is none gets an example."""
    _act_in(verb, write, sku, lambda _, item, key: asked(item, key))


def _act_in(
    verb: str,
    write: Write,
    sku: str,
    asked: Callable[[Catalogue, Item, str], Asked],
    *,
    facts: Sequence[str] = (),
) -> None:
    """Do as `_act` for a verb that names other items too; `facts` of the outcome are told."""

    def on_item(catalogue: Catalogue, key: str) -> Asked:
        item = find_item(catalogue, sku)
        try:
            return asked(catalogue, item, key)
        except UsageError as error:
            error.next = error.next or _example(verb, item)
            raise

    _carry_out(write, on_item, facts=facts)


def _example(verb: str, item: Item) -> str:
    """Return a command that would do.

    >>> from stockpush.model import Kind
    >>> _example("sell", Item("beeswax", "", Kind.MATERIAL, "kg", scale=3))
    'stockpush sell beeswax 5kg --at market'
    """
    quantity = "5" if item.unit == "piece" else shlex.quote(f"5{item.unit}")
    place = {"sell": " --at market", "transfer": " --from main --to market"}.get(verb, "")
    return f"stockpush {verb} {shlex.quote(item.sku)} {quantity}{place}"


def _carry_out(
    write: Write,
    asked: Callable[[Catalogue, str], Asked],
    *,
    undoes: bool = False,
    facts: Sequence[str] = (),
    where: str = "stockpush stock",
) -> None:
    """Carry a verb out, or with --dry-run only decide it, and tell what came of it.

    `where` is the command that shows what there is, for what was not found.
    """

    async def job(parts: Parts) -> Told:
        before = await parts.view()
        key = parts.ids.new() if write.key is None else one_line(write.key, field="--key")
        if not key:
            raise UsageError("--key is empty.", field="--key", expected="any text of your own")
        wanted = asked(before.catalogue, key)
        if write.dry_run:
            # What is due counts in what there was before, so the verb is decided after it too.
            decision = await parts.lane.rehearse(*await parts.lane.overdue(), wanted.command)
            changes = changes_between(before, before.after(decision))
            return Told(wanted.what, decision.outcome, changes=changes)
        (done,) = await parts.lane.commit([wanted.command])
        if isinstance(done.outcome, Replayed):
            return Told(wanted.what, done.outcome, done.outcome.movement_ids)
        changes = changes_between(before, await parts.view())
        counted = isinstance(wanted.command, CountStock)
        return Told(wanted.what, done.outcome, done.movement_ids, changes, wanted.undo, counted)

    told = with_parts(write.config, job)
    match told.outcome:
        case Refused("not_found", message, named):
            raise _not_found(message, named, where)
        case Refused() as refused:
            refuse(refused, as_json=write.as_json, next=_NEXT.get(refused.refusal))
        case Accepted() | Replayed():
            _tell(told, write, undoes=undoes, facts=facts)


def _not_found(message: str, facts: Mapping[str, Any], where: str) -> NotFound:
    """Return the error for a movement, hold, lot or location that is not there."""
    field, found, next_command = "ID", None, where
    if "lot" in facts:
        field, found = "--lot", facts["lot"]
        next_command = f"stockpush lots {shlex.quote(facts['sku'])}"
    elif "location" in facts:
        field, found = "--location", facts["location"]
        next_command = "stockpush import catalog.toml  (with [[locations]] for it)"
    expected = " or ".join(facts.get("expected", ())) or None
    return NotFound(
        f"{message[0].upper()}{message[1:]}.",
        field=field,
        found=found,
        expected=expected,
        next=next_command,
    )


_NEXT: Final[Mapping[str, str]] = {
    "no_bill": "stockpush import catalog.toml  (with a bill of materials for it)",
    "key_reused": "the same command with another --key, or without",
    "not_held": "stockpush holds --all",
    "no_such_bill": "the same command with another --bill, or without",
    "has_substitutes": "the same command with one of its substitutes",
    "not_a_substitute": "the same command with another --take, or without",
    "used_twice": "the same command with --used for the one or the others",
    "not_on_bill": "the same command with --used for a component of the bill",
    "more_lost_than_built": "the same command with a smaller --scrapped",
    "lot_differs": "stockpush lots  (then the same command with another --lot, or without the day)",
    "lots_there": "stockpush lots  (then the same command with --lot for each)",
    "never_sellable": "the same command with a later --expires",
    "not_there": "stockpush lots  (what lies where; count what you see there)",
    "same_place": "the same command with another --to",
    "several_places": "the same command with --location for one of them",
}
"""What to type after a refusal, where there is something."""


def changes_between(before: View, after: View) -> tuple[Change, ...]:
    """Return the items whose stock, held units or ATP differ: what was named first, then by SKU."""
    skus = sorted(after.catalogue.items.keys() & before.catalogue.items.keys())
    moved = [
        sku
        for sku in skus
        if before.shelf(sku).on_hand != after.shelf(sku).on_hand
        or before.shelf(sku).held != after.shelf(sku).held
    ]
    concerned = sorted(after.catalogue.group(moved))
    nets = before.net(concerned), after.net(concerned)
    changes = (
        Change(
            after.catalogue.items[sku],
            (before.shelf(sku).on_hand, after.shelf(sku).on_hand),
            (before.shelf(sku).held, after.shelf(sku).held),
            (atp(nets[0], sku), atp(nets[1], sku)),
        )
        for sku in concerned
    )
    changed = [each for each in changes if each.is_named or each.atp[0] != each.atp[1]]
    return tuple(sorted(changed, key=lambda each: (not each.is_named, each.item.sku)))


# -- telling ---------------------------------------------------------------------------------


def _tell(told: Told, write: Write, *, undoes: bool, facts: Sequence[str]) -> None:
    first = f"mv-{told.movement_ids[0]}" if told.movement_ids else None
    undo = told.undo
    if first is not None and not undoes:
        undo = f"stockpush undo {first}"
    replayed = isinstance(told.outcome, Replayed)
    known = told.outcome.facts if isinstance(told.outcome, Accepted) else {}
    if write.as_json:
        print_json(
            {
                "id": first,
                "undo": undo,
                "dry_run": write.dry_run,
                "replayed": replayed,
                "movements": [f"mv-{number}" for number in told.movement_ids],
                "changed": [change.as_json() for change in told.changes],
                **{name: known.get(name) for name in facts},
            }
        )
        return
    if replayed:
        say(f"Done before under this key, as {first}; nothing was changed now.")
    elif write.dry_run:
        say(f"{told.what}: not done, only shown.", "bold")
    else:
        say(told.what, "bold")
    if told.changes:
        say()
        print_changes(told.changes)
    elif not replayed:
        say("The ledger said so already." if told.counted else "What can be sold is as before.")
    _print_used(known.get("used", ()))
    if undo:
        say()
        say(f"Undo: {undo}")
    warn_of(told.changes)


def _print_used(used: Sequence[Used]) -> None:
    """Print what a build consumed against its plan, where that was stated."""
    if not used:
        return
    say()
    shown = table("used", ">planned", ">really", "")
    for row in used:
        shown.add_row(cell(row.sku), cell(row.planned), cell(row.used), cell(row.unit, "dim"))
    show(shown)


def print_changes(changes: Sequence[Change]) -> None:
    """Print what changed, before and after; what is held only where that changed."""
    with_held = any(change.held[0] != change.held[1] for change in changes)
    shown = table("SKU", ">on hand", *([">held"] if with_held else []), ">ATP", "")
    for change in changes[:CHANGES_MAX]:
        scale = change.item.scale
        held = _turn(change.held, scale) if change.held[0] != change.held[1] else cell(None)
        shown.add_row(
            cell(change.item.sku),
            _turn(change.on_hand, scale) if change.stock_moved else cell(None),
            *([held] if with_held else []),
            _turn(change.atp, scale),
            cell(change.item.unit, "dim"),
        )
    show(shown)
    if len(changes) > CHANGES_MAX:
        say(f"... and the ATP of {len(changes) - CHANGES_MAX} more items", "dim")


def _turn(values: tuple[int, int], scale: int) -> Text:
    """Return `before -> after`."""
    before, after = (format_quantity(value, scale) for value in values)
    if before == after:
        return cell(after)
    return Text.assemble((f"{before} → ", "dim"), balance(after))


def warn_of(changes: Sequence[Change]) -> None:
    """Say where the numbers ask for somebody's attention."""
    for change in changes:
        sku, scale = shlex.quote(change.item.sku), change.item.scale
        if change.stock_moved and change.on_hand[1] < 0:
            note(f"{sku} is below zero on hand; when you have counted it: stockpush count {sku} N")
        if change.atp[1] < 0 <= change.atp[0]:
            short = format_quantity(-change.atp[1], scale)
            note(f"{sku} is short of {short} {change.item.unit}: more is claimed than can be made")


# -- reading arguments -----------------------------------------------------------------------


def _move(move: StockMove, key: str, write: Write) -> MoveStock:
    return MoveStock((move,), key, actor(), write.reason)


def _lost(text: str | None, item: Item) -> int:
    """Return how many of a build were lost, smallest units."""
    if text is None:
        return 0
    return parse_quantity(text, unit=item.unit, scale=item.scale, field="--scrapped")


def _really_used(given: Sequence[str], catalogue: Catalogue) -> tuple[tuple[str, int], ...]:
    """Return what `--used` says of each component, in smallest units."""
    used: dict[str, int] = {}
    for text in given:
        sku, equals, quantity = text.rpartition("=")
        if not equals or not sku.strip():
            raise UsageError(
                f"--used {text!r} does not say how much of what.",
                field="--used",
                found=text,
                expected="SKU=QUANTITY, such as beeswax=6200g",
            )
        item = find_item(catalogue, sku)
        if item.sku in used:
            raise UsageError(
                f"--used names {item.sku} twice.",
                field="--used",
                found=text,
                expected="each component once",
            )
        used[item.sku] = parse_quantity(
            quantity, unit=item.unit, scale=item.scale, field=f"--used {item.sku}"
        )
    return tuple(sorted(used.items()))


def _reason(text: str) -> str:
    return one_line(text, field="--reason")


def _units(words: Sequence[str], item: Item, *, signed: bool = False, zero: bool = False) -> int:
    """Return the quantity that was typed, in smallest units; a unit may stand apart (`5 kg`)."""
    for word in words:
        if word.startswith("--"):
            if word in _OPTIONS:
                raise UsageError(f"{word} must stand before the lone --.", field=word)
            near = get_close_matches(word, _OPTIONS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"There is no option {word}.{hint}", field=word, found=word)
    text = " ".join(words)
    units = parse_quantity(
        text,
        unit=item.unit,
        scale=item.scale,
        field="quantity",
        signed=signed,
        purchase_units=item.purchase_units,
    )
    if units == 0 and not zero:
        raise UsageError(
            "quantity: found 0, which would change nothing.",
            field="quantity",
            found=text,
            expected="a quantity other than 0" if signed else "more than 0",
        )
    return units


def _amount(units: int, item: Item) -> str:
    """Return a quantity with its unit and item, as people say it.

    >>> from stockpush.model import Kind
    >>> _amount(40, Item("candle", "", Kind.PRODUCT, "piece"))
    '40 candle'
    >>> _amount(5000, Item("beeswax", "", Kind.MATERIAL, "kg", scale=3))
    '5 kg of beeswax'
    """
    amount = _bare(units, item)
    return f"{amount} {item.sku}" if item.unit == "piece" else f"{amount} of {item.sku}"


def _of(lot: str | None) -> str:
    """Return which lot it is of, as people say it."""
    return "" if lot is None else f" (lot {lot})"


def _bare(units: int, item: Item) -> str:
    number = format_quantity(units, item.scale)
    return number if item.unit == "piece" else f"{number} {item.unit}"
