"""How far a connector has come: a ladder of rules, and what stands on which rung.

Theory of operation. Each rule is one thing that a careful user would ask of a channel. A manifest
says of every rule that it is done, still to do, or does not apply, and for the latter two why; a
connector stands on a rung when nothing of it, or of those below it, is left to do. What is called
done is shown: by the tests of one suite that every connector must hold (`Rule.suite`), or by a test
or file of its own that the manifest names. Tests hold that these exist, and that the word of the
manifest is true wherever a program can find that out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from stockpush.errors import ConfigInvalid


class Tier(StrEnum):
    """A rung of the ladder, lowest first."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


MEANING: Final[Mapping[Tier, str]] = {
    Tier.BRONZE: "right while all goes well",
    Tier.SILVER: "right when things go wrong",
    Tier.GOLD: "shown in the whole, and on a real account",
}


class Status(StrEnum):
    """What a manifest says of a rule."""

    DONE = "done"
    TODO = "todo"
    EXEMPT = "exempt"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is asked of every connector.

    `asks` says what, in the fewest words. `suite` is where the common tests show it, "" where each
    connector names its own.
    """

    name: str
    tier: Tier
    asks: str
    suite: str = ""


SUITE: Final = "tests/contract"

RULES: Final[Sequence[Rule]] = (
    Rule("manifest", Tier.BRONZE, "every limit and setting is used", f"{SUITE}/test_manifest.py"),
    Rule(
        "signatures",
        Tier.BRONZE,
        "webhooks are verified, bit by bit",
        f"{SUITE}/test_signatures.py",
    ),
    Rule("payloads", Tier.BRONZE, "any body is read or refused", f"{SUITE}/test_bodies.py"),
    Rule("orders", Tier.BRONZE, "one table of the platform's states"),
    Rule("polling", Tier.BRONZE, "a cursor, an overlap, every page", f"{SUITE}/test_reading.py"),
    Rule(
        "writing",
        Tier.BRONZE,
        "only an expected number is replaced",
        f"{SUITE}/test_writing.py",
    ),
    Rule("faults", Tier.BRONZE, "each error answer has its class", f"{SUITE}/test_faults.py"),
    Rule(
        "shadow",
        Tier.BRONZE,
        "reading writes nothing",
        f"{SUITE}/test_writing.py::test_reading_changes_nothing",
    ),
    Rule(
        "privacy",
        Tier.BRONZE,
        "nothing of a buyer is kept",
        f"{SUITE}/test_reading.py::test_nothing_of_a_buyer_is_kept",
    ),
    Rule("page", Tier.BRONZE, "what to create, how fast, the traps"),
    Rule(
        "contract",
        Tier.SILVER,
        "requests held to the API's schema",
        f"{SUITE}/test_requests.py",
    ),
    Rule(
        "unknown",
        Tier.SILVER,
        "a lost answer is no second write",
        f"{SUITE}/test_writing.py::test_an_unknown_write_is_learnt_and_not_made_twice",
    ),
    Rule(
        "resync",
        Tier.SILVER,
        "all open orders, whatever their age",
        f"{SUITE}/test_reading.py::test_a_first_poll_reads_open_orders_whatever_their_age",
    ),
    Rule("limits", Tier.SILVER, "the platform's own limits are heeded"),
    Rule("rotation", Tier.SILVER, "secrets and tokens are replaced live"),
    Rule("checkup", Tier.SILVER, "`doctor` examines the account"),
    Rule("watchdog", Tier.SILVER, "lost webhooks are made again"),
    Rule("activation", Tier.SILVER, "what cannot sell is found, and why"),
    Rule("traps", Tier.SILVER, "every known trap has its test"),
    Rule("emulated", Tier.SILVER, "an emulated shop with its oddities"),
    Rule("whole", Tier.GOLD, "the whole daemon runs on it"),
    Rule("demo", Tier.GOLD, "`stockpush demo` sells on it"),
    Rule("fuzzed", Tier.GOLD, "the fuzzer feeds its parsers"),
    Rule("simulated", Tier.GOLD, "`stockpush prove` breaks it"),
    Rule("live", Tier.GOLD, "a real account has sold with it"),
)
"""Every rule, lowest rung first."""

_NAMES: Final = tuple(rule.name for rule in RULES)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one rule stands with one connector: `shown` by which tests or files, or `reason`."""

    rule: Rule
    status: Status
    shown: tuple[str, ...] = ()
    reason: str = ""


def standings(quality: Mapping[str, Any], *, file: str) -> tuple[Standing, ...]:
    """Return how every rule stands, in the order of `RULES`, as the table `quality` of `file` says.

    A row is "done" where the common suite shows it, `{ done = "tests/..." }` (or a list) for what
    shows it besides, `{ todo = "why" }` or `{ exempt = "why" }`. Raises `ConfigInvalid` naming the
    rule that is unknown, missing, or says nothing.
    """
    for name in quality:
        if name not in _NAMES:
            near = get_close_matches(name, _NAMES, n=1)
            raise ConfigInvalid(
                f"{file} has the unknown rule {name!r}.",
                field=f"quality.{name}",
                expected=near[0] if near else None,
            )
    return tuple(_standing(rule, quality.get(rule.name), file) for rule in RULES)


def tier(stands: Sequence[Standing]) -> Tier | None:
    """Return the highest rung below which nothing is left to do, None if the first has something.

    >>> tier([Standing(RULES[0], Status.DONE), Standing(RULES[-1], Status.TODO)]).value
    'silver'
    """
    reached = None
    for each in Tier:
        if any(one.status is Status.TODO for one in stands if one.rule.tier is each):
            break
        reached = each
    return reached


def _standing(rule: Rule, given: Any, file: str) -> Standing:
    suite = (rule.suite,) if rule.suite else ()
    match given:
        case Status.DONE if suite:
            return Standing(rule, Status.DONE, suite)
        case {"done": str(shown), **rest} if shown and not rest:
            return Standing(rule, Status.DONE, (*suite, shown))
        case {"done": [*shown], **rest} if shown and not rest and all(map(_is_text, shown)):
            return Standing(rule, Status.DONE, (*suite, *shown))
        case {"todo": str(reason), **rest} if reason and not rest:
            return Standing(rule, Status.TODO, reason=reason)
        case {"exempt": str(reason), **rest} if reason and not rest:
            return Standing(rule, Status.EXEMPT, reason=reason)
    done = '"done"' if suite else '{ done = "a test" }'
    raise ConfigInvalid(
        f"{file} does not say how the rule {rule.name!r} stands.",
        field=f"quality.{rule.name}",
        found=given,
        expected=f'{done}, {{ todo = "why" }} or {{ exempt = "why" }}',
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
