"""Rules of the code's structure as functions on source text: each returns what breaks its rule.

A module is given as `(name, source)`, the name dotted. Nothing here imports the project: a rule
must hold for code that cannot even be imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise

ROOT = "stockpush"
EVERYONE_MAY = ("errors", "logs")
"""What any room may import, but for those that import nothing of ours."""
NOTHING = ("values", "model", "errors")
"""What everything else stands on: these import nothing of ours at all."""

ROOMS: Mapping[str, tuple[str, ...] | None] = {
    "packed": (),
    "values": (),
    "model": ("values",),
    "errors": (),
    "clock": (),
    "systemd": (),
    "messages": ("model", "values"),
    "ports": ("messages", "model"),
    "units": ("model",),
    "keys": (),
    "secret": (),
    "logs": ("messages",),
    "settings_tree": ("secret",),
    "settings": ("keys", "model", "secret", "settings_tree"),
    "importer": ("messages", "model", "ports", "reservation", "units"),
    "reservation": ("messages", "model", "packed", "units", "values"),
    "connectors": ("messages", "model"),
    "store": ("messages", "model", "packed", "ports", "values"),
    "engine": ("connectors.base", "messages", "model", "ports", "reservation", "units", "values"),
    "web": ("connectors.base", "engine", "messages", "model", "ports"),
    "sim.shops": (),
    "sim": None,
    "compose": None,
    "cli": (
        "clock",
        "compose",
        "connectors.base",
        "connectors.quality",
        "connectors.registry",
        "engine.changes",
        "engine.channel_report",
        "engine.commit",
        "engine.given",
        "engine.holding",
        "engine.instants",
        "engine.intake",
        "engine.lot_report",
        "engine.movements",
        "engine.moving",
        "engine.report",
        "engine.rest",
        "engine.why",
        "engine.wording",
        "importer",
        "keys",
        "messages",
        "model",
        "reservation",
        "settings",
        "sim",
        "store.reads",
        "units",
    ),
    "__main__": ("cli",),
}
"""Room -> what it may import besides itself and `EVERYONE_MAY`; None: anything below it."""

ONLY: Mapping[str, tuple[str, ...]] = {
    "httpx": ("engine.transport",),
    "tenacity": ("engine.transport",),
    "aiohttp": ("web", "sim.shops.server"),
    "sqlalchemy": ("store",),
    "alembic": ("store",),
    "aiosqlite": ("store", "sim.sqlite"),
    "asyncpg": ("store",),
    "structlog": ("logs",),
    "typer": ("cli",),
    "pydantic": ("settings",),
    "pydantic_settings": ("settings",),
    "cryptography": ("keys",),
    f"{ROOT}.cli": ("cli", "__main__"),
    f"{ROOT}.compose": ("cli", "compose", "sim"),
}
"""Library or module of ours -> the only rooms and modules that import it."""

FOR_CONNECTORS = (
    "answers",
    "base",
    "configured",
    "order_poll",
    "outcomes",
    "payload",
    "references",
    "signatures",
)
"""Modules of the room `connectors` that every platform's connector may use."""

CORE = ("packed", "values", "model", "messages", "errors", "units", "reservation")
"""What is synchronous and pure."""

NOT_REPEATABLE = re.compile(
    r"datetime\.(datetime\.(now|utcnow|today)|date\.today)"
    r"|time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep|localtime|gmtime)"
    r"|uuid\.uuid[14]"
    r"|random\.(?!Random$)\w+"
    r"|secrets\.\w+"
    r"|os\.urandom"
    r"|asyncio\.sleep"
)
"""Calls that ask the operating system for time or dice."""

BANNED_WORDS = frozenset(
    {"booking", "helper", "helpers", "inventory", "manager", "qty", "util", "utils", "warehouse"}
)
"""Words that have another word here (docs/glossary.md), or none because they mean nothing."""
BANNED_PAIRS = frozenset({("stock", "level"), ("safety", "stock"), ("available", "quantity")})

Module = tuple[str, str]


@cache
def tree_of(source: str) -> ast.Module:
    """Return a module's syntax tree, which nobody changes: parsed once for all rules."""
    return ast.parse(source)


def imports(module: Module, *, at_import_time: bool = False) -> list[str]:
    """Return the dotted names that a module imports, `from a import b` as `a.b`.

    `at_import_time`: leave out what stands in functions and under TYPE_CHECKING.
    """
    name, source = module
    found: list[str] = []
    for node in _nodes(tree_of(source), at_import_time=at_import_time):
        match node:
            case ast.Import():
                found += [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    package = name.split(".")[: -node.level]
                    base = ".".join([*package, base] if base else package)
                found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def room_of(name: str) -> str | None:
    """Return the room that a dotted module name (or something in it) belongs to."""
    inner = name.removeprefix(f"{ROOT}.")
    rooms = [room for room in ROOMS if inner == room or inner.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def wrong_imports(module: Module) -> list[str]:
    """Return imports that the table of rooms does not allow."""
    name, _ = module
    if name == ROOT:
        return [f"{name} imports {each}" for each in imports(module) if each.startswith(ROOT)]
    room = room_of(name)
    if room is None:
        return [f"{name} is in no room of the table in tests/structure.py"]
    allowed = ROOMS[room]
    shared = () if room in NOTHING else (*EVERYONE_MAY, "__version__")
    wrong = [
        f"{name} imports {each}"
        for each in imports(module)
        if each.startswith(f"{ROOT}.")
        and each != f"{ROOT}.__version__"
        and allowed is not None
        and not _within(each, (*allowed, *shared, room))
    ]
    return wrong + _wrong_between_connectors(module)


def _wrong_between_connectors(module: Module) -> list[str]:
    """Return imports by which one platform's connector knows another's."""
    name, _ = module
    parts = name.split(".")
    if parts[1:2] != ["connectors"] or len(parts) < 3 or parts[2] in {*FOR_CONNECTORS, "registry"}:
        return []
    return [
        f"{name} imports {each}"
        for each in imports(module)
        if each.startswith(f"{ROOT}.connectors.")
        and each.split(".")[2] not in {*FOR_CONNECTORS, parts[2]}
    ]


def wrong_libraries(module: Module) -> list[str]:
    """Return imports of what only another room may import."""
    name, _ = module
    inner = name.removeprefix(f"{ROOT}.")
    return [
        f"{name} imports {each}"
        for each in imports(module)
        for library, rooms in ONLY.items()
        if (each == library or each.startswith(f"{library}."))
        and not any(inner == room or inner.startswith(f"{room}.") for room in rooms)
    ]


def circles(modules: Iterable[Module]) -> list[str]:
    """Return circles of imports at import time, each once, as `a -> b -> a`."""
    sources = dict(modules)
    graph = {
        name: sorted(
            {
                owner
                for each in imports((name, source), at_import_time=True)
                if (owner := _owner(each, sources)) and owner != name
            }
        )
        for name, source in sources.items()
    }
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for below in graph[name]:
                visit(below, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def asynchronous(module: Module) -> list[str]:
    """Return places where a module of the core waits, or imports what would."""
    name, source = module
    if not _within(name, CORE):
        return []
    kinds = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    waits = [
        f"{name}:{node.lineno} is asynchronous"
        for node in ast.walk(tree_of(source))
        if isinstance(node, kinds)
    ]
    outside = {"asyncio", "threading", "socket", "random", "time", "os", "pathlib", "sqlite3"}
    return waits + [
        f"{name} imports {each}" for each in imports(module) if each.split(".")[0] in outside
    ]


def not_repeatable(module: Module) -> list[str]:
    """Return uses of the real time or dice outside clock.py and keys.py."""
    name, source = module
    if name in {f"{ROOT}.clock", f"{ROOT}.keys"}:
        return []
    tree = tree_of(source)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                aliases |= {each.asname or each.name: each.name for each in node.names}
            case ast.ImportFrom(module=str(base)):
                aliases |= {each.asname or each.name: f"{base}.{each.name}" for each in node.names}
    return [
        f"{name}:{node.lineno} uses {dotted}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (dotted := _dotted(node, aliases))
        and NOT_REPEATABLE.fullmatch(dotted)
    ] + [
        f"{name}:{node.lineno} makes dice without a seed"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and not node.args
        and _dotted(node.func, aliases) == "random.Random"
    ]


def wrong_words(module: Module) -> list[str]:
    """Return names given in a module that use a banned word, but for vendors' and shops' words."""
    name, source = module
    if _within(name, ("connectors", "sim")):
        return []
    return [
        f"{name}: {given}"
        for given in sorted(set(_names_given(tree_of(source))) | {name.rpartition(".")[2]})
        if BANNED_WORDS & set(words := _words(given)) or BANNED_PAIRS & set(pairwise(words))
    ]


def undocumented(module: Module) -> list[str]:
    """Return the public module, classes, functions and methods that have no docstring."""
    name, source = module
    tree = tree_of(source)
    missing = [] if ast.get_docstring(tree) or not source.strip() else [name]
    return missing + list(_undocumented(tree, name))


def event_names(module: Module) -> set[str]:
    """Return the event names written in a module: the first arguments of `Event(...)` and of log
    calls, and every other text that has the form `noun.verb` of an event's noun.
    """
    tree = tree_of(module[1])
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _is_log_call(node.func):
            found |= {
                each.value
                for each in ast.walk(node.args[0])
                if isinstance(each, ast.Constant)
                and isinstance(each.value, str)
                and "." in each.value
            }
    return found


def texts(module: Module) -> set[str]:
    """Return every text constant of a module."""
    return _texts(tree_of(module[1]))


def _texts(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def events_emitted(module: Module) -> set[str]:
    """Return every text constant of a module that could name an event it emits: all but those in
    the tables that list events, `EVENTS` and `_LEVELS`.
    """
    emitting = (
        node
        for node in tree_of(module[1]).body
        if not (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id in {"EVENTS", "_LEVELS"}
        )
    )
    return {text for node in emitting for text in _texts(node)}


def event_fields(module: Module) -> set[str]:
    """Return the field names given to `Event(name, {...})` and as keywords of log calls."""
    found: set[str] = set()
    for node in ast.walk(tree_of(module[1])):
        if not (isinstance(node, ast.Call) and node.args and _is_log_call(node.func)):
            continue
        first = node.args[0]
        if isinstance(first, ast.Constant) and "." not in str(first.value):
            continue
        found |= {each.arg for each in node.keywords if each.arg and each.arg != "exc_info"}
        found |= {
            key.value
            for argument in node.args[1:]
            for each in ast.walk(argument)
            if isinstance(each, ast.Dict)
            for key in each.keys
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
    return found - {"fields"}


def _is_log_call(function: ast.expr) -> bool:
    match function:
        case ast.Name(id="Event") | ast.Attribute(attr="Event"):
            return True
        case ast.Attribute(attr="debug" | "info" | "warning" | "error" | "exception", value=owner):
            return "log" in ast.unparse(owner).lower()
    return False


def _nodes(tree: ast.AST, *, at_import_time: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_import_time:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
        yield node
        yield from _nodes(node, at_import_time=at_import_time)


def _within(name: str, rooms: Iterable[str]) -> bool:
    inner = name.removeprefix(f"{ROOT}.")
    return any(inner == room or inner.startswith(f"{room}.") for room in rooms)


def _owner(name: str, known: Mapping[str, str]) -> str | None:
    """Return the module that a dotted name is, or is something in."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name if name and name != ROOT else None


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str | None:
    match node:
        case ast.Name():
            return aliases.get(node.id)
        case ast.Attribute():
            owner = _dotted(node.value, aliases)
            return f"{owner}.{node.attr}" if owner else None
    return None


def _names_given(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def _undocumented(tree: ast.AST, where: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not _is_overload(node):
            yield f"{where}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node, f"{where}.{node.name}")


def _is_overload(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("overload" in ast.unparse(each) for each in node.decorator_list)
