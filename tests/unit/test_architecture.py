"""The rules of docs/architecture.md that import-linter cannot say, read from the source by ast."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.style_score import score

PACKAGE = Path(__file__).parents[2] / "dockerlab"

# One owner (at most a few rooms) for each library of other people.
OWNERS = {
    "docker": {"client", ""},  # "": the package itself, for `dockerlab.connect`
    "requests": {"client"},
    "tornado": {"daemon", "hub"},
    "dnslib": {"network"},
    "IPython": {"notebook"},
    "ipywidgets": {"notebook"},
    "traitlets": {"notebook"},
    "pandas": {"report", "notebook"},
    "matplotlib": {"report"},
    "numpy": {"report"},
    "urllib3": {"image.registry", "client"},  # the client meets it in docker-py's exceptions
    "isal": {"image.layer"},
    "zstandard": {"image.layer"},
    "msgspec": {"oci", "engine", "daemon", "hub", "image", "network"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
}

# Who may speak of HTTP: identifiers, not the text of addresses.
HTTP_ROOMS = ("daemon", "client", "hub", "image.registry")
HTTP_WORDS = {"http", "https"}
HTTP_NAMES = {"status_code", "http_status"}

# Who may look at the process's surroundings. A `__main__` is the command line of its room.
SURROUNDINGS = {
    ("os", "environ"),
    ("os", "getenv"),
    ("os", "getcwd"),
    ("Path", "home"),
    ("Path", "cwd"),
}
SURROUNDINGS_ROOMS = {"config", "cli"}

# What the zygote and its children load; each costs milliseconds at the start of the engine.
LIGHT = {"array", "ctypes", "errno", "fcntl", "gc", "json", "os", "select", "signal", "socket"}
LIGHT |= {"resource", "stat", "struct", "sys", "termios", "time"}
LIGHT |= {"__future__", "collections"}  # a directive; and what `socket` loads anyway
WORKER = {"_bz2", "_lzma", "hashlib", "zlib", "isal", "zstandard"}
KERNEL = {"__future__", "array", "ctypes", "errno", "os", "signal", "socket", "struct", "sys"}

# The records that routes and shapes share with the engine; its keepers come through Protocols.
RECORDS = {
    "archive",
    "attachment",
    "build",
    "changes",
    "container",
    "event",
    "exec",
    "health",
    "image",
    "isolation",
    "log",
    "mount",
    "network",
    "registry",
    "system",
    "usage",
    "volume",
}

MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
MUTATORS |= {"setdefault", "update"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file: its name below the package and its tree."""

    name: str
    tree: ast.Module

    def is_in(self, room: str) -> bool:
        return self.name == room or self.name.startswith(room + ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module. `is_eager`: when the file is loaded. `is_typing`: for types only."""

    target: str
    line: int
    is_eager: bool
    is_typing: bool


def _modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name=name, tree=ast.parse(path.read_text(encoding="utf-8"))))
    return found


MODULES = _modules()
BY_NAME = {module.name: module for module in MODULES}


def _imports(node: ast.AST, *, is_eager: bool = True, is_typing: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            module = f"{child.module}." if isinstance(child, ast.ImportFrom) else ""
            for alias in child.names:
                yield Import(
                    target=module + alias.name,
                    line=child.lineno,
                    is_eager=is_eager and not is_typing,
                    is_typing=is_typing,
                )
        else:
            is_late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            is_guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(
                child, is_eager=is_eager and not is_late, is_typing=is_typing or is_guard
            )


def _own(target: str) -> str:
    """Return the module below `dockerlab` that `target` is, or is a name of; '' for none."""
    name = target.removeprefix("dockerlab.") if target.startswith("dockerlab.") else ""
    while name and name not in BY_NAME:
        name = name.rpartition(".")[0]
    return name


def _closure(start: str) -> dict[str, str]:
    """Return every foreign top-level module that loading `start` imports, with who does."""
    foreign: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        # A module's packages are loaded before it.
        waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
        for found in _imports(BY_NAME[name].tree):
            if found.is_eager and found.target.startswith("dockerlab"):
                waiting += [own] if (own := _own(found.target)) else []
            elif found.is_eager:
                foreign.setdefault(found.target.partition(".")[0], name)
    return foreign


def test_every_library_has_its_owner() -> None:
    faults = [
        f"{module.name}:{found.line} imports {found.target}"
        for module in MODULES
        for found in _imports(module.tree)
        if not found.is_typing
        and (library := found.target.partition(".")[0]) in OWNERS
        and not any(module.is_in(room) for room in OWNERS[library])
    ]

    assert not faults


def test_http_is_spoken_in_four_rooms_only() -> None:
    faults = [
        f"{module.name}: {name}"
        for module in MODULES
        if not any(module.is_in(room) for room in HTTP_ROOMS)
        for node in ast.walk(module.tree)
        for name in _identifiers(node)
        if name in HTTP_NAMES or HTTP_WORDS & set(name.lower().split("_"))
    ]

    assert not faults


def _identifiers(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Import(names=names):
            return [part for alias in names for part in alias.name.split(".")]
        case ast.ImportFrom(module=str(origin)):
            return origin.split(".")
    return []


def test_the_environment_is_read_at_the_edges_only() -> None:
    faults = [
        f"{module.name}:{node.lineno} {node.value.id}.{node.attr}"
        for module in MODULES
        if module.name not in SURROUNDINGS_ROOMS and not module.name.endswith("__main__")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in SURROUNDINGS
    ]

    assert not faults


def test_no_module_has_state_that_changes() -> None:
    faults = []
    for module in MODULES:
        names = set(_module_level_containers(module.tree))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                faults.append(f"{module.name}:{node.lineno} global {', '.join(node.names)}")
            elif (name := _mutated(node)) in names:
                faults.append(f"{module.name} changes {name}")

    assert not faults


def _module_level_containers(tree: ast.Module) -> Iterator[str]:
    """Yield the names that are bound to a container or made by a call when the file is loaded."""
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _mutated(node: ast.AST) -> str:
    """Return the name whose object `node` changes from within a function; '' for none."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    local = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and _binds(name)}
    local |= {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
    for inner in ast.walk(node):
        match inner:
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=verb)) if (
                verb in MUTATORS
            ):
                pass
            case _:
                continue
        if name not in local:
            return name
    return ""


def _binds(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def test_the_kernel_room_imports_the_kernel_only() -> None:
    faults = [
        f"{module.name}:{found.line} {found.target}"
        for module in MODULES
        if module.is_in("kernel")
        for found in _imports(module.tree)
        if found.is_eager
        and not found.target.startswith("dockerlab.kernel")
        and found.target.partition(".")[0] not in KERNEL
    ]

    assert not faults


@pytest.mark.parametrize(
    ("start", "allowed"),
    [
        ("runtime.protocol", LIGHT),
        ("runtime.init", LIGHT),
        ("runtime.zygote", LIGHT),
        ("image.layer.worker", LIGHT | WORKER),
        ("engine.jobs", LIGHT | WORKER),
    ],
)
def test_what_the_zygote_loads_is_light(start: str, allowed: set[str]) -> None:
    heavy = {name: by for name, by in _closure(start).items() if name not in allowed}

    assert not heavy


def test_routes_see_the_engine_through_protocols_and_records() -> None:
    faults = [
        f"{module.name}:{found.line} {found.target}"
        for module in MODULES
        if module.is_in("daemon.routes") or module.is_in("daemon.shapes")
        for found in _imports(module.tree)
        if found.target.startswith("dockerlab.engine.")
        and found.target.split(".")[2] not in RECORDS
    ]

    assert not faults


def test_the_style_stays_within_its_limits() -> None:
    assert score(PACKAGE).faults() == []
