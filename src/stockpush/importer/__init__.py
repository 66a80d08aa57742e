"""Reading a catalogue from files: items, bills of materials, listings and opening stock.

Theory of operation. `tables` turns bytes (one TOML file, or CSV tables) into rows that remember
where they stand; `catalogue` turns rows into the model's values, checked against each other and
against what is already known; `preview` says what the import would change. Nothing here writes:
the caller shows the preview, asks, and hands `CatalogueFile.command` to the core, which upserts,
removes nothing, and opens stock only where an item has never moved.

Every mistake is collected, so that a file is mended in one go (`mistakes`).
"""

from __future__ import annotations

from stockpush.importer.catalogue import CatalogueFile, Known, read_catalogue
from stockpush.importer.preview import Change, ChangeState, Difference, IgnoredStock

__all__ = [
    "CatalogueFile",
    "Change",
    "ChangeState",
    "Difference",
    "IgnoredStock",
    "Known",
    "read_catalogue",
]
