"""An emulated WooCommerce shop: REST v3 in, answers out, own stock, own checkout, own webhooks."""

from stockpush.sim.shops.woocommerce.shop import WooShop

__all__ = ["WooShop"]
