"""Which chart installs which controller, and the Kubernetes versions that the project tested it with.

Source: the table "Supported Versions" of the ingress-nginx README, as it stood when the project was retired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RETIRED = (
    "ingress-nginx was retired in March 2026: it gets no fixes any more, not even for security; "
    "use it to study and to compare, and plan the move for what is exposed"
)


@dataclass(frozen=True, slots=True)
class Support:
    """A line of releases: its controller (`1.11`), and the oldest and newest minor version of Kubernetes 1.x."""

    controller: str
    oldest: int
    newest: int


SUPPORT = {
    "4.15": Support("1.15", 31, 35),
    "4.14": Support("1.14", 30, 34),
    "4.13": Support("1.13", 29, 33),
    "4.12": Support("1.12", 28, 32),
    "4.11": Support("1.11", 26, 30),
    "4.10": Support("1.10", 26, 30),
    "4.9": Support("1.9", 25, 29),
    "4.8": Support("1.9", 25, 28),
    "4.7": Support("1.8", 24, 27),
    "4.6": Support("1.7", 24, 27),
    "4.5": Support("1.6", 23, 26),
    "4.4": Support("1.5", 23, 25),
    "4.3": Support("1.4", 22, 25),
    "4.2": Support("1.3", 20, 24),
}
"""By the chart's major and minor version."""


STUDIED = ("4.11.2", "1.34")
"""The study's own chart and Kubernetes: not in the table, and seen to work together (its recorded sessions)."""


def support_warning(chart_version: str, server_version: str) -> str:
    """What should be said when a chart was not tested with a cluster's Kubernetes; empty when it was, or is unknown.

    Args:
        chart_version: For example `4.11.2`.
        server_version: The API server's gitVersion, for example `v1.34.4+k3s1`.
    """
    found = SUPPORT.get(".".join(chart_version.removeprefix("v").split(".")[:2]))
    server = re.match(r"v?1\.(\d+)", server_version)
    if found is None or server is None or (chart_version, f"1.{server[1]}") == STUDIED:
        return ""
    if found.oldest <= int(server[1]) <= found.newest:
        return ""
    fitting = [chart for chart, line in SUPPORT.items() if line.oldest <= int(server[1]) <= line.newest]
    advice = f"; charts {', '.join(fitting)} were" if fitting else ""
    return (
        f"chart {chart_version} (controller {found.controller}) was tested with Kubernetes 1.{found.oldest} to "
        f"1.{found.newest}, not with this cluster's {server_version}{advice}"
    )
