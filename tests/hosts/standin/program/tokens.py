"""k3s's tokens: `K10<sha256 of the CA>::<user>:<password>`, or the password alone (pkg/clientaccess)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.standin.program import log


@dataclass(frozen=True, slots=True)
class Token:
    """A parsed token; `ca` is empty for a short one."""

    password: str
    ca: str = ""
    user: str = ""


def parse(text: str) -> Token:
    """Take a token apart.

    Raises:
        FatalError: It is a damaged full token.
    """
    if not text.startswith("K10"):
        return Token(text)
    sum_, separator, login = text.removeprefix("K10").partition("::")
    user, colon, password = login.partition(":")
    if not separator or not colon or len(sum_) != 64:
        raise log.FatalError(
            "failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"
        )
    return Token(password, sum_, user)


def ca_sum(pem: bytes) -> str:
    """The sum of a CA file as tokens carry it."""
    return hashlib.sha256(pem).hexdigest()


def full(pem: bytes, user: str, password: str) -> str:
    """A full token."""
    return f"K10{ca_sum(pem)}::{user}:{password}"


def write_private(path: Path, text: str) -> None:
    """A file for root alone, complete or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def node_password() -> str:
    """This host's own password, which the server remembers with the node's name (pkg/agent/config)."""
    path = Path("/etc/rancher/node/password")
    if not path.exists():
        write_private(path, os.urandom(16).hex() + "\n")
    return path.read_text(encoding="utf-8").strip()
