"""The routing table and explanations, as tables and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from labctl.env import Env
from labctl.model.routing import Explanation, Route, RoutingFacts
from labctl.report.values import structured
from labctl.report.write import console_width, render

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST_PODS = 6


def routes_text(routes: Sequence[Route], facts: RoutingFacts, form: str, env: Env, *, color: bool) -> str:
    """All routes, in the order in which nginx looks at servers and their locations."""
    if form != "table":
        document = {
            "schema": "labctl.routes/v1",
            "rules": facts.rules,
            "controller": facts.controller,
            "routes": [asdict(route) | {"canaries": list(route.canaries)} for route in routes],
            "notes": list(facts.notes),
        }
        return structured(document, form)
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("host", "path", "match", "backend", "pods", "ingress", "tls", "canary"):
        table.add_column(name, justify="right" if name == "pods" else "left", overflow="fold")
    host = ""
    for route in routes:
        shown = "" if route.host == host else route.host
        host = route.host
        pods = str(route.endpoints) if route.ingress or route.endpoints else ""
        row = (shown, route.path, route.match, route.backend, pods, route.ingress or "(built in)", route.tls)
        table.add_row(*row, ", ".join(route.canaries))
    return render(Group(table, *_notes(facts)), env.stdout, color=color, width=console_width(env.stdout))


def explanation_text(url: str, told: Explanation, facts: RoutingFacts, form: str, env: Env, *, color: bool) -> str:
    """What would happen to one request, and why."""
    if form != "table":
        document = {
            "schema": "labctl.explanation/v1",
            "url": url,
            "rules": facts.rules,
            "controller": facts.controller,
            **asdict(told),
            "losers": [asdict(loser) for loser in told.losers],
            "next_pods": list(told.next_pods),
            "notes": list(facts.notes),
        }
        return structured(document, form)
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(told):
        table.add_row(name, value)
    parts: list[RenderableType] = [Text(url, style="bold"), table]
    if told.losers:
        parts += [Text(), Text("rules for this host without effect", style="bold")]
        parts += [Text(f"  {loser.ingress}  {loser.path} → {loser.backend}: {loser.reason}") for loser in told.losers]
    return render(Group(*parts, *_notes(facts)), env.stdout, color=color, width=console_width(env.stdout))


def _rows(told: Explanation) -> list[tuple[str, str]]:
    server = "the default server" if told.server == "_" else told.server
    rows = [("server", f"{server} ({told.server_reason})")]
    if told.location:
        rows.append(("location", f"{told.location} ({told.location_reason})"))
        rows.append(("written by", f"Ingress {told.ingress}" if told.ingress else "the controller itself"))
    if told.status:
        target = f", Location: {told.redirect}" if told.redirect else ""
        rows.append(("answer", f"{told.status} by nginx itself{target}"))
        if told.backend and not told.redirect:
            rows.append(("backend", told.backend))
        return rows
    rows.append(("backend", told.backend))
    if told.canary_reason:
        taken = "" if "by chance" in told.canary_reason else f"{told.canary or 'not taken'}: "
        rows.append(("canary", f"{taken}{told.canary_reason}"))
    rows.append(("balancer", told.balancer))
    rows.append(("pod gets", told.path_to_pod))
    more = len(told.next_pods) - _MOST_PODS
    pods = ", ".join(told.next_pods[:_MOST_PODS]) + (f" and {more} more" if more > 0 else "")
    rows.append(("pods", pods or "none"))
    return rows


def _notes(facts: RoutingFacts) -> list[RenderableType]:
    from rich.text import Text

    return [Text(), *(Text(f"note: {note}", "dim") for note in facts.notes)]
