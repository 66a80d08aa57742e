"""Many values in little memory: rows, compressed, and found by the hashes of their keys.

Theory of operation. A row of the catalogue takes a kilobyte as a value with its texts, and the maps
that find it take as much again. Of a large catalogue hardly any value is looked at at one time. So
its values stay what they are in the database: rows, `BLOCK` of them together, compressed to some
ten or twenty bytes each, and made into a value whenever they are asked for. The blocks that were
opened last stay open. A map over them has no keys: only the hash of each, sorted, and where its
value is; whoever looks for a key compares it with those of the values found. What was found last
stays as it is. Nothing of this changes once it is made.

A value that is found takes 10 to 40 microseconds the first time. Below `PACKED_MIN` values it
does not pay, and tuples and dicts are used.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, overload

import msgspec

V = TypeVar("V")
K = TypeVar("K")
R = TypeVar("R")

PACKED_MIN: Final = 20_000
"""From so many values of one kind on they are packed."""
BLOCK: Final = 16
"""How many rows are compressed together: more take less memory, and longer to be opened."""
OPEN_KEPT: Final = 256
"""How many blocks stay open at least, two or three kilobytes each."""
FOUND_KEPT: Final = 4096
"""How many values, and entries of a map, stay as they were found at least, about a kilobyte each: a
sale that many items share a material with asks for those of each of them again and again."""
_FASTEST: Final = 1
_ROWS: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ROW: Final = msgspec.msgpack.Decoder(list[Any])


class _Lately(Generic[K, V]):
    """What was asked for lately: the last `count` values at least, and twice as many at most."""

    __slots__ = ("_count", "_former", "_latest")

    def __init__(self, count: int) -> None:
        self._count = count
        self._latest: dict[K, V] = {}
        self._former: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return what is kept for a key, None where there is nothing."""
        value = self._latest.get(key)
        if value is None and (value := self._former.get(key)) is not None:
            self.keep(key, value)
        return value

    def keep(self, key: K, value: V) -> V:
        """Keep a value, which is not None, and return it."""
        if len(self._latest) >= self._count:
            self._former, self._latest = self._latest, {}
        self._latest[key] = value
        return value


class Packed(Sequence[V]):
    """Values that are kept as rows, and made of them when asked for; those made lately stay."""

    __slots__ = ("_blocks", "_count", "_made", "_open", "_read", "_rest")

    def __init__(self, read: Callable[[Sequence[Any]], V], rows: Iterable[Sequence[Any]]) -> None:
        """Begin with some rows, of texts, whole numbers, None and lists of them."""
        self._read = read
        self._blocks: list[bytes] = []
        self._rest: list[tuple[Any, ...]] = []
        self._open: _Lately[int, list[msgspec.Raw]] = _Lately(OPEN_KEPT)
        self._made: _Lately[int, V] = _Lately(FOUND_KEPT)
        self._count = 0
        self.add(rows)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Have more rows, while nobody has the values yet. Raises what reading one of them does."""
        for row in rows:
            self._read(row)
            self._rest.append(tuple(row))
            self._count += 1
            if len(self._rest) == BLOCK:
                packed = msgspec.msgpack.encode(self._rest)
                self._blocks.append(zlib.compress(packed, _FASTEST))
                self._rest.clear()

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    @overload
    def __getitem__(self, at: int) -> V: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[V, ...]: ...

    def __getitem__(self, at: int | slice) -> V | tuple[V, ...]:
        """Return a value, or several."""
        if isinstance(at, slice):
            return tuple(self[each] for each in range(*at.indices(self._count)))
        place = at if 0 <= at < self._count else range(self._count)[at]
        made = self._made.get(place)
        if made is None:
            made = self._made.keep(place, self._value(place))
        return made

    def _value(self, place: int) -> V:
        number, within = divmod(place, BLOCK)
        if number == len(self._blocks):
            return self._read(self._rest[within])
        rows = self._open.get(number)
        if rows is None:
            rows = self._open.keep(number, self._opened(number))
        return self._read(_ROW.decode(rows[within]))

    def is_same(self, other: Packed[Any]) -> bool:
        """Answer whether these are the same rows, without a look at a single one."""
        return self._blocks == other._blocks and self._rest == other._rest

    def __iter__(self) -> Iterator[V]:
        """Return every value, in order."""
        for number in range(len(self._blocks)):
            yield from map(self._read, map(_ROW.decode, self._opened(number)))
        yield from map(self._read, self._rest)

    def _opened(self, number: int) -> list[msgspec.Raw]:
        return _ROWS.decode(zlib.decompress(self._blocks[number]))


def hashed(key: object) -> int:
    """Return a hash of a key in four bytes."""
    return hash(key) & 0xFFFF_FFFF


class Places:
    """Where the values of each key are, of which only the hash is kept: eight bytes each."""

    __slots__ = ("_hashes", "_places")

    def __init__(self, hashes: array[int]) -> None:
        """Take the hash of the key of each value (array type I), in the order of the values."""
        order = sorted(range(len(hashes)), key=hashes.__getitem__)
        self._hashes = array("I", map(hashes.__getitem__, order))
        self._places = array("I", order)

    def of(self, key: object) -> array[int]:
        """Return the places, ascending, of every value of this key, and perhaps of others."""
        wanted, hashes = hashed(key), self._hashes
        begin = end = bisect_left(hashes, wanted)
        while end < len(hashes) and hashes[end] == wanted:
            end += 1
        return self._places[begin:end]


class PackedMap(Mapping[K, R]):
    """A map from the keys of packed values to what the values of each key make together.

    `key` is of one value; one whose key is None is in no entry. `made` gets all those of a key, at
    least one, in order. `single`: no key is that of two values.
    """

    __slots__ = ("_count", "_found", "_key", "_made", "_places", "_single", "_values")

    def __init__(
        self,
        values: Packed[V],
        places: Places,
        key: Callable[[V], K | None],
        made: Callable[[Sequence[V]], R],
        *,
        single: bool = False,
    ) -> None:
        """Find by `places`, which are those of the keys of `values`."""
        self._values: Packed[Any] = values
        self._places = places
        self._key: Callable[[Any], K | None] = key
        self._made: Callable[[Sequence[Any]], R] = made
        self._single = single
        self._count = len(values) if single else None
        self._found: _Lately[K, R] = _Lately(FOUND_KEPT)

    def is_of(self, values: Packed[Any]) -> bool:
        """Answer whether it finds the same values."""
        return self._values.is_same(values)

    def is_like(self, other: PackedMap[Any, Any]) -> bool:
        """Answer whether another one finds the same values."""
        return self.is_of(other._values)

    def __getitem__(self, key: K) -> R:
        """Return what the values of the key make."""
        known = self._found.get(key)
        if known is not None:
            return known
        named = self._key
        values = [value for at in self._places.of(key) if named(value := self._values[at]) == key]
        if not values:
            raise KeyError(key)
        return self._found.keep(key, self._made(values))

    def __iter__(self) -> Iterator[K]:
        """Return every key, in the order of its first value."""
        for at, value in enumerate(self._values):
            key = self._key(value)
            if key is not None and (self._single or self._first(key) == at):
                yield key

    def __len__(self) -> int:
        """Return how many keys there are; counted when first asked for."""
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    def _first(self, key: K) -> int:
        """Return the first place of a key that there is."""
        places = self._places.of(key)
        if len(places) == 1:
            return places[0]
        return next(each for each in places if self._key(self._values[each]) == key)


class Numbered(Mapping[str, V]):
    """A map from names, sorted and each once, to what `made` makes of the number of each.

    A name of which it makes None has no entry.
    """

    __slots__ = ("_made", "_names")

    def __init__(self, names: Sequence[str], made: Callable[[int], V | None]) -> None:
        """Number `names` from 0 on."""
        self._names = names
        self._made = made

    def __getitem__(self, name: str) -> V:
        """Return what is made of the name's number."""
        at = bisect_left(self._names, name)
        if at == len(self._names) or self._names[at] != name:
            raise KeyError(name)
        value = self._made(at)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """Return every name of which something is made."""
        return (name for at, name in enumerate(self._names) if self._made(at) is not None)

    def __len__(self) -> int:
        """Return how many these are."""
        return sum(1 for _ in self)
