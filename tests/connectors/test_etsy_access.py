"""Etsy: access for an hour at a time, and the first grant with PKCE."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from stockpush.connectors.base import Answer, TokenCall, Tokens
from stockpush.connectors.etsy import granting
from stockpush.connectors.etsy.renewing import TOKEN_PATH
from stockpush.errors import AuthFailed, ChannelUnavailable, PayloadInvalid, UsageError
from stockpush.sim.shops.base import ShopRequest
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import SETTINGS, World, make_connector, make_world, needs_contract
from tests.connectors.hands import BEGUN

REDIRECT = "https://stock.example/etsy"


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
    assert caught.value.next == "stockpush connect"


def test_a_channel_may_be_configured_before_access_is_granted():
    """The first grant puts its tokens into the database: until then the way is told."""
    renewal = make_connector(refresh_token="").renewal()
    assert renewal.first() == Tokens("", refresh=None)
    with pytest.raises(AuthFailed) as caught:
        renewal.call(renewal.first())
    assert caught.value.next == "stockpush connect"


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
    assert flow["authorizationUrl"] == granting.AUTHORIZE_URL
    assert set(granting.SCOPES) <= set(flow["scopes"])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer({"error": "invalid_grant"}, 400), AuthFailed),
        (answer({"error": "invalid_client"}, 401), AuthFailed),
        (answer(b"<html>", 403), AuthFailed),
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
    octets = bytes(
        [116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186,
         22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121]
    )  # fmt: skip
    verifier = granting.code_verifier(octets)
    assert verifier == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert granting.code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    with pytest.raises(AssertionError):
        granting.code_verifier(b"short")


def test_the_address_asks_for_what_is_needed_and_shows_no_secret():
    """The keystring alone, four scopes, the challenge and not the verifier."""
    verifier = granting.code_verifier(bytes(32))
    url = granting.authorize_url("key", REDIRECT, state="st", verifier=verifier)
    assert url.startswith(f"{granting.AUTHORIZE_URL}?")
    query = {name: each for name, (each,) in parse_qs(urlsplit(url).query).items()}
    assert query == {
        "response_type": "code",
        "client_id": "key",
        "redirect_uri": REDIRECT,
        "scope": "listings_r listings_w transactions_r shops_r",
        "state": "st",
        "code_challenge": granting.code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    assert verifier not in url


def test_a_grant_from_the_browser_to_the_first_call(world: World):
    """The emulated shop plays Etsy's part; the tokens work, and their user is told."""
    verifier = granting.code_verifier(bytes(range(32)))
    url = granting.authorize_url(SETTINGS["keystring"], REDIRECT, state="st", verifier=verifier)
    query = {name: each for name, (each,) in parse_qs(urlsplit(url).query).items()}
    code = world.shop.access.authorize(
        query["redirect_uri"], query["code_challenge"], query["scope"]
    )
    redirected = f"{REDIRECT}?code={code}&state=st"
    made = granting.exchange(
        SETTINGS["keystring"],
        REDIRECT,
        code=granting.code_from(redirected, state="st"),
        verifier=verifier,
    )
    tokens = granting.first_tokens(call(world, made), now=BEGUN)
    assert granting.user_of(tokens) == 12345678
    assert tokens.refresh is not None
    headers = world.connector.auth_headers(tokens)
    path = "/v3/application/listings/1001/inventory"
    assert world.shop.handle(ShopRequest("GET", path, (), headers)).status == 200


@pytest.mark.parametrize(
    ("redirected", "error"),
    [
        (f"{REDIRECT}?error=access_denied&state=st", AuthFailed),
        (f"{REDIRECT}?code=c&state=other", AuthFailed),
        (f"{REDIRECT}?code=c", AuthFailed),
        (f"{REDIRECT}?state=st", UsageError),
        ("c", UsageError),
        ("", UsageError),
    ],
)
def test_an_address_that_brings_no_code_of_ours_is_refused(redirected: str, error: Any):
    """Refused by the person, of another request, or no such address at all."""
    with pytest.raises(error):
        granting.code_from(redirected, state="st")


@pytest.mark.parametrize("access", ["", "token", ".x", "abc.x", "\u0667.x"])
def test_a_token_without_its_user_is_refused(access: str):
    """The shop's number is looked up by it."""
    with pytest.raises(AuthFailed):
        granting.user_of(Tokens(access))
