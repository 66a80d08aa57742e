"""`channel new`: the beginning of a connector, for who writes one.

The files come from templates packaged beside this one. They form a connector that imports, is
typed and does nothing. With its manifest it is in the suite that every connector must hold, and red
until each part is written (docs/adding-a-channel.md).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from stockpush.cli import output
from stockpush.cli.options import DryRun, Json, Yes
from stockpush.errors import UsageError
from stockpush.messages import Refused

NAME: Final = re.compile(r"[a-z][a-z0-9]{1,30}")
CONNECTORS: Final = Path("src/stockpush/connectors")
"""What a checkout of the sources has."""
_TEMPLATES: Final = "channel_template"
_IMPORT: Final = re.compile(r"from stockpush\.\S+ import (?:\([^)]*\)|[^(\n]*)\n")
_IMPORTS: Final = re.compile(rf"(?:{_IMPORT.pattern})+")

app = typer.Typer(
    help="Begin a connector for another platform.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def channel() -> None:
    """Begin a connector for another platform."""


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The connector's name, for example bigcartel.")
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="FOLDER", help="The checkout of the sources, instead of this folder."
        ),
    ] = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Write the skeleton of a connector into a checkout of the sources.

    Manifest, module, samples, page, and what the common tests need to know of it; they are all red
    until it is filled. Nothing that is there is overwritten.
    """
    del yes  # taken by every writing command; there is nothing to ask here
    root = (into or Path()).absolute()
    if NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise UsageError(
            "That cannot be the name of a connector.",
            field="NAME",
            found=name,
            expected="2 to 31 lower-case letters and digits, a letter first",
            next="stockpush channel new bigcartel",
        )
    if not (root / CONNECTORS).is_dir():
        raise UsageError(
            f"{root} is no checkout of Stock Push's sources.",
            field="--into",
            found=str(root),
            expected=f"a folder with {CONNECTORS}",
            next="git clone the sources, and type it there",
        )
    skeleton = {root / path: text for path, text in written(name).items()}
    there = sorted(each for each in (*skeleton, root / CONNECTORS / name) if each.exists())
    if there:
        names = ", ".join(str(each.relative_to(root)) for each in there)
        refused = Refused("exists", f"already there: {names}", {"found": [str(e) for e in there]})
        output.refuse(refused, as_json=as_json, next=f"pytest tests/contract -k {name}")
    if not dry_run:
        for path, text in skeleton.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if as_json:
        shown = [str(each) for each in skeleton]
        output.print_json({"id": None, "undo": None, "dry_run": dry_run, "files": shown})
        return
    output.say("Would write:" if dry_run else "Written:")
    for path in skeleton:
        output.say(f"  {path.relative_to(root)}")
    output.say()
    output.say(f"Next: pytest tests/contract -k {name}   (all red; docs/adding-a-channel.md)")


def written(name: str) -> Mapping[Path, str]:
    """Return the files of a new connector, relative to the checkout, with their content."""
    folder = files("stockpush.cli").joinpath(_TEMPLATES)
    words = {
        "CHANNEL_NAME": name,
        "CHANNEL_CLASS": name.capitalize(),
        "CHANNEL_TITLE": name.capitalize(),
        "CHANNEL_UPPER": name.upper(),
    }
    places = {
        "manifest.toml.txt": CONNECTORS / f"{name}.toml",
        "__init__.py.txt": CONNECTORS / name / "__init__.py",
        "settings.py.txt": CONNECTORS / name / "settings.py",
        "orders.py.txt": CONNECTORS / name / "orders.py",
        "connector.py.txt": CONNECTORS / name / "connector.py",
        "kit.py.txt": Path(f"tests/contract/kits/{name}.py"),
        "sample_order.json.txt": Path(f"tests/samples/{name}/order.json"),
        "errors.toml.txt": Path(f"tests/samples/{name}/errors.toml"),
        "page.md.txt": Path(f"docs/channels/{name}.md"),
    }
    found = {}
    for template, place in places.items():
        text = folder.joinpath(template).read_text(encoding="utf-8")
        for word, meant in words.items():
            text = text.replace(word, meant)
        found[place] = _IMPORTS.sub(_in_order, text)
    return found


def _in_order(block: re.Match[str]) -> str:
    """Return a block of imports sorted by module: where the new one belongs depends on its name."""
    return "".join(sorted(_IMPORT.findall(block[0]), key=lambda each: each.split()[1]))
