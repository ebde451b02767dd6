"""Inline SVG for the HTML report: who got what share, when, and how fast. Colours are the page's (`k0` … `k7`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from labctl.model.report import Check, Hits

COLOURS = 8
WIDTH, HEIGHT = 640, 150
_LEFT, _BOTTOM = 44, 22
PODS_SHOWN = 12
_ROW = 46
_BOX = 132


def colours(check: Check) -> dict[str, int]:
    """Key → number of its colour; the same in every picture of a check."""
    return {hits.key: number % COLOURS for number, hits in enumerate(check.hits)}


def _svg(label: str, width: int, height: int, body: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width,
        height,
        label,
        Markup(body),  # noqa: S704 - every text in it went through escape() in _text
    )


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def timeline_svg(check: Check) -> Markup:
    """Answers per slot, stacked by key, errors on top; a line where the shares changed."""
    numbers = colours(check)
    keys = sorted({key for moment in check.timeline for key in moment.hits}, key=lambda key: numbers.get(key, COLOURS))
    most = max((sum(m.hits.values()) + sum(m.errors.values()) for m in check.timeline), default=0) or 1
    wide = (WIDTH - _LEFT - 8) / len(check.timeline)
    floor = [0.0] * len(check.timeline)
    parts: list[str] = []
    rows = [
        (f"k{numbers.get(key, COLOURS - 1)}", [moment.hits.get(key, 0) for moment in check.timeline]) for key in keys
    ]
    rows.append(("lost", [sum(moment.errors.values()) for moment in check.timeline]))
    for kind, counts in rows:
        bars = [
            f"M{_LEFT + slot * wide:.1f} {_y(low, most):.1f}h{max(wide - 0.6, 0.4):.1f}V{_y(low + count, most):.1f}"
            f"h-{max(wide - 0.6, 0.4):.1f}z"
            for slot, (low, count) in enumerate(zip(floor, counts, strict=True))
            if count
        ]
        floor = [low + count for low, count in zip(floor, counts, strict=True)]
        parts.append(f'<path class="{kind}" d="{"".join(bars)}"/>')
    if check.change is not None:
        x = _LEFT + check.change.at_s / check.slot_s * wide
        parts.append(f'<path class="mark" d="M{x:.1f} 4V{HEIGHT - _BOTTOM}"/>')
    end = len(check.timeline) * check.slot_s
    parts += _axes(f"{most:,}", [(0, "0 s"), (0.5, f"{end / 2:.3g} s"), (1, f"{end:.3g} s")])
    lost = sum(sum(moment.errors.values()) for moment in check.timeline)
    return _svg(f"Answers over {end:.3g} seconds by {check.by}, {lost} requests lost", WIDTH, HEIGHT, "".join(parts))


def _y(value: float, most: float) -> float:
    return HEIGHT - _BOTTOM - value / most * (HEIGHT - _BOTTOM - 8)


def _axes(top: str, ticks: Sequence[tuple[float, str]]) -> list[str]:
    base = HEIGHT - _BOTTOM
    right = WIDTH - 8
    parts = [f'<path class="axis" d="M{_LEFT} {base}H{right}"/>', _text(_LEFT - 6, 16, top, "small", "end")]
    parts.append(_text(_LEFT - 6, base, "0", "small", "end"))
    for place, words in ticks:
        anchor = "start" if place <= 0.02 else "end" if place >= 0.98 else "middle"
        parts.append(_text(_LEFT + place * (right - _LEFT), HEIGHT - 6, words, "small", anchor))
    return parts


def histogram_svg(check: Check) -> Markup:
    """How many answers took how long, on a logarithmic axis, with the percentiles marked."""
    assert check.latency is not None
    # The finest buckets are whole microseconds: below 16 of them a bucket is wider than 6 %.
    buckets = [(max(low, 0.001), count) for low, count in check.histogram.items()]
    first, last = math.log10(buckets[0][0]), math.log10(max(buckets[-1][0] * 1.07, check.latency.max))
    span = max(last - first, 0.05)

    def x(milliseconds: float) -> float:
        return _LEFT + (math.log10(max(milliseconds, 0.001)) - first) / span * (WIDTH - 8 - _LEFT)

    most = max(count for _, count in buckets)
    bars = "".join(
        f"M{x(low):.1f} {HEIGHT - _BOTTOM}h{max(x(low * 1.0625) - x(low) - 0.4, 0.8):.1f}V{_y(count, most):.1f}"
        f"H{x(low):.1f}z"
        for low, count in buckets
    )
    parts = [f'<path class="k0" d="{bars}"/>']
    for name in ("p50", "p90", "p99"):
        at = x(getattr(check.latency, name))
        parts.append(f'<path class="mark" d="M{at:.1f} 14V{HEIGHT - _BOTTOM}"/>')
        parts.append(_text(at, 11, name, "small", "middle" if at < WIDTH - 30 else "end"))
    ticks = [
        ((x(value) - _LEFT) / (WIDTH - 8 - _LEFT), f"{value:g} ms")
        for power in range(math.floor(first), math.ceil(last) + 1)
        for value in ([10.0**power] if span > 1.5 else [factor * 10.0**power for factor in (1, 2, 5)])
        if first <= math.log10(value) <= first + span
    ]
    parts += _axes(f"{most:,}", ticks)
    latency = check.latency
    label = (
        f"Latency: p50 {latency.p50:.1f}, p90 {latency.p90:.1f}, p99 {latency.p99:.1f}, at most {latency.max:.1f} ms"
    )
    return _svg(label, WIDTH, HEIGHT, "".join(parts))


def topology_svg(check: Check, *, through: str) -> Markup:
    """The way of the requests: client → where they were sent → what routed them → pods, with the share on each edge.

    Args:
        check: The check.
        through: What stands between the address and the pods; empty where that is not known.
    """
    pods = _pods(check)
    height = max(90, len(pods) * _ROW + 16)
    middle = height / 2
    stops = ["client", urlsplit(check.url).netloc, *([through] if through else [])]
    gap = 42 if through else 92
    parts = []
    for number, name in enumerate(stops):
        left = 4 + number * (_BOX + gap)
        if number:
            parts.append(f'<path class="edge" stroke-width="6" d="M{left - gap} {middle}H{left}"/>')
        parts.append(_box(left, middle - 18, _BOX, [name]))
    begin = 4 + (len(stops) - 1) * (_BOX + gap) + _BOX
    end = begin + 118
    for row, (pod, node, share, number) in enumerate(pods):
        y = 8 + row * _ROW + 18 if len(pods) > 1 else middle
        bend = (begin + end) / 2
        parts.append(
            f'<path class="edge k{number}" stroke-width="{1 + 11 * share:.1f}" '
            f'd="M{begin} {middle}C{bend} {middle} {bend} {y} {end - 46} {y}H{end}"/>'
        )
        parts.append(_text(end - 24, y - 5 - 5 * share, f"{share:.1%}", "small", "middle"))
        parts.append(_box(end, y - 18, 232, [pod, node] if node else [pod], f"k{number}"))
    label = f"{check.url} was answered by " + ", ".join(f"{pod} {share:.1%}" for pod, _, share, _ in pods)
    return _svg(label, end + 236, int(height), "".join(parts))


def _box(x: float, y: float, width: int, lines: Sequence[str], kind: str = "") -> str:
    most = max(8, int(width / 7.1))
    short = [line if len(line) <= most else line[: most - 1] + "…" for line in lines]
    first = y + (22 if len(short) == 1 else 15)
    words = "".join(_text(x + 10, first + 15 * n, line, "small" if n else "") for n, line in enumerate(short))
    side = f'<rect x="{x:.0f}" y="{y:.0f}" width="5" height="36" class="{kind}"/>' if kind else ""
    return f'<rect class="box" x="{x:.0f}" y="{y:.0f}" width="{width}" height="36" rx="4"/>{side}{words}'


def _pods(check: Check) -> list[tuple[str, str, float, int]]:
    """Pod (or key, where no pods are named), node, share and colour; the first ones of many."""
    numbers = colours(check)
    total = sum(hits.hits for hits in check.hits) or 1
    rows: list[tuple[str, str, float, int]] = []
    for hits in check.hits:
        rows += _rows_of(hits, total, numbers[hits.key])
    rest = rows[PODS_SHOWN - 1 :]
    if len(rows) <= PODS_SHOWN:
        return rows
    return [*rows[: PODS_SHOWN - 1], (f"{len(rest)} others", "", sum(share for _, _, share, _ in rest), COLOURS - 1)]


def _rows_of(hits: Hits, total: int, number: int) -> list[tuple[str, str, float, int]]:
    if not hits.pods:
        return [(hits.key, "", hits.hits / total, number)]
    return [
        (
            pod,
            " · ".join(part for part in (hits.key if hits.key != pod else "", hits.nodes.get(pod, "")) if part),
            count / total,
            number,
        )
        for pod, count in hits.pods.items()
    ]
