"""One process of a bench: `python -m bench.worker ROLE JOB`, the job and its result as JSON."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from bench import floor, lane, load, shops


def main(role: str, job: bytes) -> None:
    """Carry out one job; the last line of standard output is its result."""
    match role:
        case "floor":
            asyncio.run(floor.serve(msgspec.json.decode(job, type=floor.Job)))
        case "load":
            _tell(asyncio.run(load.run(msgspec.json.decode(job, type=load.Job))))
        case "lane":
            _tell(asyncio.run(lane.sell(msgspec.json.decode(job, type=lane.Job))))
        case "replay":
            _tell(lane.replay(msgspec.json.decode(job, type=lane.Job)))
        case "shops":
            asyncio.run(_shops())
        case _:
            raise SystemExit(f"There is no role {role!r}.")


async def _shops() -> None:
    """Serve the shops; make the sales of each job that standard input has, until it ends."""
    loop = asyncio.get_running_loop()
    async with shops.served() as served:
        _tell({"shopify_url": served.shopify_url, "woo_url": served.woo_url})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            job = msgspec.json.decode(line, type=shops.Job)
            _tell(await shops.sell(served, job))


def _tell(result: Any) -> None:
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].encode())
