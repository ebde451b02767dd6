"""The network namespace that the hosts of one bed share with their client: a bridge, no uplink."""

from __future__ import annotations

import subprocess
from pathlib import Path

BRIDGE = "br0"
CLIENT = "192.168.10.1"
PREFIX = 24


def namespace(bed: str) -> str:
    """Its name, as `ip netns` lists it."""
    return f"labctl-hosts-{bed}"


def path(bed: str) -> Path:
    """What `nsenter --net=` takes."""
    return Path("/run/netns") / namespace(bed)


def entering(bed: str) -> list[str]:
    """The words before a command that make it run there. (`ip netns exec` would hide the control groups.)"""
    return ["nsenter", f"--net={path(bed)}", "--"]


def make(bed: str) -> None:
    """Make the namespace and its bridge."""
    _run("ip", "netns", "add", namespace(bed))
    for line in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {CLIENT}/{PREFIX} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        _run(*entering(bed), "ip", *line.split())


def remove(bed: str) -> None:
    """Remove the namespace, and with it the bridge; nothing happens when there is none."""
    if path(bed).exists():
        _run("ip", "netns", "del", namespace(bed))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
