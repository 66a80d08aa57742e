"""Where stock lies, as people type it: lots, locations, and what is said of a lot that comes in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias

import typer

from stockpush.engine.moving import Manner

LotName: TypeAlias = Annotated[
    str | None, typer.Option("--lot", metavar="LOT", help="Of which lot (batch, crate, barrel).")
]
_POOL: Final = typer.Option(
    "--pool", metavar="NAME", help="In which pool of locations, if not in main."
)
PoolName: TypeAlias = Annotated[str, _POOL]
PoolIfAny: TypeAlias = Annotated[str | None, _POOL]
"""For verbs that may name what has its pool already: naming none is another thing than main."""
LocationName: TypeAlias = Annotated[
    str | None,
    typer.Option("--location", metavar="NAME", help="Where it lies, if not at the main place."),
]
Expires: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="DAY", help="The last day on which the lot is sold: 2027-03-01."
    ),
]
AvailableFrom: TypeAlias = Annotated[
    str | None,
    typer.Option("--available-from", metavar="DAY", help="The first day on which the lot is sold."),
]
Cost: TypeAlias = Annotated[
    str | None, typer.Option("--cost", metavar="AMOUNT", help="What was paid for it: 12.50.")
]
Supplier: TypeAlias = Annotated[
    str | None, typer.Option("--supplier", metavar="TEXT", help="Whom it came from.")
]
TYPED: Final = Manner(
    names={
        "sku": "SKU",
        "id": "ID",
        "quantity": "quantity",
        "lot": "--lot",
        "location": "--location",
        "pool": "--pool",
        "expires": "--expires",
        "available_from": "--available-from",
        "cost": "--cost",
        "supplier": "--supplier",
        "used": "--used",
        "scrapped": "--scrapped",
        "take": "--take",
        "bill": "--bill",
        "origin": "--from",
        "destination": "--to",
        "key": "--key",
    },
    local=True,
)
"""What the parts of a stock verb are called where they are typed."""


def last_day(expires_at: datetime) -> str:
    """Return the last day, by local time, on which a lot is sold."""
    return (expires_at - timedelta(microseconds=1)).astimezone().date().isoformat()
