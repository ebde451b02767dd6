"""Will k3s run there? Facts → findings, each with its evidence and what mends it.

The list and its reasons come from k3s's own checks (install.sh, contrib/util/check-config.sh), its documentation
("Requirements", "Known Issues", "Air-Gap Install") and what users of such tools have reported.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from labctl.k3s import layout
from labctl.k3s.facts import Facts
from labctl.model.finding import Finding, Severity
from labctl.model.inventory import Inventory, Node, Role

SKEW_FAILS = 30.0
"""Seconds; a certificate that is made now must be valid there."""
SKEW_WARNS = 2.0
_FREE_KB = {"/usr/local/bin": 300_000, layout.DATA: 2_000_000}
_MEMORY_KB = {Role.SERVER: 1_900_000, Role.AGENT: 480_000}
_SERVER_PORTS = (6444, 10250, 10248, 10249, 10256, 10257, 10259, 10010)
_AGENT_PORTS = (6444, 10250, 10248, 10249, 10256, 10010)
_ETCD_PORTS = (2379, 2380, 2381)
_REQUIRED_CONTROLLERS = {"2": ("cpu", "cpuset", "memory"), "1": ("cpu", "memory")}


def examine(inventory: Inventory, facts: Mapping[str, Facts]) -> dict[str, tuple[Finding, ...]]:
    """Findings by node, failures and warnings only where there is something to say, passes in short."""
    nodes = {node.name: node for node in inventory.nodes}
    result = {}
    for name, seen in facts.items():
        result[name] = (*_host(seen), *_ports(inventory, nodes[name], seen), *_kubernetes(inventory, nodes[name], seen))
    _add(result, _twins(facts, "hostname"))
    _add(result, _twins(facts, "machine-id"))
    return result


def _add(result: dict[str, tuple[Finding, ...]], found: Mapping[str, Finding]) -> None:
    for name, finding in found.items():
        result[name] = (*result[name], finding)


def _host(facts: Facts) -> Iterator[Finding]:
    yield _check("architecture", bool(facts.arch), facts.value("machine"), "k3s is made for amd64, arm64 and armhf")
    yield _check("systemd", facts.value("systemd") == "yes", facts.value("os"), "k3s needs systemd here")
    yield from _clock(facts)
    yield from _memory(facts)
    yield from _disks(facts)
    yield from _cgroups(facts)
    yield from _modules(facts)
    yield from _network(facts)
    yield from _security(facts)


def _check(
    name: str, good: bool, evidence: str, remedy: str, *, bad: Severity = Severity.FAIL, fix: str = ""
) -> Finding:
    if good:
        return Finding(name, Severity.PASS, evidence)
    return Finding(name, bad, evidence, remedy, fix)


def _clock(facts: Facts) -> Iterator[Finding]:
    skew = facts.clock_skew
    words = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine" if skew else "agrees"
    severity = Severity.FAIL if abs(skew) > SKEW_FAILS else Severity.WARN
    yield _check(
        "clock",
        abs(skew) <= SKEW_WARNS,
        words,
        "set the clock (`timedatectl set-ntp true`): certificates are refused otherwise",
        bad=severity,
        fix="timedatectl set-ntp true",
    )


def _memory(facts: Facts) -> Iterator[Finding]:
    swap = facts.number("swap-kb")
    if swap:
        remedy = "sudo swapoff -a, and remove it from fstab"
        yield Finding("swap", Severity.WARN, f"{swap // 1024} MiB are on", remedy, fix="swapoff -a")


def _disks(facts: Facts) -> Iterator[Finding]:
    for place in ("/usr/local/bin", "/etc/rancher/k3s", layout.DATA, "/etc/systemd/system"):
        if facts.value(f"read-only:{place}"):
            yield Finding(f"{place}", Severity.FAIL, "cannot be written (read-only)", "remount it writable")
        needed, free = _FREE_KB.get(place, 1_000), facts.number(f"free-kb:{place}")
        if facts.value(f"free-kb:{place}") and free < needed:
            # Little room is dangerous, none at all is certain to fail.
            severity = Severity.FAIL if free < needed // 3 else Severity.WARN
            evidence = f"{free // 1024} MiB free, {needed // 1024} MiB are wanted"
            yield Finding(f"room in {place}", severity, evidence, "make room on that disk")
        if facts.value(f"free-inodes:{place}") == "0" and facts.value("os"):
            yield Finding(f"inodes for {place}", Severity.WARN, "none free, or not counted", "df -i")
    if facts.value("noexec"):
        yield Finding("/usr/local/bin", Severity.FAIL, "mounted noexec", "remount it with exec")


def _cgroups(facts: Facts) -> Iterator[Finding]:
    version = facts.value("cgroup")
    present = facts.value("cgroup-controllers").split()
    missing = [name for name in _REQUIRED_CONTROLLERS.get(version, ()) if name not in present]
    yield _check(
        "cgroups",
        not missing,
        f"version {version}" + (f", without {', '.join(missing)}" if missing else ""),
        "add `cgroup_memory=1 cgroup_enable=memory cgroup_enable=cpuset` to the kernel's command line and reboot",
    )


def _modules(facts: Facts) -> Iterator[Finding]:
    hidden = facts.value("modules-hidden") == "yes"  # a container: its kernel's modules are the outer machine's
    missing = [name for name in ("br_netfilter", "overlay", "vxlan") if not facts.value(f"module:{name}")]
    if missing and hidden:
        yield Finding("kernel modules", Severity.PASS, f"{', '.join(missing)}: cannot be seen from inside a container")
        return
    yield _check(
        "kernel modules",
        not missing,
        f"not found: {', '.join(missing)} (may be built in)" if missing else "br_netfilter, overlay, vxlan",
        "install the kernel's extra modules if pods cannot reach each other",
        bad=Severity.WARN,
        fix="modprobe -a br_netfilter overlay vxlan",
    )
    keys = facts.number("root-maxkeys")
    if 0 < keys <= 10_000:
        remedy = "sysctl -w kernel.keys.root_maxkeys=1000000"
        yield Finding("kernel keys", Severity.WARN, f"root_maxkeys is {keys}", remedy, fix=remedy)


def _network(facts: Facts) -> Iterator[Finding]:
    yield _check(
        "default route",
        bool(facts.value("default-route")),
        facts.value("default-route") or "none",
        "k3s does not start without one; `ip route add default …` (a dummy interface will do)",
    )
    yield _check(
        "iptables",
        bool(facts.value("iptables")),
        facts.value("iptables") or "not installed",
        "install iptables, or set `k3s.agent: {prefer-bundled-bin: true}`",
        bad=Severity.WARN,
    )
    for name in ("firewalld", "ufw"):
        if facts.value(name) in ("running", "active"):
            yield Finding(
                name,
                Severity.WARN,
                "is active",
                "open 6443/tcp, 8472/udp, 10250/tcp, 30000-32767/tcp (several servers: 2379-2380/tcp), "
                "and trust the pods' and Services' networks",
            )


def _security(facts: Facts) -> Iterator[Finding]:
    if facts.value("apparmor") and not facts.value("apparmor-parser"):
        yield Finding("AppArmor", Severity.FAIL, "on, but apparmor_parser is missing", "apt-get install apparmor")
    if facts.value("selinux") == "Enforcing" and not facts.value("k3s-selinux"):
        yield Finding("SELinux", Severity.FAIL, "enforcing, without k3s-selinux", "dnf install k3s-selinux")
    if facts.value("nm-cloud-setup") == "enabled":
        yield Finding(
            "nm-cloud-setup", Severity.FAIL, "enabled", "systemctl disable nm-cloud-setup.service, then reboot"
        )


def _ports(inventory: Inventory, node: Node, facts: Facts) -> Iterator[Finding]:
    if facts.runs(layout.unit(node.role)):
        return  # k3s itself holds them
    ports: tuple[int, ...] = _AGENT_PORTS
    if node.role is Role.SERVER:
        ports = (inventory.network.api_port, *_SERVER_PORTS)
        if len(inventory.servers) > 1 and inventory.k3s.datastore_endpoint is None:
            ports = (*ports, *_ETCD_PORTS)
    taken = [
        f"{item.port}" + (f" by {item.holder}" if item.holder else "") for item in facts.listeners if item.port in ports
    ]
    yield _check(
        "ports",
        not taken,
        f"taken: {', '.join(dict.fromkeys(taken))}" if taken else "free",
        "stop that program (`ss -ltnp` on the host names it)",
    )
    minimum, memory = _MEMORY_KB[node.role], facts.number("memory-kb")
    if 0 < memory < minimum:
        yield Finding("memory", Severity.WARN, f"{memory // 1024} MiB", f"a {node.role} wants {minimum // 1024} MiB")


def _kubernetes(inventory: Inventory, node: Node, facts: Facts) -> Iterator[Finding]:
    others = [name.removeprefix("other:") for name in facts.values if name.startswith("other:")]
    if others:
        yield Finding("other Kubernetes", Severity.WARN, f"{', '.join(others)} is installed", "remove it if it runs")
    owner = owner_of(facts)
    if owner and owner != inventory.name:
        yield Finding(
            "k3s",
            Severity.FAIL,
            f"is there already and belongs to {owner}",
            f"{layout.UNINSTALL} on the host removes it; labctl does not take over what it did not install",
        )
    other = Role.AGENT if node.role is Role.SERVER else Role.SERVER
    if layout.unit_file(other) in facts.files:
        yield Finding("role", Severity.FAIL, f"the host is a {other} now", f"`labctl node remove {node.name}` first")
    yield from _routes(inventory, facts)


def owner_of(facts: Facts) -> str:
    """Which labctl cluster a host's k3s belongs to: its name, `somebody else`, or nobody (empty)."""
    config = facts.files.get(layout.CONFIG)
    units = [path for path in facts.files if path.endswith(".service")]
    if config is not None and config.content.startswith(layout.MARK):
        return config.content.partition("'")[2].partition("'")[0]
    if units or (config is not None and layout.BINARY in facts.sums):
        return "somebody else"
    return ""


def _routes(inventory: Inventory, facts: Facts) -> Iterator[Finding]:
    if owner_of(facts):
        return  # k3s's own routes
    ours = {
        "clusterCidr": ipaddress.ip_network(inventory.network.cluster_cidr),
        "serviceCidr": ipaddress.ip_network(inventory.network.service_cidr),
    }
    for entry in facts.value("routes").split():
        route = entry.partition("|")[0]
        try:
            network = ipaddress.ip_network(route, strict=False)
        except ValueError:
            continue
        for key, wanted in ours.items():
            if network.version == wanted.version and network.overlaps(wanted):
                yield Finding("routes", Severity.FAIL, f"{route} overlaps {wanted}", f"choose another `network.{key}`")


def _twins(facts: Mapping[str, Facts], name: str) -> dict[str, Finding]:
    """Hosts that are not told apart: cloned machines, mostly."""
    by_value: dict[str, list[str]] = {}
    for node, seen in facts.items():
        if seen.value(name):
            by_value.setdefault(seen.value(name), []).append(node)
    result = {}
    for value, nodes in by_value.items():
        for node in nodes if len(nodes) > 1 else []:
            others = ", ".join(other for other in nodes if other != node)
            remedy = "hostnamectl set-hostname NAME" if name == "hostname" else "systemd-machine-id-setup"
            result[node] = Finding(
                name, Severity.FAIL if name == "hostname" else Severity.WARN, f"{value} is that of {others} too", remedy
            )
    return result
