"""Steps that are not replayed or may differ, by rule, each with its reason; docs/differences.md tells them too."""

from __future__ import annotations

import re
import shutil

from tests.sessions.recording import Session, Step

_PLUG = re.compile(r"\bBED && .*\./(?:down|up)\.sh")
_CHART = re.compile(r"^cp \./ingress-nginx-[\d.]+\.tgz ")
_ADDRESS = re.compile(r"kubectl (?:get|describe) (?:ing|ingress)\b")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bBED/|cd BED\b"), "a command on the hosts themselves: the embedded nodes are not machines"),
    (
        re.compile(r"\bkubectl top (?:pod|node)"),
        "the recorded metrics-server had no data, the embedded cluster has none",
    ),
    (
        re.compile(
            r"kube-system|kubectl describe nodes?\b|(?:pods?|svc) -A\b|get (?:node \S+ -o yaml|clusterrole(?:binding)?$)"
        ),
        "k3s's own components (CoreDNS, metrics-server, local-path-provisioner) are no pods here, nor their roles",
    ),
    (
        re.compile(r"get (?:csinodes|runtimeclass|apiservices|flowschemas|prioritylevelconfigurations)"),
        "k3s's own settings of this kind are not there",
    ),
    (
        re.compile(r"kubectl get ns(?: --show-labels)?$|helm (?:ls|list) -A|-A --no-headers"),
        "others' namespaces were recorded",
    ),
    (re.compile(r"podCIDR"), "the address ranges of the recorded nodes"),
    (re.compile(r"logs -n ingress"), "the recorded controller logged at v=3"),
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
    if session.group == "labs" and _ADDRESS.search(step.command):
        return "the real controller writes an Ingress's address up to a minute later"
    if "BusyBox v1.35" in step.stdout:
        return "the busybox that stood in for the image knows fewer options"
    if step.left_out:
        return "its output was not recorded"
    return next((why for pattern, why in _RULES if pattern.search(step.command)), "")
