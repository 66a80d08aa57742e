"""How a WooCommerce site stands, and its webhooks: listed, made, switched on again.

Theory of operation. A webhook that failed seven times in a row is disabled by the shop and stays
so; nothing that it missed is ever sent. It is switched on again with the configured secret. A
webhook's topic and address are what it is; one that goes to our path below another root (a former
`public_url`) is replaced.

A secret can be written and not read. So a digest of the one that every webhook was given last is
noted once they all have it; while it is not that of the configured one, or nothing is noted, they
are all given it again, and until then whatever they sent may have been refused.
Source: REST v3, webhooks and settings; the platform's webhook class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stockpush.connectors.answers import is_done
from stockpush.connectors.base import Api, Finding, Hooks, Notes, same_hook
from stockpush.connectors.payload import decode
from stockpush.connectors.woocommerce.wire import decode_answer, unexpected
from stockpush.errors import AuthFailed, ChannelError, PayloadInvalid

ROOT = "/wp-json/wc/v3"
HOOKS_MAX = 1000
"""Most webhooks that are looked at."""
NAME = "Stock Push"
NOTED = "webhook_secret"
"""Under which key it is noted which secret the webhooks have."""
_PAGE = 100
_JSON = {"content-type": "application/json"}


class _Hook(msgspec.Struct):
    id: int
    topic: str = ""
    status: str = ""
    delivery_url: str = ""


class _Setting(msgspec.Struct):
    value: Any = None


async def check(api: Api) -> tuple[Finding, ...]:
    """Return how access and the shop's stock settings stand."""
    orders = await api.send("GET", f"{ROOT}/orders", write=False, params=[("per_page", "1")])
    decode_answer(orders, list[msgspec.Raw], "list of orders")
    path = f"{ROOT}/settings/products/woocommerce_manage_stock"
    answer = await api.send("GET", path, write=False)
    managed = decode_answer(answer, _Setting, "setting").value == "yes"
    return (
        Finding("access", ok=True, told="the key reads orders"),
        await _rights(api),
        Finding(
            "stock",
            ok=managed,
            told="the shop manages stock" if managed else "the shop manages no stock at all",
            mend="WooCommerce, Settings, Products, Inventory: switch on stock management",
        ),
    )


async def _rights(api: Api) -> Finding:
    """Return whether the key may write, by a batch of nothing, which changes nothing.

    Only the shop's own answer says something: a fault, or a page of what stands before the shop,
    comes before anybody has looked at the key, or instead.
    """
    body = msgspec.json.encode({"update": []})
    path = f"{ROOT}/products/batch"
    try:
        answer = await api.send("POST", path, write=True, headers=_JSON, body=body)
        if answer.is_page or not is_done(answer):
            raise unexpected(answer, "batch of nothing")
        decode(answer.body, msgspec.Raw, what="batch of nothing")
    except AuthFailed:
        return Finding(
            "rights",
            ok=False,
            told="the key may not write products",
            mend="give it the permission Read/Write, and its user the right to manage the shop",
            access=True,
        )
    except ChannelError as error:
        found = "" if error.found is None else f" ({error.found})"
        return Finding(
            "rights",
            ok=False,
            told="it could not be told whether the key may write; "
            f"a batch of nothing met: {error.message.rstrip('.')}{found}",
            mend="look at the shop's error log, and at the firewall or proxy before it, "
            "which must let POST pass; then: stockpush doctor",
        )
    return Finding("rights", ok=True, told="the key may write")


async def ensure_webhooks(
    api: Api, url: str, *, topics: Sequence[str], secret: str, digest: str, dry_run: bool
) -> Hooks:
    """Have each topic sent to `url` once, switched on and signed with `secret`; see `base.Checkup`.

    `digest` is what is noted of the secret.
    """
    has_secret = not isinstance(api, Notes) or (await api.noted()).get(NOTED) == digest
    kept: list[str] = []
    revived: list[str] = []
    removed: list[str] = []
    rekeyed: list[str] = []
    for hook in sorted(await _hooks(api), key=lambda each: (each.status != "active", each.id)):
        known = hook.topic in {*kept, *revived, *rekeyed}
        if hook.delivery_url == url and hook.topic in topics and not known:
            if hook.status == "active" and has_secret:
                kept.append(hook.topic)
                continue
            (rekeyed if hook.status == "active" else revived).append(hook.topic)
            if not dry_run:
                await _write(
                    api, "PUT", f"/webhooks/{hook.id}", {"status": "active", "secret": secret}
                )
        elif same_hook(hook.delivery_url, url):
            removed.append(hook.topic)
            if not dry_run:
                await _delete(api, hook.id)
    made = [topic for topic in topics if topic not in {*kept, *revived, *rekeyed}]
    for topic in made if not dry_run else ():
        wanted = {
            "name": f"{NAME}: {topic}",
            "topic": topic,
            "delivery_url": url,
            "secret": secret,
            "status": "active",
        }
        await _write(api, "POST", "/webhooks", wanted)
    if isinstance(api, Notes) and not has_secret and not dry_run:
        await api.note(NOTED, digest)
    return Hooks(tuple(kept), tuple(made), tuple(revived), tuple(removed), rekeyed=tuple(rekeyed))


async def _hooks(api: Api) -> list[_Hook]:
    """Return every webhook of the shop."""
    found: list[_Hook] = []
    for page in range(1, HOOKS_MAX // _PAGE + 1):
        params = [("per_page", str(_PAGE)), ("page", str(page)), ("orderby", "id")]
        answer = await api.send("GET", f"{ROOT}/webhooks", write=False, params=params)
        rows = decode_answer(answer, list[_Hook], "list of webhooks")
        found += rows
        if len(rows) < _PAGE:
            return found
    raise PayloadInvalid("The shop pages its webhooks without end.", field="page")


async def _write(api: Api, method: str, path: str, body: dict[str, str]) -> None:
    answer = await api.send(
        method, ROOT + path, write=True, headers=_JSON, body=msgspec.json.encode(body)
    )
    if answer.status not in (200, 201):
        raise unexpected(answer, "webhook")


async def _delete(api: Api, hook: int) -> None:
    path = f"{ROOT}/webhooks/{hook}"
    answer = await api.send("DELETE", path, write=True, params=[("force", "true")])
    if answer.status not in (200, 404):  # gone is what was wanted
        raise unexpected(answer, "webhook")
