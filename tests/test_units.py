"""Quantities: what people may type, what it becomes, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.errors import QuantityInvalid, UnitMismatch
from stockpush.model import DURATION_MAX_S, QUANTITY_MAX, PurchaseUnit
from stockpush.units import (
    PURCHASE_UNIT_LENGTH_MAX,
    SCALE_MAX,
    UNITS,
    Dimension,
    find_unit,
    format_duration,
    format_quantity,
    format_scrap,
    parse_duration,
    parse_quantity,
    parse_scrap,
    purchase_unit_name,
    spellings,
)

SCALES = st.integers(min_value=0, max_value=SCALE_MAX)
QUANTITIES = st.integers(min_value=-QUANTITY_MAX, max_value=QUANTITY_MAX)


@pytest.mark.parametrize(
    ("given_", "unit", "scale", "smallest"),
    [
        ("5", "piece", 0, 5),
        (" 5 pcs ", "piece", 0, 5),
        ("2 dozen", "piece", 0, 24),
        ("24 pieces", "dozen", 0, 2),
        ("2.5", "kg", 3, 2500),
        (".5", "kg", 3, 500),
        ("2.500", "kg", 1, 25),
        ("5kg", "g", 0, 5000),
        ("5 KG", "g", 0, 5000),
        ("1500 g", "kg", 3, 1500),
        ("250 mg", "g", 2, 25),
        ("1 lb", "oz", 2, 1600),
        ("1 lb", "g", 5, 45359237),
        ("1 floz", "fl oz", 2, 100),
        ("2 FL  OZ", "fl oz", 2, 200),
        ("75 cl", "l", 3, 750),
        ("1 ft", "in", 2, 1200),
        ("1 in", "mm", 1, 254),
        ("2 inches", "cm", 2, 508),
        ("3 feet", "in", 0, 36),
        ("2 pounds", "oz", 0, 32),
        ("0.5 litres", "ml", 0, 500),
        ("1.5 metres", "cm", 0, 150),
        ("16 fl oz", "ml", 7, 4731764730),
        ("3 dozens", "piece", 0, 36),
        ("+3", "piece", 0, 3),
        ("0", "piece", 0, 0),
        ("-0", "piece", 0, 0),
        (7, "kg", 3, 7000),
        (Decimal("2.5"), "kg", 3, 2500),
        (Decimal("2.5000"), "kg", 1, 25),
        (QUANTITY_MAX, "piece", 0, QUANTITY_MAX),
    ],
)
def test_reads_what_people_write(given_: object, unit: str, scale: int, smallest: int) -> None:
    """Text, whole numbers and decimals convert exactly, in any unit of the item's dimension."""
    assert parse_quantity(given_, unit=unit, scale=scale, field="quantity") == smallest


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("", "a number"),
        ("five", "a number"),
        ("2,5", "decimal point"),
        ("1 000", "a number"),
        ("5.", "a number"),
        ("--5", "a number"),
        ("\u0665", "a number"),
        ("1_000", "a number"),
        ("0x10", "a number"),
        ("nan", "a number"),
        ("inf", "a number"),
        ("1e3", "without an exponent"),
        ("1.5E-2 kg", "without an exponent"),
        ("1" * 65, "at most 64 characters"),
        ("-1", "0 or more"),
        (-1, "0 or more"),
        ("0.5", "smallest step, 1 piece"),
        (Decimal("0.5"), "smallest step, 1 piece"),
        (Decimal("NaN"), "finite"),
        (Decimal("Infinity"), "finite"),
        (Decimal("1E+3"), "without an exponent"),
        (Decimal("1E-99999"), "without an exponent"),
        (True, "a whole number"),
        (1.0, "a whole number"),
        (None, "a number"),
        ([5], "a number"),
        (QUANTITY_MAX + 1, "at most 1000000000000000 piece"),
        pytest.param(10**5000, "at most 1000000000000000 piece", id="5001 digits"),
    ],
)
def test_refuses_what_is_not_a_quantity(given_: object, expected: str) -> None:
    """A refusal names the field, what was found and what was expected."""
    with pytest.raises(QuantityInvalid) as caught:
        parse_quantity(given_, unit="piece", scale=0, field="items[1].on_hand")
    assert caught.value.field == "items[1].on_hand"
    assert caught.value.message.startswith("items[1].on_hand: found ")
    assert expected in str(caught.value.expected)
    assert isinstance(caught.value.found, str)


def test_refuses_another_dimension_naming_both_units() -> None:
    """Millilitres are not grams: both units and their dimensions are named."""
    with pytest.raises(UnitMismatch) as caught:
        parse_quantity("5 ml", unit="g", scale=0, field="quantity")
    for word in ("ml", "volume", "g", "mass"):
        assert word in caught.value.message


def test_refuses_an_unknown_unit_with_the_nearest() -> None:
    """A mistyped unit is answered with the one that was probably meant."""
    with pytest.raises(QuantityInvalid, match="did you mean 'dozen'"):
        parse_quantity("2 dozn", unit="piece", scale=0, field="quantity")


# -- purchase units -----------------------------------------------------------------------------

BOX = PurchaseUnit("box", 144)
SPOOL = PurchaseUnit("spool", 25_000)
TRAY = PurchaseUnit("half tray", 6)


@pytest.mark.parametrize(
    ("given_", "unit", "scale", "bought", "smallest"),
    [
        ("2 box", "piece", 0, [BOX], 288),
        ("2 boxes", "piece", 0, [BOX], 288),
        ("2Boxes", "piece", 0, [BOX], 288),
        ("0.5 box", "piece", 0, [BOX], 72),
        ("0.125 box", "piece", 0, [BOX], 18),
        ("-1 box", "piece", 0, [BOX], -144),
        ("1 dozen", "piece", 0, [BOX], 12),
        ("3", "piece", 0, [BOX], 3),
        ("2 spools", "m", 3, [SPOOL], 50_000),
        ("0.001 spool", "m", 3, [SPOOL], 25),
        ("3  half  trays", "piece", 0, [BOX, TRAY], 18),
        ("2 K\u00e4sten", "piece", 0, [PurchaseUnit("k\u00e4sten", 20)], 40),
        ("2 Ka\u0308sten", "piece", 0, [PurchaseUnit("k\u00e4sten", 20)], 40),
    ],
)
def test_reads_the_units_that_an_item_is_bought_in(
    given_: str, unit: str, scale: int, bought: list[PurchaseUnit], smallest: int
) -> None:
    """A box is so many of this item, in the singular or plural, also parts of one, exactly."""
    read = parse_quantity(
        given_, unit=unit, scale=scale, field="quantity", signed=True, purchase_units=bought
    )
    assert read == smallest


@pytest.mark.parametrize(
    ("given_", "bought", "message"),
    [
        ("2 boxs", [], "there is no unit 'boxs' of this item, which is counted in piece"),
        ("2 box", [], "expected one of piece, dozen"),
        ("2 bx", [BOX], "expected one of box, piece, dozen; did you mean 'box'?"),
        ("2 spool", [BOX], "there is no unit 'spool' of this item, which is counted in piece"),
        ("2 kilos", [BOX], "counted in piece"),
        ("2 box", [SPOOL, TRAY], "expected one of spool, half tray, piece, dozen"),
        ("0.1 box", [BOX], "multiple of the smallest step, 1 piece"),
        ("10000000000000 boxes", [BOX], "at most 1000000000000000 piece"),
        ("2 kg", [BOX], "kg measures mass, but this item is counted in piece (count)"),
        ("2 box box", [BOX], "there is no unit 'box box'"),
        ("2 " + "a" * 60 + "-", [BOX], "no unit"),
    ],
)
def test_refuses_a_unit_that_is_not_the_items(
    given_: str, bought: list[PurchaseUnit], message: str
) -> None:
    """Another item's box is none of this one: both units are named, and the nearest it has."""
    with pytest.raises(QuantityInvalid) as caught:
        parse_quantity(given_, unit="piece", scale=0, field="quantity", purchase_units=bought)
    assert message in caught.value.message
    assert caught.value.found == given_
    assert caught.value.expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "letters"),
        ("box2", "letters"),
        ("box of 144", "letters"),
        ("-box", "letters"),
        ("b" * (PURCHASE_UNIT_LENGTH_MAX + 1), "letters"),
        ("kg", "kg is a unit already"),
        ("Dozens", "dozens is a unit already"),
        (" fl  oz", "fl oz is a unit already"),
    ],
)
def test_a_name_that_cannot_be_a_purchase_unit(name: str, message: str) -> None:
    """A name is words of letters, and none that means something else everywhere."""
    with pytest.raises(QuantityInvalid, match=message):
        purchase_unit_name(name, field="purchase_units")


@given(
    value=st.integers(min_value=-(10**6), max_value=10**6),
    size=st.integers(min_value=1, max_value=10**6),
    word=st.sampled_from(spellings("box")),
)
@settings(max_examples=200)
def test_so_many_boxes_are_so_many_times_one(value: int, size: int, word: str) -> None:
    """N boxes are N times the size of one, as a whole number, whatever the spelling."""
    box = [PurchaseUnit("box", size)]
    typed = {"unit": "piece", "scale": 0, "field": "q", "signed": True, "purchase_units": box}
    read = parse_quantity(f"{value} {word}", **typed)
    assert type(read) is int
    assert read == value * parse_quantity("1 box", **typed)


@given(
    number=st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False),
    unit=st.sampled_from(sorted(UNITS)),
    scale=SCALES,
)
@settings(max_examples=200)
def test_a_quantity_is_never_a_float(number: Decimal, unit: str, scale: int) -> None:
    """What is read is a whole number of smallest units that is exactly what was written."""
    try:
        read = parse_quantity(f"{number:f}", unit=unit, scale=scale, field="q")
    except QuantityInvalid:
        assert number.scaleb(scale) % 1 != 0
        return
    assert type(read) is int
    assert Decimal(read).scaleb(-scale) == number


# -- durations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "seconds", "shown"),
    [
        ("6 weeks", 3_628_800, "42 days"),
        ("1w", 604_800, "7 days"),
        (" 3 Days ", 259_200, "3 days"),
        ("1 d", 86_400, "1 day"),
        ("36h", 129_600, "36 hours"),
        ("1.5 h", 5400, "90 minutes"),
        ("90 min", 5400, "90 minutes"),
        ("1 m", 60, "1 minute"),
        ("61 s", 61, "61 seconds"),
        ("0", 0, "0 days"),
        (0, 0, "0 days"),
        ("3650 days", DURATION_MAX_S, "3650 days"),
    ],
)
def test_reads_a_duration(given_: object, seconds: int, shown: str) -> None:
    """In the units that people say; it is said again in the largest that comes out even."""
    assert parse_duration(given_, field="horizon") == seconds
    assert format_duration(seconds) == shown
    assert parse_duration(shown, field="horizon") == seconds


@pytest.mark.parametrize(
    "given_", ["6", 6, "", "weeks", "6 moons", "-1 d", "1/2 d", "0.1 s", "3651 days", 1.5, True]
)
def test_refuses_what_is_no_duration(given_: object) -> None:
    """A number alone is not taken for days or weeks, and nothing takes longer than ten years."""
    with pytest.raises(QuantityInvalid, match="a duration from 0 to 3650 days"):
        parse_duration(given_, field="horizon")


# -- scrap ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "scrap", "shown"),
    [
        ("5%", (1, 20), "5%"),
        (" 2.5 % ", (1, 40), "2.5%"),
        ("0.05", (1, 20), "5%"),
        (Decimal("0.05"), (1, 20), "5%"),
        ("1/20", (1, 20), "5%"),
        ("1 / 30", (1, 30), "1/30"),
        ("0%", (0, 1), "0%"),
        (0, (0, 1), "0%"),
        ("100%", (1, 1), "100%"),
        (1, (1, 1), "100%"),
        ("0.0001%", (1, 10**6), "0.0001%"),
        ("1/1000000", (1, 10**6), "0.0001%"),
    ],
)
def test_reads_how_much_is_lost(given_: object, scrap: tuple[int, int], shown: str) -> None:
    """A percentage, a ratio or a decimal is the same share exactly, in lowest terms."""
    assert parse_scrap(given_, field="scrap") == scrap
    assert format_scrap(parse_scrap(given_, field="scrap")) == shown


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("5", "from 0 to 1"),
        (5, "from 0 to 1"),
        ("-5%", "from 0 to 1"),
        ("101%", "from 0 to 1"),
        ("1/0", "such as"),
        ("2/1", "from 0 to 1"),
        ("5 g", "such as '5%'"),
        ("5 g%", "such as '5%'"),
        ("%", "a number"),
        ("", "a number"),
        (0.05, "a decimal in quotes"),
        (True, "a whole number"),
        ("0.00001%", "at most 1000000"),
        ("1/1000001", "at most 1000000"),
    ],
)
def test_refuses_what_is_no_share(given_: object, expected: str) -> None:
    """A bare 5 is not taken for 5 %: nobody knows what was meant."""
    with pytest.raises(QuantityInvalid) as caught:
        parse_scrap(given_, field="scrap")
    assert expected in str(caught.value.expected)


def test_says_the_smallest_step() -> None:
    """A number finer than the scale is refused with the step, never rounded."""
    with pytest.raises(QuantityInvalid, match=r"smallest step, 0\.001 kg"):
        parse_quantity("0.0005", unit="kg", scale=3, field="quantity")


def test_a_negative_needs_to_be_asked_for() -> None:
    """An adjustment may be negative down to the bound, and not below it."""
    assert parse_quantity("-3", unit="piece", scale=0, field="q", signed=True) == -3
    assert parse_quantity(-QUANTITY_MAX, unit="g", scale=0, field="q", signed=True) == -QUANTITY_MAX
    with pytest.raises(QuantityInvalid):
        parse_quantity(-QUANTITY_MAX - 1, unit="g", scale=0, field="q", signed=True)


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (7, 0, "7"),
        (70, 0, "70"),
        (2500, 3, "2.5"),
        (7000, 3, "7"),
        (5, 3, "0.005"),
        (-5, 1, "-0.5"),
        (0, 6, "0"),
        (10**15, 6, "1000000000"),
    ],
)
def test_formats_as_plain_decimals(value: int, scale: int, text: str) -> None:
    """Quantities print without trailing zeros and never with an exponent."""
    assert format_quantity(value, scale) == text


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("piece", 0),
        ("g", 0),
        ("ml", 0),
        ("oz", 2),
        ("fl oz", 2),
        ("kg", 3),
        ("l", 3),
        ("lb", 3),
        ("m", 3),
    ],
)
def test_default_scales(unit: str, scale: int) -> None:
    """Each unit has the number of decimals that makers use with it."""
    assert find_unit(unit, field="unit").scale == scale


@given(value=QUANTITIES, scale=SCALES, unit=st.sampled_from(sorted(UNITS)))
@settings(max_examples=200)
def test_printed_quantities_read_back(value: int, scale: int, unit: str) -> None:
    """What is printed, with or without its unit, is read back as the same quantity."""
    text = format_quantity(value, scale)
    for written in (text, f"{text} {unit}", f"{text}{unit}"):
        assert parse_quantity(written, unit=unit, scale=scale, field="q", signed=True) == value


@given(
    pair=st.tuples(QUANTITIES, QUANTITIES).map(sorted),
    scale=SCALES,
    unit=st.sampled_from(sorted(UNITS)),
)
@settings(max_examples=200)
def test_order_is_kept(pair: list[int], scale: int, unit: str) -> None:
    """A larger quantity never reads as a smaller one."""
    low, high = (
        parse_quantity(
            Decimal(value).scaleb(-scale), unit=unit, scale=scale, field="q", signed=True
        )
        for value in pair
    )
    assert (low < high) == (pair[0] < pair[1])


@given(
    value=st.integers(min_value=0, max_value=10**9),
    units=st.sampled_from(
        [
            (one, two)
            for dimension in Dimension
            for one in sorted(UNITS)
            for two in sorted(UNITS)
            if UNITS[one].dimension is UNITS[two].dimension is dimension
        ]
    ),
)
@settings(max_examples=200)
def test_conversion_is_exact_or_refused(value: int, units: tuple[str, str]) -> None:
    """Converting there and back gives the same number, or the first step was refused."""
    there, back = units
    try:
        converted = parse_quantity(f"{value} {there}", unit=back, scale=6, field="q")
    except QuantityInvalid:
        return
    text = f"{format_quantity(converted, 6)} {back}"
    assert parse_quantity(text, unit=there, scale=0, field="q") == value


@given(text=st.text(max_size=80))
@settings(max_examples=200)
def test_any_text_is_read_or_refused_cleanly(text: str) -> None:
    """Whatever is typed either is a bounded quantity or raises `QuantityInvalid`."""
    try:
        value = parse_quantity(text, unit="kg", scale=3, field="q")
    except QuantityInvalid:
        return
    assert 0 <= value <= QUANTITY_MAX
