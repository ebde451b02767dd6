"""cluster.yaml → Inventory, every default filled in and every mistake named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from labctl.config.addresses import AddressPlan, check_addresses
from labctl.config.decode import Fields, open_document
from labctl.config.k3s import read_k3s
from labctl.config.positions import parse, read_text
from labctl.config.references import path_of, secret_ref
from labctl.model.inventory import (
    DEFAULT_EMBEDDED_NODES,
    Ingress,
    Inventory,
    KubeconfigRef,
    Network,
    Node,
    Provider,
    ProxyMode,
    Role,
    SshOptions,
)

NAME_PATTERN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""An RFC 1123 label, as Kubernetes wants for names that become DNS labels."""
NAME_MEANING = "a name of at most 63 lower case letters, digits and '-'"
_NODE_NAME = rf"{NAME_PATTERN}(\.{NAME_PATTERN})*"
_VERSION = r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.-]+)?"
_TAINT = re.compile(r"[^=:\s]+(=[^:\s]*)?:(NoSchedule|PreferNoSchedule|NoExecute)")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

_STUDY_NETWORK = {
    Provider.EMBEDDED: ("127.16.0.0/16", "127.10.200.0/24"),
    Provider.SSH: ("172.16.0.0/16", "10.10.200.0/24"),
    Provider.KUBECONFIG: ("", ""),
}
"""Cluster and service CIDR by provider: the study's own, moved into 127.0.0.0/8 for the embedded cluster."""


class HostKeys(StrEnum):
    """What happens to hosts whose key is not known yet; ssh_config(5), StrictHostKeyChecking."""

    ACCEPT_NEW = "accept-new"
    STRICT = "strict"


def load_inventory(path: Path) -> Inventory:
    """Read a cluster.yaml.

    Args:
        path: The file; relative paths in it are taken from its folder.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        ConfigError: It has mistakes; carries all of them.
    """
    return parse_inventory(read_text(path), str(path), path)


def parse_inventory(text: str, source: str, path: Path | None = None) -> Inventory:
    """Read the text of a cluster.yaml.

    Args:
        text: The YAML.
        source: Its name in messages.
        path: The file it came from, if any.

    Raises:
        ConfigError: It has mistakes; carries all of them.
    """
    fields = open_document(parse(text, source), "Cluster")
    folder = path.absolute().parent if path is not None else Path.cwd()
    provider = fields.choice("provider", Provider, Provider.EMBEDDED)
    name = fields.text("name", "study", pattern=NAME_PATTERN, meaning=NAME_MEANING)
    network = _network(fields.section("network"), provider)
    ingress = _ingress(fields.section("ingress"), provider)
    nodes, node_ssh = _nodes(fields, provider, folder)
    ssh = _ssh(fields.section("ssh"), folder)
    k3s = read_k3s(fields.section("k3s"), folder)
    kubeconfig = _kubeconfig(fields.section("kubeconfig"), folder)
    _refuse_foreign_sections(fields, provider)
    fields.done()
    check_addresses(fields, AddressPlan(provider, tuple(nodes), network))
    fields.problems.check()
    return Inventory(name, provider, nodes, network, ingress, ssh, node_ssh, k3s, kubeconfig, path)


def _network(fields: Fields, provider: Provider) -> Network:
    cluster_cidr, service_cidr = _STUDY_NETWORK[provider]
    network = Network(
        cluster_cidr=fields.text("clusterCidr", cluster_cidr),
        service_cidr=fields.text("serviceCidr", service_cidr),
        api_port=fields.integer("apiPort", 6443, minimum=1, maximum=65535),
        proxy_mode=fields.choice("proxyMode", ProxyMode, ProxyMode.IPTABLES),
        node_ports=_port_range(fields, "nodePorts", (30000, 32767)),
    )
    fields.done()
    return network


def _port_range(fields: Fields, key: str, default: tuple[int, int]) -> tuple[int, int]:
    text = fields.text(key, f"{default[0]}-{default[1]}", pattern=r"\d+-\d+", meaning="a range such as 30000-32767")
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None:
        return default
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        fields.note(key, f"{text!r} is no range of ports", "the lower port first, both from 1 to 65535")
    return first, last


def _ingress(fields: Fields, provider: Provider) -> Ingress:
    default = Ingress(install=provider is not Provider.KUBECONFIG)
    ingress = Ingress(
        install=fields.boolean("install", default.install),
        namespace=fields.text("namespace", default.namespace, pattern=NAME_PATTERN, meaning=NAME_MEANING),
        release=fields.text("release", default.release, pattern=NAME_PATTERN, meaning=NAME_MEANING),
        chart_version=fields.text(
            "chartVersion", default.chart_version, pattern=_VERSION, meaning="a chart version such as 4.11.2"
        ).removeprefix("v"),
        ingress_class=fields.text("ingressClass", default.ingress_class, pattern=_NODE_NAME, meaning=NAME_MEANING),
        values=fields.mapping("values"),
    )
    fields.done()
    return ingress


def _nodes(fields: Fields, provider: Provider, folder: Path) -> tuple[tuple[Node, ...], dict[str, SshOptions]]:
    given = fields.has("nodes")
    if not given and provider is Provider.EMBEDDED:
        return DEFAULT_EMBEDDED_NODES, {}
    if not given and provider is Provider.KUBECONFIG:
        return (), {}
    nodes, node_ssh = [], {}
    for item in fields.sections("nodes", required=True):
        node = _node(item)
        if item.has("ssh"):
            if provider is not Provider.SSH:
                item.note("ssh", f"provider {provider} uses no SSH", "remove it, or set `provider: ssh`")
            node_ssh[node.name] = _ssh(item.section("ssh"), folder)
        item.done()
        nodes.append(node)
    return tuple(nodes), node_ssh


def _node(fields: Fields) -> Node:
    node = Node(
        name=fields.text("name", pattern=_NODE_NAME, meaning=NAME_MEANING),
        role=fields.choice("role", Role),
        address=fields.text("address"),
        labels=fields.text_map("labels"),
        taints=fields.texts("taints"),
    )
    for key, value in node.labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            fields.problems.add((*fields.path, "labels", key), f"{key}={value} is not a valid label", key=True)
    for index, taint in enumerate(node.taints):
        if not _TAINT.fullmatch(taint):
            hint = "write key=value:Effect; the effect is NoSchedule, PreferNoSchedule or NoExecute"
            fields.problems.add((*fields.path, "taints", index), f"{taint!r} is not a taint", hint)
    return node


def _ssh(fields: Fields, folder: Path) -> SshOptions:
    options = SshOptions(
        host=fields.maybe_text("host"),
        user=fields.maybe_text("user"),
        port=fields.integer("port", minimum=1, maximum=65535) if fields.has("port") else None,
        identity_file=path_of(fields, "identityFile", folder),
        proxy_jump=fields.maybe_text("proxyJump"),
        password=secret_ref(fields, "password", folder),
        sudo_password=secret_ref(fields, "sudoPassword", folder),
        strict_host_keys=fields.choice("hostKeys", HostKeys, HostKeys.ACCEPT_NEW) is HostKeys.STRICT
        if fields.has("hostKeys")
        else None,
        local=fields.boolean("local", False) if fields.has("local") else None,
    )
    fields.done()
    return options


def _kubeconfig(fields: Fields, folder: Path) -> KubeconfigRef:
    reference = KubeconfigRef(path=path_of(fields, "path", folder), context=fields.maybe_text("context"))
    fields.done()
    return reference


_SECTIONS: Mapping[str, tuple[tuple[Provider, ...], str]] = {
    "nodes": ((Provider.EMBEDDED, Provider.SSH), "the cluster's nodes are what its API says"),
    "network": ((Provider.EMBEDDED, Provider.SSH), "an existing cluster has its own address plan"),
    "ssh": ((Provider.SSH,), "it is reached without SSH"),
    "k3s": ((Provider.SSH,), "no k3s is installed by it"),
    "kubeconfig": ((Provider.KUBECONFIG,), "labctl writes its kubeconfig itself"),
}
"""Top-level keys that only some providers read, and why the others do not."""


def _refuse_foreign_sections(fields: Fields, provider: Provider) -> None:
    for key, (readers, reason) in _SECTIONS.items():
        if fields.has(key) and provider not in readers:
            names = " or ".join(f"`provider: {reader}`" for reader in readers)
            fields.problems.add(
                (key,),
                f"{key!r} does not go with provider {provider}: {reason}",
                f"remove it, or set {names}",
                key=True,
            )
