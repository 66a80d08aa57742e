"""The ledger as it is read: what a receipt cost and whom it came from, found in its reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stockpush.engine.movements import paid, paid_in
from stockpush.messages import LotTerms
from stockpush.model import MovementKind, StockMovement

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def receipt(reason: str, kind: MovementKind = MovementKind.RECEIPT) -> StockMovement:
    """A movement with that reason."""
    return StockMovement(NOON, "wax", 1, kind, "cmd k", "anna", reason=reason)


@pytest.mark.parametrize("cost", ["", "12", "62.50", "0.0001"])
@pytest.mark.parametrize("supplier", ["", "Imkerei Moser", "Wax; honey & more", "cost 5"])
@pytest.mark.parametrize("reason", ["", "came early", "soft; take care"])
def test_what_was_paid_is_found_again(cost: str, supplier: str, reason: str) -> None:
    """Whatever stands before it; None for what was not said."""
    told = paid(LotTerms(cost=cost, supplier=supplier))
    kept = "; ".join(each for each in (reason, told) if each)
    assert paid_in(receipt(kept)) == (cost or None, supplier or None)


def test_a_reason_that_names_a_place_hides_no_cost() -> None:
    """It begins as what is said of a supplier does."""
    assert paid_in(receipt("from Berlin; cost 12.50; from Moser")) == ("12.50", "Moser")
    assert paid_in(receipt("from Berlin; cost 12.50")) == ("12.50", None)


@pytest.mark.parametrize(
    "reason", ["", "cost", "cost of moving", "the cost 5", "lost 3; cost 5 each"]
)
def test_other_reasons_are_no_cost(reason: str) -> None:
    """Only what `receive --cost` and `--supplier` write is read so."""
    assert paid_in(receipt(reason)) == (None, None)


def test_only_a_receipt_has_a_cost() -> None:
    """Somebody may give such a reason for anything else."""
    assert paid_in(receipt("cost 5", MovementKind.SCRAP)) == (None, None)
