"""The `k3s:` section of cluster.yaml."""

from __future__ import annotations

from pathlib import Path

from labctl.config.decode import Fields, did_you_mean
from labctl.config.references import path_of, refuse_plain_secrets, secret_ref
from labctl.model.inventory import K3S_RELEASES, K3s

_VERSION = r"v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?\+k3s\d+"
_CHANNEL = r"stable|latest|testing|v\d+\.\d+"
COMPONENTS = ("coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes")
"""What k3s packages and `--disable` leaves out (k3s server --help)."""
_OURS = {
    "cluster-cidr": "network.clusterCidr",
    "service-cidr": "network.serviceCidr",
    "service-node-port-range": "network.nodePorts",
    "https-listen-port": "network.apiPort",
    "disable": "k3s.disable",
    "token": "k3s.token",
    "token-file": "k3s.token",
    "agent-token": "k3s.token",
    "datastore-endpoint": "k3s.datastore.endpoint",
    "server": "nodes (labctl knows which server is the first)",
    "cluster-init": "nodes (several servers make an etcd cluster)",
    "node-name": "nodes[].name",
    "node-ip": "nodes[].address",
    "node-label": "nodes[].labels",
    "node-taint": "nodes[].taints",
}
"""Keys of k3s's config.yaml that labctl writes itself, and where cluster.yaml says them."""
_SERVER_ONLY = (
    "tls-san",
    "kube-apiserver-arg",
    "kube-controller-manager-arg",
    "kube-scheduler-arg",
    "etcd-snapshot-schedule-cron",
    "etcd-snapshot-retention",
    "etcd-arg",
    "write-kubeconfig-mode",
    "flannel-backend",
    "secrets-encryption",
    "cluster-dns",
    "cluster-domain",
    "disable-network-policy",
    "disable-kube-proxy",
    "disable-helm-controller",
    "egress-selector-mode",
    "embedded-registry",
    "kine-tls",
    "servicelb-namespace",
)
"""Flags that `k3s agent` does not know: a file with one of them keeps the agent from starting
(k3s, pkg/configfilearg: only the server's parser drops unknown keys)."""


def read_k3s(fields: Fields, folder: Path) -> K3s:
    """Read the section, every default filled in; mistakes are noted."""
    datastore = fields.section("datastore")
    k3s = K3s(
        version=fields.text("version", "", pattern=_VERSION, meaning="a release such as v1.30.14+k3s1"),
        channel=fields.text("channel", "v1.30", pattern=_CHANNEL, meaning="a channel such as v1.30, stable or latest"),
        mirror=fields.text("mirror", K3S_RELEASES, pattern=r"(https?|file)://\S+", meaning="a URL (https://…)").rstrip(
            "/"
        ),
        disable=fields.texts("disable", ("traefik",)),
        token=secret_ref(fields, "token", folder),
        datastore_endpoint=secret_ref(datastore, "endpoint", folder),
        server=fields.mapping("server"),
        agent=fields.mapping("agent"),
        registries=fields.mapping("registries"),
        artifacts=path_of(fields, "artifacts", folder),
        node_downloads=fields.boolean("nodeDownloads", False),
    )
    datastore.done()
    _check(fields, k3s)
    fields.done()
    return k3s


def _check(fields: Fields, k3s: K3s) -> None:
    for index, component in enumerate(k3s.disable):
        if component not in COMPONENTS:
            near = did_you_mean(component, COMPONENTS)
            hint = f"did you mean {near!r}?" if near else f"k3s packages {', '.join(COMPONENTS)}"
            fields.problems.add((*fields.path, "disable", index), f"k3s has no component {component!r}", hint)
    for section, keys in (("server", k3s.server), ("agent", k3s.agent)):
        for key in keys:
            place = (*fields.path, section, key)
            if key in _OURS:
                fields.problems.add(place, f"labctl writes {key!r} itself", f"say it as `{_OURS[key]}`", key=True)
            elif section == "agent" and key in _SERVER_ONLY:
                fields.problems.add(place, f"agents do not know {key!r} and would not start", "k3s.server", key=True)
    references = ("token", "datastore")
    for name, value in fields.data.items():
        if name not in references:
            refuse_plain_secrets(fields, (*fields.path, name), value)
