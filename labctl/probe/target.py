"""Where a plain-HTTP request goes: addresses, in the order they are tried."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from labctl.model.probe import ProbePlan
from labctl.probe import codes
from labctl.probe.http1 import AnswerError


@dataclass(frozen=True, slots=True)
class Address:
    """A socket address and its family."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


def host_and_port(url: str) -> tuple[str, int]:
    """Host (without brackets) and port of an http or https URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def addresses(plan: ProbePlan) -> tuple[Address, ...]:
    """Where the plan's URL is reached: its `resolve` entries first, then the system's resolver.

    A name is looked up once for the run, and all requests go to the first of its addresses that answers.

    Raises:
        AnswerError: The name does not resolve.
    """
    host, port = host_and_port(plan.request.url)
    override = next((r.address for r in plan.resolve if r.port == port and r.host.lower() in (host, "*")), "")
    try:
        found = [
            each
            for name in (override or host).split(",")
            for each in socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
        ]
    except (socket.gaierror, UnicodeError) as error:
        raise AnswerError(codes.COULDNT_RESOLVE_HOST, f"Could not resolve host: {host}") from error
    return tuple(
        Address(family, sockaddr)  # type: ignore[arg-type]  # AF_INET and AF_INET6 only: a stream to a port
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
