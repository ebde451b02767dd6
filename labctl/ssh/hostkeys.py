"""Is it the host it was? Known keys are honoured, new ones learnt once and said, changed ones always refused."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import paramiko

from labctl.ssh.transport import HostKeyError

_LEARNING = threading.Lock()
"""Several hosts are met at once, and write to one file."""


def fingerprint(key: paramiko.PKey) -> str:
    """`SHA256:…` as ssh and ssh-keygen print it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def entry_name(address: str, port: int) -> str:
    """How known_hosts names a host: a port other than 22 in brackets (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return address if port == 22 else f"[{address}]:{port}"


class KnownHosts:
    """What the known_hosts files say of one host."""

    def __init__(self, files: Sequence[Path], address: str, port: int) -> None:
        self._files = files
        self.name = entry_name(address, port)
        self._keys = _keys_of(files, self.name)

    @property
    def key_types(self) -> tuple[str, ...]:
        """Types of the known keys: these are asked for, so that a host with several keys shows the known one."""
        return tuple(self._keys)

    def check(self, host: str, key: paramiko.PKey, *, strict: bool, learnt: Callable[[str], None]) -> None:
        """Accept the key that a host shows, or refuse.

        Args:
            host: The node's name, for messages.
            key: What it shows.
            strict: Whether unknown hosts are refused too.
            learnt: Told in words when a new key was accepted and stored.

        Raises:
            HostKeyError: It is another key than the known one, or unknown and `strict`.
        """
        if not self._keys:
            if strict:
                raise HostKeyError(
                    host,
                    f"its host key ({key.get_name()} {fingerprint(key)}) is not known",
                    hint=f"compare it with the host's own, then `ssh-keyscan` it into {self._files[0]}",
                )
            self._learn(key)
            learnt(f"new host key of {self.name}: {key.get_name()} {fingerprint(key)}, stored in {self._files[0]}")
            return
        known = self._keys.get(key.get_name())
        if known is not None and known.asbytes() == key.asbytes():
            return
        known = known or next(iter(self._keys.values()))
        raise HostKeyError(
            host,
            f"its host key has CHANGED: known is {known.get_name()} {fingerprint(known)}, "
            f"shown is {key.get_name()} {fingerprint(key)}",
            hint="somebody may be listening in, or the machine was set up anew; if you know that it was, "
            f"`ssh-keygen -R '{self.name}'` forgets the old key",
        )

    def _learn(self, key: paramiko.PKey) -> None:
        path = self._files[0]
        line = f"{self.name} {key.get_name()} {key.get_base64()}\n"
        with _LEARNING:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(line)
        self._keys[key.get_name()] = key


def _keys_of(files: Sequence[Path], name: str) -> dict[str, paramiko.PKey]:
    found: dict[str, paramiko.PKey] = {}
    for path in files:
        if not path.is_file():
            continue
        known = paramiko.HostKeys()
        known.load(str(path))
        for kind, key in (known.lookup(name) or {}).items():
            found.setdefault(kind, key)
    return found
