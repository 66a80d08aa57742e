"""The database before it is opened: is it whole, does a daemon have it, which schema has it."""

from __future__ import annotations

import asyncio

from stockpush.errors import StoreDamaged
from stockpush.settings import Settings
from stockpush.store import address, damage, migrations
from stockpush.store.address import sqlite_path
from stockpush.store.lock import held
from stockpush.store.sql import BUSY_TIMEOUT_S


async def migrate(settings: Settings, *, dry_run: bool = False) -> tuple[str | None, str]:
    """Bring the database to this version's schema; return its revision before (None: new) and now.

    With `dry_run` only look: a database that is not there is not made.
    """
    file = sqlite_path(settings.daemon.database)
    if dry_run and file is not None and not file.exists():
        return None, migrations.head()
    database = address.database(settings.daemon.database, busy_timeout_s=BUSY_TIMEOUT_S)
    try:
        work = migrations.revision if dry_run else migrations.migrate
        return await work(database), migrations.head()
    finally:
        await database.close()


async def examine(settings: Settings, *, deep: bool = False) -> None:
    """Refuse a database file that is damaged, or lies where locks do not hold, before it is opened.

    `deep` compares every index and reference too. PostgreSQL looks after its files itself. Raises
    `StoreDamaged` and `ConfigInvalid`.
    """
    file = sqlite_path(settings.daemon.database)
    if file is not None:
        damage.refuse_network_drive(file)
        await asyncio.to_thread(damage.refuse_damaged, file, deep=deep)


def with_recovery(settings: Settings, error: StoreDamaged) -> StoreDamaged:
    """Return what `check` found at the very end, with the commands that put a copy back."""
    file = sqlite_path(settings.daemon.database)
    return error if file is None else damage.damaged(file.absolute(), error.message.rstrip("."))


def daemon_runs(settings: Settings) -> bool | None:
    """Answer whether a daemon has the database; None where that cannot be told (PostgreSQL)."""
    file = sqlite_path(settings.daemon.database)
    return None if file is None else held(file)
