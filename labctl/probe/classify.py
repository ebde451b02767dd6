"""Which pod answered, and which version: read off an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from labctl.model.probe import KeyKind, ProbePlan

_NAME = rb"([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)"
"""A pod's name: a DNS-1123 subdomain, as Kubernetes demands."""


@dataclass(frozen=True, slots=True)
class PodPattern:
    """How one kind of server names its pod in the body; the first group is the name."""

    server: str
    expression: re.Pattern[bytes]


POD_PATTERNS = (
    # "Hostname: deploy3-adminsrv-7c8f8b8c87-76sjm" on a line of its own.
    PodPattern(
        "registry.k8s.io/echoserver, traefik/whoami, google-samples/hello-app, ingress-nginx's e2e-test-echo",
        re.compile(rb"^Hostname:[ \t]*" + _NAME, re.MULTILINE),
    ),
    # "Hello Kubernetes bootcamp! | Running on: deploy2-guestsrv-649875f78b-w9s8q | v=1"
    PodPattern("google-samples/kubernetes-bootcamp", re.compile(rb"Running on: " + _NAME)),
    # {"pod": "echo-…"}, {"hostname": "podinfo-…"}, {"environment": {"HOSTNAME": "…"}}
    PodPattern(
        "gateway-api echo-basic, stefanprodan/podinfo, mendhak/http-https-echo, ealen/echo-server",
        re.compile(rb'"(?:pod|hostname|HOSTNAME)"[ \t]*:[ \t]*"' + _NAME + rb'"'),
    ),
    # The whole body is the name, as Kubernetes' own e2e tests serve it; a ReplicaSet's or StatefulSet's pod has a dash.
    PodPattern(
        "registry.k8s.io/e2e-test-images/agnhost serve-hostname and netexec /hostname",
        re.compile(rb"\A([a-z0-9](?:[a-z0-9]*-[-a-z0-9]*[a-z0-9]))\r?\n?\Z"),
    ),
)
"""Looked for in this order; the first that is found names the pod."""

POD_HEADERS = ("x-pod", "x-pod-name", "x-served-by-pod")
"""Response headers (lower case) that name the pod where the body does not."""


def header_value(head: bytes, name: str) -> str:
    """The value of the first header of that name (any case) in a raw head; empty when absent."""
    lowered = head.lower()
    start = lowered.find(b"\n" + name.lower().encode("latin-1") + b":")
    if start < 0:
        return ""
    start = head.index(b":", start) + 1
    end = head.find(b"\n", start)
    return head[start : end if end >= 0 else None].strip().decode("latin-1")


def headers_of(head: bytes) -> tuple[tuple[str, str], ...]:
    """The header fields of a raw head, in wire order and wire case."""
    lines = head.decode("latin-1").splitlines()[1:]
    fields = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip(), value.strip()) for name, _, value in fields)


def pod_of(head: bytes, body: bytes) -> str:
    """Name of the pod that answered, as body or headers say it; empty when they do not."""
    for pattern in POD_PATTERNS:
        found = pattern.expression.search(body)
        if found:
            return found[1].decode("ascii")
    lowered = head.lower()
    for name in POD_HEADERS:
        if b"\n" + name.encode() + b":" in lowered:
            return header_value(head, name)
    return ""


Keys = tuple[str, str, str]
"""Pod, version and counted header's value of one answer; empty where it does not say."""


def classifier(plan: ProbePlan) -> Callable[[bytes, bytes], Keys]:
    """A function from an answer's raw head and body (its first 64 KiB) to its keys.

    Raises:
        re.error: A version's expression is none.
    """
    versions = [(name, re.compile(expression)) for name, expression in plan.versions.items()]
    header = plan.by.header if plan.by.kind is KeyKind.HEADER else ""

    def keys(head: bytes, body: bytes) -> Keys:
        version = ""
        if versions:
            text = body.decode("utf-8", "replace")
            version = next((name for name, expression in versions if expression.search(text)), "")
        return pod_of(head, body), version, header_value(head, header) if header else ""

    return keys
