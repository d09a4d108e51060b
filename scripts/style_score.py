"""Score a package by the limits of CONTRIBUTING.md: files, functions, types, docstrings, cycles.

``python scripts/style_score.py dockerlab`` prints the numbers; with ``--check`` the exit status is
1 when one is over its limit, and the places are named. Standard library only.
"""

import argparse
import ast
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_FILE_LINES = 400
MAX_BODY_LINES = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One function: where it is, how long it is without its docstring, what it promises."""

    name: str
    lines: int
    is_public: bool
    is_typed: bool
    is_documented: bool


@dataclass(slots=True)
class Score:
    """What was counted. `imports` maps each module to the modules of the package it imports."""

    lines: dict[str, int] = field(default_factory=dict)
    comments: int = 0
    bodies: list[Body] = field(default_factory=list)
    imports: dict[str, set[str]] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """Name every place that is over a limit."""
        found = [
            f"{name}: {count} lines, the limit is {MAX_FILE_LINES}"
            for name, count in self.lines.items()
            if count > MAX_FILE_LINES
        ]
        for body in self.bodies:
            if body.lines > MAX_BODY_LINES:
                found.append(f"{body.name}: {body.lines} lines, the limit is {MAX_BODY_LINES}")
            if not body.is_typed:
                found.append(f"{body.name}: no return type")
            if body.is_public and not body.is_documented:
                found.append(f"{body.name}: public and without a docstring")
        found += [f"{name}: in an import cycle" for name in self.cyclic()]
        return found

    def cyclic(self) -> list[str]:
        """Return the modules that import themselves by way of others."""
        return sorted(name for name in self.imports if name in self._reach(name))

    def _reach(self, start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = self.imports[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen


def score(root: Path) -> Score:
    """Read every module under the package folder `root`."""
    result = Score()
    found: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        found[name] = set(_imports(tree, name, is_package=is_package))
        result.lines[name] = text.count("\n")
        result.comments += len(re.findall(r"^\s*#", text, re.MULTILINE))
        result.bodies += _bodies(tree, name)
    for name, imported in found.items():
        resolved = {_module_of(target, found) for target in imported}
        result.imports[name] = resolved - {"", name, root.name}
    return result


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield what the module imports when it is loaded: not in functions, not for types only."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: None if is_package else -1]
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


def _module_of(target: str, modules: dict[str, set[str]]) -> str:
    while target and target not in modules:
        target = target.rpartition(".")[0]
    return target


def _bodies(tree: ast.Module, module: str) -> Iterator[Body]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            text = ast.get_docstring(node) or ""
            yield Body(
                name=f"{module}:{node.name}",
                lines=(node.end_lineno or 0) - node.lineno + 1 - len(text.splitlines()),
                is_public=not node.name.startswith("_"),
                is_typed=node.returns is not None,
                is_documented=bool(text),
            )


def report(name: str, result: Score) -> str:
    """Write the numbers, one line a row of the scoring table."""
    files = list(result.lines.values())
    total = max(sum(files), 1)
    lengths = sorted(body.lines for body in result.bodies) or [0]
    p95 = lengths[int(len(lengths) * 0.95) - 1]
    longest = max(result.bodies, key=lambda body: body.lines, default=None)
    where = f"{longest.lines} ({longest.name})" if longest else "0"
    typed = _share([body.is_typed for body in result.bodies])
    documented = _share([body.is_documented for body in result.bodies if body.is_public])
    lines = [
        f"{name}: {len(files)} modules, {sum(files)} lines, median {statistics.median(files):.0f}",
        f"  over {MAX_FILE_LINES} lines : {sum(count > MAX_FILE_LINES for count in files)}",
        f"  function body  : median {statistics.median(lengths):.0f} p95 {p95} longest {where}",
        f"  returns typed  : {typed}; public with docstring {documented}",
        f"  modules in an import cycle: {result.cyclic() or 'none'}",
        f"  whole-line comments per 100 lines: {100 * result.comments / total:.1f}",
    ]
    return "\n".join(lines)


def _share(values: list[bool]) -> str:
    return f"{sum(values) / max(len(values), 1):.1%}"


def main() -> int:
    """Print the score of a package; with --check, judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a limit is passed")
    parser.add_argument("package", type=Path)
    options = parser.parse_args()
    result = score(options.package)
    print(report(options.package.name, result))
    faults = result.faults() if options.check else []
    for fault in faults:
        print(f"  limit: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
