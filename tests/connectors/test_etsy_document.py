"""Etsy's stock document: read, and sent back with nothing changed but quantities."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors.etsy.document import (
    OTHER_NUMBERS,
    body_of,
    differs,
    numbers,
    price,
    sells_something,
    with_numbers,
    write_params,
)
from stockpush.connectors.etsy.wire import Document, Money
from stockpush.connectors.payload import decode
from stockpush.errors import PayloadInvalid
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import needs_contract, sample

GOLDEN = ("inventory_plain", "inventory_scents", "inventory_three", "inventory_yen")


def read(body: bytes) -> Document:
    """Decode a document."""
    return decode(body, Document, what="inventory")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_document_goes_back_as_the_golden_file_says(name: str):
    """Byte for byte what was agreed upon: stripped, converted, and with its new quantities."""
    document = read(sample(name))
    targets = json.loads(sample(f"sent/{name}.targets"))
    sent = body_of(with_numbers(1001, document, targets))
    assert sent == sample(f"sent/{name}.put")


@needs_contract
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_are_of_etsys_schema(name: str):
    """What is read and what is sent are both as the document says."""
    etsy_contract.validate(json.loads(sample(name)), "ListingInventory")
    _, operation = etsy_contract.operation("PUT", "/v3/application/listings/1/inventory")
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    etsy_contract._validate(json.loads(sample(f"sent/{name}.put")), schema)


def test_numbers_are_those_that_buyers_see():
    """A hidden offering counts only where its field has no other; deleted ones never."""
    document = read(sample("inventory_scents"))
    assert numbers(1001, document) == {
        "1001:200=lavender": 5, "1001:200=mint": 0, "1001:200=winter+%26+fir": 4,
    }  # fmt: skip
    assert numbers(1001, read(sample("inventory_three"))) == {"1001": 12}


def test_a_field_that_holds_two_numbers_has_none():
    """Two shown products of one field that differ: nobody can say which is right."""
    told = json.loads(sample("inventory_three"))
    told["products"][0]["offerings"][0]["quantity"] = 11
    assert numbers(1001, read(json.dumps(told).encode())) == {"1001": None}


def test_only_shown_quantities_sell():
    """A hidden product's units are nothing that a buyer sees."""
    document = read(sample("inventory_scents"))
    zero = with_numbers(1001, document, dict.fromkeys(numbers(1001, document), 0))
    assert sells_something(document)
    assert not sells_something(zero)
    hidden = with_numbers(1001, zero, {"1001:200=winter+%26+fir": 4})
    assert not sells_something(hidden)


def test_three_properties_are_said_to_be_known():
    """Only where there are three: others need no word."""
    assert write_params(read(sample("inventory_three"))) == (("max_variations_supported", "3"),)
    assert write_params(read(sample("inventory_scents"))) == ()


@pytest.mark.parametrize(
    ("amount", "divisor", "text"),
    [
        (2450, 100, b"24.50"),
        (20, 100, b"0.20"),
        (1999, 100, b"19.99"),
        (1200, 1, b"1200"),
        (12345, 1000, b"12.345"),
        (99_999_999_999, 100, b"999999999.99"),
    ],
)
def test_a_price_keeps_the_digits_of_its_currency(amount: int, divisor: int, text: bytes):
    """Computed and written as a decimal: a thing never costs what it did not."""
    made = price(Money(amount, divisor))
    assert msgspec.json.Encoder(decimal_format="number").encode(made) == text


@pytest.mark.parametrize("divisor", [3, 25, 50, 0])
def test_a_price_without_digits_is_never_invented(divisor: int):
    """A divisor that is no power of ten is refused before anything is written."""
    told = json.loads(sample("inventory_plain"))
    told["products"][0]["offerings"][0]["price"]["divisor"] = divisor
    body = json.dumps(told).encode()
    with pytest.raises(PayloadInvalid):
        body_of(read(body))


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_NUMBER = st.integers(1, 2**53)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a document as Etsy could show it."""
    properties = draw(st.lists(st.integers(1, 600), max_size=3, unique=True))
    count = draw(st.integers(1, 5)) if properties else 1
    products = [
        {
            "product_id": draw(_NUMBER),
            "sku": draw(_TEXT),
            "is_deleted": draw(st.booleans()) and index > 0,
            "offerings": [
                {
                    "offering_id": draw(_NUMBER),
                    "quantity": draw(st.integers(0, 999)),
                    "is_enabled": draw(st.booleans()),
                    "is_deleted": False,
                    "price": {
                        "amount": draw(st.integers(20, 5_000_000)),
                        "divisor": draw(st.sampled_from([1, 100, 1000])),
                        "currency_code": "EUR",
                    },
                    "readiness_state_id": draw(st.none() | _NUMBER),
                }
            ],
            "property_values": [
                {
                    "property_id": number,
                    "property_name": draw(st.none() | _TEXT),
                    "scale_id": draw(st.none() | _NUMBER),
                    "scale_name": draw(st.none() | _TEXT),
                    "value_ids": draw(st.lists(_NUMBER, max_size=2)),
                    "values": [f"{index} {draw(_TEXT)}"],
                }
                for number in properties
            ],
        }
        for index in range(count)
    ]
    subset = st.lists(st.sampled_from(properties), unique=True) if properties else st.just([])
    return {
        "products": products,
        "price_on_property": draw(subset),
        "quantity_on_property": draw(subset),
        "sku_on_property": draw(subset),
        "readiness_state_on_property": draw(subset),
    }


def without_quantities(products: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return written products without the one thing that may change."""
    return [
        {
            **product,
            "offerings": [
                {key: value for key, value in each.items() if key != "quantity"}
                for each in product["offerings"]
            ],
        }
        for product in products
    ]


def as_written(product: dict[str, Any]) -> dict[str, Any]:
    """Return a read product as it must be written: by hand, apart from the code under test."""
    return {
        "sku": product["sku"],
        "property_values": [
            {
                key: value
                for key, value in each.items()
                if key != "scale_name" and not (key == "property_name" and value is None)
            }
            for each in product["property_values"]
        ],
        "offerings": [
            {
                "price": Decimal(each["price"]["amount"]) / Decimal(each["price"]["divisor"]),
                "quantity": each["quantity"],
                "is_enabled": each["is_enabled"],
                "readiness_state_id": each["readiness_state_id"],
            }
            for each in product["offerings"]
        ],
    }


@given(told=documents(), data=st.data())
def test_nothing_but_quantities_changes_on_the_way(told: dict[str, Any], data: st.DataObject):
    """For any document and any targets: the rest goes back as it came, and the targets arrive."""
    document = read(json.dumps(told).encode())
    fields = numbers(1001, document)
    targets = data.draw(
        st.dictionaries(st.sampled_from(sorted(fields)), st.integers(0, 999), max_size=4)
        if fields
        else st.just({})
    )
    sent = json.loads(body_of(with_numbers(1001, document, targets)), parse_float=Decimal)
    expected = [as_written(each) for each in told["products"] if not each["is_deleted"]]
    assert without_quantities(sent["products"]) == without_quantities(expected)
    assert {key: sent[key] for key in sent if key != "products"} == {
        key: told[key] for key in told if key != "products"
    }
    after = numbers(1001, with_numbers(1001, document, targets))
    assert {key: after[key] for key in targets} == targets
    untouched = {key: number for key, number in fields.items() if key not in targets}
    assert {key: after[key] for key in untouched} == untouched


@given(told=documents())
def test_what_differs_is_found_and_order_is_no_difference(told: dict[str, Any]):
    """New ids, other quantities and another order are no difference; a price is."""
    before = read(json.dumps(told).encode())
    changed = json.loads(json.dumps(told))
    changed["products"].reverse()
    for product in changed["products"]:
        product["product_id"] += 1
        product["offerings"][0]["quantity"] = 3
    assert compared(before, changed) is None
    shown = next(each for each in changed["products"] if not each["is_deleted"])
    shown["offerings"][0]["price"]["amount"] += 1
    assert compared(before, changed) == "products"


def compared(sent: Document, saved: dict[str, Any]) -> str | None:
    """Return what differs where every number of the listing is ours."""
    after = read(json.dumps(saved).encode())
    return differs(1001, sent, after, ours=numbers(1001, sent).keys() | numbers(1001, after).keys())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda told: told["products"][0].update(sku="OTHER"), "products"),
        (lambda told: told["products"].pop(0), "products"),
        (lambda told: told["products"][0]["offerings"][0].update(is_enabled=False), "products"),
        (lambda told: told["products"][0]["property_values"][0].update(values=["X"]), "products"),
        (
            lambda told: told["products"][0]["offerings"][0].update(readiness_state_id=8),
            "products",
        ),
        (lambda told: value(told).update(value_ids=[4711]), "products"),
        (lambda told: value(told).update(property_name="Smell"), "products"),
        (lambda told: value(told).update(scale_id=5), "products"),
        (lambda told: told.update(price_on_property=[]), "price_on_property"),
        (lambda told: told.update(quantity_on_property=[]), "quantity_on_property"),
    ],
)
def test_each_part_of_a_document_is_compared(change: Any, what: str):
    """F31: what is not a quantity and differs is named."""
    told = json.loads(sample("inventory_scents"))
    before = read(json.dumps(told).encode())
    change(told)
    assert compared(before, told) == what


def value(told: dict[str, Any]) -> dict[str, Any]:
    """Return the first value of the first product."""
    return told["products"][0]["property_values"][0]


def test_a_name_that_was_not_sent_is_no_difference():
    """Etsy takes no name that is null, so none goes out, and one may come back."""
    told = json.loads(sample("inventory_scents"))
    for product in told["products"]:
        product["property_values"][0]["property_name"] = None
    before = read(json.dumps(told).encode())
    value(told)["property_name"] = "Scent"
    assert compared(before, told) is None


def test_numbers_that_are_not_ours_are_compared_with_what_was_sent():
    """Only what the write was for may differ: whether that arrived, each line tells."""
    told = json.loads(sample("inventory_scents"))
    sent = read(json.dumps(told).encode())
    ours = "1001:200=lavender"
    told["products"][0]["offerings"][0]["quantity"] = 77
    changed = read(json.dumps(told).encode())
    assert differs(1001, sent, changed, ours={ours}) is None
    assert differs(1001, sent, changed, ours={"1001:200=mint"}) == OTHER_NUMBERS


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b"\xff", b'{"products":null}', b'{"products":[{}]}',
        b'{"products":[{"offerings":[{"quantity":-1,"is_enabled":true,"price":{"amount":1,"divisor":1}}]}]}',
        b'{"products":[{"offerings":[{"quantity":1.5,"is_enabled":true,"price":{"amount":1,"divisor":1}}]}]}',
        b'{"products":[{"offerings":[{"quantity":true,"is_enabled":true,"price":{"amount":1,"divisor":1}}]}]}',
        b'{"products":[{"offerings":[{"quantity":1,"is_enabled":1,"price":{"amount":1,"divisor":1}}]}]}',
        b'{"products":[{"offerings":[{"quantity":1,"is_enabled":true,"price":24.5}]}]}',
    ],
)  # fmt: skip
def test_a_document_of_another_shape_cannot_be_read(body: bytes):
    """It is never written back."""
    with pytest.raises(PayloadInvalid):
        read(body)
