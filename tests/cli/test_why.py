"""`why`: the sums on paper, their words, and that every other command says the same."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stockpush import compose
from stockpush.cli import output
from stockpush.engine.why import Why
from stockpush.sim.candle_shop import ETSY, SHOPIFY
from tests.cli import market
from tests.cli.daemon_rows import with_parts
from tests.cli.market import GIFT, Market, a_morning
from tests.cli.terminal import Terminal, typing
from tests.cli.test_interface_page import fits, shapes

REPOSITORY = Path(__file__).parents[2]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE = (REPOSITORY / "docs" / "why.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, datetime]]:
    """A folder with the morning of docs/why.md, and when it is."""
    folder = tmp_path_factory.mktemp("morning")
    with pytest.MonkeyPatch.context() as patch, typing(folder, patch) as terminal:
        shop = Market(terminal, patch, buffers={ETSY: 2})
        a_morning(shop)
        yield folder, shop.at


@pytest.fixture
def candles(
    terminal: Terminal, morning: tuple[Path, datetime], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A copy of it, at the end of that morning, in a terminal of 80 columns in Greenwich."""
    folder, at = morning
    shutil.copytree(folder, terminal.folder, dirs_exist_ok=True)
    config = terminal.folder / "stockpush.toml"
    config.write_text(config.read_text().replace(str(folder), str(terminal.folder)))
    stopped = Stopped(at)
    monkeypatch.setattr(market.assembly, "SystemClock", lambda: stopped)
    monkeypatch.setattr(output, "PIPE_WIDTH", 80)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return terminal


@pytest.fixture(autouse=True)
def local_time() -> Iterator[None]:
    """Whatever zone a test is in, the next one is in this machine's."""
    yield
    time.tzset()


class Stopped:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the instant."""
        return self.at

    def monotonic(self) -> float:
        """Return no seconds."""
        return 0.0


def lines(text: str) -> list[str]:
    """A text's lines without what pads them."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


# -- the page --------------------------------------------------------------------------------

EXAMPLES = re.findall(r"```console\n\$ stockpush ([^\n]*)\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("typed", "printed"), EXAMPLES, ids=[each for each, _ in EXAMPLES])
def test_the_examples_of_the_page_print_what_stands_there(
    candles: Terminal, typed: str, printed: str
) -> None:
    """Line by line, in a terminal of 80 columns."""
    assert lines(candles.done(*typed.split()).out) == printed.splitlines()


def test_the_page_has_examples() -> None:
    """A test of the test."""
    assert [typed.partition(" --at")[0] for typed, _ in EXAMPLES] == [
        "why candle-lav", "why gift-box", "why gift-box", "why gift-box",
    ]  # fmt: skip


def test_every_line_that_can_be_printed_is_on_the_page() -> None:
    """Whoever meets a word finds it there."""
    from stockpush.engine.wording import WORDINGS

    assert [each.label for each in WORDINGS.values() if each.label not in PAGE] == []


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("sku", ["candle-lav", "soap-lav", "balm", "beeswax"])
def test_a_sum_fits_into_the_terminal(
    candles: Terminal, monkeypatch: pytest.MonkeyPatch, width: int, sku: str
) -> None:
    """Notes go on in their own column; a word is never cut in two."""
    monkeypatch.setattr(output, "PIPE_WIDTH", width)
    for typed in (("why", sku), ("why", sku, "--at", "-40m")):
        printed = lines(candles.done(*typed).out)
        of_sums = [line for line in printed if line.startswith("  ")]
        assert of_sums
        assert max(map(len, of_sums)) <= width


def test_a_cap_and_a_buffer_of_a_listing_are_imported_shown_and_said(candles: Terminal) -> None:
    """The preview names them, `stock` has them, and `why` says what they cut and which listing's
    they are.
    """
    typed = (
        "channel,item,cap,buffer,ref.variant_id\ndemo-shopify,candle-lav,3,{},9007199254741994\n"
    )
    candles.write("listings.csv", typed.format(4))
    previewed = candles.done("import", "listings.csv", "--dry-run", "--json").json
    assert [each["differences"] for each in previewed["changes"]] == [
        [
            {"field": "cap", "before": "", "after": "3"},
            {"field": "buffer", "before": "", "after": "4 piece"},
        ]
    ]
    candles.done("import", "listings.csv", "--yes")
    (row,) = [
        each for each in candles.done("stock", "--json").json["data"] if each["sku"] == "candle-lav"
    ]
    kept = [(each["channel"], each["cap"], each["buffer"]) for each in row["listings"]]
    assert {each for each in kept if each[1] is not None} == {(SHOPIFY, 3, "4")}
    assert (ETSY, None, "2") in kept
    document = candles.done("why", "candle-lav", "--json").json
    (why,) = [
        each
        for each in document["listings"]
        if any(term["name"] == "listing_cap" for term in each["terms"])
    ]
    said = {each["name"]: each for each in why["terms"]}
    source = "listing demo-shopify/variant/9007199254741994"
    assert said["buffer"]["source"] == said["listing_cap"]["source"] == source
    assert sum(each["quantity"] for each in why["terms"]) == why["shown"] == 3
    assert "  its cap  " in candles.done("why", "candle-lav").out
    candles.write("listings.csv", typed.format("many"))
    slip = candles("import", "listings.csv", "--dry-run")
    assert slip.code == 2
    assert "listings.csv line 2 (candle-lav): buffer: found 'many'" in slip.err


def test_the_cap_of_the_configuration_is_of_every_listing_that_has_none(candles: Terminal) -> None:
    """Whatever is shown is at most that, and `why` names the setting."""
    config = candles.folder / "stockpush.toml"
    config.write_text(f"{config.read_text()}\n[stock]\ncap = 2\n")
    rows = candles.done("stock", "--json").json["data"]
    listings = [each for row in rows for each in row["listings"]]
    assert {each["cap"] for each in listings} == {2}
    document = candles.done("why", "candle-lav", "--json").json
    for listing in document["listings"]:
        (cut,) = [each for each in listing["terms"] if each["name"] == "listing_cap"]
        assert cut["source"] == "setting stock.cap"
        assert cut["quantity"] < 0
        assert sum(each["quantity"] for each in listing["terms"]) == listing["shown"]


# -- as a sum on paper -----------------------------------------------------------------------

_SUM = re.compile(r"\s+([+-]?[0-9.]+)  \S.*|\s+(-+)(?:\s.*)?")


def sums(text: str) -> list[tuple[list[int], int]]:
    """Each sum that was printed: its lines, and the total below the rule."""
    found: list[tuple[list[int], int]] = []
    open_lines: list[int] = []
    is_total = False
    for line in lines(text):
        if (match := _SUM.fullmatch(line)) is None:
            if not line:
                open_lines, is_total = [], False
            continue
        if match[2]:
            is_total = True
        elif is_total:
            found.append((open_lines, int(match[1])))
            open_lines, is_total = [], False
        else:
            open_lines = [*open_lines, int(match[1])]
    return found


@pytest.mark.parametrize("more", [(), ("--at", "-16m"), ("--at", "-40m")])
def test_what_is_printed_adds_up(candles: Terminal, more: tuple[str, ...]) -> None:
    """Every column of every sum, now and then."""
    added = 0
    for sku in ("candle-lav", "gift-box", "soap-lav", "balm", "candle-plain"):
        for column, total in sums(candles.done("why", sku, *more).out):
            assert sum(column) == total
            added += 1
    assert added > 8


def test_the_commands_agree(candles: Terminal) -> None:
    """`stock`, `plan` and `why` say the same of every item and listing, as JSON and as tables."""
    stock = candles.done("stock", "--json").json["data"]
    planned = {
        (row["channel"], json.dumps(row["ref"])): (row["from"], row["to"])
        for row in candles.done("plan", "--json").json["data"]
    }
    assert planned
    for row in stock:
        why = candles.done("why", row["sku"], "--json").json
        assert (why["atp"], why["on_hand"]) == (row["atp"], row["on_hand"])
        terms = {term["name"]: int(term["quantity"]) for term in why["terms"]}
        assert sum(terms.values()) == int(row["atp"])
        assert (-terms["reserved"], -terms["suspense"]) == (
            int(row["reserved"]),
            int(row["suspense"]),
        )
        assert terms["buildable"] == int(row["buildable"])
        printed = candles.done("why", row["sku"]).out
        assert re.search(rf"^ +{row['atp']}  to promise \(ATP\)", printed, re.MULTILINE)
        for listing, listed in zip(why["listings"], row["listings"], strict=True):
            assert listing["ref"] == listed["ref"]
            assert sum(term["quantity"] for term in listing["terms"]) == listed["offer"]
            same = ("expected", "pushed_at", "state")
            assert [listing[each] for each in same] == [listed[each] for each in same]
            assert listing["shown"] == listed["offer"]
            key = listed["channel"], json.dumps(listed["ref"])
            shows = listing["expected"], listing["shown"]
            assert planned.get(key, (listing["shown"],) * 2) == shows
            assert re.search(rf"^ +{listing['shown']}  to show", printed, re.MULTILINE)


def test_the_document_of_the_past_has_the_keys_of_the_page(candles: Terminal) -> None:
    """Movements, orders and pushes among it."""
    document = candles.done("why", "candle-lav", "--at", "-40m", "--json").json
    assert fits(document, shapes()["why"], "why --at") == []
    since = document["listings"][0]["since"]
    assert since["movements"]
    assert since["orders"]
    assert document["past"] is True


def test_every_stored_push_is_told_again_at_its_instant(candles: Terminal) -> None:
    """Its terms and its number, of every listing: nothing is calculated anew."""
    with closing(sqlite3.connect(candles.folder / "stockpush.db")) as database:
        rows = database.execute(
            "SELECT push.id, push.channel, field_key, target, terms, sent_at, field.sku"
            " FROM push JOIN field ON field.channel = push.channel AND field.key = field_key"
        ).fetchall()
    assert len(rows) > 20

    async def asked(parts: compose.Parts) -> list[Why | None]:
        sent = [EPOCH + timedelta(microseconds=row[5]) for row in rows]
        return [
            await parts.why(row[6], at=at.isoformat(), zone=UTC)
            for row, at in zip(rows, sent, strict=True)
        ]

    for row, found in zip(rows, with_parts(candles, asked), strict=True):
        number, channel, target, terms = row[0], row[1], row[3], row[4]
        assert found is not None
        (listing,) = [
            each
            for each in found.listings
            if each.push is not None and each.push.id == f"push {number}"
        ]
        assert listing.channel == channel
        told = [[term.name, term.quantity] for term in listing.terms]
        assert (told, listing.shown) == (json.loads(terms), target)
        assert sum(term.quantity for term in listing.terms) == target


def test_pushes_that_were_deleted_are_not_made_up(candles: Terminal) -> None:
    """It says since when nothing was sent, and that older ones are not kept."""
    with closing(sqlite3.connect(candles.folder / "stockpush.db")) as database:
        database.execute("DELETE FROM push WHERE channel = ?", (SHOPIFY,))
        database.commit()
    found = candles.done("why", "gift-box", "--at", "-40m")
    assert "nothing was sent from 2026-08-24" in found.out
    assert "older pushes are not kept" in found.out
    (listing,) = candles.done("why", "gift-box", "--at", "-40m", "--json").json["listings"]
    assert (listing["terms"], listing["shown"], listing["push"]) == ([], None, None)


def test_a_push_that_was_lost_is_told_as_lost(candles: Terminal) -> None:
    """WooCommerce could not be reached: what should have been sent is no number that it showed."""
    found = candles.done("why", "candle-lav", "--at", "-15m", "--json").json
    (woo,) = [each for each in found["listings"] if each["channel"] == "demo-woo"]
    assert woo["reason"] == "not written: the channel could not be reached"
    assert woo["shown"] != woo["expected"]


def test_an_item_without_listings_still_has_its_sum(candles: Terminal) -> None:
    """A material's number is derived; then, there is nothing that was sent."""
    now = candles.done("why", "box").out
    assert "It is not listed on any channel." in now
    assert sums(now) == [([15, -2], 13)]
    then = candles.done("why", "box", "--at", "-10m").out
    assert "so nothing was ever sent" in then
    assert candles.done("why", "BEESWAX ", "--json").json["listings"] == []


# -- what is asked wrongly -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        (("why", "gift-bx"), 4, "Did you mean gift-box?"),
        (("why", "x" * 200), 4, "There is no item"),
        (("why", "candle-lav", "--at", "tomorrow"), 2, "no instant that can be read"),
        (("why", "candle-lav", "--at", "2026-11-23"), 2, "in the future"),
        (("why", "candle-lav", "--at", "2026-11-22T23:00"), 2, "in the future"),
        (("why",), 2, "Missing argument"),
    ],
)
def test_what_is_asked_wrongly_gets_what_to_type(
    candles: Terminal, typed: tuple[str, ...], code: int, says: str
) -> None:
    """Exit code, message and the next command, as text and as JSON; never a stack trace."""
    told = candles(*typed)
    assert (told.code, told.out) == (code, "")
    assert says in told.err
    assert "Next: stockpush" in told.err
    error = candles(*typed, "--json")
    assert error.code == code
    assert says in error.json["error"]["message"]
    assert error.json["error"]["next"].startswith("stockpush")


def test_asking_changes_nothing(candles: Terminal) -> None:
    """Not a row."""

    def dump() -> list[Any]:
        with closing(sqlite3.connect(candles.folder / "stockpush.db")) as database:
            return list(database.iterdump())

    before = dump()
    candles.done("why", "candle-lav")
    candles.done("why", "candle-lav", "--at", "-1h")
    assert dump() == before


def test_the_gift_box_is_where_the_story_says(candles: Terminal) -> None:
    """The story's reference is that of the catalogue."""
    (listing,) = candles.done("why", "gift-box", "--json").json["listings"]
    assert f"variant/{listing['ref']['variant_id']}" == GIFT


def test_a_time_without_a_zone_is_by_this_machine_s_clock_in_json_too(
    shop: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words name the same instant, with --json and without; what is told has a zone."""
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    found = shop.done("why", "soap-lav", "--at", "2026-01-02T03:04", "--json").json
    assert found["at"] == "2026-01-01T22:04:00Z"
    assert "at 2026-01-02 03:04:00" in shop.done("why", "soap-lav", "--at", "2026-01-02T03:04").out
    day = shop.done("why", "soap-lav", "--at", "2026-01-02", "--json").json["at"]
    assert day.startswith("2026-01-02T18:59:59")
    named = shop.done("why", "soap-lav", "--at", "2026-01-02T03:04Z", "--json").json
    assert named["at"] == "2026-01-02T03:04:00Z"
