"""Reports as rich renderables: one table per check, the verdict in words below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from labctl.model.report import Change, Check, Hits, LabReport, Report, Result
from labctl.report.marks import MARKS, STYLES

BAR_WIDTH = 20
NARROW_BAR = 10
ROOMY = 100
"""From this many columns on, bars are wide and long names are not cut."""
CPU_LEAST = 50
"""Requests from which on figures about the run itself say something."""
COURSE_SECONDS = 1.0
"""Seconds from which on a run has a course over time worth showing."""
LOSSES_SHOWN = 10
_HEIGHTS = " ▁▂▃▄▅▆▇█"


def report_view(report: Report, width: int) -> Group:
    """Every lab with its checks, and one line for the whole."""
    parts: list[RenderableType] = []
    for lab in report.labs:
        parts += [lab_view(lab, width), Text()]
    parts.append(summary(report))
    return Group(*parts)


def summary(report: Report) -> Text:
    """One line: what came out, and how long it took."""
    checks = [check for lab in report.labs for check in lab.checks]
    passed = sum(check.result is Result.PASSED for check in checks)
    skipped = sum(lab.result is Result.SKIPPED for lab in report.labs)
    requests = sum(check.requests + (check.first.requests if check.first else 0) for check in checks)
    text = f"{report.result.value}: {passed} of {len(checks)} checks passed, {requests:,} requests"
    text += f", {report.elapsed_s:.1f} s"
    if skipped:
        text += f"; {skipped} of {len(report.labs)} labs skipped"
    if report.partial:
        text += "; interrupted, this is what was done until then"
    return Text(text, style=f"bold {STYLES[report.result]}")


def lab_view(lab: LabReport, width: int) -> Group:
    """A lab's heading, then its checks."""
    heading = Text.assemble(
        (f"{MARKS[lab.result]} {lab.name}", f"bold {STYLES[lab.result]}"),
        (f"  {lab.title}" if lab.title else "", "bold"),
    )
    parts: list[RenderableType] = [heading]
    if lab.reason:
        parts.append(_indented(f"{lab.result.value}: {lab.reason}", STYLES[lab.result], 2))
    if lab.hint:
        parts.append(_indented(f"hint: {lab.hint}", "", 2))
    parts += [_indented(f"warning: {warning}", "yellow", 2) for warning in lab.warnings]
    for check in lab.checks:
        parts.append(check_view(check, width))
    return Group(*parts)


def check_view(check: Check, width: int) -> Group:
    """One check: what was asked, who answered, and the judgement."""
    parts: list[RenderableType] = [Text(), *_headline(check, width)]
    if check.hits:
        parts.append(hits_table(check, width))
    parts += [_indented(line, style) for line, style in course_lines(check)]
    parts += [_indented(f"note: {notice}", "yellow") for notice in check.notices]
    if check.first is not None and check.first.verdict is not None:
        parts.append(_indented(f"first round of {check.first.requests}: {check.first.verdict.reason}", "dim"))
    if check.verdict is not None:
        word = "" if check.verdict.passed else f"{check.result.value}: "
        parts.append(_indented(f"{word}{check.verdict.reason}", STYLES[check.result]))
    return Group(*parts)


def _indented(text: str, style: str, columns: int = 4) -> Padding:
    """Text whose wrapped lines stay below their first."""
    return Padding(Text(text, style), (0, 0, 0, columns))


def _headline(check: Check, width: int) -> Iterator[RenderableType]:
    """What was asked, with the title beside it where there is room, and what came in numbers."""
    where = f"  {check.url}" if check.url else ""
    head = Text.assemble((f"  {MARKS[check.result]} {check.name}", STYLES[check.result]), (where, "cyan"))
    if check.title and head.cell_len + 2 + cell_len(check.title) <= width:
        yield head.append(f"  {check.title}", "default")
    else:
        yield head
        if check.title:
            yield _indented(check.title, "")
    yield _indented(_numbers(check) if check.url else check.curl, "dim")


def _numbers(check: Check) -> str:
    numbers = [f"{check.requests:,} requests"] if check.requests != 1 else ["1 request"]
    if check.requests > 1:
        numbers.append(f"{check.requests_per_s:,.0f}/s")
    if check.latency is not None:
        numbers.append(f"p50 {check.latency.p50:.1f} ms, p99 {check.latency.p99:.1f} ms")
    if check.cpu_us and check.requests >= CPU_LEAST:
        numbers.append(f"{check.cpu_us:.0f} µs CPU each")
    if check.status:
        numbers.append("status " + ", ".join(f"{code}×{count}" for code, count in check.status.items()))
    if check.errors:
        kinds = ", ".join(f"{name}×{count}" for name, count in check.error_kinds.items())
        numbers.append(f"{check.errors} errors ({kinds})")
    if check.partial:
        numbers.append("interrupted")
    return " · ".join(numbers)


def course_lines(check: Check) -> Iterator[tuple[str, str]]:
    """What a longer run shows besides: phases, the course over time, errors by second, a change."""
    if check.by == "pod" and check.requests >= CPU_LEAST and check.phases:
        parts = ", ".join(f"{name} {took.p50:.2f} ms" for name, took in check.phases.items())
        yield f"half of them within: {parts}", "dim"
    if check.timeline and check.elapsed_s >= COURSE_SECONDS:
        counts = [sum(moment.hits.values()) for moment in check.timeline]
        yield f"over time  {sparkline(counts)}  {check.slot_s * 1000:.0f} ms each, at most {max(counts):,}", "dim"
    yield from ((f"lost {words}", "red") for words in losses(check))
    if check.change is not None:
        yield f"change at {check.change.at_s:.1f} s: {change_words(check.change)}", "yellow"


def losses(check: Check) -> Iterator[str]:
    """Requests without an answer, by second and kind; the first ones of many."""
    if check.requests < CPU_LEAST:
        return
    seconds: dict[int, dict[str, int]] = {}
    for moment in check.timeline:
        for name, count in moment.errors.items():
            kinds = seconds.setdefault(int(moment.at_s), {})
            kinds[name] = kinds.get(name, 0) + count
    for second, kinds in list(seconds.items())[:LOSSES_SHOWN]:
        yield f"in second {second}: " + ", ".join(f"{count} × {name}" for name, count in kinds.items())
    if len(seconds) > LOSSES_SHOWN:
        yield f"in {len(seconds) - LOSSES_SHOWN} more seconds"


def change_words(change: Change) -> str:
    """The keys whose share changed most, before and after."""
    by_size = sorted(change.after, key=lambda key: -abs(change.after[key] - change.before.get(key, 0.0)))
    return ", ".join(f"{key} {change.before.get(key, 0.0):.1%} → {change.after[key]:.1%}" for key in by_size[:3])


def sparkline(counts: Sequence[int]) -> str:
    """One column per slot, as high as its count."""
    most = max(counts, default=0) or 1
    return "".join(_HEIGHTS[-(-count * (len(_HEIGHTS) - 1) // most)] for count in counts)


def hits_table(check: Check, width: int) -> Table:
    """Who answered, how often: pod, node, version (or another key), hits, share, expected, bar."""
    by_pod = check.by == "pod"
    roomy = width >= ROOMY
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("   ", width=3)
    if not by_pod:
        table.add_column(check.by, no_wrap=True)
    table.add_column("pod", overflow="fold" if roomy else "ellipsis", no_wrap=not roomy)
    if any(hits.nodes for hits in check.hits):
        table.add_column("node", no_wrap=True)
    for name in ("hits", "share", "expected"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in _rows(check, by_pod=by_pod, roomy=roomy):
        table.add_row("", *row)
    return table


def _rows(check: Check, *, by_pod: bool, roomy: bool) -> Iterator[list[RenderableType]]:
    with_nodes = any(hits.nodes for hits in check.hits)
    total = sum(hits.hits for hits in check.hits) or 1
    for hits in check.hits:
        numbers = [f"{hits.hits:,}", f"{hits.share:.1%}", "" if hits.expected is None else f"{hits.expected:.1%}"]
        bars = [bar(hits.share, hits.expected, BAR_WIDTH if roomy else NARROW_BAR)]
        if by_pod:
            node = [hits.nodes.get(hits.key, "")] if with_nodes else []
            yield [hits.key or "(no pod named)", *node, *numbers, *bars]
            continue
        style = "bold"
        yield [Text(hits.key or "(none)", style), "", *([""] if with_nodes else []), *numbers, *bars]
        yield from _pod_rows(hits, total, with_nodes=with_nodes, roomy=roomy)


def _pod_rows(hits: Hits, total: int, *, with_nodes: bool, roomy: bool) -> Iterable[list[RenderableType]]:
    for pod, count in hits.pods.items():
        node: list[RenderableType] = [Text(hits.nodes.get(pod, ""), "dim")] if with_nodes else []
        numbers: list[RenderableType] = [Text(f"{count:,}", "dim"), Text(f"{count / total:.1%}", "dim"), ""]
        yield ["", Text(pod, "dim"), *node, *numbers, bar(count / total, None, BAR_WIDTH if roomy else NARROW_BAR)]


def bar(share: float, expected: float | None, width: int = BAR_WIDTH) -> Text:
    """A bar of the share, with a mark where the expected share ends."""
    filled = round(share * width)
    cells = ["█"] * filled + [" "] * (width - filled)
    if expected is not None:
        place = min(width - 1, max(0, round(expected * width) - 1))
        cells[place] = "▓" if place < filled else "│"
    return Text("".join(cells).rstrip(), style="blue")
