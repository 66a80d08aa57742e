"""What was asked of `stockpush prove`: the plan of every seed, and which options go together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stockpush.cli.session import settings_of, with_parts
from stockpush.errors import UsageError
from stockpush.importer.tables import FILE_BYTES_MAX

if TYPE_CHECKING:
    from stockpush.compose import Parts
    from stockpush.sim.plan import Plan
    from stockpush.sim.shopfront import Shopfront
    from stockpush.sim.swarm import FaultKind


class Sync(StrEnum):
    """Which program stands between the simulated shops."""

    OURS = "ours"
    NAIVE = "naive"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the plan of every seed, and the options that say so."""

    plan: Plan
    sync: Sync
    source: str
    options: tuple[str, ...]

    def plans(self) -> dict[str, Plan]:
        """Return the plan of each column of the report."""
        ours, naive = self.plan, replace(self.plan, naive=True, traced=False)
        match self.sync:
            case Sync.OURS:
                return {"ours": ours}
            case Sync.NAIVE:
                return {"naive": naive}
            case Sync.BOTH:
                if ours.shopfront is None:
                    # The other one knows of nothing that is set aside, and is compared with it.
                    ours = replace(ours, storeroom=False)
                return {"ours": ours, "naive": naive}

    def replay(self, seed: int, plan: Plan | None = None) -> str:
        """Return the command that runs one seed again, with another plan where one is given."""
        options = self.options if plan is None else (*self.options, *options_of(plan, self.plan))
        return shlex.join(["stockpush", "prove", *options, "--seed", str(seed)])


_NOT_WITH: Final[tuple[tuple[str, str], ...]] = (
    ("--seed", "--seeds"),
    ("--seed", "--from"),
    ("--seed", "--minutes"),
    ("--seed", "--strict"),
    ("--seed", "--markdown"),
    ("--catalogue", "--own"),
    ("--catalogue", "--worlds"),
    ("--own", "--worlds"),
    ("--shrink", "--trace"),
    ("--shrink", "--sync naive"),
    ("--trace", "--sync naive"),
    ("--strict", "--sync naive"),
    ("--strict", "--channels"),
    ("--channels", "--shopify-only"),
    ("--split", "--channels"),
    ("--split", "--shopify-only"),
    ("--json", "--markdown"),
)
_ONLY_WITH: Final[tuple[tuple[str, str], ...]] = (
    ("--trace", "--seed"),
    ("--shrink", "--seed"),
    ("--strict", "--worlds"),
    ("--shopify-only", "--worlds"),
    ("--channels", "--worlds"),
    ("--busy", "--worlds"),
    ("--split", "--worlds"),
    ("--split", "--sync ours"),
    ("--storeroom", "--worlds"),
    ("--storeroom", "--sync ours"),
    ("--no-storeroom", "--worlds"),
)


def refuse_mixtures(given: Mapping[str, bool]) -> None:
    """Refuse options that do not go together, or not alone; `given` says which are there."""
    for one, other in _NOT_WITH:
        if given[one] and given[other]:
            raise UsageError(
                f"{one} and {other} do not go together.",
                field=one,
                expected=f"one of {one} and {other}",
                next="stockpush prove --help",
            )
    for one, other in _ONLY_WITH:
        if given[one] and not given[other]:
            raise UsageError(
                f"{one} needs {other}.",
                field=one,
                expected=f"{one} together with {other}",
                next="stockpush prove --help",
            )


def bounded(option: str, value: Any, low: float, high: float) -> Any:
    """Return an option's number if it lies within its bounds."""
    if low <= value <= high:  # not so for NaN
        return value
    raise UsageError(
        f"{option} is out of bounds.",
        field=option,
        found=value,
        expected=f"a number from {low:g} to {high:g}",
        next="stockpush prove --help",
    )


def channels_named(names: str | None) -> frozenset[str] | None:
    """Return the channels of the drawn worlds, None for whichever are drawn."""
    from stockpush.sim.accounts import CHANNELS

    if names is None:
        return None
    return frozenset(_known("--channels", each, CHANNELS) for each in names.split(","))


def kind_named(name: str) -> FaultKind:
    """Return the kind of misfortune that is left out."""
    from stockpush.sim.swarm import FaultKind

    return FaultKind[_known("--without", name, [kind.name.lower() for kind in FaultKind]).upper()]


def person_named(name: str) -> str:
    """Return the person who stays away."""
    from stockpush.sim.plan import PEOPLE

    return _known("--away", name, PEOPLE)


def _known(option: str, name: str, names: Sequence[str]) -> str:
    """Return a name that there is, however it is written."""
    given = name.strip().lower().replace("-", "_")
    if given in names:
        return given
    near = get_close_matches(given, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"{option} knows nothing called {name!r}.{hint}",
        field=option,
        found=name,
        expected=f"one of {', '.join(sorted(names))}",
        next="stockpush prove --help",
    )


def options_of(plan: Plan, usual: Plan) -> list[str]:
    """Return the options by which a plan differs from another one, given before them."""
    words = []
    for kind in sorted(set(plan.without) - set(usual.without), key=lambda each: each.name):
        words += ["--without", kind.name.lower()]
    for name in sorted(set(plan.away) - set(usual.away)):
        words += ["--away", name]
    if plan.cut_s is not None and plan.cut_s != usual.cut_s:
        words += ["--cut", f"{plan.cut_s:g}" if plan.cut_s < 1e5 else f"{plan.cut_s:.1f}"]
    if plan.shopify_only and not usual.shopify_only:
        words.append("--shopify-only")
    if plan.channels is not None and plan.channels != usual.channels:
        words += ["--channels", ",".join(sorted(plan.channels))]
    if plan.busy and not usual.busy:
        words.append("--busy")
    if plan.split and not usual.split:
        words.append("--split")
    if plan.storeroom is not None and plan.storeroom != usual.storeroom:
        words.append("--storeroom" if plan.storeroom else "--no-storeroom")
    return words


def shopfront_of(
    paths: Sequence[Path], *, own: bool, worlds: bool, config: Path | None
) -> tuple[Shopfront | None, str]:
    """Return what is simulated (None: drawn worlds), and its name."""
    from stockpush.sim.shopfront import candle_front, read_shopfront

    if worlds:
        return None, "small drawn worlds"
    if own:
        return with_parts(_existing(config), _own_front, what="Reading your catalogue ..."), (
            "your own catalogue"
        )
    if paths:
        files = [(str(path), _content(path)) for path in paths]
        return read_shopfront(files), f"the catalogue {', '.join(path.name for path in paths)}"
    return candle_front(), "the candle shop of the demo"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)  # one more, so that the reader sees the excess
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            field="--catalogue",
            found=str(path),
            expected="a .toml or .csv file that you can read",
            next="stockpush prove --catalogue catalog.toml",
        ) from error


def _existing(config: Path | None) -> Path | None:
    """Return the configuration, once its database is seen to exist: nothing is made by looking."""
    url = settings_of(config).daemon.database
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise UsageError(
            "There is no catalogue of yours yet: the database does not exist.",
            field="--own",
            expected="a database with items and listings",
            next="stockpush import catalog.toml",
        )
    return config


async def _own_front(parts: Parts) -> Shopfront:
    from stockpush.sim.shopfront import shopfront

    rows = await parts.store.catalogue()
    view = await parts.view()
    on_hand = {item.sku: int(view.shelf(item.sku).on_hand) for item in rows.items}
    connectors = {name: policy.connector for name, policy in parts.lane.policies.items()}
    return shopfront(rows.items, rows.bills, rows.listings, on_hand, connectors)
