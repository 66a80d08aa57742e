"""Quantities as people write them, and as the program counts them.

Theory of operation. An item has a unit and a scale; inside the program its quantities are `int`
in 10**-scale of that unit. Text is converted exactly: every unit is a rational multiple of the
base unit of its dimension, so "1500 g" of an item counted in kg is 3/2 kg and never 1.4999 kg.
What cannot be represented at the item's scale is refused, not rounded: a silent rounding is a
wrong stock count. Floats are refused altogether; decimals in TOML are read as `Decimal`.

Besides the units that everybody knows, an item may have purchase units of its own ("box" for 144
pieces). They are looked up among the item's own only, in the singular or an English plural, so
that a box of wicks can never be typed for a box of tins.

Fluid ounces are those of the United States; ounces and pounds are avoirdupois.
Source: NIST Handbook 44, appendix C (exact definitions of the inch, pound and gallon).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from stockpush.errors import QuantityInvalid, UnitMismatch
from stockpush.model import DURATION_MAX_S, QUANTITY_MAX, SCRAP_OF_MAX, PurchaseUnit, Scrap

SCALE_MAX = 6
"""Most decimal places that an item's quantities can have."""
TEXT_LENGTH_MAX = 64
"""Longest text that is read as a quantity."""
_DURATIONS: Mapping[str, int] = {
    name: size_s
    for names, size_s in (
        ("s sec second seconds", 1),
        ("m min minute minutes", 60),
        ("h hour hours", 3600),
        ("d day days", 86_400),
        ("w week weeks", 7 * 86_400),
    )
    for name in names.split()
}
"""The seconds of each unit of a duration."""
PURCHASE_UNIT_LENGTH_MAX = 32
"""Longest name of a purchase unit."""


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
    {
        "pc": "piece",
        "pcs": "piece",
        "pieces": "piece",
        "dozens": "dozen",
        "gram": "g",
        "grams": "g",
        "ounce": "oz",
        "ounces": "oz",
        "lbs": "lb",
        "pound": "lb",
        "pounds": "lb",
        "litre": "l",
        "litres": "l",
        "liter": "l",
        "liters": "l",
        "floz": "fl oz",
        "metre": "m",
        "metres": "m",
        "meter": "m",
        "meters": "m",
        "inch": "in",
        "inches": "in",
        "foot": "ft",
        "feet": "ft",
    }
)
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))\s*(?P<unit>(?:[^\W\d_](?:[^\W\d_]|[ -])*)?)"
)
_PURCHASE_UNIT = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+)*")
_RATIO = re.compile(r"([0-9]+)\s*/\s*([0-9]+)")
_EXPONENT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+.*")


def find_unit(name: str, *, field: str) -> Unit:
    """Return the unit called `name`, in any case and spacing, or by its plural or short form.

    Raises `QuantityInvalid` with the nearest unit there is.

    >>> find_unit("KG", field="unit").name
    'kg'
    """
    plain = _plain(name)
    unit = _known(plain)
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


def purchase_unit_name(name: str, *, field: str) -> str:
    """Return the name of a purchase unit as it is kept: in lower case, single spaces.

    Raises `QuantityInvalid` for what is not words of letters, is too long, or means a unit that
    everybody knows already.

    >>> purchase_unit_name(" Half  Box ", field="purchase_units")
    'half box'
    """
    plain = _plain(name)
    if not _PURCHASE_UNIT.fullmatch(plain) or len(plain) > PURCHASE_UNIT_LENGTH_MAX:
        raise _invalid(name, field, f"a name of 1 to {PURCHASE_UNIT_LENGTH_MAX} letters, as 'box'")
    if _known(plain) is not None:
        raise _invalid(name, field, f"a name of your own: {plain} is a unit already")
    return plain


def spellings(name: str) -> tuple[str, ...]:
    """Return how a purchase unit may be typed, besides in other case and spacing.

    >>> spellings("box"), spellings("tray")
    (('box', 'boxs', 'boxes'), ('tray', 'trays', 'trayes', 'traies'))
    """
    plurals = (f"{name}s", f"{name}es")
    return (name, *plurals, f"{name[:-1]}ies") if name.endswith("y") else (name, *plurals)


def parse_quantity(
    given: object,
    *,
    unit: str,
    scale: int,
    field: str,
    signed: bool = False,
    zero: bool = True,
    purchase_units: Iterable[PurchaseUnit] = (),
) -> int:
    """Return `given` in smallest units (10**-`scale` of `unit`), within ±QUANTITY_MAX.

    `given` is text with or without a unit ("5", "2.5 kg", "1500 g", "2 boxes" where the item has
    that among its `purchase_units`), an `int` or a `Decimal`; a bare number is in `unit`. A
    negative quantity needs `signed`, and 0 is refused without `zero`. Raises `QuantityInvalid` for
    what is not a plain decimal number (floats, booleans, NaN, exponents), is out of bounds or is
    finer than the scale, and for a unit that the item does not have; `UnitMismatch` for a unit of
    another dimension. `field` names the place.

    >>> parse_quantity("1500 g", unit="kg", scale=3, field="quantity")
    1500
    >>> parse_quantity("-2", unit="piece", scale=0, field="quantity", signed=True)
    -2
    >>> box = PurchaseUnit("box", 144)
    >>> parse_quantity("2 boxes", unit="piece", scale=0, field="quantity", purchase_units=[box])
    288
    """
    own = find_unit(unit, field=field)
    number, written = _read(given, field=field)
    if written is None:
        size = Fraction(10**scale)
    else:
        try:
            size = _smallest_units(written, own, scale, purchase_units, field)
        except QuantityInvalid as error:
            error.found = _shown(given)
            raise
    smallest = number * size
    if smallest < 0 and not signed:
        raise _invalid(given, field, "a quantity of 0 or more" if zero else "more than 0")
    if smallest == 0 and not zero:
        raise _invalid(given, field, "a quantity other than 0" if signed else "more than 0")
    if abs(smallest) > QUANTITY_MAX:
        most = format_quantity(QUANTITY_MAX, scale)
        raise _invalid(given, field, f"at most {most} {own.name}")
    if smallest.denominator != 1:
        step = format_quantity(1, scale)
        raise _invalid(given, field, f"a multiple of the smallest step, {step} {own.name}")
    return smallest.numerator


def parse_scrap(given: object, *, field: str) -> Scrap:
    """Return the share that is lost on top of a quantity: "5%", "1/20", "0.05" or a number.

    Raises `QuantityInvalid` for what is no share from 0 to 1, or finer than SCRAP_OF_MAX parts.

    >>> parse_scrap("5%", field="scrap"), parse_scrap("1/30", field="scrap")
    (Scrap(lost=1, of=20), Scrap(lost=1, of=30))
    """
    expected = "a share from 0 to 1 that is lost, such as '5%' or '1/20'"
    text = given.strip() if isinstance(given, str) else ""
    ratio = _RATIO.fullmatch(text) if len(text) <= TEXT_LENGTH_MAX else None
    if ratio is not None and int(ratio[2]):
        share = Fraction(int(ratio[1]), int(ratio[2]))
    else:
        percent = text.endswith("%")
        number, unit = _read(text[:-1] if percent else given, field=field)
        if unit is not None:
            raise _invalid(given, field, expected)
        share = number / 100 if percent else number
    if not 0 <= share <= 1:
        raise _invalid(given, field, expected)
    if share.denominator > SCRAP_OF_MAX:
        raise _invalid(given, field, f"a share in parts of at most {SCRAP_OF_MAX}")
    return Scrap(share.numerator, share.denominator)


def format_scrap(scrap: Scrap) -> str:
    """Return a scrap as people write it: in percent where that comes out even.

    >>> format_scrap(Scrap(1, 20)), format_scrap(Scrap(1, 30))
    ('5%', '1/30')
    """
    percent = Fraction(100 * scrap.lost, scrap.of)
    steps: int = 10**SCALE_MAX
    if (percent * steps).denominator != 1:
        return f"{scrap.lost}/{scrap.of}"
    return f"{format_quantity(int(percent * steps), SCALE_MAX)}%"


def parse_duration(given: object, *, field: str) -> int:
    """Return the seconds of a duration: "6 weeks", "3 days", "2h", "90 min"; 0 needs no unit.

    Raises `QuantityInvalid` for anything else, for parts of a second and for more than
    DURATION_MAX_S.

    >>> parse_duration("6 weeks", field="build_time"), parse_duration("1.5 h", field="build_time")
    (3628800, 5400)
    """
    expected = (
        "a duration from 0 to "
        f"{format_duration(DURATION_MAX_S)}, such as '6 weeks', '3 days' or '2h'"
    )
    try:
        number, unit = _read(given, field=field)
    except QuantityInvalid:
        raise _invalid(given, field, expected) from None
    size_s = _DURATIONS.get(_plain(unit or ""))
    if size_s is None and (number or unit is not None):
        raise _invalid(given, field, expected)
    seconds = number * (size_s or 0)
    if seconds.denominator != 1 or not 0 <= seconds <= DURATION_MAX_S:
        raise _invalid(given, field, expected)
    return int(seconds)


def format_duration(seconds: int) -> str:
    """Return a duration as people say it, in the largest of days, hours ... that comes out even.

    >>> format_duration(3628800), format_duration(5400), format_duration(3600)
    ('42 days', '90 minutes', '1 hour')
    """
    for name, size_s in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, size_s)
        if count and not rest:
            return f"{count} {name}{'s' if count != 1 else ''}"
    return "0 days" if not seconds else f"{seconds} second{'s' if seconds != 1 else ''}"


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


def _plain(name: str) -> str:
    """Return the name of a unit in the form in which it is looked up."""
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def _known(plain: str) -> Unit | None:
    """Return the unit that everybody knows by this name."""
    return UNITS.get(_ALIASES.get(plain, plain))


def is_unit(name: str, purchase_units: Iterable[PurchaseUnit] = ()) -> bool:
    """Answer whether it is a unit: one that everybody knows, or one of an item's `purchase_units`.

    >>> is_unit("kg"), is_unit("sacks"), is_unit("sacks", [PurchaseUnit("sack", 25000)])
    (True, False, True)
    """
    plain = _plain(name)
    return _known(plain) is not None or any(
        plain in spellings(each.name) for each in purchase_units
    )


def _smallest_units(
    name: str, own: Unit, scale: int, purchase_units: Iterable[PurchaseUnit], field: str
) -> Fraction:
    """Return how many smallest units of an item one of the unit called `name` is."""
    plain = _plain(name)
    written = _known(plain)
    if written is None:
        offered = {word: each for each in purchase_units for word in spellings(each.name)}
        if plain in offered:
            return Fraction(offered[plain].size)
        raise _no_such_unit(name, own, dict.fromkeys(each.name for each in offered.values()), field)
    if written.dimension is not own.dimension:
        raise UnitMismatch(
            f"{field}: {written.name} measures {written.dimension}, but this item is counted in "
            f"{own.name} ({own.dimension})",
            field=field,
            expected=f"a quantity in {own.name} or another unit of {own.dimension}",
        )
    steps: int = 10**scale
    return written.size / own.size * steps


def _no_such_unit(name: str, own: Unit, purchased: Iterable[str], field: str) -> QuantityInvalid:
    """Return the refusal of a unit that the item does not have, with what it has and the nearest.

    One that is nobody's unit is most likely mistyped; or it is another item's.
    """
    usable = [
        *purchased,
        *(each.name for each in UNITS.values() if each.dimension is own.dimension),
    ]
    near = get_close_matches(_plain(name), [*usable, *UNITS, *_ALIASES], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    expected = "one of " + ", ".join(usable)
    shown = _shown(" ".join(name.split()))
    return QuantityInvalid(
        f"{field}: there is no unit {shown!r} of this item, which is counted in {own.name}; "
        f"expected {expected}{hint}",
        field=field,
        expected=expected,
    )


def _read(given: object, *, field: str) -> tuple[Fraction, str | None]:
    """Return the number, and the unit as it was written, if one was."""
    match given:
        case bool() | float():
            raise _invalid(given, field, "a whole number, or a decimal in quotes")
        case int():
            return Fraction(given), None
        case Decimal():
            return _read_decimal(given, field=field), None
        case str():
            return _read_text(given, field=field)
        case _:
            raise _invalid(given, field, "a number, or text such as '2.5 kg'")


def _read_decimal(given: Decimal, *, field: str) -> Fraction:
    if not given.is_finite():
        raise _invalid(given, field, "a finite number")
    exponent = given.as_tuple().exponent
    if not isinstance(exponent, int) or not -TEXT_LENGTH_MAX <= exponent <= 0:
        raise _invalid(given, field, "a plain decimal number without an exponent")
    return Fraction(given)


def _read_text(given: str, *, field: str) -> tuple[Fraction, str | None]:
    text = unicodedata.normalize("NFC", given.strip())
    if len(text) > TEXT_LENGTH_MAX:
        raise _invalid(given, field, f"at most {TEXT_LENGTH_MAX} characters")
    if _EXPONENT.fullmatch(text):
        raise _invalid(given, field, "a plain decimal number without an exponent")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise _invalid(given, field, "a number with a decimal point, such as '2.5' or '2.5 kg'")
    return Fraction(match["number"]), match["unit"].strip() or None


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
