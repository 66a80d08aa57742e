"""Etsy: access for an hour at a time, and the first grant with PKCE."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from stockpush.connectors.base import Answer, Finding, TokenCall, Tokens
from stockpush.connectors.etsy import granting
from stockpush.connectors.etsy.renewing import TOKEN_PATH
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid, UsageError
from stockpush.sim.shops.base import ShopRequest
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import (
    SECRET,
    SETTINGS,
    World,
    make_connector,
    make_world,
    needs_contract,
)
from tests.connectors.hands import BEGUN

REDIRECT = "https://stock.example/etsy"
VERIFIER = "v" * 43


@pytest.fixture
def world() -> World:
    """Return the shop of etsy_world."""
    return make_world()


def call(world: World, made: TokenCall) -> Answer:
    """Make a token call as the engine does: with its own headers only."""
    given = world.shop.handle(ShopRequest("POST", made.path, (), made.headers, made.body))
    return Answer(given.status, given.headers, given.body, None)


def answer(body: Any, status: int = 200) -> Answer:
    """Return an answer of the token endpoint."""
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), None)


def test_a_pair_is_renewed_by_the_one_before_it(world: World):
    """F38: each answer has the next refresh token, and an instant at which access ends."""
    renewal = world.connector.renewal()
    tokens = renewal.first()
    assert (tokens.access, tokens.expires_at) == ("", None)
    for _ in range(3):
        before, tokens = (
            tokens,
            renewal.granted(tokens, call(world, renewal.call(tokens)), now=BEGUN),
        )
        assert tokens.refresh != before.refresh
        assert tokens.expires_at == BEGUN + timedelta(seconds=3600)
        assert world.connector.auth_headers(tokens)["authorization"] == f"Bearer {tokens.access}"
    assert world.shop.access.refreshed == 3


def test_a_refresh_token_that_was_used_is_for_a_person(world: World):
    """F39: the pair was lost; only a new grant helps, and the reason says so."""
    renewal = world.connector.renewal()
    first = renewal.first()
    call(world, renewal.call(first))
    with pytest.raises(AuthFailed) as caught:
        renewal.granted(first, call(world, renewal.call(first)), now=BEGUN)
    assert "invalid_grant" in caught.value.message
    assert caught.value.next == "stockpush connect e"


def test_a_channel_may_be_configured_before_access_is_granted():
    """The first grant puts its tokens into the database: until then the way is told."""
    renewal = make_connector(refresh_token="").renewal()
    assert renewal.first() == Tokens("", refresh=None)
    with pytest.raises(AuthFailed) as caught:
        renewal.call(renewal.first())
    assert caught.value.next == "stockpush connect e"


def test_the_call_is_a_form_to_the_same_root(world: World):
    """Client id and refresh token, no other credentials, nothing shown when printed."""
    made = world.connector.renewal().call(Tokens("", refresh="12.new"))
    assert made.path == TOKEN_PATH
    assert made.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(made.body.decode())) == {
        "grant_type": "refresh_token",
        "client_id": SETTINGS["keystring"],
        "refresh_token": "12.new",
    }
    shown = repr(made) + repr(world.connector.renewal()) + repr(Tokens("1.a", refresh="1.b"))
    assert not any(each in shown for each in ("12.new", "1.a", "1.b", SETTINGS["refresh_token"]))


@needs_contract
def test_the_endpoint_is_that_of_the_document():
    """Below the same host root as the API."""
    schemes = etsy_contract.document()["components"]["securitySchemes"]
    flow = schemes["oauth2"]["flows"]["authorizationCode"]
    assert urlsplit(flow["tokenUrl"]).path == TOKEN_PATH
    assert flow["authorizationUrl"] == granting.PAGE
    assert set(granting.SCOPES) <= set(flow["scopes"])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer({"error": "invalid_grant"}, 400), AuthFailed),
        (answer({"error": "invalid_client"}, 401), AuthFailed),
        (answer(b"<html>", 400), ChannelUnavailable),
        (answer(b"<html>", 401), ChannelUnavailable),
        (answer(b"<html>", 403), ChannelUnavailable),
        (answer({"error": "x"}, 500), ChannelUnavailable),
        (answer(b"", 503), ChannelUnavailable),
        (answer({"error": "x"}, 429), ChannelUnavailable),
        (answer(b"", 302), PayloadInvalid),
        (answer(b"<html>"), PayloadInvalid),
        (answer({"access_token": "a"}), PayloadInvalid),
        (answer({"access_token": "", "expires_in": 1}), PayloadInvalid),
        (answer({"access_token": "a\nb", "expires_in": 1}), PayloadInvalid),
        (answer({"access_token": "a", "expires_in": 0}), PayloadInvalid),
        (answer({"access_token": "a", "expires_in": True}), PayloadInvalid),
        (answer({"access_token": "a", "expires_in": 1, "refresh_token": ""}), PayloadInvalid),
    ],
)
def test_each_answer_of_the_endpoint_has_its_meaning(world: World, given: Answer, error: Any):
    """A person, later, or never seen before."""
    with pytest.raises(error):
        world.connector.renewal().granted(Tokens("", refresh="r"), given, now=BEGUN)


def test_an_answer_without_a_new_refresh_token_keeps_the_old_one(world: World):
    """Nothing is thrown away that was not replaced."""
    told = answer({"access_token": "1.a", "expires_in": 60})
    tokens = world.connector.renewal().granted(Tokens("", refresh="r"), told, now=BEGUN)
    assert tokens.refresh == "r"


# -- the first grant -----------------------------------------------------------------------------


def test_pkce_is_that_of_the_rfc():
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert granting.code_challenge(verifier) == challenge


def test_the_address_asks_for_what_is_needed_and_shows_no_secret(world: World):
    """The keystring alone, four scopes, the challenge and not the verifier."""
    url = world.connector.authorize_url(REDIRECT, state="st", verifier=VERIFIER)
    assert url.startswith(f"{granting.PAGE}?")
    query = {name: each for name, (each,) in parse_qs(urlsplit(url).query).items()}
    assert query == {
        "response_type": "code",
        "client_id": SETTINGS["keystring"],
        "redirect_uri": REDIRECT,
        "scope": "listings_r listings_w transactions_r shops_r",
        "state": "st",
        "code_challenge": granting.code_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    assert not any(secret in url for secret in (VERIFIER, SETTINGS["shared_secret"]))


def test_the_page_may_be_another_one():
    """An emulator's, for a rehearsal; plain HTTP to this machine alone."""
    made = make_connector(authorize_url="http://127.0.0.1:8080/oauth/connect")
    url = made.authorize_url(REDIRECT, state="st", verifier=VERIFIER)
    assert url.startswith("http://127.0.0.1:8080/oauth/connect?")


def browser(world: World, url: str, decision: str) -> str:
    """Open the address, press a button, and return where the browser ends."""
    parts = urlsplit(url)
    query = tuple(parse_qsl(parts.query))
    page = world.shop.handle(ShopRequest("GET", parts.path, query, {}))
    assert page.status == 200, page.body
    body = f"decision={decision}".encode()
    sent = world.shop.handle(ShopRequest("POST", parts.path, query, {}, body))
    assert sent.status == 302
    return sent.headers["location"]


async def test_a_grant_from_the_browser_to_the_first_call(world: World):
    """The owner agrees on the emulated page; the tokens work, for what was asked."""
    world.shop.access.redirects = frozenset({REDIRECT})
    made = world.connector
    url = made.authorize_url(REDIRECT, state="st", verifier=VERIFIER)
    ended = browser(world, url, "allow")
    traded = made.exchange(f" {ended}\n", REDIRECT, state="st", verifier=VERIFIER)
    tokens = made.first_tokens(call(world, traded), now=BEGUN)
    assert tokens.refresh is not None
    headers = made.auth_headers(tokens)
    path = "/v3/application/listings/1001/inventory"
    assert world.shop.handle(ShopRequest("GET", path, (), headers)).status == 200
    with pytest.raises(AuthFailed):  # a code is worth something once
        made.first_tokens(call(world, traded), now=BEGUN)


def test_another_verifier_is_worth_nothing(world: World):
    """Who asked is who trades the code."""
    world.shop.access.redirects = frozenset({REDIRECT})
    made = world.connector
    ended = browser(world, made.authorize_url(REDIRECT, state="s", verifier=VERIFIER), "allow")
    traded = made.exchange(ended, REDIRECT, state="s", verifier="x" * 43)
    with pytest.raises(AuthFailed) as caught:
        made.first_tokens(call(world, traded), now=BEGUN)
    assert caught.value.next == "stockpush connect e"


def test_whoever_says_no_grants_nothing(world: World):
    """And is told what to type to begin again."""
    world.shop.access.redirects = frozenset({REDIRECT})
    made = world.connector
    ended = browser(world, made.authorize_url(REDIRECT, state="s", verifier=VERIFIER), "deny")
    with pytest.raises(AuthFailed, match="access_denied") as caught:
        made.exchange(ended, REDIRECT, state="s", verifier=VERIFIER)
    assert caught.value.next == "stockpush connect e"


@pytest.mark.parametrize(
    ("redirected", "error"),
    [
        (f"{REDIRECT}?error=access_denied&state=st", AuthFailed),
        (f"{REDIRECT}?code=c&state=other", AuthFailed),
        (f"{REDIRECT}?code=c", AuthFailed),
        (f"{REDIRECT}?state=st", UsageError),
        ("c", UsageError),
        ("", UsageError),
        ("http://[bad", UsageError),
        ("http://[bad?code=c&state=st", UsageError),
        (f"{REDIRECT}?code={'c' * 5000}&state=st", UsageError),
        (f"{REDIRECT}?code=c&state=\udc80", UsageError),
    ],
)
def test_an_address_that_brings_no_code_of_ours_is_refused(redirected: str, error: Any):
    """Refused by the person, of another request, or no such address at all."""
    with pytest.raises(error) as caught:
        granting.code_from(redirected, state="st", again="stockpush connect e")
    assert caught.value.next == "stockpush connect e"


# -- how the account stands ----------------------------------------------------------------------


async def findings(world: World) -> dict[str, Finding]:
    """Check, and return what was found by what it is of."""
    return {each.what: each for each in await world.connector.check(world.api)}


async def test_an_account_in_order(world: World):
    """Access, the shop by name and number, the rights that reading shows."""
    found = await findings(world)
    assert [(each.what, each.ok) for each in found.values()] == [
        ("access", True), ("shop", True), ("scopes", True)
    ]  # fmt: skip
    assert found["shop"].told == "EmulatedShop has the number 77"
    assert {sent.method for sent in world.api.sent} == {"GET"}


async def test_the_shop_s_number_is_told():
    """It need not be known beforehand, and a wrong one is named with the right one."""
    for configured, told in (("", "not configured yet"), ("78", "another shop than 78")):
        world = make_world(shop_id=configured)
        shop = (await findings(world))["shop"]
        assert (shop.ok, shop.access, shop.grant) == (False, False, False)
        assert told in shop.told
        assert "shop_id = 77 under [channels.e]" in shop.mend


async def test_a_right_that_is_missing_is_named(world: World):
    """Granting access anew mends it."""
    world.shop.access.scopes = frozenset({"listings_r", "listings_w", "shops_r"})
    scopes = (await findings(world))["scopes"]
    assert (scopes.ok, scopes.access, scopes.grant) == (False, True, True)
    assert scopes.told == "missing: transactions_r"
    assert "stockpush connect e" in scopes.mend


async def test_a_wrong_key_is_told_from_a_missing_right():
    """No grant mends it: both of the key's halves are to be copied again."""
    world = make_world(shared_secret="of-another-app")
    access = (await findings(world))["access"]
    assert (access.ok, access.access, access.grant) == (False, True, False)
    assert "keystring and shared_secret" in access.mend
    world = make_world()
    world.shop.access.scopes = frozenset({"listings_r"})
    with pytest.raises(AuthFailed):  # without the right to read the shop nothing can be told
        await world.connector.check(world.api)


async def test_access_that_has_ended_is_told_by_the_door(world: World):
    """401 is what every other call would say too."""
    world.shop.faults.unauthorized = True
    with pytest.raises(AuthFailed):
        await world.connector.check(world.api)


@pytest.mark.parametrize(
    ("secret", "told"), [("", "polling, which is enough"), (SECRET, "by hand")]
)
async def test_webhooks_are_advice(secret: str, told: str):
    """Where to make them, with what; without a secret polling alone goes on. No call is made."""
    world = make_world(webhook_secret=secret)
    url = "https://stock.example/webhooks/e/TOKEN"
    hooks = await world.connector.ensure_webhooks(world.api, url)
    assert told in hooks.advice
    for each in (url, "Webhook portal", "order.paid", "order.canceled"):
        assert each in hooks.advice
    assert (hooks.made, hooks.kept, world.api.sent) == ((), (), [])
