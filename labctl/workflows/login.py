"""A node's machine by hand: a shell on it, and k3s's log."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

from labctl.env import Env
from labctl.errors import UsageError
from labctl.k3s import layout
from labctl.model.inventory import Inventory
from labctl.providers.base import ClusterProvider
from labctl.ssh.destination import Destination, SshConfig
from labctl.workflows.nodes import node_of


def log_in(inventory: Inventory, env: Env, name: str, command: Sequence[str]) -> int:
    """Run the user's own ssh with what labctl knows of the host; returns its exit status.

    Raises:
        UsageError: There is no ssh on PATH, or no such node.
    """
    node = node_of(inventory, name)
    options = inventory.ssh_of(name)
    if options.local:
        arguments = ["/bin/sh", "-c", " ".join(command)] if command else [env.environ.get("SHELL", "/bin/sh")]
        return subprocess.run(arguments, check=False).returncode
    program = shutil.which("ssh", path=env.environ.get("PATH"))
    if program is None:
        raise UsageError("there is no ssh on PATH", hint="install OpenSSH's client; `labctl node logs` needs none")
    destination = SshConfig(env.home).destination(name, options.host or node.address, options)
    return subprocess.run(
        [program, *ssh_arguments(destination), *command], check=False, env=dict(os.environ)
    ).returncode


def ssh_arguments(destination: Destination) -> list[str]:
    """Options of ssh(1) that lead to the same host in the same way."""
    arguments = ["-p", str(destination.port), "-l", destination.user]
    for path in destination.identity_files:
        arguments += ["-i", str(path)]
    if destination.jumps:
        arguments += ["-J", ",".join(str(jump) for jump in destination.jumps)]
    if destination.proxy_command:
        arguments += ["-o", f"ProxyCommand={destination.proxy_command}"]
    return [*arguments, destination.address]


def node_log(
    provider: ClusterProvider,
    inventory: Inventory,
    name: str,
    lines: int,
    follow: bool,
    *,
    write: Callable[[str], None],
) -> int:
    """Hand on the log of k3s's service on a node; returns journalctl's exit status."""
    unit = layout.unit(node_of(inventory, name).role)
    transport = provider.transport(name)
    try:
        command = f"exec journalctl -u {unit}.service -n {lines} --no-pager -o short-iso" + (" -f" if follow else "")
        return transport.stream(command, lambda chunk: write(chunk.decode(errors="replace")), sudo=True)
    finally:
        transport.close()
