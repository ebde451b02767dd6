"""What is true on a host: one script, one round trip, JSON lines back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from labctl.env import Clock
from labctl.k3s import layout
from labctl.k3s.release import Version, architecture, parse_version
from labctl.secrets import Secret
from labctl.ssh.transport import HostError, Transport


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file that is there: its content and permissions."""

    content: str
    mode: int


@dataclass(frozen=True, slots=True)
class UnitFact:
    """A systemd service: states as `systemctl show` names them, and restarts since it was started by hand."""

    load: str
    active: str
    enabled: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port in use: its number, and who holds it as far as the host tells."""

    port: int
    holder: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one host.

    Attributes:
        node: The node's name in cluster.yaml.
        values: Plain facts by name, as the script prints them.
        files: Path → file, for the files that labctl cares about and that are there.
        sums: Path → sha256 of large files.
        units: Service name → state.
        listeners: TCP ports in use.
        secrets: Tokens and passwords by name: `node-token`, `join-token`, `kubeconfig`.
        clock_skew: Seconds that the host's clock is ahead of this machine's at the least (negative: behind); 0 when
            the difference is within what the round trip leaves open.
    """

    node: str
    values: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileFact] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, UnitFact] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    clock_skew: float = 0.0

    def value(self, name: str) -> str:
        """A plain fact; empty when the host did not tell."""
        return self.values.get(name, "")

    def number(self, name: str) -> int:
        """A plain fact as a number; 0 when the host did not tell."""
        text = self.value(name)
        return int(text) if text.lstrip("-").isdigit() else 0

    @property
    def arch(self) -> str:
        """k3s's name for the architecture; empty where there is no k3s for it."""
        return architecture(self.value("machine"))

    @property
    def k3s_version(self) -> Version | None:
        """The installed k3s."""
        return parse_version(self.value("k3s-version"))

    def runs(self, unit: str) -> bool:
        """Whether a service is up."""
        return unit in self.units and self.units[unit].active == "active"

    @property
    def pending(self) -> bool:
        """Whether files changed that the running k3s has not read."""
        return layout.PENDING in self.files

    @property
    def has_server_data(self) -> bool:
        """Whether there is a datastore of a k3s server."""
        return self.value("server-data") == "yes"


def gather(node: str, transport: Transport, clock: Clock, *, timeout: float = 60.0) -> Facts:
    """Ask a host.

    Raises:
        HostError: It does not answer, or not as the script would.
    """
    before = clock.now().timestamp()
    done = transport.run("exec /bin/sh -s", stdin=script().encode(), sudo=True, timeout=timeout)
    after = clock.now().timestamp()
    if done.exit_status != 0:
        words = done.error_text or f"exit status {done.exit_status}"
        raise HostError(node, f"cannot look at the host: {words}", hint="is /bin/sh there a POSIX shell?")
    return parse(node, done.text, before, after)


def script() -> str:
    """The script that gathers facts; it changes nothing."""
    text = resources.files("labctl.k3s").joinpath("scripts", "facts.sh").read_text(encoding="utf-8")
    names = {
        name: getattr(layout, name)
        for name in ("BINARY", "CONFIG", "REGISTRIES", "JOIN_TOKEN", "PENDING", "BEFORE", "KUBECONFIG", "DATA")
    }
    names |= {"SERVER_DATA": layout.SERVER_DATA, "IMAGES": layout.IMAGES, "NODE_TOKEN": layout.NODE_TOKEN}
    names |= {"CERTIFICATES": "'" + " ".join(layout.CERTIFICATES) + "'"}
    names |= {"NODE_PASSWORD": layout.NODE_PASSWORD, "KILLALL": layout.KILLALL, "UNINSTALL": layout.UNINSTALL}
    return "".join(f"{name}={value}\n" for name, value in names.items()) + text


def parse(node: str, output: str, before: float, after: float) -> Facts:
    """Facts from the script's output.

    Args:
        node: The node's name.
        output: JSON lines.
        before: This machine's clock when the script was sent, seconds since 1970.
        after: The same when the answer was there.

    Raises:
        HostError: The output is cut off.
    """
    values: dict[str, str] = {}
    files: dict[str, FileFact] = {}
    sums: dict[str, str] = {}
    units: dict[str, UnitFact] = {}
    listeners: list[Listener] = []
    secrets: dict[str, Secret] = {}
    for line in output.splitlines():
        try:
            fact = json.loads(line)
        except ValueError:
            continue  # a login banner or a profile's chatter
        match fact.get("fact"):
            case "value":
                values[fact["name"]] = fact["value"]
            case "file":
                files[fact["path"]] = FileFact(_decoded(fact["content"]), int(fact["mode"], 8))
            case "sum":
                sums[fact["path"]] = fact["sha256"]
            case "unit":
                restarts = int(fact["restarts"]) if fact["restarts"].isdigit() else 0
                units[fact["name"]] = UnitFact(fact["load"], fact["active"], fact["enabled"], restarts)
            case "listener":
                listeners.append(Listener(int(fact["port"]), fact["holder"]))
            case "secret":
                secrets[fact["name"]] = Secret(_decoded(fact["content"]))
    if "end" not in values:
        raise HostError(node, "the facts it told are cut off", hint="run the same command again")
    return Facts(node, values, files, sums, units, tuple(listeners), secrets, _skew(values["time"], before, after))


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


def _skew(told: str, before: float, after: float) -> float:
    try:
        there = float(told)
    except ValueError:
        return 0.0
    if there < before:
        return there - before
    return max(0.0, there - after)
