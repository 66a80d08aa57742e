"""How an account is examined and its webhooks are kept, against the emulated shops."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from stockpush.connectors import registry
from stockpush.connectors.base import Checkup, Hooks
from stockpush.connectors.shopify.operations import PATH
from stockpush.engine import checkup
from stockpush.errors import AuthFailed, OutcomeUnknown, PushRejected, RateLimited
from tests.connectors import canned, faire_world, generic_world, shopify_world, woocommerce_world
from tests.connectors.inprocess import InProcessApi
from tests.connectors.shopify_world import LOCATION, needs_schema

URL = "https://stock.example/webhooks/s/TOKEN_OF_22_CHARACTERS"
FORMER = "https://former.example/webhooks/s/TOKEN_OF_22_CHARACTERS"
OTHERS = "https://elsewhere.example/hook"
CHECKED = [False, pytest.param(True, marks=needs_schema)]


def shopify(*, checked: bool = False) -> Any:
    """A shop that nobody has subscribed to."""
    made = shopify_world.world(checked=checked)
    made.shop.outbox.subscriptions.clear()
    return made


def woo() -> Any:
    """A site without webhooks; its REST contract is checked where it is here."""
    made = woocommerce_world.make_world()
    made.shop._outbox.webhooks.clear()
    return made


def subscribed(made: Any) -> list[tuple[str, str]]:
    """What goes where, by the shop itself; only what is switched on."""
    if hasattr(made.shop, "outbox"):
        return sorted((each.topic, each.url) for each in made.shop.outbox.subscriptions)
    hooks = made.shop._outbox.webhooks.values()
    return sorted((each.topic, each.url) for each in hooks if each.status == "active")


def wanted(made: Any) -> list[tuple[str, str]]:
    """What should go where."""
    topics = made.connector.manifest.webhook_topics
    if hasattr(made.shop, "outbox"):
        topics = ["/".join(topic.lower().rsplit("_", 1)) for topic in topics]
    return sorted((topic, URL) for topic in topics)


@pytest.mark.parametrize("make", [shopify, woo])
async def test_what_is_missing_is_made_once(make: Any) -> None:
    """The first call makes every topic, the second finds them; a dry run makes none."""
    made = make()
    topics = made.connector.manifest.webhook_topics
    assert isinstance(made.connector, Checkup)
    planned = await made.connector.ensure_webhooks(made.api, URL, dry_run=True)
    assert (planned.made, subscribed(made)) == (topics, [])
    done = await made.connector.ensure_webhooks(made.api, URL)
    assert done == Hooks(made=topics)
    assert done.lost == topics
    assert subscribed(made) == wanted(made)
    again = await made.connector.ensure_webhooks(made.api, URL)
    assert (sorted(again.kept), again.lost, again.removed) == (sorted(topics), (), ())


@pytest.mark.parametrize("make", [shopify, woo])
async def test_a_former_address_is_replaced_and_others_are_left_alone(make: Any) -> None:
    """Our path below another root is ours; what somebody else subscribed is not touched."""
    made = make()
    await made.connector.ensure_webhooks(made.api, FORMER)
    topic = subscribed(made)[0][0]
    if hasattr(made.shop, "outbox"):
        made.shop.outbox.subscribe(topic, OTHERS)
    else:
        made.shop.subscribe(topic, OTHERS, "theirs")
    done = await made.connector.ensure_webhooks(made.api, URL)
    assert sorted(done.removed) == sorted(done.made)
    assert subscribed(made) == sorted([*wanted(made), (topic, OTHERS)])


@pytest.mark.parametrize("checked", CHECKED)
async def test_shopify_makes_anew_what_was_deleted(checked: bool) -> None:
    """After eight failures in a row a subscription is gone; only that topic is made."""
    made = shopify(checked=checked)
    await made.connector.ensure_webhooks(made.api, URL)
    made.shop.outbox.unsubscribe(made.shop.outbox.subscriptions[1].number)
    done = await made.connector.ensure_webhooks(made.api, URL)
    assert (len(done.made), len(done.kept)) == (1, 6)
    assert subscribed(made) == wanted(made)


async def test_woocommerce_switches_on_again_what_was_switched_off() -> None:
    """The webhook is the same one, with the configured secret; a double one is removed."""
    made = woo()
    await made.connector.ensure_webhooks(made.api, URL)
    made.shop.subscribe("order.created", URL, "double")
    made.shop.lose_webhooks()
    for hook in made.shop._outbox.webhooks.values():
        hook.secret = "typed wrong"
    done = await made.connector.ensure_webhooks(made.api, URL)
    topics = made.connector.manifest.webhook_topics
    assert (sorted(done.revived), done.removed) == (sorted(topics), ("order.created",))
    assert set(done.lost) == set(topics)
    assert subscribed(made) == wanted(made)
    secrets = {each.secret for each in made.shop._outbox.webhooks.values()}
    assert secrets == {woocommerce_world.SECRET}


@dataclass(slots=True)
class Noting(InProcessApi):
    """A door with a notebook."""

    notes: dict[str, str] = field(default_factory=dict)

    async def noted(self) -> Mapping[str, str]:
        """Return every note."""
        return dict(self.notes)

    async def note(self, key: str, text: str | None) -> None:
        """Keep a note."""
        assert text is not None
        self.notes[key] = text


async def test_woocommerce_gives_its_webhooks_a_secret_that_has_changed() -> None:
    """Those that are there sign with the former one, which nobody can read: what was sent last is
    noted, and no more of it than whether it is the same. What they sent meanwhile is polled.
    """
    made = woo()
    topics = sorted(made.connector.manifest.webhook_topics)
    api = Noting(made.shop, made.connector)
    await made.connector.ensure_webhooks(api, URL)
    for secret in ("the next one", "one more"):
        changed = woocommerce_world.make_connector(webhook_secret=secret)
        planned = await changed.ensure_webhooks(api, URL, dry_run=True)
        assert sorted(planned.rekeyed) == topics
        assert "configured secret" in checkup.told_of(planned)
        assert {each.secret for each in made.shop._outbox.webhooks.values()} != {secret}
        done = await changed.ensure_webhooks(api, URL)
        assert (sorted(done.rekeyed), sorted(done.lost), done.kept) == (topics, topics, ())
        assert {each.secret for each in made.shop._outbox.webhooks.values()} == {secret}
        assert secret not in "".join(api.notes.values())
        api.sent.clear()
        again = await changed.ensure_webhooks(api, URL)
        assert (sorted(again.kept), again.rekeyed) == (topics, ())
        assert {each.method for each in api.sent} == {"GET"}
    assert len(made.shop._outbox.webhooks) == len(topics)


async def test_a_secret_counts_as_given_once_every_webhook_has_it() -> None:
    """A shop that failed half-way is told again, from the first one on."""
    made = woo()
    api = Noting(made.shop, made.connector)
    await made.connector.ensure_webhooks(api, URL)
    changed = woocommerce_world.make_connector(webhook_secret="the next one")
    made.shop.faults.only_writes, made.shop.faults.server_error_next = True, 1
    with pytest.raises(OutcomeUnknown):
        await changed.ensure_webhooks(api, URL)
    await changed.ensure_webhooks(api, URL)
    assert {each.secret for each in made.shop._outbox.webhooks.values()} == {"the next one"}


async def test_what_is_noted_of_a_secret_takes_the_api_key_to_try_out() -> None:
    """A short secret could be guessed from a plain digest of it."""
    digests = {
        woocommerce_world.make_connector(
            consumer_secret=key, webhook_secret=secret
        ).settings.webhook_digest
        for key in ("cs_one", "cs_two")
        for secret in ("a", "b")
    }
    assert len(digests) == 4


async def test_a_refused_webhook_says_why() -> None:
    """Shopify's own words are told, and the topic that they are about."""
    made = shopify()
    handlers = made.shop.door.handlers
    refused = {"webhookSubscription": None, "userErrors": [{"field": None, "message": "No."}]}
    made.shop.door.handlers = {
        **handlers,
        "Subscribe": lambda _: {"webhookSubscriptionCreate": refused},
    }
    with pytest.raises(PushRejected, match=r"the webhook ORDERS_CREATE: No\."):
        await made.connector.ensure_webhooks(made.api, URL)


@pytest.mark.parametrize("checked", CHECKED)
async def test_shopify_in_order(checked: bool) -> None:
    """Access, the version, shop, scopes, the age of orders, the location."""
    made = shopify(checked=checked)
    findings = await made.connector.check(made.api)
    assert [(each.what, each.ok) for each in findings] == [
        ("access", True),
        ("API version", True),
        ("shop", True),
        ("scopes", True),
        ("old orders", True),
        ("location", True),
    ]


async def test_shopify_with_everything_wrong() -> None:
    """Each says how to mend it: scopes by name, locations to choose from, the real shop."""
    made = shopify()
    queries = made.shop.door.handlers["Checkup"].__self__
    queries.scopes[:] = ["read_inventory", "read_products"]
    made.shop.outbox.domain = "other.myshopify.com"
    made.shop.inventory.locations = (7,)
    findings = {each.what: each for each in await made.connector.check(made.api)}
    assert findings["scopes"].access
    assert findings["scopes"].told == "missing: write_inventory, read_orders, read_locations"
    assert "read_all_orders" in findings["old orders"].told
    assert 'shop = "other.myshopify.com"' in findings["shop"].mend
    assert "gid://shopify/Location/7" in findings["location"].mend
    assert f"Location/{LOCATION}" not in findings["location"].mend
    assert [each.what for each in findings.values() if not each.ok] == [
        "shop",
        "scopes",
        "location",
    ]


async def test_a_version_that_shopify_has_retired_is_told() -> None:
    """A year after it came a version is answered with another one: nothing else would tell."""
    made = shopify()
    offered = made.shop.door.handlers["Checkup"].__self__.versions
    offered.clear()
    offered.update({"2027-01", "2027-10"})
    found = {each.what: each for each in await made.connector.check(made.api)}
    assert (found["API version"].ok, found["API version"].mend) == (False, "update Stock Push")
    assert found["API version"].told.endswith("only 2027-01, 2027-10")


@pytest.mark.parametrize(
    "less", [{"fields": ("id",)}, {"filter": "total_price:>=10"}, {"format": "XML"}]
)
async def test_a_subscription_that_sends_less_is_replaced(less: dict[str, Any]) -> None:
    """With some fields only, equal bodies are dropped; filtered, sales are. Ours are whole."""
    made = shopify()
    await made.connector.ensure_webhooks(made.api, URL)
    hook = made.shop.outbox.subscriptions[2]
    for name, value in less.items():
        setattr(hook, name, value)
    done = await made.connector.ensure_webhooks(made.api, URL)
    assert (len(done.made), len(done.removed), len(done.kept)) == (1, 1, 6)
    assert subscribed(made) == wanted(made)
    again = await made.connector.ensure_webhooks(made.api, URL)
    assert (again.made, len(again.kept)) == ((), 7)


async def test_woocommerce_in_and_out_of_order() -> None:
    """The key reads orders and may write, and the shop manages stock; or not."""
    made = woo()
    before = made.shop.stock_quantity("30")
    assert [each.ok for each in await made.connector.check(made.api)] == [True, True, True]
    assert made.shop.stock_quantity("30") == before
    made.shop._office.manages_stock = False
    stock = (await made.connector.check(made.api))[2]
    assert (stock.ok, stock.told) == (False, "the shop manages no stock at all")


async def test_a_key_that_may_only_read_is_told_before_it_is_needed() -> None:
    """Its permission shows when something is written: a batch of nothing asks for it."""
    made = woo()
    made.shop.may_write = False
    found = {each.what: each for each in await made.connector.check(made.api)}
    assert [each.what for each in found.values() if not each.ok] == ["rights"]
    assert found["rights"].access
    assert "Read/Write" in found["rights"].mend


@pytest.mark.parametrize(
    ("met", "why"),
    [
        (OutcomeUnknown("the channel answered 500"), "the channel answered 500"),
        (RateLimited("told to wait", retry_after_s=9), "told to wait"),
        (canned.answer(b"<!doctype html><title>Are you a robot?</title>"), "200 (HTML"),
        (canned.answer(b"blocked"), "not JSON"),
        (canned.answer({"code": "rest_no_route"}, 404), "rest_no_route"),
        (canned.answer({"code": "rest_invalid_param"}, 400), "400 (rest_invalid_param)"),
    ],
)
async def test_rights_that_could_not_be_told_are_no_check_mark(met: Any, why: str) -> None:
    """A shop in trouble and a page before it say nothing of the key: why, and what to do next."""
    first = [canned.answer(b"[]"), canned.answer({"value": "yes"}), met]
    found = await woo().connector.check(canned.CannedApi(first))
    (rights,) = (each for each in found if each.what == "rights")
    assert (rights.ok, rights.access) == (False, False)
    assert "could not be told" in rights.told
    assert why in rights.told
    assert rights.mend.endswith("stockpush doctor")


@pytest.mark.parametrize("taken", [b"[]", b'{"update":[]}', b"{}"])
async def test_an_empty_batch_that_was_taken_is_a_key_that_may_write(taken: bytes) -> None:
    """PHP writes an object without fields as a list."""
    first = [canned.answer(b"[]"), canned.answer({"value": "yes"}), canned.answer(taken)]
    found = await woo().connector.check(canned.CannedApi(first))
    assert all(each.ok for each in found)


async def test_a_refused_token_is_told_by_the_door() -> None:
    """Whoever cannot look at all raises what every other call would."""
    made = shopify()
    made.shop.door.access_token = "revoked"
    with pytest.raises(AuthFailed):
        await made.connector.check(made.api)
    assert {request.path for request in made.api.sent} == {PATH}


@pytest.mark.parametrize("settings", [faire_world.SETTINGS, faire_world.OAUTH])
async def test_faire_tries_either_kind_of_credentials(settings: dict[str, str]) -> None:
    """The smallest page of orders, and a quantity of nobody's; a token that is refused is told."""
    made = faire_world.make_world()
    connect = registry.load("faire")
    made.api.connector = connector = connect("f", registry.manifest("faire"), settings)
    assert isinstance(connector, Checkup)
    access, quantities = await connector.check(made.api)
    assert (access.ok, access.told) == (True, "the token reads orders")
    assert (quantities.ok, quantities.told) == (True, "the token reads quantities")
    assert [(sent.method, sent.path, sent.query) for sent in made.api.sent] == [
        ("GET", f"{faire_world.ROOT}/orders", (("limit", "10"),)),
        (
            "GET",
            f"{faire_world.ROOT}/product-inventory/by-product-variant-ids",
            (("ids", "po_0000000000"),),
        ),
    ]
    made.shop.faults.unauthorized = True
    with pytest.raises(AuthFailed):
        await connector.check(made.api)
    assert "polling" in (await connector.ensure_webhooks(made.api, URL)).advice


async def test_a_faire_token_without_the_right_to_quantities_is_told() -> None:
    """It reads orders, so only a reading of quantities tells what is missing, before any push."""
    made = faire_world.make_world()
    made.shop.gives_quantities = False
    access, quantities = await made.connector.check(made.api)
    assert (access.ok, quantities.ok, quantities.access) == (True, False, True)
    assert "READ_INVENTORIES" in quantities.mend


async def test_a_shop_of_one_s_own_is_asked_for_nothing_of_its_own() -> None:
    """Any shop that speaks the protocol answers; one that does not know the token is told."""
    made = generic_world.make_world()
    (access,) = await made.connector.check(made.api)
    assert (access.ok, access.told) == (True, "the shop answers, and knows the token")
    assert [(sent.method, sent.path) for sent in made.api.sent] == [("GET", "/quantities")]
    made.shop.faults.unauthorized = True
    with pytest.raises(AuthFailed):
        await made.connector.check(made.api)
    hooks = await made.connector.ensure_webhooks(made.api, URL)
    assert URL in hooks.advice
    assert "order.changed" in hooks.advice


@pytest.mark.parametrize("name", sorted(registry.manifests()))
def test_every_connector_can_look_at_its_account(name: str) -> None:
    """None is believed to be well because nobody looked."""
    module = importlib.import_module(f"stockpush.connectors.{name}.connector")
    (connector,) = [each for each in vars(module).values() if _is_door(each, module.__name__)]
    assert issubclass(connector, Checkup)


def _is_door(value: object, module: str) -> bool:
    return isinstance(value, type) and value.__module__ == module and hasattr(value, "push")


async def test_what_cannot_be_looked_at_is_not_well() -> None:
    """A connector without a `check` has no check mark."""

    class Blind:
        """Nothing of what a connector may be besides."""

    (access,) = await checkup.access(Blind(), None)  # type: ignore[arg-type]
    assert not access.ok
