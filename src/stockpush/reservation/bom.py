"""Bills of materials: who is made from whom, checked once and laid out for netting.

Theory of operation. Bills form a directed acyclic graph from each item to its components. An
item's *low-level code* is the length of the longest chain of bills above it. Netting visits items
in order of that code, so that every demand on an item is known before its own components are
looked at. `Bills` is compiled from the catalogue once per revision and holds, besides the bills,
what netting asks for again and again: the items below each item in low-level order, whether any
of them can be reached by two paths (only then do two draws compete for one stock), and the
*groups*, items connected through bills in any direction. Stock or demand of one group says
nothing about the ATP of another, so a group is the unit in which rows are read and netted.

*Substitutes* share a name, which bills may use: an item itself, of which nothing is stocked. They
are bought, not made. Their name stands below them, for it is netted from what each of them has left
once its own demand is known, and each of them is *tied* to it: a unit that leaves by itself leaves
less for the name, so it can only be promised while the name is covered too.

An *older* bill is one that open reservations were made with. It is netted as an item of its own,
with a name of its own (`older_name`): its demand is theirs, and finished stock serves it before the
present bill's. It stands below its item, which is tied to it: what is ordered comes first, so
nothing more of the item can be promised while an older bill's part of it is not covered.

A catalogue that cannot be netted is refused here, before it is stored.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import ChainMap, Counter, defaultdict
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from math import ceil
from types import MappingProxyType
from typing import TypeAlias, cast

from stockpush.errors import BillCycle, CatalogueInvalid
from stockpush.model import (
    BILL_DEPTH_MAX,
    QUANTITY_MAX,
    SCRAP_OF_MAX,
    BillLine,
    BillOfMaterials,
)
from stockpush.packed import Numbered, Packed, PackedMap, Places, hashed
from stockpush.values import replace

_Parents = Mapping[str, Collection[str]]
Gates: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Bills:
    """All bills of one catalogue revision; build it with `Bills.build`.

    `by_item` has each bill under the item that it makes, lines of one component added up. An item
    that no bill names needs no entry anywhere: it is a group of its own. `substitutes` has the
    items that share a name under that name, by SKU, and `name_of` the name of each. `made` has, in
    addition to `by_item`, each older bill under its name, and `older` the names of an item's older
    bills, oldest first. They stand in groups, cones and descendants as items do.
    """

    by_item: Mapping[str, BillOfMaterials]
    made: Mapping[str, BillOfMaterials]
    older: Mapping[str, tuple[str, ...]]
    substitutes: Mapping[str, tuple[str, ...]]
    name_of: Mapping[str, str]
    _parents: Mapping[str, tuple[str, ...]]
    _descendants: Mapping[str, tuple[str, ...]]
    _groups: Mapping[str, tuple[str, ...]]
    _reachable_twice: frozenset[str]
    _position: Mapping[str, int]
    gates: Gates = field(default_factory=dict)
    """What stands beside some items without being in them, and bounds what is promised of them: a
    supply of their orders. Nothing is made from it; but it is read with them, and they with it.
    """
    gated: Gates = field(default_factory=dict)
    """The same, by what bounds them."""
    _graph: _Graph | None = field(default=None, compare=False, repr=False)
    """Packed bills as numbers, in which what is asked of many items at once is found."""

    @classmethod
    def build(
        cls,
        bills: Iterable[BillOfMaterials],
        skus: Collection[str],
        name_of: Mapping[str, str] = MappingProxyType({}),
        older: Iterable[BillOfMaterials] = (),
        gates: Gates = MappingProxyType({}),
    ) -> Bills:
        """Check and compile `bills` against the known `skus`; `name_of` is that of substitutes,
        `older` are bills that open reservations were made with, of items that have one; `gates` as
        they are kept.

        Raises `CatalogueInvalid` for a second bill of one item, an item or component that is not
        among `skus`, a bill without lines, a yield or quantity outside 1..QUANTITY_MAX, a chain
        of more than BILL_DEPTH_MAX bills, substitutes that are made, or whose name is no item
        without a bill, a bill that names both; `BillCycle` for an item that is made from itself.
        The result does not depend on the order of `bills`. Packed ones come from the database, by
        item, whose own rules hold for them; with gates they are compiled as others are.

        >>> bill = BillOfMaterials("candle", 10, (BillLine("wax", 1500), BillLine("wick", 10)))
        >>> Bills.build([bill], {"candle", "wax", "wick", "soap"}).descendants("candle")
        ('wax', 'wick')
        """
        older = sorted(older, key=lambda bill: (bill.item, bill.version))
        if isinstance(bills, Packed) and not gates:
            packed = _packed(bills, skus, name_of, older)
            if packed is not None:
                return packed
        by_item: dict[str, BillOfMaterials] = {}
        for bill in bills:
            if bill.item in by_item:
                raise CatalogueInvalid(
                    f"{bill.item} has two bills of materials",
                    field=f"boms.{bill.item}",
                    expected="one bill per item",
                )
            by_item[bill.item] = _checked(bill, skus)
        substitutes = _substitutes(name_of, by_item, skus)
        if substitutes:
            _refuse_both((by_item[sku] for sku in sorted(by_item)), name_of)
        below: dict[str, tuple[str, ...]] = {
            sku: tuple(line.component for line in by_item[sku].lines) for sku in sorted(by_item)
        }
        below |= {sku: (name_of[sku],) for sku in sorted(name_of)}
        names: defaultdict[str, list[str]] = defaultdict(list)
        made = dict(by_item)
        for bill in older:
            name = older_name(bill)
            made[name] = bill
            names[bill.item].append(name)
            below[name] = tuple(line.component for line in bill.lines)
            below[bill.item] += (name,)
        parents: defaultdict[str, list[str]] = defaultdict(list)
        for sku, components in below.items():
            for component in components:
                parents[component].append(sku)
        order = _low_level_order(below.keys(), parents, made)
        descendants = _descendants(below, order)
        gated: defaultdict[str, list[str]] = defaultdict(list)
        for sku in sorted(gates):
            for supply in gates[sku]:
                gated[supply].append(sku)
        return cls(
            by_item=by_item,
            made=made,
            older={sku: tuple(found) for sku, found in names.items()},
            substitutes=substitutes,
            name_of=dict(name_of),
            _parents={sku: tuple(sorted(found)) for sku, found in parents.items()},
            _descendants=descendants,
            _groups=_groups(below, parents, order, gates, gated),
            _reachable_twice=frozenset(
                sku for sku in made if _paths_meet(below, (sku, *descendants[sku]))
            ),
            _position={sku: at for at, sku in enumerate(order)},
            gates=gates,
            gated={supply: tuple(found) for supply, found in gated.items()},
        )

    def components(self, sku: str) -> tuple[BillLine, ...]:
        """Return the lines of an item's bill, or of an older one; empty for an item without one."""
        bill = self.made.get(sku)
        return bill.lines if bill else ()

    def parents(self, sku: str) -> tuple[str, ...]:
        """Return the items on whose ATP `sku` bears directly, sorted.

        Those whose bill names it, and the substitutes whose name it is.
        """
        return self._parents.get(sku, ())

    def descendants(self, sku: str) -> tuple[str, ...]:
        """Return every item that `sku` is made from, at any depth, in low-level order; below a
        substitute is its name.

        Within one low-level code, and so altogether, the order is stable: by SKU.
        """
        return self._descendants.get(sku, ())

    def cones(self, skus: Iterable[str]) -> tuple[str, ...]:
        """Return `skus`, what bounds them, and all that one of them is made from, in low-level
        order.

        With the name of substitutes come all of them, since it is netted from what they have left.
        """
        found = set(skus)
        if self.gates:
            found.update(*(self.gates.get(sku, ()) for sku in tuple(found)))
        if self._graph is not None:
            return self._graph.cones(found, self.substitutes)
        found.update(*(self.descendants(sku) for sku in tuple(found)))
        if self.substitutes:
            found.update(*(self.substitutes.get(sku, ()) for sku in tuple(found)))
        return tuple(sorted(found, key=lambda sku: (self._position.get(sku, -1), sku)))

    def group(self, sku: str) -> frozenset[str]:
        """Return the items connected with `sku` through bills or by what bounds them, in any
        direction, and itself.
        """
        return frozenset(self.group_order(sku))

    def group_order(self, sku: str) -> tuple[str, ...]:
        """Return the items of `group(sku)` in low-level order, then by SKU."""
        return self._groups.get(sku) or (sku,)

    def where_used(self, skus: Iterable[str]) -> frozenset[str]:
        """Return `skus`, what they bound, and every item that is made from one of these, at any
        depth.
        """
        found = set(skus)
        if self.gates:
            found.update(*(self.gated.get(sku, ()) for sku in tuple(found)))
        return self.made_from(found)

    def made_from(self, skus: Iterable[str]) -> frozenset[str]:
        """Return `skus`, and every item that is made from one of these, at any depth."""
        found = set(skus)
        if self._graph is not None:
            return self._graph.made_from(found)
        waiting = list(found)
        while waiting:
            above = [sku for sku in self.parents(waiting.pop()) if sku not in found]
            found.update(above)
            waiting += above
        return frozenset(found)

    def reachable_twice(self, sku: str) -> bool:
        """Answer whether any item can be reached from `sku` downwards by two paths."""
        return sku in self._reachable_twice


_OLDER = "\x1e"
"""What no SKU has in it, and no key of a shelf."""


def older_name(bill: BillOfMaterials) -> str:
    """Return the name under which an older bill is netted."""
    return f"{bill.item}{_OLDER}{bill.version}"


def item_of(name: str) -> str:
    """Return the item, or the shelf, of an older bill's name; of any other that itself."""
    return name.partition(_OLDER)[0]


class _Graph:
    """Packed bills as numbers: names are numbered in their order, each by its SKU.

    `lines` of a name are the numbers of those directly below it, which are its bill's components
    for most, `parents` of those directly above it, both in one array from `first[number]` to
    `first[number + 1]`. `position` is where each stands in low-level order, 0 until that is found.
    """

    def __init__(self, bills: Packed[BillOfMaterials], more: Mapping[str, tuple[str, ...]]) -> None:
        """Number the names of the bills, which come by item, and those of `more` (`_below`)."""
        self.names = sorted({name for sku, names in _below(bills, more) for name in (sku, *names)})
        number = {name: at for at, name in enumerate(self.names)}
        count = len(number)
        self.position = array("I", bytes(4 * count))
        self.first, self.lines = array("I", [0]), array("I")
        used = array("I", bytes(4 * (count + 1)))
        for sku, names in _below(bills, more):
            at = number[sku]
            assert len(self.first) <= at + 1, "packed bills come by item, each once"
            self.first.extend([len(self.lines)] * (at + 1 - len(self.first)))
            for component in map(number.__getitem__, names):
                self.lines.append(component)
                used[component] += 1
            self.first.append(len(self.lines))
        self.first.extend([len(self.lines)] * (count + 1 - len(self.first)))
        self.first_parent = array("I", accumulate(used[:count], initial=0))
        self.parents, filled = array("I", bytes(4 * len(self.lines))), self.first_parent[:]
        for at in range(count):
            for component in self.below(at):
                self.parents[filled[component]] = at
                filled[component] += 1

    def below(self, at: int) -> array[int]:
        """Return what is directly below a name: the components of a bill, most of all."""
        return self.lines[self.first[at] : self.first[at + 1]]

    def above(self, at: int) -> array[int]:
        """Return what is directly above a name, ascending: the items whose bills name it."""
        return self.parents[self.first_parent[at] : self.first_parent[at + 1]]

    def levels(self) -> array[int] | None:
        """Return the low-level code of each name, None if the bills go in a circle."""
        count = len(self.names)
        left = array("I", (len(self.above(at)) for at in range(count)))
        level = array("I", bytes(4 * count))
        waiting = [at for at in range(count) if not left[at]]
        done = 0
        while waiting:
            at = waiting.pop()
            done += 1
            for component in self.below(at):
                level[component] = max(level[component], level[at] + 1)
                left[component] -= 1
                if not left[component]:
                    waiting.append(component)
        return level if done == count else None

    def cone(self, at: int) -> set[int]:
        """Return everything below a name, at any depth."""
        return _walked([at], self.below)

    def cones(
        self, skus: Iterable[str], substitutes: Mapping[str, tuple[str, ...]]
    ) -> tuple[str, ...]:
        """Return what `Bills.cones` does, of all together."""
        numbers, unknown = self._numbers(skus)
        numbers |= _walked(numbers, self.below)
        for name, members in substitutes.items():
            if self._number(name) in numbers:
                numbers |= self._numbers(members)[0]
        place, names = self.position.__getitem__, self.names
        return (*sorted(unknown), *[names[at] for at in sorted(numbers, key=place)])

    def made_from(self, skus: Iterable[str]) -> frozenset[str]:
        """Return what `Bills.made_from` does."""
        numbers, unknown = self._numbers(skus)
        numbers |= _walked(numbers, self.above)
        return frozenset(unknown).union(map(self.names.__getitem__, numbers))

    def _numbers(self, skus: Iterable[str]) -> tuple[set[int], list[str]]:
        """Return the numbers of some names, and those that have none."""
        numbers, unknown = set(), []
        for sku in skus:
            at = self._number(sku)
            if at is None:
                unknown.append(sku)
            else:
                numbers.add(at)
        return numbers, unknown

    def _number(self, name: str) -> int | None:
        """Return the number of a name, None of one that no bill names."""
        at = bisect_left(self.names, name)
        return at if at < len(self.names) and self.names[at] == name else None

    def paths_meet(self, at: int) -> bool:
        """Answer whether two lines of a bill and of those below it name one component."""
        if not any(len(self.below(each)) for each in self.below(at)):
            return False  # a bill names each of its own once
        named = Counter(each for one in (at, *self.cone(at)) for each in self.below(one))
        return max(named.values()) > 1

    def groups(self, order: Sequence[int]) -> tuple[array[int], list[tuple[str, ...]]]:
        """Return the group of each name, and the names of each group, as they stand in `order`."""
        unknown = len(self.names)
        group = array("I", [unknown]) * unknown
        count = 0
        for start in order:
            if group[start] != unknown:
                continue
            group[start] = count
            waiting = [start]
            while waiting:
                at = waiting.pop()
                for each in (*self.below(at), *self.above(at)):
                    if group[each] == unknown:
                        group[each] = count
                        waiting.append(each)
            count += 1
        members: list[list[str]] = [[] for _ in range(count)]
        for at in order:
            members[group[at]].append(self.names[at])
        return group, [tuple(each) for each in members]


def _walked(begin: Iterable[int], onwards: Callable[[int], Iterable[int]]) -> set[int]:
    """Return every number that is come to from some, in any number of steps."""
    found: set[int] = set()
    waiting = list(begin)
    while waiting:
        for each in onwards(waiting.pop()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def _packed(
    bills: Packed[BillOfMaterials],
    skus: Collection[str],
    name_of: Mapping[str, str],
    older: Iterable[BillOfMaterials],
) -> Bills | None:
    """Return packed bills compiled; None where they are impossible, which `Bills.build` words."""
    if not all(bill.lines for bill in bills):
        return None
    places = Places(array("I", (hashed(bill.item) for bill in bills)))
    by_item = PackedMap(bills, places, lambda bill: bill.item, lambda found: found[0], single=True)
    substitutes = _substitutes(name_of, by_item, skus)
    if substitutes:
        _refuse_both(bills, name_of)
    replaced = {older_name(bill): bill for bill in older}
    more: dict[str, tuple[str, ...]] = {sku: (name,) for sku, name in name_of.items()}
    of_item: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for name, bill in replaced.items():
        more[name] = tuple(line.component for line in bill.lines)
        of_item[bill.item] += (name,)
    graph = _Graph(bills, more | of_item)
    level = graph.levels()
    if level is None or max(level, default=0) > BILL_DEPTH_MAX:
        return None
    names, position = graph.names, graph.position
    order = sorted(range(len(names)), key=level.__getitem__)
    for place, at in enumerate(order):
        position[at] = place
    group, groups = graph.groups(order)

    def parents(at: int) -> tuple[str, ...] | None:
        return tuple(names[each] for each in graph.above(at)) or None

    def descendants(at: int) -> tuple[str, ...] | None:
        below = sorted(graph.cone(at), key=position.__getitem__)
        return tuple(names[each] for each in below) or None

    return Bills(
        by_item=by_item,
        made=ChainMap(replaced, cast("MutableMapping[str, BillOfMaterials]", by_item))
        if replaced
        else by_item,
        older=dict(of_item),
        substitutes=substitutes,
        name_of=dict(name_of),
        _parents=Numbered(names, parents),
        _descendants=Numbered(names, descendants),
        _groups=Numbered(names, lambda at: groups[group[at]]),
        _reachable_twice=frozenset(names[at] for at in range(len(names)) if graph.paths_meet(at)),
        _position=Numbered(names, position.__getitem__),
        _graph=graph,
    )


def _below(
    bills: Packed[BillOfMaterials], more: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield names, ascending, with what is directly below each: by its bill, and by `more`."""
    left = sorted(more, reverse=True)
    for bill in bills:
        while left and left[-1] < bill.item:
            yield left[-1], more[left.pop()]
        also = more[left.pop()] if left and left[-1] == bill.item else ()
        yield bill.item, (*(line.component for line in bill.lines), *also)
    while left:
        yield left[-1], more[left.pop()]


def refuse_too_large(bills: Bills) -> None:
    """Raise `CatalogueInvalid` for a chain of bills by which one of an item needs too much.

    That is more than QUANTITY_MAX smallest units of something, for one smallest unit: what is short
    of it could be told to nobody. A catalogue that is stored already is not asked.
    """
    most: dict[str, tuple[Fraction, str]] = {}
    for sku in sorted(bills.by_item, key=lambda sku: len(bills.descendants(sku))):
        bill = bills.by_item[sku]
        for line in bill.lines:
            lost, of = line.scrap
            each = Fraction(line.quantity * (of + lost), bill.yield_quantity * of)
            below = most.get(line.component, (Fraction(1), ""))[0]
            need = each * max(Fraction(1), below)
            if sku not in most or need > most[sku][0]:
                most[sku] = (need, line.component)
        if most[sku][0] > QUANTITY_MAX:
            raise _too_large(sku, most)


def _too_large(sku: str, most: Mapping[str, tuple[Fraction, str]]) -> CatalogueInvalid:
    """Return the error for the chain from `sku` down to that of which too much is needed."""
    need, path = ceil(most[sku][0]), [sku, most[sku][1]]
    while path[-1] in most and most[path[-1]][0] > 1:
        path.append(most[path[-1]][1])
    printed = " -> ".join(path)
    return CatalogueInvalid(
        f"one smallest unit of {sku} needs {need} of {path[-1]}: {printed}",
        field=f"boms.{sku}",
        found=str(need),
        expected=f"at most {QUANTITY_MAX} in the smallest unit, over all bills of the chain",
        next="stockpush import FILE  (with smaller quantities, or a larger yield)",
    )


def merge_lines(lines: Iterable[BillLine]) -> tuple[BillLine, ...]:
    """Add up the lines of each component, in order of first mention.

    Lines of one component have the same scrap: that of the first mention stands.

    >>> merged = merge_lines([BillLine("wax", 5), BillLine("wick", 1), BillLine("wax", 2)])
    >>> [(line.component, line.quantity) for line in merged]
    [('wax', 7), ('wick', 1)]
    """
    merged: dict[str, BillLine] = {}
    for line in lines:
        first = merged.get(line.component)
        merged[line.component] = (
            line if first is None else replace(first, quantity=first.quantity + line.quantity)
        )
    return tuple(merged.values())


def resolve(bills: Mapping[str, BillOfMaterials]) -> dict[str, BillOfMaterials]:
    """Return the bills by item, each variant as its base and its overrides make it.

    A variant's lines stand in the order of its base's, those that it adds at the end. Raises
    `CatalogueInvalid` for a base without a bill and for more than BILL_DEPTH_MAX variants of one
    another, `BillCycle` for bases that go in a circle.
    """
    depth: dict[str, int] = {}
    resolved = dict(bills)
    bases = {sku: bill.base for sku, bill in bills.items() if bill.base is not None}
    try:
        order = tuple(
            TopologicalSorter({sku: (bases[sku],) for sku in sorted(bases)}).static_order()
        )
    except CycleError as error:
        raise _cycle(error.args[1][::-1], "bills of materials are based on one another") from None
    for sku in order:
        base = bases.get(sku)
        if base is None:
            continue
        if base not in resolved:
            raise CatalogueInvalid(
                f"the bill of {sku} is based on that of {base}, which has none",
                field=f"boms.{sku}.base",
                found=base,
                expected="an item with a bill of materials",
            )
        depth[sku] = depth.get(base, 0) + 1
        if depth[sku] > BILL_DEPTH_MAX:
            raise CatalogueInvalid(
                f"the bill of {sku} is based on {depth[sku]} others, one on the other",
                field=f"boms.{sku}.base",
                found=depth[sku],
                expected=f"at most {BILL_DEPTH_MAX} bills based on one another",
            )
        resolved[sku] = _varied(resolved[sku], resolved[base])
    return resolved


def _varied(variant: BillOfMaterials, base: BillOfMaterials) -> BillOfMaterials:
    """Return a variant of `base` with its overrides put in."""
    own = {line.component: line for line in variant.overrides}
    lines = [own.pop(line.component, line) for line in base.lines]
    return replace(
        variant,
        yield_quantity=base.yield_quantity,
        batch_only=base.batch_only,
        kit=base.kit,
        backflush=base.backflush,
        build_time_s=base.build_time_s,
        lines=tuple(line for line in (*lines, *own.values()) if line.quantity),
    )


def _checked(bill: BillOfMaterials, skus: Collection[str]) -> BillOfMaterials:
    """Return the bill with merged lines; raise `CatalogueInvalid` for what it cannot mean."""
    field = f"boms.{bill.item}"
    if bill.item not in skus:
        raise CatalogueInvalid(
            f"there is a bill of materials for {bill.item}, which is not an item",
            field=f"{field}.item",
            found=bill.item,
            expected="the SKU of an item",
        )
    _check_quantity(f"the yield of the bill of {bill.item}", bill.yield_quantity, f"{field}.yield")
    if not bill.lines:
        raise CatalogueInvalid(
            f"the bill of {bill.item} has no lines",
            field=f"{field}.lines",
            found=0,
            expected="at least one component",
        )
    for line in bill.lines:
        if line.component not in skus:
            raise CatalogueInvalid(
                f"the bill of {bill.item} names component {line.component}, which is not an item",
                field=f"{field}.lines.{line.component}",
                found=line.component,
                expected="the SKU of an item",
            )
    lines = merge_lines(bill.lines)
    scraps = {line.component: line.scrap for line in lines}
    for line in bill.lines:
        lost, of = line.scrap
        if not (0 <= lost <= of <= SCRAP_OF_MAX and of > 0) or line.scrap != scraps[line.component]:
            raise CatalogueInvalid(
                f"the scrap of {line.component} in the bill of {bill.item} is {lost} in {of}",
                field=f"{field}.lines.{line.component}.scrap",
                found=f"{lost}/{of}",
                expected=f"a share from 0 to 1, in parts of at most {SCRAP_OF_MAX}, the same on "
                "each line of a component",
            )
    # Each line is looked at as written too: -1 and 3 must not pass as 2.
    for line in (*bill.lines, *lines):
        _check_quantity(
            f"the quantity of {line.component} in the bill of {bill.item}",
            line.quantity,
            f"{field}.lines.{line.component}.quantity",
        )
    return replace(bill, lines=lines)


def _check_quantity(what: str, quantity: int, field: str) -> None:
    """Raise `CatalogueInvalid` unless 1 <= quantity <= QUANTITY_MAX."""
    if not 1 <= quantity <= QUANTITY_MAX:
        raise CatalogueInvalid(
            f"{what} is {quantity}",
            field=field,
            found=quantity,
            expected=f"a quantity from 1 to {QUANTITY_MAX} in the smallest unit",
        )


def _substitutes(
    name_of: Mapping[str, str], by_item: Mapping[str, BillOfMaterials], skus: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the substitutes of each name, by SKU; raise `CatalogueInvalid` for impossible ones."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for sku in sorted(name_of):
        name = name_of[sku]
        for wrong, what, expected in (
            (name not in skus, f"{name}, which is not an item", "the SKU of an item"),
            (name == sku, "itself", "another item, which is the name of its substitutes"),
            (name in name_of, f"{name}, which is a substitute itself", "an item that is none"),
            (name in by_item, f"{name}, which has a bill of materials", "an item without one"),
            (sku in by_item, f"{name} and has a bill of materials", "an item that is bought"),
        ):
            if wrong:
                raise CatalogueInvalid(
                    f"{sku} is a substitute for {what}",
                    field=f"items.{sku}.substitute_for",
                    found=name,
                    expected=expected,
                )
        found[name].append(sku)
    return {name: tuple(members) for name, members in found.items()}


def _refuse_both(bills: Iterable[BillOfMaterials], name_of: Mapping[str, str]) -> None:
    """Raise `CatalogueInvalid` for a bill that names a substitute and its name."""
    for bill in bills:
        named = {line.component for line in bill.lines}
        both = next((sku for sku in sorted(named) if name_of.get(sku) in named), None)
        if both is not None:
            raise CatalogueInvalid(
                f"the bill of {bill.item} names {both} and {name_of[both]}, its name",
                field=f"boms.{bill.item}.lines.{both}",
                found=both,
                expected=f"one of the two: {name_of[both]} takes any of its substitutes",
            )


def _low_level_order(
    below: Collection[str], parents: _Parents, made: Collection[str]
) -> tuple[str, ...]:
    """Return every item that a bill names, by low-level code, then by SKU.

    Raises `BillCycle`, and `CatalogueInvalid` for a chain of more than BILL_DEPTH_MAX bills, those
    of `made`: what is tied to something is not made from it.
    """
    level: dict[str, int] = {}
    depth: dict[str, int] = {}
    named = sorted({*below, *parents})
    try:
        for sku in TopologicalSorter({sku: parents.get(sku, ()) for sku in named}).static_order():
            above = parents.get(sku, ())
            level[sku] = max((level[parent] + 1 for parent in above), default=0)
            is_older = item_of(sku) != sku
            depth[sku] = max(
                (depth[parent] + (parent in made and not is_older) for parent in above), default=0
            )
    except CycleError as error:
        raise _cycle(error.args[1]) from None
    deepest = max(named, key=depth.__getitem__, default=None)
    if deepest is not None and depth[deepest] > BILL_DEPTH_MAX:
        raise _too_deep(deepest, depth, parents)
    return tuple(sorted(named, key=lambda sku: (level[sku], sku)))


def _cycle(path: list[str], what: str = "bills of materials go in a circle") -> BillCycle:
    """Return the error for a cycle, printed from item to component, from its smallest SKU on.

    `path` is graphlib's: its ends are equal and each item is a parent of the next.
    """
    ring = [item_of(name) for name in path[:-1]]
    ring = [sku for at, sku in enumerate(ring) if sku != ring[at - 1]] or ring[:1]
    start = ring.index(min(ring))
    printed = " -> ".join((*ring[start:], *ring[:start], ring[start]))
    with_older, then = _with_older(path[:-1])
    return BillCycle(
        f"{what}: {printed}{with_older}",
        field=f"boms.{ring[start]}",
        found=printed,
        expected="no item made from itself, directly or not",
        next=then,
    )


def _with_older(names: Iterable[str]) -> tuple[str, str | None]:
    """Return what an error says of the older bills among netted names, and what to type then."""
    older = [
        f"bill {name.partition(_OLDER)[2]} of {item_of(name)}" for name in names if _OLDER in name
    ]
    if not older:
        return "", None
    return (
        f"; by {' and '.join(older)}, which open orders, holds or what is still to be built go by",
        "stockpush import FILE  (once those are sent and built, or have ended)",
    )


def _too_deep(sku: str, depth: Mapping[str, int], parents: _Parents) -> CatalogueInvalid:
    """Return the error for the chain of bills that ends in `sku`."""
    chain = [sku]
    while above := parents.get(chain[-1]):
        chain.append(max(above, key=lambda parent: depth[parent]))
    with_older, then = _with_older(chain)
    printed = " -> ".join(item_of(name) for name in reversed(chain) if _OLDER not in name)
    return CatalogueInvalid(
        f"bills of materials are nested {depth[sku]} deep: {printed}{with_older}",
        field=f"boms.{chain[-1]}",
        found=depth[sku],
        expected=f"at most {BILL_DEPTH_MAX} bills above one another",
        next=then,
    )


def _descendants(
    children: Mapping[str, tuple[str, ...]], order: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return, for each item with something directly below it, all items below it in low-level
    order.
    """
    position = {sku: at for at, sku in enumerate(order)}
    below: dict[str, set[str]] = {}
    for sku in reversed(order):
        if sku in children:
            components = set(children[sku])
            below[sku] = components.union(*(below.get(sku, ()) for sku in components))
    return {sku: tuple(sorted(found, key=position.__getitem__)) for sku, found in below.items()}


def _paths_meet(children: Mapping[str, tuple[str, ...]], cone: tuple[str, ...]) -> bool:
    """Answer whether one item is directly below two within `cone` (an item and all below it)."""
    named = Counter(component for sku in cone for component in children.get(sku, ()))
    return max(named.values()) > 1


def _groups(
    children: Mapping[str, tuple[str, ...]],
    parents: _Parents,
    order: tuple[str, ...],
    gates: Gates,
    gated: Mapping[str, Sequence[str]],
) -> dict[str, tuple[str, ...]]:
    """Return, for each item that a bill names or that something bounds, its connected items in
    low-level order.
    """
    order = (*order, *sorted({*gates, *gated}.difference(order)))
    members: dict[str, list[str]] = {}
    founder: dict[str, str] = {}
    for start in order:
        waiting = [start]
        while waiting:
            sku = waiting.pop()
            if sku in founder:
                continue
            founder[sku] = start
            waiting += parents.get(sku, ())
            waiting += children.get(sku, ())
            waiting += gates.get(sku, ())
            waiting += gated.get(sku, ())
        members.setdefault(founder[start], []).append(start)
    groups = {start: tuple(found) for start, found in members.items()}
    return {sku: groups[start] for sku, start in founder.items()}
