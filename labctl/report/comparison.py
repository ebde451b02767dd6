"""Two reports side by side."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from labctl.model.report import Difference


def comparison_view(
    found: tuple[Difference, ...],
    results: dict[str, tuple[str, str]],
    only: tuple[tuple[str, ...], tuple[str, ...]],
    names: tuple[str, str],
) -> Group:
    """One table per check: what it was in both runs, and whether that differs beyond chance."""
    parts: list[RenderableType] = []
    for check, (before, after) in results.items():
        parts.append(Text.assemble((check, "bold"), (f"  {before}" if before == after else f"  {before} → {after}")))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
        for title in ("", *names, ""):
            table.add_column(title, overflow="fold")
        for each in found:
            if each.check == check:
                table.add_row(f"  {each.what}", each.before, each.after, _judged(each))
        parts += [table, Text()]
    for name, checks in zip(names, only, strict=True):
        if checks:
            parts.append(Text(f"only in {name}: {', '.join(checks)}"))
    changed = sum(each.significant for each in found)
    others = sum(before != after for before, after in results.values())
    words = f"{changed} of {len(found)} comparisons differ beyond chance"
    parts.append(Text(words + (f"; {others} results differ" if others else ""), "bold"))
    return Group(*parts)


def _judged(each: Difference) -> Text:
    if each.significant:
        return Text(f"changed, p = {each.p_value:.1g}", "yellow")
    return Text("same" if each.p_value > 0.999 else f"as chance does, p = {each.p_value:.2g}", "dim")
