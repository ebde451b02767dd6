"""The house's order: a room imports only rooms below it, without cycles, and effects stay at the rim."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "labctl"

ROWS: tuple[frozenset[str], ...] = (
    frozenset({"model", "status"}),
    frozenset({"errors", "secrets"}),
    frozenset({"events", "env", "files"}),
    frozenset({"waiting"}),
    frozenset({"download"}),
    frozenset({"config"}),
    frozenset({"objects"}),
    frozenset({"ssh", "kube", "probe"}),
    frozenset({"verdict"}),
    frozenset({"k3s", "ingress", "lab"}),
    frozenset({"embedded"}),
    frozenset({"conformance"}),
    frozenset({"providers"}),
    frozenset({"workflows"}),
    frozenset({"report"}),
    frozenset({"cli"}),
)
"""From the ground up; rooms in one row do not know each other. `report` sees values only (see below)."""

LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}
REPORT_MAY_SEE = {"model", "status", "errors", "events", "env", "report"}
PRINTING_ROOMS = {"report", "cli"}
GENERATOR = "embedded.kinds.generate"
"""A program for developers: it prints what it wrote, and reads the models of the `kubernetes` package."""
THIRD_PARTY_OWNERS = {
    "paramiko": {"ssh"},
    "kubernetes": {"kube", GENERATOR},
    "pycurl": {"probe"},
    "rich": {"report", "cli"},
    "typer": {"cli"},
    "jinja2": {"report"},
    "uvloop": {"embedded", "probe"},
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


MODULES = dict(modules())
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def internal_imports(tree: ast.AST) -> set[str]:
    """Names of labctl's modules that a module imports, at whatever depth of its code."""
    names = {name.removeprefix("labctl.") for name in imports(tree) if name.startswith("labctl.")}
    return {name for name in names if name in MODULES}


def room(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in LEVEL])
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    above = {
        name
        for name in internal_imports(TREES[module])
        if room(name) in LEVEL and room(name) != room(module) and LEVEL[room(name)] >= LEVEL[room(module)]
    }
    assert not above, f"{module} imports {sorted(above)}"


def test_every_room_has_its_place_in_the_order() -> None:
    known = set(LEVEL) | {"", "__main__", "testing"}
    assert {room(name) for name in MODULES} <= known


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "report"])
def test_renderers_see_values_only(module: str) -> None:
    seen = {room(name) for name in internal_imports(TREES[module])}
    assert seen <= REPORT_MAY_SEE


def test_there_are_no_import_cycles() -> None:
    top_level = {
        name: {
            found
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for found in internal_imports(ast.Module([node], []))
            if found != name and not name.startswith(f"{found}.")
        }
        for name, tree in TREES.items()
    }
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        assert name not in path, f"cycle: {' → '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(top_level[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in top_level:
        visit(name)


@pytest.mark.parametrize("module", list(MODULES))
def test_each_library_has_its_owner(module: str) -> None:
    for name in imports(TREES[module]):
        owners = THIRD_PARTY_OWNERS.get(name.split(".")[0])
        assert owners is None or any(module == o or module.startswith(f"{o}.") for o in owners), f"{module}: {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) not in PRINTING_ROOMS and name != GENERATOR])
def test_nothing_prints_outside_report_and_cli(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "input"}, f"{module}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in {"stdout", "stderr"} or module == "env", f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", list(MODULES))
def test_modules_and_functions_fit_in_one_head(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES, f"{module} has {lines} lines"
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.body[0].lineno + 1  # a command's options are a table, not code
            assert length <= MAX_FUNCTION_LINES, f"{module}.{node.name} has {length} lines"


@pytest.mark.parametrize("module", [name for name in MODULES if name != "cli.main"])
def test_no_broad_except(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ExceptHandler):
            names = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"bare"}
            broad = names & {"Exception", "BaseException", "bare"}
            reraises = any(isinstance(part, ast.Raise) and part.exc is None for part in ast.walk(node))
            assert not broad or reraises, f"{module}:{node.lineno}"
