"""Where k3s and labctl keep things on a host (k3s: install.sh, docs "Configuration File", "Uninstalling K3s")."""

from __future__ import annotations

from labctl.model.inventory import Role

BINARY = "/usr/local/bin/k3s"
KILLALL = "/usr/local/bin/k3s-killall.sh"
UNINSTALL = "/usr/local/bin/k3s-uninstall.sh"
ALIASES = ("kubectl", "crictl", "ctr")
"""Programs that the k3s binary is under another name."""
CONFIG = "/etc/rancher/k3s/config.yaml"
REGISTRIES = "/etc/rancher/k3s/registries.yaml"
JOIN_TOKEN = "/etc/rancher/k3s/labctl.token"  # noqa: S105 - a path
PENDING = "/etc/rancher/k3s/labctl.pending"
"""There while files have changed that the running k3s has not read yet: an interrupted `up` is finished by the next."""
BEFORE = "/etc/rancher/k3s/labctl.before"
"""Which of TRACES were there before labctl came: `down` leaves them."""
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
DATA = "/var/lib/rancher/k3s"
SERVER_DATA = f"{DATA}/server"
IMAGES = f"{DATA}/agent/images"
NODE_TOKEN = f"{SERVER_DATA}/node-token"
NODE_PASSWORD = "/etc/rancher/node/password"  # noqa: S105 - a path
CERTIFICATES = (f"{SERVER_DATA}/tls/serving-kube-apiserver.crt", f"{DATA}/agent/serving-kubelet.crt")
"""Two of k3s's certificates, which it makes and renews together (k3s docs, "k3s certificate")."""
TRACES = (
    "/etc/rancher",
    "/etc/cni",
    "/opt/cni",
    "/run/flannel",
    "/run/k3s",
    "/run/netns",
    "/run/xtables.lock",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/log/containers",
    "/var/log/pods",
)
"""What k3s and the tools that it calls make on a host."""

MARK = "# Written by labctl"
"""First words of every file that labctl writes: what lacks them belongs to somebody else."""


def unit(role: Role) -> str:
    """Name of the systemd service, as k3s's own installer names it."""
    return "k3s" if role is Role.SERVER else "k3s-agent"


def unit_file(role: Role) -> str:
    """Path of the service's unit."""
    return f"/etc/systemd/system/{unit(role)}.service"
