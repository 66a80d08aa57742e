"""WooCommerce: an emulated shop behind the route index of a real one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stockpush.connectors.base import Checkup, Connector, PushLine, WebhookRequest
from stockpush.model import FieldKey
from tests.connectors import woocommerce_world
from tests.connectors.canned import PathedApi
from tests.contract.kit import SAMPLES, Kit
from tests.contract.readers import delivery, order, refused
from tests.contract.stage import HOOK

SIGNATURE = "x-wc-webhook-signature"


def sell(shop: Any, number: int, quantity: int) -> tuple[Mapping[str, Any], str]:
    """Put a product on sale."""
    product = 1000 + number
    shop.add_product(product, stock=quantity, sku=f"sku-{number}")
    return {"product_id": product}, str(product)


async def more(stage: Any) -> None:
    """Variations of a parent, one and several; an order with a refund; webhooks to mend."""
    stage.shop.add_variation(31, 34, stock=2)
    for batch in (["31:33"], ["31:33", "31:34"]):
        held = {each: int(stage.shop.stock_quantity(each)) for each in batch}
        fields = [FieldKey(stage.connector.channel, each) for each in batch]
        await stage.connector.observe(stage.api, fields)
        lines = [
            PushLine(each, expected=held[each.key], target=held[each.key] - 1) for each in fields
        ]
        await stage.connector.push(stage.api, lines, call_id="c")
    order = stage.shop.checkout([("30", 2)])
    stage.shop.refund(order, "30", 1, restock=True)
    await stage.connector.fetch_order(stage.api, order, fetch=2)
    assert isinstance(stage.connector, Checkup)
    stage.shop.lose_webhooks()
    await stage.connector.ensure_webhooks(stage.api, HOOK)


def vector(case: Mapping[str, Any]) -> tuple[Mapping[str, str], WebhookRequest] | None:
    """Return what one case configures and delivers; the unsigned ping is no delivery."""
    if case["header"] is None:
        return None
    delivered = WebhookRequest({SIGNATURE: case["header"]}, case["body"].encode())
    return {"webhook_secret": case["secret_as_shown"]}, delivered


def refunds(connector: Connector, body: bytes) -> object:
    """Read an order's refunds with it: what they took back is ordered no more."""
    told = (SAMPLES / "woocommerce/order_with_refund.json").read_bytes()
    paths = {"/orders/728": [told], "/orders/728/refunds": [body]}
    seen = order(connector, PathedApi(paths=paths), "728")
    assert any(each.open < each.ordered for each in seen.lines)
    return seen


ROUTES = "/wp-json/wc/v3"

KIT = Kit(
    settings=woocommerce_world.SETTINGS,
    slip=({"base_url": "http://shop.example"}, "base_url"),
    open=woocommerce_world.make_world,
    sell=sell,
    requests=frozenset(
        {
            f"GET {ROUTES}/orders",
            f"GET {ROUTES}/orders/{{}}",
            f"GET {ROUTES}/orders/{{}}/refunds",
            f"GET {ROUTES}/products",
            f"GET {ROUTES}/products/{{}}/variations",
            f"GET {ROUTES}/settings/products/woocommerce_manage_stock",
            f"GET {ROUTES}/webhooks",
            f"POST {ROUTES}/products/batch",
            f"POST {ROUTES}/products/{{}}/variations/batch",
            f"POST {ROUTES}/webhooks",
            f"PUT {ROUTES}/products/{{}}",
            f"PUT {ROUTES}/products/{{}}/variations/{{}}",
            f"PUT {ROUTES}/webhooks/{{}}",
            f"DELETE {ROUTES}/webhooks/{{}}",
        }
    ),
    contract="contracts/woocommerce/wc-v3-index.json",
    samples={
        "order_*": delivery,
        "product_*": delivery,
        "custom_action": delivery,
        "error_object": refused,
        "refunds_of_728": refunds,
    },
    more=more,
    signed=(SIGNATURE,),
    vectors="woocommerce",
    vector=vector,
)
