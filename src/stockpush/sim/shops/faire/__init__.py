"""An emulated Faire account: External API v2 in, answers out, own stock, retailers' orders."""

from stockpush.sim.shops.faire.shop import FaireShop

__all__ = ["FaireShop"]
