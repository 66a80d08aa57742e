"""The store: the only room that knows SQLAlchemy. `SqlStore.open` is the door."""

from stockpush.store.lock import DaemonLock
from stockpush.store.sql import SqlStore

__all__ = ["DaemonLock", "SqlStore"]
