"""Which language is spoken on each channel of a simulated world."""

from __future__ import annotations

from collections.abc import Mapping

from stockpush.sim.auditor.languages import Language
from stockpush.sim.auditor.languages.shopify import Shopify
from stockpush.sim.auditor.languages.woocommerce import WooCommerce
from stockpush.sim.world import SHOPIFY, WOO


def languages() -> Mapping[str, Language]:
    """Return the language of each channel."""
    return {SHOPIFY: Shopify(), WOO: WooCommerce()}
