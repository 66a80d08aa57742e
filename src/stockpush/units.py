"""Quantities as people write them, and as the program counts them.

Theory of operation. An item has a unit and a scale; inside the program its quantities are `int`
in 10**-scale of that unit. Text is converted exactly: every unit is a rational multiple of the
base unit of its dimension, so "1500 g" of an item counted in kg is 3/2 kg and never 1.4999 kg.
What cannot be represented at the item's scale is refused, not rounded: a silent rounding is a
wrong stock count. Floats are refused altogether; decimals in TOML are read as `Decimal`.

Fluid ounces are those of the United States; ounces and pounds are avoirdupois.
Source: NIST Handbook 44, appendix C (exact definitions of the inch, pound and gallon).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from stockpush.errors import QuantityInvalid, UnitMismatch
from stockpush.model import QUANTITY_MAX

SCALE_MAX = 6
"""Most decimal places that an item's quantities can have."""
TEXT_LENGTH_MAX = 64
"""Longest text that is read as a quantity."""


class Dimension(StrEnum):
    """What a unit measures."""

    COUNT = "count"
    MASS = "mass"
    VOLUME = "volume"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Unit:
    """`size` base units of its dimension (piece, g, ml, mm), exactly; `scale` is the default."""

    name: str
    dimension: Dimension
    size: Fraction
    scale: int


def _unit(name: str, dimension: Dimension, size: str, scale: int) -> Unit:
    return Unit(name, dimension, Fraction(size), scale)


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        unit.name: unit
        for unit in (
            _unit("piece", Dimension.COUNT, "1", 0),
            _unit("dozen", Dimension.COUNT, "12", 0),
            _unit("mg", Dimension.MASS, "0.001", 0),
            _unit("g", Dimension.MASS, "1", 0),
            _unit("kg", Dimension.MASS, "1000", 3),
            _unit("oz", Dimension.MASS, "28.349523125", 2),
            _unit("lb", Dimension.MASS, "453.59237", 3),
            _unit("ml", Dimension.VOLUME, "1", 0),
            _unit("cl", Dimension.VOLUME, "10", 1),
            _unit("l", Dimension.VOLUME, "1000", 3),
            _unit("fl oz", Dimension.VOLUME, "29.5735295625", 2),
            _unit("mm", Dimension.LENGTH, "1", 0),
            _unit("cm", Dimension.LENGTH, "10", 1),
            _unit("m", Dimension.LENGTH, "1000", 3),
            _unit("in", Dimension.LENGTH, "25.4", 2),
            _unit("ft", Dimension.LENGTH, "304.8", 3),
        )
    }
)
"""Every unit, by the one name under which items store it."""

_ALIASES: Mapping[str, str] = MappingProxyType(
    {"pc": "piece", "pcs": "piece", "pieces": "piece", "floz": "fl oz"}
)
_QUANTITY = re.compile(r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))\s*(?P<unit>[A-Za-z ]*)")
_EXPONENT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+.*")


def find_unit(name: str, *, field: str) -> Unit:
    """Return the unit called `name`, in any case and spacing, or by its plural or short form.

    Raises `QuantityInvalid` with the nearest unit there is.

    >>> find_unit("KG", field="unit").name
    'kg'
    """
    plain = " ".join(name.split()).casefold()
    unit = UNITS.get(_ALIASES.get(plain, plain))
    if unit is None:
        near = get_close_matches(plain, [*UNITS, *_ALIASES], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = "one of " + ", ".join(UNITS)
        raise QuantityInvalid(
            f"{field}: there is no unit {name.strip()!r}; expected {expected}{hint}",
            field=field,
            found=name,
            expected=expected,
        )
    return unit


def parse_quantity(
    given: object, *, unit: str, scale: int, field: str, signed: bool = False
) -> int:
    """Return `given` in smallest units (10**-`scale` of `unit`), within ±QUANTITY_MAX.

    `given` is text with or without a unit ("5", "2.5 kg", "1500 g"), an `int` or a `Decimal`; a
    bare number is in `unit`. A negative quantity needs `signed`. Raises `QuantityInvalid` for
    what is not a plain decimal number (floats, booleans, NaN, exponents), is out of bounds or is
    finer than the scale; `UnitMismatch` for a unit of another dimension. `field` names the place.

    >>> parse_quantity("1500 g", unit="kg", scale=3, field="quantity")
    1500
    >>> parse_quantity("-2", unit="piece", scale=0, field="quantity", signed=True)
    -2
    """
    own = find_unit(unit, field=field)
    number, written = _read(given, own=own, field=field)
    if written.dimension is not own.dimension:
        raise UnitMismatch(
            f"{field}: {written.name} measures {written.dimension}, but this item is counted in "
            f"{own.name} ({own.dimension})",
            field=field,
            found=_shown(given),
            expected=f"a quantity in {own.name} or another unit of {own.dimension}",
        )
    steps: int = 10**scale
    smallest = number * written.size / own.size * steps
    if smallest < 0 and not signed:
        raise _invalid(given, field, "a quantity of 0 or more")
    if abs(smallest) > QUANTITY_MAX:
        most = format_quantity(QUANTITY_MAX, scale)
        raise _invalid(given, field, f"at most {most} {own.name}")
    if smallest.denominator != 1:
        step = format_quantity(1, scale)
        raise _invalid(given, field, f"a multiple of the smallest step, {step} {own.name}")
    return smallest.numerator


def format_quantity(value: int, scale: int) -> str:
    """Return `value` smallest units as decimal text in the item's unit, without trailing zeros.

    >>> format_quantity(2500, 3)
    '2.5'
    >>> format_quantity(-70, 1)
    '-7'
    """
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), 10**scale)
    decimals = f"{rest:0{scale}d}".rstrip("0") if scale else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def _read(given: object, *, own: Unit, field: str) -> tuple[Fraction, Unit]:
    match given:
        case bool() | float():
            raise _invalid(given, field, "a whole number, or a decimal in quotes")
        case int():
            return Fraction(given), own
        case Decimal():
            return _read_decimal(given, field=field), own
        case str():
            return _read_text(given, own=own, field=field)
        case _:
            raise _invalid(given, field, "a number, or text such as '2.5 kg'")


def _read_decimal(given: Decimal, *, field: str) -> Fraction:
    if not given.is_finite():
        raise _invalid(given, field, "a finite number")
    exponent = given.as_tuple().exponent
    if not isinstance(exponent, int) or not -TEXT_LENGTH_MAX <= exponent <= 0:
        raise _invalid(given, field, "a plain decimal number without an exponent")
    return Fraction(given)


def _read_text(given: str, *, own: Unit, field: str) -> tuple[Fraction, Unit]:
    text = given.strip()
    if len(text) > TEXT_LENGTH_MAX:
        raise _invalid(given, field, f"at most {TEXT_LENGTH_MAX} characters")
    if _EXPONENT.fullmatch(text):
        raise _invalid(given, field, "a plain decimal number without an exponent")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise _invalid(given, field, "a number with a decimal point, such as '2.5' or '2.5 kg'")
    name = match["unit"]
    written = find_unit(name, field=field) if name.strip() else own
    return Fraction(match["number"]), written


def _invalid(given: object, field: str, expected: str) -> QuantityInvalid:
    found = _shown(given)
    return QuantityInvalid(
        f"{field}: found {found!r}, expected {expected}",
        field=field,
        found=found,
        expected=expected,
    )


def _shown(given: object) -> str:
    """Return what was given as short text that fits into one line and into JSON."""
    if isinstance(given, int) and abs(given) > 10**TEXT_LENGTH_MAX:
        return f"a number above 10**{TEXT_LENGTH_MAX}"
    text = str(given)
    return text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
