"""What k3s's own log says of a start that does not succeed: known causes, in words, with what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"K10[0-9a-f]{16,}\S*")
_NOISE = re.compile(r'^time="[^"]*" ')
_SYSTEMD = re.compile(r"k3s(-agent)?\.service: |(Start|Stopp|Fail)\w*( to start)? k3s(-agent)?\.service|modprobe: ")
"""What systemd says of every restart, which would leave no room for what k3s said itself."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A known cause.

    Attributes:
        words: What it is.
        hint: What to do.
        final: Whether it does not heal by waiting.
    """

    words: str
    hint: str
    final: bool = True


_KNOWN: tuple[tuple[str, Cause], ...] = (
    (
        r"[Nn]ode password rejected|node-passwd entry",
        Cause(
            "the server knows another node of this name (node password rejected)",
            "give the host another name; or `labctl node remove NAME` forgets the old one, then `labctl up` again",
        ),
    ),
    (
        r"token CA hash does not match|hash does not match",
        Cause(
            "its token belongs to another cluster (the CA's sum does not match)",
            "was the server set up anew? `labctl up` again gives the node the new token",
        ),
    ),
    (
        r"encrypted with different token|bootstrap data already found",
        Cause(
            "the datastore was begun with another token",
            "`k3s.token` must be the token that this cluster was made with",
        ),
    ),
    (
        r"not authorized|[Ii]nvalid token|token.*(not valid|invalid)|invalid.*token|401 Unauthorized",
        Cause(
            "the server refuses its token", "is `k3s.token` the cluster's? `labctl up` again renews the nodes' tokens"
        ),
    ),
    (
        r"address already in use",
        Cause("a port that k3s needs is taken", "`ss -ltnp` on the host names the program; stop it"),
    ),
    (
        r"certificate has expired or is not yet valid|clock|current time .* is before",
        Cause(
            "a certificate is not valid yet, or no longer: the clocks differ", "timedatectl set-ntp true on the hosts"
        ),
    ),
    (
        r"failed to find (memory|cpu|cpuset) cgroup|cgroup.*(not found|missing)",
        Cause(
            "the kernel lacks a control group that k3s needs",
            "add `cgroup_memory=1 cgroup_enable=memory` to its command line and reboot",
        ),
    ),
    (
        r"flag provided but not defined|unknown flag|error parsing|invalid argument .* for|yaml:",
        Cause("k3s does not understand its configuration", "look at `k3s:` in cluster.yaml"),
    ),
    (
        r"no default route|default routes? found",
        Cause("the host has no default route", "`ip route add default …` (a dummy interface will do)"),
    ),
    (r"no space left on device", Cause("the disk is full", "make room on that host")),
    (
        r"exec format error",
        Cause("the k3s binary is for another kind of machine", "take the one for this architecture"),
    ),
    (
        r"connection refused|i/o timeout|no route to host|network is unreachable|context deadline exceeded",
        Cause(
            "it does not reach the server's API",
            "is 6443/tcp open between the hosts (firewall), and the server up?",
            final=False,
        ),
    ),
)


def cause_of(lines: Sequence[str]) -> Cause | None:
    """The known cause that the last lines tell; the most telling one, not the newest."""
    for pattern, cause in _KNOWN:
        if any(re.search(pattern, line) for line in lines):
            return cause
    return None


def shown(lines: Sequence[str], count: int = 6) -> str:
    """The last lines for a message, without time stamps, repetitions and tokens."""
    plain = [_TOKEN.sub("***", _NOISE.sub("", line)).strip() for line in lines]
    plain = [line for line in plain if not _SYSTEMD.match(line)] or plain
    return "\n".join(f"    {line[:300]}" for line in list(dict.fromkeys(plain))[-count:] if line)
