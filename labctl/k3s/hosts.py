"""The hosts of a cluster: how each is reached, and open connections to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from labctl.env import Env
from labctl.errors import UsageError
from labctl.model.inventory import Inventory, Node, SecretRef
from labctl.secrets import Secret
from labctl.ssh.fleet import HostResults, each
from labctl.ssh.local import LocalTransport
from labctl.ssh.transport import Transport

Told = Callable[[str], None]


def open_transport(inventory: Inventory, node: Node, env: Env, learnt: Told) -> Transport:
    """A connection to one node.

    Raises:
        UsageError: What cluster.yaml says of SSH cannot be used.
        HostError: The host cannot be reached, is not the host it was, or does not let the user in.
    """
    options = inventory.ssh_of(node.name)
    sudo_password = read_secret(options.sudo_password, env)
    if options.local:
        return LocalTransport(node.name, sudo_password)
    from labctl.ssh.client import Login, connect
    from labctl.ssh.destination import SshConfig

    destination = SshConfig(env.home).destination(node.name, options.host or node.address, options)
    password = read_secret(options.password, env)
    login = Login(password, sudo_password or password, bool(options.strict_host_keys), learnt)
    return connect(destination, login)


@contextmanager
def connections(
    inventory: Inventory, nodes: Sequence[Node], env: Env, learnt: Told
) -> Iterator[HostResults[Transport]]:
    """Connections to several nodes at once; those that could not be made are values. All are closed at the end."""
    opened: dict[str, Transport] = {}

    def open_one(node: Node) -> Transport:
        opened[node.name] = open_transport(inventory, node, env, learnt)
        return opened[node.name]

    try:
        yield each({node.name: node for node in nodes}, open_one)
    finally:
        for transport in opened.values():
            transport.close()


def read_secret(reference: SecretRef | None, env: Env) -> Secret | None:
    """The secret that a reference names; None without a reference.

    Raises:
        UsageError: The environment variable is not set, or the file cannot be read.
    """
    if reference is None:
        return None
    if reference.env:
        value = env.environ.get(reference.env)
        if not value:
            raise UsageError(f"the environment variable {reference.env} is not set", hint="cluster.yaml names it")
        return Secret(value)
    assert reference.file is not None
    try:
        lines = reference.file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {reference.file}: {error.strerror}", hint="cluster.yaml names it") from error
    if not lines or not lines[0]:
        raise UsageError(f"{reference.file} holds no secret in its first line")
    return Secret(lines[0])
