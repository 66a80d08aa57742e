"""Verifiers, decoder, order parsers and polls, for any bytes: the judge is judging.py.

What every platform is asked alike, bit by bit and answer by answer, is in tests/contract.
"""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpush.connectors.base import Connector
from tests.hostile import judging
from tests.hostile.judging import SHOPIFY, TARGETS, WOO, Target, encoded_seed, mutated, samples

NAMES = [target.name for target in TARGETS]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["id", "line_items", "quantity", "data", "orders"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                ["id", "order_id", "status", "line_items", "manage_stock", "refunds"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_good_input_is_understood(target: Target) -> None:
    """The seeds are what each parser is for: were they all refused, the rest would say nothing."""
    understood = [target.judge(encoded_seed(seed)) for seed in target.seeds]
    assert sum(each is not None for each in understood) >= len(understood) * 0.75


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@given(body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100)
def test_any_bytes_are_understood_or_refused(target: Target, body: bytes) -> None:
    """Nothing but a refusal comes out of what is no order."""
    target.judge(body)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@given(data=st.data())
@settings(max_examples=60)
def test_spoilt_input_is_understood_or_refused(target: Target, data: st.DataObject) -> None:
    """Good input with some of its values replaced, repeated, cut or gone, shrunk if it falls."""
    seed = target.seeds[data.draw(st.integers(0, len(target.seeds) - 1))]
    target.judge(mutated(seed, lambda count: data.draw(st.integers(0, count - 1))))


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_much_spoilt_input_is_understood_or_refused(target: Target) -> None:
    """The same wholesale: dice are quicker than Hypothesis, and do not shrink."""
    dice = random.Random(target.name)
    for _ in range(2000):
        target.judge(mutated(dice.choice(target.seeds), dice.randrange))


def test_units_that_add_up_to_more_than_can_be_are_refused() -> None:
    """Each fulfilment may tell as many units as a number may have: their sum may not."""
    order = next(each for each in samples("shopify") if each.get("refunds") == [])
    (line, *_) = order["line_items"]
    for fulfilments, understood in ((1, True), (2, False)):
        part = {"status": "success", "line_items": [{"id": line["id"], "quantity": 10**9}]}
        body = encoded_seed(order | {"fulfillments": [part] * fulfilments})
        assert (judging.delivery(SHOPIFY, body) is not None) == understood


@pytest.mark.parametrize("connector", [SHOPIFY, WOO], ids=["shopify", "woocommerce"])
@given(
    headers=st.dictionaries(
        st.sampled_from([*judging.SIGNATURE_HEADER.values(), "x-shopify-shop-domain"]),
        st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9+/]{43}=", fullmatch=True),
    ),
    body=st.binary(max_size=100),
)
@settings(max_examples=80)
def test_any_headers_are_refused(
    connector: Connector, headers: dict[str, str], body: bytes
) -> None:
    """Whatever stands in the headers: refused as unsigned, and never another error."""
    assert not judging.signature(connector, headers, body)
