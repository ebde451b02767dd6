"""Facts and wishes → what is to be done on each host. Pure: a dry run prints exactly what `up` then does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labctl.errors import ClusterError
from labctl.k3s import layout, render
from labctl.k3s.artifacts import Artifact, Artifacts
from labctl.k3s.facts import Facts
from labctl.model.inventory import Inventory, Node, Role
from labctl.secrets import Secret


@dataclass(frozen=True, slots=True)
class Upload:
    """Put a local file on the host."""

    path: str
    artifact: Artifact
    mode: int = 0o644
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Give a file this content. `before` is what it holds now (None: it is not there); secret ones are never shown."""

    path: str
    content: str
    mode: int = 0o644
    secret: bool = False
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Make a symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file."""

    path: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """Write the token that the first server gives out, once it is up."""

    path: str = layout.JOIN_TOKEN


@dataclass(frozen=True, slots=True)
class Start:
    """(Re)start the service and wait until it is up."""

    unit: str
    reason: str
    running: bool


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do, and why."""

    what: str
    reason: str


Action = Upload | Write | Link | Delete | Join | Start | Keep


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What is to be done on one host, in order."""

    node: Node
    actions: tuple[Action, ...]
    facts: Facts

    @property
    def changes(self) -> tuple[Action, ...]:
        """The actions that change something."""
        return tuple(action for action in self.actions if not isinstance(action, Keep))

    @property
    def start(self) -> Start | None:
        """The start of the service, if it is to be started."""
        return next((action for action in self.actions if isinstance(action, Start)), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done on every host.

    Attributes:
        first: The server that the others join.
        nodes: In the inventory's order.
    """

    first: Node
    nodes: tuple[NodePlan, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed."""
        return any(node.changes for node in self.nodes)

    def of(self, name: str) -> NodePlan:
        """One node's part."""
        return next(plan for plan in self.nodes if plan.node.name == name)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted besides the inventory.

    Attributes:
        artifacts: Files for the hosts.
        token: The token to use, if the user gives one.
        datastore: The external datastore's endpoint, if there is one.
        replace_binary: Whether an installed k3s may be replaced by another release (`labctl upgrade`).
    """

    artifacts: Artifacts
    token: Secret | None = None
    datastore: Secret | None = None
    replace_binary: bool = False


def make_plan(inventory: Inventory, facts: Mapping[str, Facts], wishes: Wishes) -> Plan:
    """What is to be done so that the hosts are what the inventory says.

    Args:
        inventory: The cluster.
        facts: By node; nodes without facts are left out.
        wishes: What is wanted besides.

    Raises:
        ClusterError: A host runs another release, which only `upgrade` replaces.
    """
    first = first_server(inventory, facts)
    token = facts[first.name].secrets.get("node-token") if first.name in facts else None
    nodes = [node for node in inventory.nodes if node.name in facts]
    return Plan(first, tuple(_node(inventory, node, first, token, facts[node.name], wishes) for node in nodes))


def first_server(inventory: Inventory, facts: Mapping[str, Facts]) -> Node:
    """The server that the others join: the first with a cluster's data, so that none is begun anew beside it."""
    with_data = [node for node in inventory.servers if node.name in facts and facts[node.name].has_server_data]
    return (with_data or list(inventory.servers))[0]


def _node(
    inventory: Inventory, node: Node, first: Node, token: Secret | None, facts: Facts, wishes: Wishes
) -> NodePlan:
    join = None if node == first else first
    shared_datastore = wishes.datastore is not None and node.role is Role.SERVER
    actions: list[Action] = [*_binary(node, facts, wishes), *_images(facts, wishes)]
    needs_token = join is not None or wishes.token is not None
    join_url = None if shared_datastore else join
    config = render.config_yaml(inventory, node, join_url, token=needs_token)
    registries = wishes.artifacts.registries or render.registries_yaml(inventory)
    unit = layout.unit_file(node.role)
    actions += _file(facts, layout.CONFIG, config, 0o600)
    actions += _file(facts, layout.REGISTRIES, registries, 0o600)
    actions += _file(facts, unit, render.unit_file(inventory, node.role), 0o644)
    endpoint = wishes.datastore if node.role is Role.SERVER else None
    actions += _file(facts, f"{unit}.env", render.environment(inventory, endpoint), 0o600, secret=True)
    actions += _file(facts, layout.KILLALL, render.killall_script(inventory), 0o755)
    actions += _file(facts, layout.UNINSTALL, render.uninstall_script(inventory), 0o755)
    actions += _links(facts)
    actions += _token(facts, join, token, wishes)
    return NodePlan(node, (*actions, _start(node, facts, actions)), facts)


def _binary(node: Node, facts: Facts, wishes: Wishes) -> Iterable[Action]:
    artifact = wishes.artifacts.binaries[facts.arch]
    there = facts.sums.get(layout.BINARY)
    if there == artifact.sha256:
        yield Keep(layout.BINARY, f"is {facts.value('k3s-version') or 'the same file'} already")
        return
    installed = layout.unit_file(node.role) in facts.files
    if there is not None and installed and not wishes.replace_binary:
        raise ClusterError(
            f"{node.name}: k3s is installed there in another release ({facts.value('k3s-version') or 'unknown'})",
            hint="`labctl upgrade` replaces it, one server after the other",
        )
    yield Upload(layout.BINARY, artifact, 0o755, "replaces another release" if there else "is not there")


def _images(facts: Facts, wishes: Wishes) -> Iterable[Action]:
    for artifact in wishes.artifacts.images.get(facts.arch, ()):
        path = f"{layout.IMAGES}/{artifact.path.name}"
        if facts.sums.get(path) == artifact.sha256:
            yield Keep(path, "is there already")
        else:
            yield Upload(path, artifact, 0o644, "is not there" if path not in facts.sums else "is another file")


def _file(facts: Facts, path: str, content: str, mode: int, *, secret: bool = False) -> Iterable[Action]:
    there = facts.files.get(path)
    if not content:
        if there is not None and there.content.startswith(layout.MARK):
            yield Delete(path, there.content)
        return
    if there is None or there.content != content or there.mode != mode:
        yield Write(path, content, mode, secret, there.content if there else None)
    else:
        yield Keep(path, "is as wanted")


def _links(facts: Facts) -> Iterable[Action]:
    """kubectl, crictl and ctr as names of k3s, where the host has no such program of its own."""
    for name in layout.ALIASES:
        path = f"/usr/local/bin/{name}"
        if facts.value(f"link:{name}") == "k3s":
            yield Keep(path, "is k3s already")
        elif facts.value(f"command:{name}"):
            yield Keep(path, f"the host has {facts.value(f'command:{name}')}")
        else:
            yield Link(path, "k3s")


def _token(facts: Facts, join: Node | None, token: Secret | None, wishes: Wishes) -> Iterable[Action]:
    there = facts.secrets.get("join-token")
    if join is None:
        if wishes.token is None:
            return
        token = wishes.token
    if token is None:
        yield Join()
    elif there is not None and there.reveal().strip() == token.reveal().strip():
        yield Keep(layout.JOIN_TOKEN, "is the cluster's")
    else:
        yield Write(layout.JOIN_TOKEN, token.reveal().strip() + "\n", 0o600, secret=True, before="" if there else None)


_READ_AT_START = (layout.BINARY, layout.CONFIG, layout.REGISTRIES, layout.JOIN_TOKEN)


def _start(node: Node, facts: Facts, actions: Iterable[Action]) -> Action:
    """Whether the service must be started, and why: k3s reads its files only then."""
    unit = layout.unit(node.role)
    read = (*_READ_AT_START, layout.unit_file(node.role), f"{layout.unit_file(node.role)}.env")
    changed = [
        action.path.rpartition("/")[2]
        for action in actions
        if isinstance(action, (Upload, Write, Delete, Join)) and action.path in read
    ]
    running = facts.runs(unit)
    if not running:
        return Start(unit, "it does not run", running=False)
    if changed:
        return Start(unit, f"changed: {', '.join(changed)}", running=True)
    if facts.pending:
        return Start(unit, "an earlier run changed files and did not come to the restart", running=True)
    if facts.units[unit].enabled != "enabled":
        return Start(unit, "it is not enabled at boot", running=True)
    return Keep(unit, "runs with these files")


@dataclass(frozen=True, slots=True)
class Joined:
    """What the first server gives once it is up: the token with the CA's sum in it, and the admin's kubeconfig."""

    token: Secret
    kubeconfig: Secret = field(repr=False)
