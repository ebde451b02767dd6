"""A plan in words: what a dry run prints, with the difference of every file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from labctl.k3s.plan import Action, Delete, Join, Keep, Link, Plan, Start, Upload, Write


def describe(plan: Plan) -> Iterator[str]:
    """Lines that say what is to be done on each host, and what is not and why."""
    for node in plan.nodes:
        changes = len(node.changes)
        words = f"{changes} change{'s' if changes != 1 else ''}" if changes else "nothing to change"
        yield f"{node.node.name} ({node.node.role}, {node.node.address}): {words}"
        for action in node.actions:
            yield from _action(action)


def _action(action: Action) -> Iterator[str]:
    match action:
        case Upload():
            url = action.artifact.url
            source = f"fetched there from {url}" if url else f"{action.artifact.size / 1e6:.1f} MB"
            yield f"  + {action.path}: {source}, sha256 {action.artifact.sha256[:12]}… ({action.reason})"
        case Write():
            yield from _write(action)
        case Link():
            yield f"  + {action.path} → {action.target}"
        case Delete():
            yield f"  - {action.path}"
            yield from _difference(action.before, "")
        case Join():
            yield f"  + {action.path}: the token that the first server gives out (secret)"
        case Start():
            yield f"  * {'restart' if action.running else 'start'} {action.unit}: {action.reason}"
        case Keep():
            yield f"  = {action.what}: {action.reason}"


def _write(action: Write) -> Iterator[str]:
    if action.secret:
        yield f"  {'+' if action.before is None else '~'} {action.path} (mode {action.mode:o}, secret: not shown)"
        return
    if action.before is None:
        yield f"  + {action.path} (mode {action.mode:o})"
    elif action.before == action.content:
        yield f"  ~ {action.path}: mode becomes {action.mode:o}"
    else:
        yield f"  ~ {action.path} (mode {action.mode:o})"
    yield from _difference(action.before or "", action.content)


def _difference(before: str, after: str) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    for line in list(lines)[2:]:
        yield f"      {line}"
