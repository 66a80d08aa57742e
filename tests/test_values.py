"""Values that are made quickly are what frozen dataclasses are."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from stockpush.model import Field, FieldKey
from stockpush.values import quick, replace


@dataclass(frozen=True, slots=True)
class _Plain:
    kind: str
    value: int = 1
    many: list[int] = field(default_factory=list)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """As `_Plain`, with names that the making itself might use."""

    kind: str
    value: int = 1
    many: list[int] = field(default_factory=list)


def test_a_value_has_what_it_was_given_and_the_defaults_of_its_class():
    """By position, by name, by default, and a default that is made anew for each."""
    assert repr(Quick("a")) == repr(_Plain("a")).replace("_Plain", "Quick")
    assert Quick("a", many=[2]) == Quick("a", 1, [2]) != Quick("a", 1, [3])
    assert Quick("a").many is not Quick("b").many
    assert list(inspect.signature(Quick).parameters) == ["kind", "value", "many"]
    with pytest.raises(TypeError, match="kind"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="other"):
        Quick("a", other=1)  # type: ignore[call-arg]


def test_a_value_cannot_be_changed():
    """Not when it was made, nor as a changed copy."""
    for value in (Quick("a"), replace(Quick("a"), value=2)):
        assert type(value) is Quick
        with pytest.raises(FrozenInstanceError):
            value.value = 3  # type: ignore[misc]


def test_a_changed_copy_leaves_the_value_as_it_was():
    """Every attribute but those that are named is the value's own."""
    value = Quick("a", 1, [2])
    changed = replace(value, kind="b")
    assert (changed.kind, changed.value, changed.many) == ("b", 1, [2])
    assert changed.many is value.many
    assert value == Quick("a", 1, [2])
    with pytest.raises(AttributeError):
        replace(value, other=3)  # type: ignore[call-arg]


def test_a_value_is_equal_hashed_and_copied_as_ever():
    """A field's row is what it was to sets, copies and pickles."""
    row = Field(FieldKey("my-shopify", "1"), "sku", 1, expected=5)
    assert {row, replace(row, hold=0)} == {row}
    assert replace(row, hold=1) != row
    assert copy.deepcopy(row) == row == pickle.loads(pickle.dumps(row))
