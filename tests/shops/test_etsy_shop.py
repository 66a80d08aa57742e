"""The emulated Etsy shop behaves as Etsy is documented and reported to, most where it bites."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from stockpush.sim.shops.base import (
    REPLAY_WITHIN_S,
    ConnectionDropped,
    ShopAnswer,
    ShopRequest,
    SoldOut,
)
from stockpush.sim.shops.etsy.shop import TOKEN_PATH, _scope
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import (
    LAVENDER,
    MINT,
    ROSE,
    SECRET,
    SETTINGS,
    SHOP_ID,
    World,
    make_world,
    needs_contract,
    scent,
    size,
    wick,
)
from tests.connectors.hands import BEGUN

ROOT = "/v3/application"
KEY = f"{SETTINGS['keystring']}:{SETTINGS['shared_secret']}"


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


def answered(
    world: World,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str = KEY,
    token: str | None = None,
    kind: str | None = None,
    **query: str,
) -> ShopAnswer:
    """Send one request to the shop; return its answer, which Etsy's document must know."""
    bearer = world.shop.access.issue() if token is None else token
    headers = {"x-api-key": key, "authorization": f"Bearer {bearer}"}
    content = b""
    if body is not None:
        form = method == "PATCH"
        headers["content-type"] = kind or (
            "application/x-www-form-urlencoded" if form else "application/json"
        )
        content = urlencode(body).encode() if form else json.dumps(body).encode()
    request = ShopRequest(method, ROOT + path, tuple(query.items()), headers, content)
    given = world.shop.handle(request)
    if etsy_contract.PATH.is_file():
        etsy_contract.check_answer(request, given.status, given.body)
    return given


def ask(world: World, method: str, path: str, body: Any = None, **rest: Any) -> tuple[int, Any]:
    """Send one request to the shop; return status and JSON."""
    given = answered(world, method, path, body, **rest)
    return given.status, json.loads(given.body)


def written(document: dict[str, Any], **quantities: int) -> dict[str, Any]:
    """Return a read document as it may be written, the quantities by SKU changed."""
    return {
        **{name: document[name] for name in document if name.endswith("_on_property")},
        "products": [
            {
                "sku": product["sku"],
                "property_values": [
                    {name: value for name, value in each.items() if name != "scale_name"}
                    for each in product["property_values"]
                ],
                "offerings": [
                    {
                        "price": each["price"]["amount"] / each["price"]["divisor"],
                        "quantity": quantities.get(product["sku"], each["quantity"]),
                        "is_enabled": each["is_enabled"],
                        "readiness_state_id": each["readiness_state_id"],
                    }
                    for each in product["offerings"]
                ],
            }
            for product in document["products"]
        ],
    }


def read(world: World, listing_id: int, **query: str) -> dict[str, Any]:
    """Return a listing's document."""
    status, document = ask(world, "GET", f"/listings/{listing_id}/inventory", **query)
    assert status == 200
    return document


def receipts(world: World, **query: str) -> list[dict[str, Any]]:
    """Return one page of receipts."""
    status, page = ask(world, "GET", f"/shops/{SHOP_ID}/receipts", **query)
    assert status == 200
    return page["results"]


# -- keys, tokens, scopes ------------------------------------------------------------------------


def test_the_shared_secret_belongs_to_the_key(world: World):
    """Since February 2026 the keystring alone opens nothing."""
    assert ask(world, "GET", "/listings/1001", key=SETTINGS["keystring"])[0] == 403
    assert ask(world, "GET", "/listings/1001")[0] == 200


def test_an_access_token_ends_after_an_hour(world: World):
    """Then the answer is 401 until it is renewed."""
    token = world.shop.access.issue()
    world.hands.move(3599)
    assert ask(world, "GET", "/listings/1001/inventory", token=token)[0] == 200
    world.hands.move(1)
    assert ask(world, "GET", "/listings/1001/inventory", token=token)[0] == 401


def token_call(world: World, **form: str) -> tuple[int, Any]:
    """Call the token endpoint."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    given = world.shop.handle(
        ShopRequest("POST", TOKEN_PATH, (), headers, urlencode(form).encode())
    )
    return given.status, json.loads(given.body)


def test_a_refresh_token_is_worth_one_use(world: World):
    """Its answer has a new one; the old one is nothing from then on."""
    form = {"grant_type": "refresh_token", "client_id": SETTINGS["keystring"]}
    status, pair = token_call(world, **form, refresh_token=SETTINGS["refresh_token"])
    assert (status, pair["expires_in"], pair["token_type"]) == (200, 3600, "Bearer")
    assert ask(world, "GET", "/listings/1001/inventory", token=pair["access_token"])[0] == 200
    again, error = token_call(world, **form, refresh_token=SETTINGS["refresh_token"])
    assert (again, error["error"]) == (400, "invalid_grant")
    assert token_call(world, **form, refresh_token=pair["refresh_token"])[0] == 200
    assert world.shop.access.refreshed == 2


def test_a_refresh_token_ends_after_ninety_days(world: World):
    """Whoever was away longer must be granted access anew."""
    form = {"grant_type": "refresh_token", "client_id": SETTINGS["keystring"]}
    _, pair = token_call(world, **form, refresh_token=SETTINGS["refresh_token"])
    world.hands.move(90 * 86_400 + 1)
    assert token_call(world, **form, refresh_token=pair["refresh_token"])[0] == 400


def test_a_code_needs_its_verifier_and_is_worth_one_use(world: World):
    """PKCE: only who made the challenge can trade the code; its scopes are those agreed to."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    uri = "https://stock.example/etsy"
    form = {
        "grant_type": "authorization_code",
        "client_id": SETTINGS["keystring"],
        "redirect_uri": uri,
    }
    code = world.shop.access.authorize(uri, challenge, "listings_r")
    assert token_call(world, **form, code=code, code_verifier="w" * 43)[0] == 400
    code = world.shop.access.authorize(uri, challenge, "listings_r")
    status, pair = token_call(world, **form, code=code, code_verifier="v" * 43)
    assert status == 200
    token = pair["access_token"]
    assert ask(world, "GET", "/listings/1001/inventory", token=token)[0] == 200
    assert ask(world, "GET", f"/shops/{SHOP_ID}/receipts", token=token)[0] == 403
    assert token_call(world, **form, code=code, code_verifier="v" * 43)[0] == 400


def test_a_wrong_client_or_grant_is_refused(world: World):
    """The endpoint knows one app and two grants, and takes a form."""
    assert token_call(world, grant_type="refresh_token", client_id="other")[0] == 401
    told = token_call(world, grant_type="password", client_id=SETTINGS["keystring"])
    assert told == (400, {"error": "unsupported_grant_type"})
    assert world.shop.handle(ShopRequest("POST", TOKEN_PATH, (), {}, b"{}")).status == 400


def test_revoked_access_is_refused_everywhere(world: World):
    """Calls are 401, and the refresh token is nothing either."""
    world.shop.faults.unauthorized = True
    assert ask(world, "GET", "/listings/1001/inventory")[0] == 401
    form = {"grant_type": "refresh_token", "client_id": SETTINGS["keystring"]}
    assert token_call(world, **form, refresh_token=SETTINGS["refresh_token"])[0] == 400
    world.shop.faults.unauthorized = False
    assert token_call(world, **form, refresh_token=SETTINGS["refresh_token"])[0] == 200
    world.shop.access.revoke()
    assert token_call(world, **form, refresh_token=world.shop.access.refresh_token)[0] == 400


@needs_contract
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/listings/1/inventory"),
        ("PUT", "/listings/1/inventory"),
        ("GET", "/listings/batch/inventory"),
        ("GET", "/listings/1"),
        ("GET", "/shops/1"),
        ("GET", "/shops/1/listings"),
        ("PATCH", "/shops/1/listings/1"),
        ("GET", "/shops/1/receipts"),
        ("GET", "/shops/1/receipts/1"),
    ],
)
def test_scopes_are_those_of_the_document(method: str, path: str):
    """Each route asks for what Etsy's document says it does."""
    _, operation = etsy_contract.operation(method, ROOT + path)
    asked = [each for needs in operation.get("security", []) for each in needs.get("oauth2", [])]
    assert [_scope(method, ROOT + path)] == (asked or [None])


# -- allowance and faults ------------------------------------------------------------------------


def test_the_allowance_is_told_and_kept():
    """By the second, then 429 with the wait; it is back a second later."""
    world = make_world(per_second=2, per_day=100)
    told = answered(world, "GET", "/listings/1001").headers
    assert (told["x-limit-per-second"], told["x-remaining-this-second"]) == ("2", "1")
    assert (told["x-limit-per-day"], told["x-remaining-today"]) == ("100", "99")
    assert answered(world, "GET", "/listings/1001").headers["x-remaining-this-second"] == "0"
    refused = answered(world, "GET", "/listings/1001")
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    world.hands.move(1)
    assert answered(world, "GET", "/listings/1001").status == 200


def test_the_days_allowance_rolls_by_the_hour():
    """What was used a day ago is back; until then 429 tells how long the hour lasts."""
    world = make_world(per_day=2)
    world.hands.move(600)
    for _ in range(2):
        assert answered(world, "GET", "/listings/1001").status == 200
    refused = answered(world, "GET", "/listings/1001")
    assert (refused.status, refused.headers["retry-after"]) == (429, "3000")
    world.hands.move(24 * 3600)
    assert answered(world, "GET", "/listings/1001").status == 200


def test_request_faults_strike_as_they_say(world: World):
    """A dropped answer stands, a refused request does not; HTML comes with 200."""
    body = written(read(world, 1001), **{"CANDLE-LAV": 3})
    faults = world.shop.faults
    faults.drop_before_next = 1
    with pytest.raises(ConnectionDropped):
        ask(world, "PUT", "/listings/1001/inventory", body)
    assert world.shop.quantity("1001") == 7
    faults.drop_after_next = 1
    with pytest.raises(ConnectionDropped):
        ask(world, "PUT", "/listings/1001/inventory", body)
    assert world.shop.quantity("1001") == 3
    faults.rate_limit_next = 1
    assert answered(world, "GET", "/listings/1001").headers["retry-after"] == "2"
    faults.unreachable = True
    with pytest.raises(ConnectionDropped):
        ask(world, "GET", "/listings/1001")
    faults.unreachable = False
    request = ShopRequest("GET", f"{ROOT}/listings/1001")
    faults.server_error_next = 8
    assert {world.shop.handle(request).status for _ in range(8)} <= {500, 502, 503, 504}
    faults.html_answer_next = 1
    page = world.shop.handle(request)
    assert (page.status, page.body[:1]) == (200, b"<")
    assert len(faults.writes_seen) == 2


# -- documents -----------------------------------------------------------------------------------


def test_a_replace_gives_every_product_a_new_id(world: World):
    """Nothing that was read by id can be found by it afterwards."""
    before = read(world, 1002)
    status, after = ask(
        world, "PUT", "/listings/1002/inventory", written(before, **{"SOAP-LAV": 4})
    )
    assert status == 200
    old = {each["product_id"] for each in before["products"]}
    assert not old & {each["product_id"] for each in after["products"]}
    assert world.shop.numbers() | {LAVENDER: 4} == world.shop.numbers()


def test_a_product_left_out_is_removed(world: World):
    """A PUT that names one scent leaves one scent."""
    body = written(read(world, 1002))
    body["products"] = body["products"][:1]
    assert ask(world, "PUT", "/listings/1002/inventory", body)[0] == 200
    assert [each["sku"] for each in read(world, 1002)["products"]] == ["SOAP-LAV"]
    shown = read(world, 1002, show_deleted="true")["products"]
    assert [each["is_deleted"] for each in shown] == [False, True, True]


def test_products_without_values_collapse_to_one(world: World):
    """Reported of the API before this one, and never withdrawn."""
    body = written(read(world, 1003))
    for product in body["products"]:
        product["property_values"] = []
    assert ask(world, "PUT", "/listings/1003/inventory", body)[0] == 200
    assert len(read(world, 1003)["products"]) == 1


def test_a_replace_overwrites_a_sale(world: World):
    """There is no compare: what was read before the sale puts the unit back, of every product."""
    body = written(read(world, 1002), **{"SOAP-MINT": 1})
    world.shop.checkout([(LAVENDER, 2)])
    ask(world, "PUT", "/listings/1002/inventory", body)
    assert world.shop.quantity(LAVENDER) == 5


def spoiled(body: dict[str, Any], change: str) -> dict[str, Any]:
    """Return a body with one thing wrong."""
    product = body["products"][0]
    offering = product["offerings"][0]
    match change:
        case "product_id" | "is_deleted":
            product[change] = 1
        case "offering_id":
            offering[change] = 1
        case "price object":
            offering["price"] = {"amount": 2450, "divisor": 100, "currency_code": "EUR"}
        case "price digits":
            offering["price"] = 24.505
        case "no readiness":
            del offering["readiness_state_id"]
        case "null readiness":
            offering["readiness_state_id"] = None
        case "quantity 1000":
            offering["quantity"] = 1000
        case "quantity text":
            offering["quantity"] = "4"
        case "quantity below zero":
            offering["quantity"] = -1
        case "parentheses":
            product["property_values"][0]["values"] = ["Lavender (new)"]
        case "scale_name":
            product["property_values"][0]["scale_name"] = None
        case "no values":
            del product["property_values"][0]["values"]
        case "no offerings":
            del product["offerings"]
        case "no products":
            del body["products"]
        case "twice the same":
            product["property_values"] = body["products"][1]["property_values"]
        case "quantity does not vary":
            body["quantity_on_property"] = []
        case "sku does not vary":
            body["sku_on_property"] = []
        case "unknown key":
            body["quantity"] = 3
    return body


@pytest.mark.parametrize(
    "change",
    [
        "product_id", "is_deleted", "offering_id", "price object", "price digits", "no readiness",
        "null readiness", "quantity 1000", "quantity text", "quantity below zero", "parentheses",
        "scale_name", "no values", "no offerings", "no products", "twice the same",
        "quantity does not vary", "sku does not vary", "unknown key",
    ],
)  # fmt: skip
def test_a_document_of_another_shape_is_400_and_changes_nothing(world: World, change: str):
    """Each of the page's mistakes is refused as a whole."""
    before = read(world, 1002)
    body = spoiled(written(before), change)
    assert ask(world, "PUT", "/listings/1002/inventory", body)[0] == 400
    assert read(world, 1002) == before


def test_a_document_must_say_that_it_is_json(world: World):
    """Else Etsy finds no products in it."""
    body = written(read(world, 1001))
    status, error = ask(world, "PUT", "/listings/1001/inventory", body, kind="text/plain")
    assert (status, error) == (400, {"error": "Missing input parameter: [products]"})


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_every_quantity_zero_is_refused(world: World, state: str):
    """Also where the listing is hidden; one at zero beside others is fine."""
    world.shop.sets_state(1002, state)
    zero = dict.fromkeys(("SOAP-LAV", "SOAP-MINT", ""), 0)
    body = written(read(world, 1002), **zero)
    status, error = ask(world, "PUT", "/listings/1002/inventory", body)
    assert (status, error) == (400, {"error": "One offering must have quantity greater than 0"})
    body = written(read(world, 1002), **(zero | {"": 1}))
    assert ask(world, "PUT", "/listings/1002/inventory", body)[0] == 200


def test_a_third_property_needs_the_callers_word(world: World):
    """Without max_variations_supported=3 the answer is 409."""
    values = [[scent("Mint"), size("Small"), wick(each)] for each in ("Wood", "Cotton")]
    world.shop.add_variations(1004, [(each, 3, "X") for each in values], varies_by=())
    body = written(read(world, 1004))
    assert ask(world, "PUT", "/listings/1004/inventory", body)[0] == 409
    path = "/listings/1004/inventory"
    assert ask(world, "PUT", path, body, max_variations_supported="3")[0] == 200
    assert ask(world, "PUT", path, body, max_variations_supported="4")[0] == 400


def test_a_batch_is_all_or_nothing(world: World):
    """One unknown number makes it 404; more than a hundred are 400."""
    status, page = ask(world, "GET", "/listings/batch/inventory", listing_ids="1001,1002")
    assert (status, page["count"]) == (200, 2)
    assert page["results"][0]["inventory"]["products"][0]["sku"] == "CANDLE-LAV"
    assert ask(world, "GET", "/listings/batch/inventory", listing_ids="1001,9")[0] == 404
    many = ",".join(["1001"] * 101)
    assert ask(world, "GET", "/listings/batch/inventory", listing_ids=many)[0] == 400


def test_a_listing_may_come_with_its_document(world: World):
    """And the document with its listing, whose quantity is the sum."""
    told = read(world, 1002, includes="Listing")["listing"]
    assert (told["state"], told["quantity"], told["has_variations"]) == ("active", 10, True)
    assert ask(world, "GET", "/listings/1002/inventory", includes="Shipping")[0] == 400
    assert ask(world, "GET", "/listings/9/inventory")[0] == 404


# -- states --------------------------------------------------------------------------------------


def state(world: World, listing_id: int, to: str) -> tuple[int, Any]:
    """Change a listing's state over the API."""
    return ask(world, "PATCH", f"/shops/{SHOP_ID}/listings/{listing_id}", {"state": to})


def test_a_listing_that_sells_out_says_so_itself(world: World):
    """The last sale makes it sold_out; a PUT changes its numbers and not its state."""
    world.shop.checkout([("1001", 7)])
    assert ask(world, "GET", "/listings/1001")[1]["state"] == "sold_out"
    body = written(read(world, 1001), **{"CANDLE-LAV": 4})
    assert ask(world, "PUT", "/listings/1001/inventory", body)[0] == 200
    assert (world.shop.quantity("1001"), world.shop.numbers()["1001"]) == (0, 0)


def test_activating_what_is_sold_out_sets_one_and_costs_a_fee(world: World):
    """That is what the document says of `state=active`."""
    world.shop.checkout([("1001", 7)])
    assert state(world, 1001, "active")[1]["state"] == "active"
    assert (world.shop.quantity("1001"), world.shop.fees()) == (1, 1)


def test_hiding_and_showing_costs_nothing(world: World):
    """Inside its term a listing goes off sale and back with its numbers."""
    assert state(world, 1002, "inactive")[1]["state"] == "inactive"
    assert (world.shop.quantity(MINT), world.shop.numbers()[MINT]) == (0, 0)
    with pytest.raises(SoldOut):
        world.shop.checkout([(MINT, 1)])
    state(world, 1002, "active")
    assert (world.shop.quantity(MINT), world.shop.fees()) == (3, 0)


def test_what_may_not_be_set_is_400(world: World):
    """Two states can be set, by form, and a draft cannot be published here."""
    assert state(world, 1001, "sold_out")[0] == 400
    path = f"/shops/{SHOP_ID}/listings/1001"
    assert ask(world, "PATCH", path, {"state": "active"}, kind="application/json")[0] == 400
    assert ask(world, "PATCH", path, {"title": "x"})[0] == 400
    world.shop.sets_state(1001, "draft")
    assert state(world, 1001, "active")[0] == 400
    assert ask(world, "PATCH", "/shops/78/listings/1001", {"state": "active"})[0] == 403


def test_an_expired_listing_shows_no_number_and_costs_a_fee_to_renew(world: World):
    """Four months are over."""
    world.shop.sets_state(1001, "expired")
    assert "1001" not in world.shop.numbers()
    state(world, 1001, "active")
    assert (world.shop.fees(), world.shop.quantity("1001")) == (1, 7)


def test_a_shop_on_vacation_sells_nothing_and_keeps_its_listings(world: World):
    """Their states and numbers stay."""
    world.shop.goes_on_vacation(away=True)
    assert ask(world, "GET", f"/shops/{SHOP_ID}")[1]["is_vacation"] is True
    assert (world.shop.quantity("1001"), world.shop.numbers()["1001"]) == (0, 7)
    world.shop.goes_on_vacation(away=False)
    assert world.shop.quantity("1001") == 7


def test_listings_are_listed_by_state(world: World):
    """Active ones unless another state is asked for, a page at a time."""
    world.shop.sets_state(1003, "inactive")
    path = f"/shops/{SHOP_ID}/listings"
    _, page = ask(world, "GET", path, limit="1", offset="1")
    assert (page["count"], [each["listing_id"] for each in page["results"]]) == (2, [1002])
    assert ask(world, "GET", path, state="inactive")[1]["results"][0]["listing_id"] == 1003


# -- receipts ------------------------------------------------------------------------------------


def test_a_sale_of_one_product_lowers_all_that_share_its_number(world: World):
    """The quantity of 1003 does not vary: both sizes are one number."""
    world.shop.checkout([("1003:513=small", 2), ("1003:513=large", 3)])
    assert {world.shop.quantity(f"1003:513={each}") for each in ("small", "large")} == {7}
    with pytest.raises(SoldOut):
        world.shop.checkout([("1003:513=small", 4), ("1003:513=large", 4)])


def test_a_receipt_is_as_the_document_says(world: World):
    """Its line names listing, SKU and the values bought; every field is of the schema."""
    order = world.shop.checkout([(MINT, 2)])
    (told,) = receipts(world)
    assert (str(told["receipt_id"]), told["status"], told["is_paid"]) == (order, "paid", True)
    (line,) = told["transactions"]
    assert (line["listing_id"], line["sku"], line["quantity"]) == (1002, "SOAP-MINT", 2)
    assert line["product_data"][0]["values"] == ["Mint"]


def test_units_leave_the_number_with_the_payment(world: World):
    """A payment in processing has taken nothing yet."""
    order = world.shop.checkout([("1001", 2)], paid=False)
    assert (receipts(world)[0]["status"], world.shop.quantity("1001")) == ("payment processing", 7)
    world.shop.pay(order)
    assert (receipts(world)[0]["status"], world.shop.quantity("1001")) == ("paid", 5)


@pytest.mark.parametrize(("restock", "left"), [(True, 7), (False, 5)])
def test_a_cancellation_puts_back_what_the_merchant_says(world: World, restock: bool, left: int):
    """Etsy's screens offer it; the receipt does not tell which it was."""
    order = world.shop.checkout([("1001", 2)])
    world.shop.cancel(order, restock=restock)
    assert (receipts(world)[0]["status"], world.shop.quantity("1001")) == ("canceled", left)


def test_lists_of_what_was_modified_leave_out_what_was_cancelled(world: World):
    """Reported since 2022: only was_canceled brings it."""
    order = world.shop.checkout([("1001", 2)])
    world.hands.move(60)
    world.shop.cancel(order)
    since = str(int(BEGUN.timestamp()))
    assert receipts(world, min_last_modified=since) == []
    (told,) = receipts(world, min_last_modified=since, was_canceled="true")
    assert told["status"] == "canceled"
    world.shop.api.hides_canceled = False
    assert len(receipts(world, min_last_modified=since)) == 1


def test_a_partial_refund_moves_nothing_but_its_status(world: World):
    """No units, no instant: whoever lists by the instant does not see it."""
    order = world.shop.checkout([("1001", 2)])
    world.hands.move(60)
    world.shop.refund(order, "1001", 1, restock=True)
    (told,) = receipts(world)
    assert (told["status"], told["updated_timestamp"]) == (
        "partially refunded",
        int(BEGUN.timestamp()),
    )
    assert world.shop.quantity("1001") == 5
    since = str(int(world.hands.now.timestamp()))
    assert receipts(world, min_last_modified=since) == []
    world.shop.refund(order, "1001", 1, restock=True)
    assert receipts(world)[0]["status"] == "fully refunded"
    assert world.shop.quantity("1001") == 7
    with pytest.raises(ValueError, match="has not"):
        world.shop.refund(order, "1001", 3, restock=False)


def test_a_cancelled_receipt_may_not_be_found(world: World):
    """As it was until 2022, behind a switch."""
    order = world.shop.checkout([("1001", 1)])
    world.shop.cancel(order)
    assert ask(world, "GET", f"/shops/{SHOP_ID}/receipts/{order}")[0] == 200
    world.shop.api.canceled_is_404 = True
    assert ask(world, "GET", f"/shops/{SHOP_ID}/receipts/{order}")[0] == 404
    assert ask(world, "GET", f"/shops/{SHOP_ID}/receipts/9")[0] == 404


def test_receipts_are_paged_by_offset_into_what_is_there(world: World):
    """Newest first without an order; a change between two pages moves the rest past the offset."""
    orders = []
    for _ in range(3):
        orders.append(world.shop.checkout([("1001", 1)]))
        world.hands.move(1)
    assert [str(each["receipt_id"]) for each in receipts(world)] == orders[::-1]
    query = {"sort_on": "updated", "sort_order": "asc", "limit": "1"}
    assert str(receipts(world, **query)[0]["receipt_id"]) == orders[0]
    world.shop.ship(orders[0])
    assert str(receipts(world, **query, offset="1")[0]["receipt_id"]) == orders[2]


def test_receipts_are_filtered_as_asked(world: World):
    """By shipment, payment and creation; words that do not exist are 400."""
    first = world.shop.checkout([("1001", 1)])
    world.hands.move(10)
    world.shop.ship(first)
    second = world.shop.checkout([("1001", 1)], paid=False)
    found = receipts(world, was_shipped="false")
    assert [str(each["receipt_id"]) for each in found] == [second]
    assert [str(each["receipt_id"]) for each in receipts(world, was_paid="true")] == [first]
    since = str(int(BEGUN.timestamp()) + 5)
    assert [str(each["receipt_id"]) for each in receipts(world, min_created=since)] == [second]
    path = f"/shops/{SHOP_ID}/receipts"
    for wrong in (
        {"min_created": "5"},
        {"was_paid": "yes"},
        {"limit": "101"},
        {"offset": "-1"},
        {"sort_on": "size"},
        {"status": "paid"},
    ):
        assert ask(world, "GET", path, **wrong)[0] == 400


def test_orders_may_be_listed_later_than_they_can_be_read(world: World):
    """A lagging index: the receipt is there by its number at once."""
    world.shop.faults.orders_lag_s = 60
    order = world.shop.checkout([("1001", 1)])
    assert receipts(world) == []
    assert ask(world, "GET", f"/shops/{SHOP_ID}/receipts/{order}")[0] == 200
    world.hands.move(61)
    assert len(receipts(world)) == 1
    assert world.shop.faults.struck["orders_lag_s"] == 1


def test_readings_may_be_old_and_writes_are_not(world: World):
    """A stale read shows the number before the sale; the truth is what is sold from."""
    world.shop.faults.stale_read_s = 30
    world.shop.listing(1001).past.clear()
    world.shop._office.saved(world.shop.listing(1001))
    world.hands.move(100)
    world.shop.checkout([("1001", 2)])
    shown = {read(world, 1001)["products"][0]["offerings"][0]["quantity"] for _ in range(20)}
    assert shown == {7}
    assert world.shop.quantity("1001") == 5
    world.hands.move(31)
    assert read(world, 1001)["products"][0]["offerings"][0]["quantity"] == 5


def test_what_is_seen_without_a_request(world: World):
    """Numbers and lines follow a history."""
    order = world.shop.checkout([(LAVENDER, 2), ("1001", 1)])
    world.shop.ship(order)
    other = world.shop.checkout([(MINT, 1)])
    world.shop.cancel(other, restock=False)
    assert [
        (each.order_id, each.listing, each.ordered, each.open, each.deducted, each.shipped)
        for each in world.shop.lines()
    ] == [
        (order, LAVENDER, 2, 0, 2, 2),
        (order, "1001", 1, 0, 1, 1),
        (other, MINT, 1, 0, 1, 0),
    ]
    assert world.shop.numbers() == {
        "1001": 6, LAVENDER: 3, MINT: 2, ROSE: 2, "1003:513=small": 12, "1003:513=large": 12,
    }  # fmt: skip
    with pytest.raises(NotImplementedError):
        world.shop.edit(order, "1001", 3)


def test_the_merchants_form_takes_what_etsy_takes(world: World):
    """Not zero for all of it, not more than 999."""
    world.shop.merchant_sets("1001", 0)
    world.shop.merchant_sets("1001", 1000)
    assert world.shop.quantity("1001") == 7
    world.shop.merchant_sets(MINT, 0)
    assert world.shop.quantity(MINT) == 0
    world.shop.removes(1003)
    assert ask(world, "GET", "/listings/1003")[0] == 404


# -- webhooks ------------------------------------------------------------------------------------


def test_a_webhook_is_thin_and_signed(world: World):
    """It says where the receipt is; id, instant and body are signed together."""
    order = world.shop.checkout([("1001", 1)])
    (out,) = world.shop.webhooks_due()
    told = json.loads(out.body)
    assert told == {
        "event_type": "order.paid",
        "resource_url": f"https://api.etsy.com{ROOT}/shops/{SHOP_ID}/receipts/{order}",
        "shop_id": SHOP_ID,
    }
    content = f"{out.headers['webhook-id']}.{out.headers['webhook-timestamp']}.".encode() + out.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert out.headers["webhook-signature"] == f"v1,{signed}"


def test_events_follow_a_receipt(world: World):
    """Paid, shipped, cancelled by the merchant; nothing tells of a refund or of a listing."""
    first, second = world.shop.checkout([("1001", 1)]), world.shop.checkout([("1001", 1)])
    world.shop.ship(first)
    world.shop.cancel(second)
    world.shop.refund(first, "1001", 1, restock=False)
    world.shop.merchant_sets("1001", 3)
    events = [json.loads(each.body)["event_type"] for each in world.shop.webhooks_due()]
    assert events == ["order.paid", "order.paid", "order.shipped", "order.canceled"]


def test_an_attempt_is_made_eight_times_over_a_day(world: World):
    """With the same id and body, and a fresh instant and signature each time."""
    world.shop.checkout([("1001", 1)])
    gaps, signatures, names = [], set(), set()
    last = world.hands.now
    while (at := world.shop.next_webhook_at()) is not None:
        gaps.append((at - last).total_seconds())
        world.hands.now = last = at
        (out,) = world.shop.webhooks_due()
        signatures.add(out.headers["webhook-signature"])
        names.add(out.headers["webhook-id"])
        world.shop.webhook_answered(out, 503)
    assert gaps == [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000]
    assert (len(signatures), len(names)) == (8, 1)


def test_disabled_endpoints_get_nothing(world: World):
    """Not even what is queued already."""
    world.shop.checkout([("1001", 1)])
    world.shop.lose_webhooks()
    world.shop.checkout([("1001", 1)])
    assert world.shop.webhooks_due() == []


def test_webhook_faults_strike(world: World):
    """Lost, doubled, late, replayed; each is counted."""
    faults = world.shop.faults
    faults.webhook_drop = 1.0
    world.shop.checkout([("1001", 1)])
    assert world.shop.webhooks_due() == []
    faults.webhook_drop, faults.webhook_duplicate, faults.webhook_copies_max = 0.0, 1.0, 3
    world.shop.checkout([("1001", 1)])
    out = world.shop.webhooks_due()
    assert len(out) in (2, 3)
    assert len({each.headers["webhook-id"] for each in out}) == 1
    faults.webhook_duplicate, faults.webhook_delay_s = 0.0, 40.0
    world.shop.checkout([("1001", 1)])
    assert world.shop.webhooks_due() == []
    world.hands.move(41)
    assert len(world.shop.webhooks_due()) == 1
    faults.webhook_delay_s, faults.webhook_replay, faults.webhook_reorder = 0.0, 1.0, 1.0
    world.shop.checkout([("1001", 1)])
    world.hands.move(REPLAY_WITHIN_S + 1)
    out = world.shop.webhooks_due()
    for each in out:
        world.shop.webhook_answered(each, 500)
    assert len({each.headers["webhook-id"] for each in out}) == 2
    assert {each.body for each in out} == {out[0].body}
    assert set(faults.struck) == {
        "webhook_drop", "webhook_duplicate", "webhook_delay_s", "webhook_replay", "webhook_reorder",
    }  # fmt: skip


def test_a_seed_is_one_shop():
    """The same dice make the same ids, tokens and deliveries."""

    def history(seed: int) -> list[Any]:
        world = make_world()
        world.shop.dice.seed(seed)
        world.shop.checkout([("1001", 1)])
        return [
            *(dict(each.headers) for each in world.shop.webhooks_due()),
            world.shop.access.issue(),
        ]

    assert history(4) == history(4)
    assert history(4) != history(5)
