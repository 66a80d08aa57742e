"""Which language is spoken on each channel of a simulated world."""

from __future__ import annotations

from stockpush.sim.accounts import AnyShop
from stockpush.sim.auditor.languages import Language
from stockpush.sim.auditor.languages.etsy import Etsy
from stockpush.sim.auditor.languages.faire import Faire
from stockpush.sim.auditor.languages.shopify import Shopify
from stockpush.sim.auditor.languages.site import Site
from stockpush.sim.auditor.languages.woocommerce import WooCommerce
from stockpush.sim.shops.etsy import EtsyShop
from stockpush.sim.shops.faire import FaireShop
from stockpush.sim.shops.generic import GenericShop
from stockpush.sim.shops.woocommerce import WooShop


def language_of(shop: AnyShop) -> Language:
    """Return the language of a shop."""
    match shop:
        case WooShop():
            return WooCommerce()
        case EtsyShop():
            return Etsy(shop)
        case FaireShop():
            return Faire()
        case GenericShop():
            return Site(shop)
        case _:
            return Shopify()
