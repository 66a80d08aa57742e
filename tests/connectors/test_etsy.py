"""Etsy: what a channel is configured with, which field a listing goes by, what fields hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpush.connectors import registry
from stockpush.connectors.base import Tokens
from stockpush.connectors.etsy import keys, reading
from stockpush.connectors.etsy.settings import BASE_URL, read_settings
from stockpush.errors import (
    AuthFailed,
    CatalogueInvalid,
    ChannelUnavailable,
    ConfigInvalid,
    PayloadInvalid,
)
from stockpush.model import FieldKey
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.etsy_world import (
    LAVENDER,
    MINT,
    ROSE,
    SCENT,
    SETTINGS,
    SHOP_ID,
    Intercepted,
    World,
    listing,
    make_connector,
    make_world,
    scent,
    size,
)
from tests.connectors.hands import BEGUN

READ_AT = BEGUN.replace(microsecond=0)


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


async def observe(world: World, *names: str) -> list[tuple[int | None, str | None]]:
    """Return (number, problem) of each field."""
    fields = [FieldKey("e", name) for name in names]
    told = await world.connector.observe(world.api, fields)
    assert [each.field for each in told.readings] == fields
    assert told.date == READ_AT or not world.api.sent
    return [(each.quantity, each.problem) for each in told.readings]


async def resolve(world: World, *refs: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """Return (field, problem) of each reference; the order key is the field's."""
    told = await world.connector.resolve(
        world.api, [listing(world.connector, **ref) for ref in refs]
    )
    assert all(each.order_key == each.field_key for each in told)
    return [(each.field_key, each.problem) for each in told]


# -- settings ------------------------------------------------------------------------------------


def test_manifest_is_that_of_a_read_set_channel():
    """What the engine acts on: nothing is compared by Etsy, 999 at most, twenty minutes at most."""
    manifest = registry.manifest("etsy")
    assert (manifest.write, manifest.quantity_max, manifest.read_max) == (
        "check_then_set", 999, 100,
    )  # fmt: skip
    assert manifest.poll_overlap_s >= max(600, manifest.orders_lag_s)
    assert {name for name, row in manifest.settings.items() if row.get("secret")} == {
        "keystring", "shared_secret", "refresh_token", "webhook_secret", "webhook_secret_previous",
    }  # fmt: skip
    assert set(manifest.settings) == set(SETTINGS) | {
        "webhook_secret_previous",
        "authorize_url",
        "sold_out",
        "renew",
    }


def test_defaults_are_the_careful_ones():
    """Etsy's own host, off sale at the last unit, no fee without leave."""
    settings = read_settings({**SETTINGS, "base_url": ""})
    assert (settings.base_url, settings.deactivates, settings.renews) == (BASE_URL, True, False)


def test_an_app_with_personal_access_has_no_webhook_secret():
    """Polling alone is a configuration too."""
    assert make_connector(webhook_secret="").settings.webhook_keys == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shop_id", ""), ("shop_id", "MyShop"), ("shop_id", "0"), ("shop_id", "-1"),
        ("authorize_url", "http://www.etsy.com/oauth/connect"), ("authorize_url", "www.etsy.com"),
        ("authorize_url", "https://www.etsy.com/oauth/connect?x=y"),
        ("shop_id", "1" * 19), ("shop_id", "\u0667\u0667"),
        ("keystring", ""), ("keystring", "a b"), ("keystring", "key:secret"), ("keystring", "ä"),
        ("shared_secret", ""), ("shared_secret", "a\nb"),
        ("refresh_token", ""), ("refresh_token", "a:b"),
        ("webhook_secret", "whsec_"), ("webhook_secret", "not base64!"),
        ("webhook_secret_previous", "whsec_"),
        ("sold_out", "delete"), ("sold_out", ""), ("renew", "maybe"), ("renew", "1"),
        ("base_url", "http://etsy.example"), ("base_url", "https://user@etsy.example"),
        ("base_url", "https://etsy.example?x"), ("base_url", "https://openapi.etsy.com/v3"),
        ("base_url", "https://openapi.etsy.com/v3/application/"), ("base_url", "https://[::1"),
        ("base_url", "etsy.example"), ("color", "red"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(name: str, value: str):
    """Every bad value is an error at start, and no secret is repeated in it."""
    with pytest.raises(ConfigInvalid) as caught:
        read_settings({**SETTINGS, name: value})
    assert caught.value.field == name
    if name in {"keystring", "shared_secret", "refresh_token"} and value:
        assert value not in str(caught.value.as_json())


def test_a_previous_secret_needs_a_present_one():
    """Rotation is from one to the other."""
    given = {**SETTINGS, "webhook_secret_previous": SETTINGS["webhook_secret"]}
    assert len(read_settings(given).webhook_keys) == 2
    del given["webhook_secret"]
    with pytest.raises(ConfigInvalid) as caught:
        read_settings(given)
    assert caught.value.field == "webhook_secret"


def test_secrets_are_not_shown():
    """Neither settings nor connector print what opens the shop."""
    shown = repr(make_connector())
    for name in ("keystring", "shared_secret", "refresh_token", "webhook_secret"):
        assert SETTINGS[name] not in shown


# -- references ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"listing_id": 1001}, "1001"),
        ({"listing_id": "1001", "property_values": "", "product_sku": ""}, "1001"),
        ({"listing_id": 1001, "product_sku": " Candle-LAV "}, "1001#candle-lav"),
        ({"listing_id": 1001, "product_sku": 7}, "1001#7"),
        (
            {"listing_id": 1001, "property_values": {"Scent": "Winter & Fir"}},
            "1001:scent=winter+%26+fir",
        ),
        (
            {"listing_id": 1001, "property_values": {"Size": "L", "200": "Mint"}},
            "1001:200=mint&size=l",
        ),
        ({"listing_id": 1001, "property_values": "Size = L;Scent=Mint;"}, "1001:scent=mint&size=l"),
    ],
)  # fmt: skip
def test_a_reference_has_one_key(given: dict[str, Any], key: str):
    """However it was written; and the key can be read again."""
    assert keys.ref_key(given) == key
    ref = keys.parse_ref(key)
    assert ref.listing_id == 1001


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "listing_id"),
        ({"listing_id": "x"}, "listing_id"),
        ({"listing_id": 0}, "listing_id"),
        ({"listing_id": True}, "listing_id"),
        ({"listing_id": 2**63}, "listing_id"),
        ({"listing_id": 1, "product_id": 2}, "product_id"),
        ({"listing_id": 1, "offering_id": 2}, "offering_id"),
        ({"listing_id": 1, "product_sku": "A", "property_values": {"S": "L"}}, "product_sku"),
        ({"listing_id": 1, "product_sku": "  "}, "product_sku"),
        ({"listing_id": 1, "product_sku": ["A"]}, "product_sku"),
        ({"listing_id": 1, "property_values": "Large"}, "property_values"),
        ({"listing_id": 1, "property_values": ";"}, "property_values"),
        ({"listing_id": 1, "property_values": ["L"]}, "property_values"),
        ({"listing_id": 1, "property_values": {"S": None}}, "property_values"),
        ({"listing_id": 1, "property_values": {"S": "x" * 201}}, "property_values"),
        ({"listing_id": 1, "property_values": dict.fromkeys("abcd", "x")}, "property_values"),
        ({"listing_id": 1, "property_values": {"Size": "L", "size ": "L"}}, "property_values"),
    ],
)  # fmt: skip
def test_a_wrong_reference_is_named(given: dict[str, Any], field: str):
    """Ids that change with every save are no reference at all."""
    with pytest.raises(CatalogueInvalid) as caught:
        keys.ref_key(given)
    assert caught.value.field == field


@given(
    values=st.dictionaries(
        st.integers(1, 600), st.text(min_size=1, max_size=20), min_size=0, max_size=3
    )
)
def test_a_field_key_names_its_listing_whatever_the_values(values: dict[int, str]):
    """No value, however odd, can look like a part of the key."""
    key = keys.field_key(1001, values.items())
    assert keys.listing_of(key) == 1001
    assert keys.field_key(1001, list(values.items())[::-1]) == key


# -- resolve -------------------------------------------------------------------------------------


async def test_a_listing_whose_quantity_does_not_vary_is_one_field(world: World):
    """With variations or without."""
    assert await resolve(world, {"listing_id": 1001}, {"listing_id": 1003}) == [
        ("1001", None),
        ("1003", None),
    ]
    assert len(world.api.sent) == 1


async def test_values_or_a_sku_lead_to_a_field(world: World):
    """By the property's name or number, whatever the case; by SKU, whatever the case."""
    found = await resolve(
        world,
        {"listing_id": 1002, "property_values": {"scent": "LAVENDER"}},
        {"listing_id": 1002, "property_values": {"200": "Mint"}},
        {"listing_id": 1002, "product_sku": "soap-mint"},
        {"listing_id": 1003, "property_values": {"Size": "Large"}},
        {"listing_id": 1003, "product_sku": "BALM"},
    )
    assert found == [(LAVENDER, None), (MINT, None), (MINT, None), ("1003", None), ("1003", None)]


async def test_what_leads_nowhere_is_told(world: World):
    """Each in words for a person; no field is guessed."""
    found = await resolve(
        world,
        {"listing_id": 1002},
        {"listing_id": 1002, "property_values": {"Scent": "Vanilla"}},
        {"listing_id": 1002, "property_values": {"Size": "Mint"}},
        {"listing_id": 1002, "product_sku": "SOAP"},
        {"listing_id": 9},
    )
    assert found == [
        (None, reading.NEEDS_VALUES.format(names="Scent")),
        (None, reading.NO_SUCH_VALUES),
        (None, reading.NO_SUCH_VALUES),
        (None, reading.NO_SUCH_SKU),
        (None, reading.GONE),
    ]


async def test_a_quantity_may_vary_by_one_of_two_properties(world: World):
    """Both sizes of a scent share its number; the scent alone names it, the size alone does not."""
    values = [[scent(a), size(b)] for a in ("Mint", "Rose") for b in ("Small", "Large")]
    world.shop.add_variations(1004, [(each, 4, "S") for each in values], varies_by=[SCENT])
    found = await resolve(
        world,
        {"listing_id": 1004, "property_values": "Scent=Mint"},
        {"listing_id": 1004, "property_values": "Scent=Mint;Size=Small"},
        {"listing_id": 1004, "property_values": "Size=Small"},
        {"listing_id": 1004, "product_sku": "S"},
    )
    ambiguous = (None, reading.AMBIGUOUS.format(names="Scent"))
    assert found == [("1004:200=mint", None)] * 2 + [ambiguous] * 2


async def test_values_that_differ_in_case_only_cannot_be_told_apart(world: World):
    """A person renames one."""
    products = [([scent("Mint")], 1, "A"), ([scent("MINT")], 2, "B")]
    world.shop.add_variations(1004, products, varies_by=[SCENT])
    assert await resolve(world, {"listing_id": 1004, "product_sku": "A"}) == [(None, reading.ALIKE)]


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("active", None),
        ("sold_out", None),
        ("inactive", reading.INACTIVE),
        ("draft", reading.STATES["draft"]),
        ("expired", reading.STATES["expired"]),
    ],
)
async def test_the_state_of_a_listing_decides_whose_it_is(
    world: World, state: str, problem: str | None
):
    """What its owner hid, has not published or has let end is theirs; the field is known all the
    same, so that orders count.
    """
    world.shop.sets_state(1001, state)
    assert await resolve(world, {"listing_id": 1001}) == [("1001", problem)]
    ((number, told),) = await observe(world, "1001")
    assert told == problem
    assert number == {"active": 7, "sold_out": 0}.get(state)


async def test_a_state_that_nobody_knows_is_named(world: World):
    """F68: an unknown state is not taken for a known one."""
    world.shop.listing(1001).state = "edit"
    world.api.checks = False
    assert await resolve(world, {"listing_id": 1001}) == [
        ("1001", reading.OTHER_STATE.format(state="edit"))
    ]


async def test_a_shop_on_vacation_is_read_as_ever(world: World):
    """Vacation is the shop's switch and parks no listing."""
    world.shop.goes_on_vacation(away=True)
    assert await resolve(world, {"listing_id": 1001}) == [("1001", None)]
    assert await observe(world, "1001") == [(7, None)]


async def test_a_listing_that_we_hid_shows_zero(world: World):
    """Whatever Etsy keeps in the hidden document."""
    world.api.notes["off-sale:1001"] = "taken off sale by us"
    world.shop.sets_state(1001, "inactive")
    assert await observe(world, "1001") == [(0, None)]
    assert await resolve(world, {"listing_id": 1001}) == [("1001", None)]


# -- observe -------------------------------------------------------------------------------------


async def test_fields_of_many_listings_are_read_in_one_request(world: World):
    """A batch read, each listing once."""
    assert await observe(world, MINT, "1001", LAVENDER, "1003", ROSE) == [
        (3, None), (7, None), (5, None), (12, None), (2, None),
    ]  # fmt: skip
    (sent,) = world.api.sent
    assert (sent.path.rpartition("/v3/application")[2], dict(sent.query)) == (
        "/listings/batch/inventory",
        {"listing_ids": "1001,1002,1003"},
    )


async def test_more_than_a_hundred_listings_are_read_by_hundreds(world: World):
    """201 listings are three requests."""
    for number in range(2000, 2201):
        world.shop.add_listing(number, quantity=number % 7 + 1)
    told = await observe(world, *(str(number) for number in range(2000, 2201)))
    assert [number for number, _ in told] == [number % 7 + 1 for number in range(2000, 2201)]
    assert len(world.api.sent) == 3


async def test_one_unknown_listing_does_not_hide_the_others(world: World):
    """The batch is all or nothing: it is read by halves until the one stands alone."""
    for number in range(2000, 2099):
        world.shop.add_listing(number, quantity=3)
    names = [*(str(number) for number in range(2000, 2099)), "9"]
    told = await observe(world, *names)
    assert told == [(3, None)] * 99 + [(None, reading.GONE)]
    assert len(world.api.sent) <= 15


async def test_a_variation_that_is_gone_has_no_number(world: World):
    """Its listing is looked up again by whoever asked."""
    world.shop.listing(1002).products.pop()
    assert await observe(world, ROSE, MINT) == [(None, reading.NO_SUCH_FIELD), (3, None)]


async def test_two_numbers_where_one_should_be_are_told(world: World):
    """A document that contradicts itself is for a person."""
    world.shop.listing(1003).products[0].quantity = 4
    assert await observe(world, "1003") == [(None, reading.SEVERAL_NUMBERS)]


async def test_a_listing_without_a_document_is_told(world: World):
    """Listings that were never edited in Etsy's own tool have none."""
    body = b'{"count":1,"results":[{"listing_id":1001,"state":"active","inventory":null}]}'
    world.instead("GET", 200, body)
    assert await observe(world, "1001") == [(None, reading.NO_DOCUMENT)]


async def test_a_404_that_is_not_etsys_is_no_evidence(world: World):
    """A proxy's page does not make a listing disappear."""
    world.instead("GET", 404, b"<h1>Not Found</h1>")
    with pytest.raises(ChannelUnavailable):
        await observe(world, "1001")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"results":{}}'])
async def test_an_answer_of_another_shape_is_unreadable(world: World, body: bytes):
    """The engine asks for halves, then for one by itself."""
    world.instead("GET", 200, body)
    with pytest.raises(PayloadInvalid):
        await observe(world, "1001")


async def test_a_listing_of_a_neighbour_in_the_answer_is_not_taken(world: World):
    """Only what was asked for is read; what was left out is not taken for gone."""
    body = (
        b'{"results":[{"listing_id":1,"state":"active","inventory":{"products":[{"offerings":'
        b'[{"quantity":3,"is_enabled":true,"price":{"amount":20,"divisor":100}}]}]}}]}'
    )
    world.instead("GET", 200, body)
    assert await observe(world, "1001") == [(None, reading.LEFT_OUT)]
    assert world.connector.memory.shapes.get(1001, "unknown") == "unknown"


async def test_one_odd_document_does_not_hide_the_others(world: World):
    """What of one listing cannot be read is told of that listing."""
    told = json.loads(world.shop.handle(batch_request(world)).body)
    told["results"][0]["inventory"]["products"][0]["offerings"][0]["quantity"] = "seven"
    told["results"].append({"title": "not even a number"})
    world.instead("GET", 200, json.dumps(told).encode())
    (odd, problem), mint = await observe(world, "1001", MINT)
    assert (odd, mint) == (None, (3, None))
    assert "quantity" in problem


def batch_request(world: World) -> ShopRequest:
    """Return the request that reads listings 1001 and 1002."""
    headers = {
        "x-api-key": world.connector.settings.api_key,
        "authorization": f"Bearer {world.shop.access.issue()}",
    }
    path = "/v3/application/listings/batch/inventory"
    return ShopRequest("GET", path, (("listing_ids", "1001,1002"),), headers)


async def test_values_are_compared_as_people_read_them(world: World):
    """Entities, spacing and case: "Winter &amp; Fir" is "winter & fir"."""
    products = [([scent("Winter &amp;  Fir")], 4, "W"), ([scent("Mint")], 2, "M")]
    world.shop.add_variations(1004, products, varies_by=[SCENT])
    ref = {"listing_id": 1004, "property_values": {"Scent": "winter & FIR"}}
    assert await resolve(world, ref) == [("1004:200=winter+%26+fir", None)]
    assert await observe(world, "1004:200=winter+%26+fir") == [(4, None)]


def test_the_door_says_who_it_is(world: World):
    """Key and secret on every call, the token once there is one, one listing one request."""
    connector = world.connector
    key = f"{SETTINGS['keystring']}:{SETTINGS['shared_secret']}"
    assert dict(connector.auth_headers()) == {"x-api-key": key}
    assert dict(connector.auth_headers(Tokens(""))) == {"x-api-key": key}
    assert connector.auth_headers(Tokens("1.t"))["authorization"] == "Bearer 1.t"
    assert connector.base_url() == SETTINGS["base_url"]
    assert connector.ref({"listing_id": 5}) == "5"


async def test_one_closed_listing_hides_no_other(world: World) -> None:
    """A batch that is refused for one of its listings is read by halves, and that one is told."""
    world.closes("1002")
    told = await observe(world, "1001", MINT, "1003")
    assert told == [(7, None), (None, reading.CLOSED), (12, None)]
    looks = [
        sent.path for sent in world.api.sent if sent.path.endswith(f"/shops/{SHOP_ID}/listings")
    ]
    assert len(looks) == 1, "the shop is asked once, however many halves there are"


async def test_access_that_fails_for_the_shop_too_is_raised(world: World) -> None:
    """Nothing is said of listings where nothing may be read at all."""
    world.closes("1002", f"/shops/{SHOP_ID}")
    with pytest.raises(AuthFailed):
        await observe(world, "1001", MINT)


async def test_another_shop_s_listing_is_told_as_such(world: World) -> None:
    """Etsy shows its document to everybody: mapped by a slip it looks like one of ours."""
    world.api.checks = False
    handle = world.shop.handle

    def handled(request: ShopRequest) -> ShopAnswer:
        given = handle(request)
        listings = json.loads(given.body)
        for row in listings.get("results", ()):
            if row["listing_id"] == 1002:
                row["shop_id"] = 999_999
        return ShopAnswer(given.status, given.headers, json.dumps(listings).encode())

    world.api.shop = Intercepted(world.shop, handled)
    told = reading.ELSEWHERE.format(shop=999_999)
    assert await observe(world, "1001", MINT) == [(7, None), (None, told)]
    ref = {"listing_id": 1002, "product_sku": "SOAP-MINT"}
    assert await resolve(world, ref) == [(MINT, told)]


async def test_a_variation_that_buyers_do_not_see_has_no_number(world: World) -> None:
    """It sells nothing, and what is hidden in it is written over: its listing says what to do.

    What a reading took for its number would look like sales once the listing was taken off sale.
    """
    (mint,) = [each for each in world.shop.listing(1002).products if each.sku == "SOAP-MINT"]
    mint.is_enabled = False
    assert await observe(world, LAVENDER, MINT) == [(5, None), (None, reading.NOT_SHOWN)]
    ref = {"listing_id": 1002, "product_sku": "SOAP-MINT"}
    assert await resolve(world, ref) == [(MINT, reading.NOT_SHOWN)]
    mint.is_enabled = True
    assert await resolve(world, ref) == [(MINT, None)]
