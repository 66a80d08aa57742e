"""Faire: settings, references, no webhooks; listings resolved and fields observed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.faire import ref_key, variants
from stockpush.connectors.faire.wire import fault, instant
from stockpush.connectors.faire.writing import WRITE_COST
from stockpush.engine.limiter import Bucket, take
from stockpush.errors import (
    AuthFailed,
    CatalogueInvalid,
    ChannelUnavailable,
    ConfigInvalid,
    PayloadInvalid,
)
from stockpush.model import FieldKey
from stockpush.model import PushOutcomeKind as Kind
from stockpush.sim.shops.base import ShopAnswer, ShopRequest
from tests.connectors.canned import CannedApi, answer
from tests.connectors.faire_contract import ContractBroken, load
from tests.connectors.faire_world import (
    APPLICATION,
    CONTRACTS,
    INVENTORY,
    OAUTH,
    ROOT,
    TOKEN,
    A,
    B,
    C,
    World,
    inventories,
    line,
    listing,
    make_connector,
    make_world,
    needs_contract,
)
from tests.connectors.hands import BEGUN
from tests.connectors.test_faire_push import Intercepted
from tests.contract.kit import SAMPLES

PAGE = b"<!DOCTYPE html><title>Just a moment...</title>"


@pytest.fixture
def world() -> World:
    """Return the account of faire_world."""
    return make_world()


def connect(settings: dict[str, str]) -> Any:
    """Return a connector of exactly these settings."""
    return registry.load("faire")("f", registry.manifest("faire"), settings)


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "access_token"),
        ({"access_token": " "}, "access_token"),
        ({"access_token": "schlüssel"}, "access_token"),
        ({"access_token": "a\nb"}, "access_token"),
        ({"application_id": "apa", "application_secret": "s"}, "oauth_token"),
        ({"application_id": "apa", "oauth_token": "t"}, "application_secret"),
        ({"application_secret": "s", "oauth_token": "t"}, "application_id"),
        (
            {"application_id": "a:b", "application_secret": "s", "oauth_token": "t"},
            "application_id",
        ),
        ({"access_token": "t", "oauth_token": "t"}, "oauth_token"),
        ({"access_token": "t", "shop": "mine"}, "shop"),
        ({"access_token": "t", "base_url": "http://www.faire.com"}, "base_url"),
        ({"access_token": "t", "base_url": "www.faire.com"}, "base_url"),
        ({"access_token": "t", "base_url": "https://www.faire.com/api/v1"}, "base_url"),
        ({"access_token": "t", "base_url": "https://www.faire.com/external-api/v1"}, "base_url"),
        ({"access_token": "t", "base_url": "https://me@www.faire.com"}, "base_url"),
        ({"access_token": "t", "base_url": "https://www.faire.com?x=1"}, "base_url"),
        ({"access_token": "t", "base_url": "https://[::1"}, "base_url"),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, str], field: str) -> None:
    """What is missing, unknown, double or impossible is said by name, never with a secret."""
    with pytest.raises(ConfigInvalid) as caught:
        connect(settings)
    assert caught.value.field == field
    assert caught.value.expected
    assert "schlüssel" not in str(caught.value.as_json())


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("", "https://www.faire.com"),
        ("https://www.faire.com", "https://www.faire.com"),
        ("https://www.faire.com/", "https://www.faire.com"),
        ("https://www.faire.com/external-api/v2", "https://www.faire.com"),
        ("https://www.faire.com/external-api/v2/", "https://www.faire.com"),
        ("https://faire.com", "https://www.faire.com"),
        ("https://faire.com/external-api/v2", "https://www.faire.com"),
        ("https://FAIRE.com", "https://www.faire.com"),
        ("https://proxy.example:8443/faire", "https://proxy.example:8443/faire"),
        ("http://127.0.0.1:8080/external-api/v2", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_root_is_had_from_any_form_and_keeps_its_www(given: str, root: str) -> None:
    """With the API's path or without; the bare host, which only redirects, gets its `www`."""
    assert connect({"access_token": "t", "base_url": given}).base_url() == root


def test_both_kinds_of_credentials_open_the_account(world: World) -> None:
    """A brand's token by its one header, an application by its two."""
    assert make_connector().auth_headers() == {"x-faire-access-token": TOKEN}
    application = connect(OAUTH)
    assert application.auth_headers() == {
        "x-faire-app-credentials": base64.b64encode(b"apa_1:not-a-real-secret").decode(),
        "x-faire-oauth-access-token": APPLICATION[2],
    }
    for connector in (world.connector, application):
        headers = {"user-agent": "stockpush", **connector.auth_headers()}
        asked = ShopRequest("GET", INVENTORY, (("ids", A),), headers)
        assert world.shop.handle(asked).status == 200


def test_settings_are_not_shown() -> None:
    """A connector that is printed shows no credential."""
    shown = repr(make_connector()) + repr(connect(OAUTH))
    assert TOKEN not in shown
    assert APPLICATION[1] not in shown
    assert APPLICATION[2] not in shown


def test_access_is_never_renewed_and_each_field_goes_by_itself() -> None:
    """Neither token expires; a variant is written alone."""
    assert make_connector().renewal() is None
    assert make_connector().together(A) == A


# -- manifest, references, webhooks ---------------------------------------------------------------


def test_the_manifest_says_what_the_engine_acts_on() -> None:
    """Read and write, 100 at a time, numbers apart from what is committed, no webhooks."""
    manifest = registry.manifest("faire")
    assert manifest.write == "check_then_set"
    assert (manifest.batch_max, manifest.read_max) == (100, 100)
    assert manifest.committed_apart
    assert manifest.webhook_topics == ()
    assert manifest.poll_overlap_s >= 600
    secret = {name for name, row in manifest.settings.items() if row.get("secret")}
    assert secret == {"access_token", "application_secret", "oauth_token"}


def test_two_writes_are_never_less_than_a_second_apart() -> None:
    """However long the channel was idle, a second write waits a second after the first."""
    manifest = registry.manifest("faire")
    full = Bucket(manifest.burst, manifest.requests_per_s, manifest.burst, at=0.0)
    after, wait_s = take(full, WRITE_COST, now=1000.0)
    assert wait_s == 0
    assert take(after, WRITE_COST, now=1000.0)[1] >= 1.0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"variant_id": ""},
        {"variant_id": 7},
        {"variant_id": "p_1"},
        {"variant_id": "po_a/b"},
        {"variant_id": "po_a b"},
        {"variant_id": "po_" + "a" * 100},
    ],
)
def test_a_bad_reference_is_named(given: dict[str, Any]) -> None:
    """What cannot be a variant's id is refused by the field's name."""
    with pytest.raises(CatalogueInvalid) as caught:
        ref_key(given)
    assert caught.value.field == "variant_id"


def test_a_reference_has_no_other_field() -> None:
    """A SKU may be on two variants, so it is no reference."""
    with pytest.raises(CatalogueInvalid) as caught:
        make_connector().ref({"variant_id": A, "sku": "candle"})
    assert caught.value.field == "sku"
    assert make_connector().ref({"variant_id": A}) == A


# -- reading --------------------------------------------------------------------------------------


async def test_a_field_is_on_hand_and_what_is_committed_beside_it(world: World) -> None:
    """An order raises committed and leaves on hand alone: the pair is read."""
    world.shop.checkout([(A, 3)])
    readings = await world.connector.observe(world.api, [FieldKey("f", A), FieldKey("f", B)])
    told = [(each.quantity, each.committed, each.problem) for each in readings.readings]
    assert told == [(7, 3, None), (12, 0, None)]
    assert readings.date == BEGUN.replace(microsecond=0)
    assert world.shop.quantity(A) == 4


async def test_the_parameter_is_ids_and_is_repeated(world: World) -> None:
    """By any other name the answer is 200 and an empty map; joined by commas is not what ran."""
    await world.connector.observe(world.api, [FieldKey("f", A), FieldKey("f", B)])
    assert world.queries(INVENTORY) == [[("ids", A), ("ids", B)]]
    assert "content-type" not in world.api.sent[0].headers


async def test_negative_on_hand_is_read(world: World) -> None:
    """An oversold variant shows a negative number."""
    world.shop.merchant_sets(A, -2)
    (reading,) = (await world.connector.observe(world.api, [FieldKey("f", A)])).readings
    assert reading.quantity == -2


async def test_a_variant_that_is_missing_from_the_map_is_gone(world: World) -> None:
    """Faire leaves out what it does not know: no number, and words for a person."""
    world.shop.remove_variant(B)
    readings = await world.connector.observe(world.api, [FieldKey("f", A), FieldKey("f", B)])
    assert [(each.quantity, each.problem) for each in readings.readings] == [
        (7, None),
        (None, variants.GONE),
    ]


async def test_listings_go_by_their_variants(world: World) -> None:
    """Order key and field are the variant's id; what is gone or not tracked has no field."""
    asked = [listing(A), listing("po_gone"), listing(C)]
    resolved = await world.connector.resolve(world.api, asked)
    assert [(each.order_key, each.field_key, each.problem) for each in resolved] == [
        (A, A, None),
        ("po_gone", None, variants.GONE),
        (C, None, variants.UNTRACKED),
    ]


async def test_an_untracked_variant_is_a_problem_until_its_owner_agrees(world: World) -> None:
    """It sells freely and is not written; a number typed in Faire is the agreement."""
    (reading,) = (await world.connector.observe(world.api, [FieldKey("f", C)])).readings
    assert (reading.quantity, reading.problem) == (None, variants.UNTRACKED)
    world.shop.merchant_sets(C, 4)
    (resolved,) = await world.connector.resolve(world.api, [listing(C)])
    assert (resolved.field_key, resolved.problem) == (C, None)


def quantity(number: Any, kind: str = "QUANTITY") -> dict[str, Any]:
    """Return one quantity's JSON."""
    return {"type": kind, "quantity": number}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"on_hand_quantity": quantity(7), "committed_quantity": quantity(2)}, (7, 2)),
        ({"on_hand_quantity": quantity(7), "available_quantity": quantity(5)}, (7, 2)),
        ({"on_hand_quantity": quantity(7), "committed_quantity": quantity(2), "new": 1}, (7, 2)),
        ({"on_hand_quantity": quantity(7)}, None),
        ({"on_hand_quantity": quantity(7), "committed_quantity": quantity(-1)}, None),
        ({"on_hand_quantity": quantity(7), "committed_quantity": quantity(2, "NEWTYPE")}, None),
        ({"on_hand_quantity": quantity(7.5), "committed_quantity": quantity(2)}, None),
        ({"on_hand_quantity": quantity(10**10), "committed_quantity": quantity(2)}, None),
        ({"on_hand_quantity": {"type": "QUANTITY"}, "committed_quantity": quantity(2)}, None),
        ({"on_hand_quantity": quantity(7, "NEWTYPE"), "committed_quantity": quantity(2)}, None),
        ({"committed_quantity": quantity(2)}, None),
        ([], None),
        (None, None),
    ],
)
async def test_an_odd_variant_has_a_problem_and_hides_no_other(
    entry: Any, expected: tuple[int, int] | None
) -> None:
    """Each entry is judged by itself; committed is worked out where only available is told."""
    body = inventories(bbb=12)
    body["inventories"][A] = entry
    api = CannedApi([answer(body)])
    keys = [FieldKey("f", A), FieldKey("f", B)]
    first, second = (await make_connector().observe(api, keys)).readings
    assert second.quantity == 12
    if expected is None:
        assert (first.quantity, first.problem) == (None, variants.NO_NUMBER)
    else:
        assert (first.quantity, first.committed) == expected


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(PAGE), ChannelUnavailable),
        (answer(PAGE, 404), ChannelUnavailable),
        (answer(b"\n " + PAGE, 400), ChannelUnavailable),
        (answer({"message": "ids is too long"}, 400), PayloadInvalid),
        (answer({"message": "Method Not Allowed"}, 405), PayloadInvalid),
        (answer({"inventory": {}}), PayloadInvalid),
        (answer(b""), PayloadInvalid),
        (answer(b'{"inventories":{"po_'), PayloadInvalid),
        (AuthFailed(found=401), AuthFailed),
        (AuthFailed(found=403), AuthFailed),
    ],
)
async def test_a_read_that_fails_is_named(given: Any, error: type[Exception]) -> None:
    """A page of HTML with any status is an unavailable channel, a refusal is one of the token."""
    with pytest.raises(error) as caught:
        await make_connector().observe(CannedApi([given]), [FieldKey("f", A)])
    assert type(caught.value) is error


async def test_a_program_without_a_name_gets_a_403_page(world: World) -> None:
    """Cloudflare's page comes through the shop's own door as an unavailable channel."""
    headers = dict(world.connector.auth_headers())
    nameless = ShopRequest("GET", INVENTORY, (("ids", A),), headers)
    page = world.shop.handle(nameless)
    assert (page.status, page.body[:1]) == (403, b"<")
    world.api.shop = Intercepted(lambda _: page)  # type: ignore[assignment]
    with pytest.raises(ChannelUnavailable):
        await world.connector.observe(world.api, [FieldKey("f", A)])
    assert (await world.push(line(A, expected=7, target=4)))[0].kind is Kind.UNAVAILABLE


async def test_a_refusal_of_the_api_itself_is_of_the_token(world: World) -> None:
    """403 with words of the API: a right is missing, and a person is told to mend it."""
    no = ShopAnswer(403, {"content-type": "application/json"}, b'{"message":"Missing scope"}')
    world.api.shop = Intercepted(lambda _: no)  # type: ignore[assignment]
    with pytest.raises(AuthFailed):
        await world.connector.observe(world.api, [FieldKey("f", A)])
    assert (await world.push(line(A, expected=7, target=4)))[0].kind is Kind.AUTH_FAILED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message":"Skus match"}', "Skus match"),
        (b'{"error":{"code":7}}', '{"error":{"code":7}}'),
        (b"plain\x1b[31m words\n", "plain[31m words"),
        (b"<html>", "400, a page"),
        (b"", "400"),
        (b"\xff" * 900, "\N{REPLACEMENT CHARACTER}" * 200),
    ],
)
def test_an_error_is_shown_in_its_own_words(body: bytes, words: str) -> None:
    """The message where there is one, else the raw text: printable, and cut short."""
    assert fault(answer(body, 400)) == words


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T10:00:00.000Z", "20261122T100000.000Z", "2026-11-22T11:00:00+01:00"],
)
def test_an_instant_comes_in_both_forms(text: str) -> None:
    """Extended and basic ISO 8601 both occur."""
    assert instant(text, "updated_at").isoformat() == "2026-11-22T10:00:00+00:00"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-22", "2026-11-22T10:00:00", "2026-1122T10:00:00Z", "9999999"]
)
def test_an_instant_that_is_none_is_named(text: str) -> None:
    """Nothing is guessed, a missing zone least of all."""
    with pytest.raises(PayloadInvalid) as caught:
        instant(text, "updated_at")
    assert caught.value.field == "updated_at"


# -- the contract ---------------------------------------------------------------------------------


@needs_contract
@pytest.mark.parametrize(
    "request_",
    [
        ShopRequest("GET", INVENTORY, (("variant_ids", A),)),
        ShopRequest("GET", f"{ROOT}/orders", (("limit", "many"),)),
        ShopRequest("GET", f"{ROOT}/orders", (), {}, b"{}"),
        ShopRequest("PATCH", INVENTORY, (), {"content-type": "application/json"}, b'{"stock":[]}'),
        ShopRequest("PATCH", INVENTORY, (), {}, b'{"inventories":[]}'),
        ShopRequest(
            "PATCH",
            INVENTORY,
            (),
            {"content-type": "application/json"},
            b'{"inventories":[{"product_variant_id":"po_1","on_hand_quantity":"7"}]}',
        ),
        ShopRequest("PATCH", f"{ROOT}/products/variants/inventory-levels-by-skus"),
        ShopRequest("PUT", f"{ROOT}/orders/bo_1/accept"),
    ],
)
def test_the_contract_bites(request_: ShopRequest) -> None:
    """What the checks of every other test would find: wrong names, types, routes, old ones."""
    with pytest.raises(ContractBroken):
        load(CONTRACTS).check_request(request_)


@needs_contract
@pytest.mark.parametrize(
    ("name", "path"), [("orders_page", f"{ROOT}/orders"), ("inventories", INVENTORY)]
)
def test_samples_of_answers_are_of_faires_schema(name: str, path: str) -> None:
    """Written from the document, and held against it."""
    body = (SAMPLES / "faire" / f"{name}.json").read_bytes()
    load(CONTRACTS).check_answer(ShopRequest("GET", path), ShopAnswer(200, {}, body))
