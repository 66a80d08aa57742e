"""Frozen values that are made and changed as quickly as if they were not frozen.

Theory of operation. A frozen dataclass writes every attribute of a new value past its own refusal
to be changed, one call each, and that is most of what making one costs. Here each class gets an
open twin, a class with the same slots that refuses nothing. A value begins as the twin, gets its
attributes by plain assignment, and becomes what it is last; nobody else has seen it before. What
a class is otherwise (equality, hash, text, refusal to be changed) is the dataclass's own. A value
of thirty attributes takes an eighth of the time (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

_Kind = TypeVar("_Kind", bound=type)
_Value = TypeVar("_Value")

_copies: dict[type, Callable[..., Any]] = {}
"""How a value of each class is copied with changes."""


def quick(kind: _Kind) -> _Kind:
    """Have the values of a class made quickly: one that is a frozen, slotted dataclass.

    Its fields are all parameters, in order; it has no base of ours and does not check itself.
    """
    assert not hasattr(kind, "__post_init__"), f"{kind.__name__} checks itself when it is made"
    names = [each.name for each in fields(kind)]
    twin = type(f"Open{kind.__name__}", (), {"__slots__": tuple(names)})
    # With an underscore in front, so that no parameter hides them.
    made: dict[str, Any] = {
        "_blank": object.__new__,
        "_become": object.__setattr__,
        "_kind": kind,
        "_twin": twin,
        "_absent": MISSING,
    }
    parameters, puts = [], []
    for each in fields(kind):
        name, given = each.name, each.name
        parameter = name
        if each.default is not MISSING:
            made[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            made[f"_made_{name}"] = each.default_factory
            parameter = f"{name}=_absent"
            given = f"_made_{name}() if {name} is _absent else {name}"
        parameters.append(parameter)
        puts.append(f"    self.{name} = {given}")
    text = "\n".join(
        [
            f"def __init__(self, {', '.join(parameters)}):",
            "    _become(self, '__class__', _twin)",
            *puts,
            "    self.__class__ = _kind",
            "def copy(value, changes):",
            "    self = _blank(_twin)",
            *(f"    self.{name} = value.{name}" for name in names),
            "    for name, changed in changes.items():",
            "        setattr(self, name, changed)",
            "    self.__class__ = _kind",
            "    return self",
        ]
    )
    # As dataclasses themselves are made: the names are those of the class's own attributes.
    exec(text, made)  # noqa: S102
    initialise = made["__init__"]
    initialise.__qualname__ = f"{kind.__qualname__}.__init__"
    initialise.__module__ = kind.__module__
    kind.__init__ = initialise  # type: ignore[misc]  # the same parameters as before
    _copies[kind] = made["copy"]
    return kind


def _replace(value: _Value, /, **changes: Any) -> _Value:
    copied: _Value = _copies[type(value)](value, changes)
    return copied


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414  # others import it from here
else:
    replace = _replace
    """`dataclasses.replace` for values of `quick` classes."""
