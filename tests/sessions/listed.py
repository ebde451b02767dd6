"""Steps that are not replayed or may differ, by rule, each with its reason; docs/differences.md tells them too."""

from __future__ import annotations

import re
import shutil

from tests.sessions.recording import Session, Step

_PLUG = re.compile(r"\bBED && .*\./(?:down|up)\.sh")
_CHART = re.compile(r"^cp \./ingress-nginx-[\d.]+\.tgz ")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bBED/|cd BED\b"), "a command on the hosts themselves: the embedded nodes are not machines"),
    (
        re.compile(r"\bkubectl top (?:pod|node)"),
        "the recorded metrics-server had no data, the embedded cluster has none",
    ),
    (re.compile(r"edit-last-applied"), "an editor that was killed: its screen was recorded"),
    (re.compile(r"http://192\.168\.10\.1:"), "an address of the recording machine"),
)


def reason(session: Session, step: Step) -> str:
    """Why a step is not compared; empty when it is."""
    if "kubectl132" in step.command and shutil.which("kubectl132") is None:
        return "there is no kubectl132 on this machine"
    if any(_PLUG.search(other.command) for other in session.steps):
        return "nodes are unplugged and plugged in: the embedded nodes are not machines"
    if any(_CHART.search(other.command) for other in session.steps):
        return "the chart's archive is not at hand: the controller is installed by labctl's own rendering of it"
    if step.left_out:
        return "its output was not recorded"
    return next((why for pattern, why in _RULES if pattern.search(step.command)), "")
