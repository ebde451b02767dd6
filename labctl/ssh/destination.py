"""Where a host is reached: what cluster.yaml says, then what `~/.ssh/config` says, then OpenSSH's defaults.

Source: ssh_config(5), for the keywords Host, Match, HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump,
ProxyCommand, UserKnownHostsFile and ConnectTimeout; others do not concern labctl.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from labctl.errors import UsageError
from labctl.model.inventory import SshOptions

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Files in ~/.ssh that are tried when none is named, as ssh does."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One SSH server and how to get there.

    Attributes:
        name: The node's name, for messages.
        address: Host name or address that is connected to.
        user: Login name.
        port: TCP port.
        identity_files: Private keys to try, in order; named ones must exist, default ones are there.
        use_agent: Whether the agent's keys are tried first.
        jumps: Hosts to go through, nearest first.
        proxy_command: Command whose standard streams are the connection; empty: none.
        known_hosts: Files that know host keys; the first one learns new ones.
        connect_timeout: Seconds to connect, authentication included.
    """

    name: str
    address: str
    user: str
    port: int = 22
    identity_files: tuple[Path, ...] = ()
    use_agent: bool = True
    jumps: tuple[Destination, ...] = ()
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    connect_timeout: float = 15.0

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"


class SshConfig:
    """The user's ~/.ssh/config."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._directory = home / ".ssh"
        path = self._directory / "config"
        self._config = paramiko.SSHConfig()
        if path.exists():
            try:
                self._config = paramiko.SSHConfig.from_path(str(path))
            except (OSError, paramiko.ConfigParseError) as error:
                raise UsageError(f"cannot read {path}: {error}", hint="mend it; `ssh` reads the same file") from error

    def destination(self, name: str, address: str, options: SshOptions) -> Destination:
        """Where a node is reached.

        Args:
            name: The node's name.
            address: Its address or host alias, as cluster.yaml says.
            options: What cluster.yaml says of SSH for it.

        Raises:
            UsageError: A named key does not exist, or a jump host is written wrongly.
        """
        found = self._lookup(address)
        jump = options.proxy_jump if options.proxy_jump is not None else str(found.get("proxyjump", ""))
        jumps = () if jump.lower() in ("", "none") else tuple(self._jump(part) for part in jump.split(","))
        proxy = "" if jumps or options.proxy_jump is not None else str(found.get("proxycommand", ""))
        return Destination(
            name=name,
            address=str(found.get("hostname", address)),
            user=options.user or str(found.get("user", "")) or getpass.getuser(),
            port=options.port or int(found.get("port", 22)),
            identity_files=self._identity_files(options, found),
            use_agent=str(found.get("identitiesonly", "no")).lower() != "yes" and options.identity_file is None,
            jumps=jumps,
            proxy_command="" if proxy.lower() == "none" else proxy,
            known_hosts=self._known_hosts(found),
            connect_timeout=float(found.get("connecttimeout", 15)),
        )

    def _jump(self, text: str) -> Destination:
        """One hop of `[user@]host[:port]`; its own entry in the file counts, but for further jumps."""
        user, _, rest = text.strip().rpartition("@")
        host, colon, port = rest.rpartition(":")
        if not colon or rest.endswith("]"):
            host, port = rest, ""
        host = host.strip("[]")
        if not host or (port and not port.isdigit()):
            raise UsageError(f"{text!r} is no jump host", hint="write [user@]host[:port], several with commas")
        options = SshOptions(user=user or None, port=int(port) if port else None, proxy_jump="none")
        return self.destination(host, host, options)

    def _lookup(self, address: str) -> Mapping[str, Any]:
        return dict(self._config.lookup(address))

    def _identity_files(self, options: SshOptions, found: Mapping[str, Any]) -> tuple[Path, ...]:
        if options.identity_file is not None:
            if not options.identity_file.is_file():
                raise UsageError(
                    f"there is no private key {options.identity_file}", hint="`identityFile` in cluster.yaml names it"
                )
            return (options.identity_file,)
        named = [self._expand(entry) for entry in found.get("identityfile", [])]
        keys = named or [self._directory / name for name in DEFAULT_KEYS]
        return tuple(path for path in keys if path.is_file())

    def _known_hosts(self, found: Mapping[str, Any]) -> tuple[Path, ...]:
        named = str(found.get("userknownhostsfile", "")).split()
        own = [self._expand(entry) for entry in named] or [self._directory / "known_hosts"]
        return (*own, Path("/etc/ssh/ssh_known_hosts"))

    def _expand(self, entry: str) -> Path:
        return self.home / entry[2:] if entry.startswith("~/") else self.home / entry
