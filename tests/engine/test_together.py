"""What the pusher puts into one call where fields are written together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stockpush.connectors.base import PushLine
from stockpush.engine.commit import PART_MAX
from stockpush.engine.pusher import _parts
from stockpush.messages import AdoptListings, ImportCatalogue, MoveStock, StockMove
from stockpush.model import FieldKey, Item, Kind, Listing, ListingKey, MovementKind
from tests.engine.world import SHOP, Floor, NumbersShop, floor, ran


async def furnished(made: Floor) -> None:
    """Four more listings, of which `x1`..`x3` are one document and `y1` another."""
    names = ("x1", "x2", "x3", "y1")
    made.shop.numbers.update(dict.fromkeys(names, 5))
    items = tuple(Item(name, name, Kind.PRODUCT, "piece") for name in names)
    listings = tuple(Listing(ListingKey(SHOP, name), name, ref={"id": name}) for name in names)
    opening = tuple(StockMove(name, 5, MovementKind.OPENING) for name in names)
    await made.lane.submit(ImportCatalogue(items, (), listings, opening, "more", "test"))
    await made.lane.submit(AdoptListings(tuple(each.key for each in listings)))
    await made.passes(700)


def calls(shop: NumbersShop) -> list[list[str]]:
    """Note the fields of each push call from now on."""
    noted: list[list[str]] = []
    push = shop.push

    async def noting(api: object, batch: list[PushLine], *, call_id: str) -> object:
        noted.append([line.field.key for line in batch])
        return await push(api, batch, call_id=call_id)

    shop.push = noting  # type: ignore[assignment, method-assign]
    shop.together = lambda key: key[0]  # type: ignore[method-assign]
    return noted


def test_a_document_goes_out_whole_and_no_other(tmp_path: Path) -> None:
    """One dirty field brings its document's others along, and those of no other document."""

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as made:
            await furnished(made)
            noted = calls(made.shop)
            await made.lane.submit(_sold("x2", 2))
            await made.until(lambda: made.shop.numbers["x2"] == 3, 60)
            assert [sorted(call) for call in noted] == [["x1", "x2", "x3"]]
            await made.passes(1000)
            assert len(noted) == 1, "what was taken along is not sent for its own sake"

    ran(work())


def test_a_call_takes_whole_documents_as_they_fit(tmp_path: Path) -> None:
    """Two documents that do not fit into one call go out in two, each whole."""

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as made:
            await furnished(made)
            made.shop.manifest = replace(made.shop.manifest, batch_max=3)
            noted = calls(made.shop)
            await made.lane.submit(_sold("x2", 1))
            await made.lane.submit(_sold("y1", 1))
            await made.until(lambda: made.shop.numbers["y1"] == 4, 60)
            await made.until(lambda: made.shop.numbers["x2"] == 4, 60)
            assert sorted(sorted(call) for call in noted) == [["x1", "x2", "x3"], ["y1"]]

    ran(work())


def test_a_document_larger_than_a_call_goes_alone(tmp_path: Path) -> None:
    """A platform writes it whole, whatever a call usually holds."""

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as made:
            await furnished(made)
            made.shop.manifest = replace(made.shop.manifest, batch_max=2)
            noted = calls(made.shop)
            await made.lane.submit(_sold("x2", 1))
            await made.until(lambda: made.shop.numbers["x2"] == 4, 60)
            assert [sorted(call) for call in noted] == [["x1", "x2", "x3"]]

    ran(work())


def test_the_shop_sells_a_sibling_between_two_writes(tmp_path: Path) -> None:
    """The compare of what is taken along finds the sale; nothing is put back on sale."""

    async def work() -> None:
        async with floor(tmp_path, write="check_then_set") as made:
            await furnished(made)
            calls(made.shop)
            made.shop.numbers["x1"] -= 2  # sold, and nobody tells
            await made.lane.submit(_sold("x2", 1))
            await made.until(lambda: made.shop.numbers["x2"] == 4, 60)
            (row,) = await made.store.fields([FieldKey(SHOP, "x1")])
            assert row.hold == 2
            assert made.shop.numbers["x1"] == 3

    ran(work())


@pytest.mark.parametrize("size", [1, 3, 7, PART_MAX, PART_MAX + 1])
def test_a_call_is_opened_in_parts_that_tear_no_document(size: int) -> None:
    """Each command has whole documents, in order, and as many as go into a part; one at least."""
    documents = [tuple(FieldKey(SHOP, f"{n}/{m}") for m in range(size)) for n in range(11)]
    due = [document[-1] for document in documents]
    parts = list(_parts(due, documents))
    assert [key for part in parts for key in part.due] == due
    assert [document for part in parts for document in part.groups] == documents
    for part in parts:
        assert {key for document in part.groups for key in document} >= set(part.due)
        assert len(part.groups) == 1 or len(part.groups) * size <= PART_MAX


def test_fields_that_are_written_by_themselves_are_opened_in_parts() -> None:
    """As many as a part holds, and no groups."""
    due = [FieldKey(SHOP, str(n)) for n in range(PART_MAX + 1)]
    assert [len(part.due) for part in _parts(due, ())] == [PART_MAX, 1]


def _sold(sku: str, units: int) -> MoveStock:
    move = StockMove(sku, -units, MovementKind.ADJUSTMENT)
    return MoveStock((move,), f"{sku} {units}", "test")
