"""Node objects as k3s makes them, and the Lease that says the node lives."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kubelet.settings import Settings, rfc3339_micro

KUBELET_VERSION = "v1.34.4+k3s1"
RUNTIME_VERSION = "containerd://2.1.5-k3s1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node of the embedded cluster.

    Attributes:
        name: Its name.
        address: Its InternalIP.
        pod_cidr: The range its pods take addresses from.
        server: Whether it carries the control plane.
        labels: Extra labels.
        taints: Taints as kubectl writes them, `key=value:Effect`.
        args: What k3s would have been started with (an annotation only).
        version: The kubelet's version.
    """

    name: str
    address: str
    pod_cidr: str
    server: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    version: str = KUBELET_VERSION


def register(clientset: Clientset, spec: NodeSpec, images: Sequence[Obj], settings: Settings, boot_id: str) -> Obj:
    """Create the Node object, or bring an existing one up to date, and mark it Ready."""
    wanted = node_object(spec, images, settings, boot_id)
    stored = clientset.get("nodes", "", spec.name)
    if stored is None:
        stored = clientset.create("nodes", {key: wanted[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    else:
        merged = copy.deepcopy(stored)
        merged["metadata"].setdefault("labels", {}).update(wanted["metadata"]["labels"])
        merged["metadata"].setdefault("annotations", {}).update(wanted["metadata"]["annotations"])
        merged["spec"].setdefault("podCIDR", wanted["spec"]["podCIDR"])
        merged["spec"].setdefault("podCIDRs", wanted["spec"]["podCIDRs"])
        stored = clientset.update("nodes", merged)
    return update_status(clientset, stored, wanted["status"])


def update_status(clientset: Clientset, node: Obj, status: Obj) -> Obj:
    """Write a node's status, keeping the transition times of conditions that did not change."""
    before = {condition["type"]: condition for condition in (node.get("status") or {}).get("conditions") or []}
    merged = copy.deepcopy(node)
    conditions = []
    for condition in status["conditions"]:
        old = before.get(condition["type"])
        same = old is not None and old["status"] == condition["status"]
        since = old["lastTransitionTime"] if same and old else condition["lastTransitionTime"]
        conditions.append(condition | {"lastTransitionTime": since})
    merged["status"] = {**(node.get("status") or {}), **status, "conditions": conditions}
    return clientset.update("nodes", merged, subresource="status")


def node_object(spec: NodeSpec, images: Sequence[Obj], settings: Settings, boot_id: str) -> Obj:
    """The Node object of one node."""
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/instance-type": "k3s",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "k3s",
        **({"node-role.kubernetes.io/control-plane": "true"} if spec.server else {}),
        **spec.labels,
    }
    node_spec: Obj = {
        "podCIDR": spec.pod_cidr,
        "podCIDRs": [spec.pod_cidr],
        "providerID": f"k3s://{spec.name}",
    }
    if spec.taints:
        node_spec["taints"] = [parse_taint(taint) for taint in spec.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": labels,
            "annotations": _annotations(spec),
            "finalizers": ["wrangler.cattle.io/node"],
        },
        "spec": node_spec,
        "status": _status(spec, images, settings, boot_id, architecture),
    }


def is_ready(node: Obj) -> bool:
    """Whether a node's Ready condition is true."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def start_events(name: str) -> list[tuple[str, str]]:
    """Reason and message of the events that a starting kubelet writes about its node."""
    conditions = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID")
    return [
        ("Starting", "Starting kubelet."),
        *((reason, f"Node {name} status is now: {reason}") for reason in conditions),
        ("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods"),
        ("NodeReady", f"Node {name} status is now: NodeReady"),
    ]


def parse_taint(text: str) -> Obj:
    """`key=value:Effect` or `key:Effect` → a Taint."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def _annotations(spec: NodeSpec) -> Obj:
    digest = hashlib.sha256(spec.name.encode()).digest()
    mac = ":".join(f"{byte:02x}" for byte in bytes([digest[0] & 0xFE | 0x02]) + digest[1:6])
    arguments = json.dumps(list(spec.args), separators=(",", ":"))
    config_hash = base64.b32encode(hashlib.sha256(arguments.encode()).digest()).decode()
    return {
        "alpha.kubernetes.io/provided-node-ip": spec.address,
        "flannel.alpha.coreos.com/backend-data": f'{{"VNI":1,"VtepMAC":"{mac}"}}',
        "flannel.alpha.coreos.com/backend-type": "vxlan",
        "flannel.alpha.coreos.com/kube-subnet-manager": "true",
        "flannel.alpha.coreos.com/public-ip": spec.address,
        "k3s.io/hostname": spec.name,
        "k3s.io/internal-ip": spec.address,
        "k3s.io/node-args": arguments,
        "k3s.io/node-config-hash": config_hash,
        "k3s.io/node-env": "{}",
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }


def _status(spec: NodeSpec, images: Sequence[Obj], settings: Settings, boot_id: str, architecture: str) -> Obj:
    now = settings.timestamp()
    disk = shutil.disk_usage("/").total
    capacity = {
        "cpu": str(os.cpu_count() or 1),
        "ephemeral-storage": f"{disk // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{_memory_kib()}Ki",
        "pods": "110",
    }
    # 5 % of the disk stays free for the kubelet's own eviction threshold.
    allocatable = capacity | {"ephemeral-storage": str(disk - disk // 20)}
    machine = uuid.uuid5(uuid.NAMESPACE_DNS, platform.node() or "localhost").hex
    return {
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": [
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
                "reason": reason,
                "message": message,
            }
            for kind, status, reason, message in _CONDITIONS
        ],
        "addresses": [
            {"type": "InternalIP", "address": spec.address},
            {"type": "Hostname", "address": spec.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": machine,
            "systemUUID": machine,
            "bootID": boot_id,
            "kernelVersion": platform.release(),
            "osImage": _os_image(),
            "containerRuntimeVersion": RUNTIME_VERSION,
            "kubeletVersion": spec.version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": architecture,
        },
        "images": list(images),
        "runtimeHandlers": [_runtime_handler("", True), _runtime_handler("runc", True)],
        "features": {"supplementalGroupsPolicy": True},
    }


def _runtime_handler(name: str, recursive: bool) -> Obj:
    return {"name": name, "features": {"recursiveReadOnlyMounts": recursive, "userNamespaces": False}}


def _memory_kib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    except (ValueError, OSError):
        return 4 * 1024 * 1024


def _os_image() -> str:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.system()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("PRETTY_NAME", platform.system()).strip('"')


def renew_leases(clientset: Clientset, nodes: Iterable[str], settings: Settings) -> None:
    """Say that these nodes live: one small write per node, as the real heartbeat is since 1.17."""
    for name in nodes:
        lease = clientset.get("leases.coordination.k8s.io", "kube-node-lease", name)
        renewed = {
            "holderIdentity": name,
            "leaseDurationSeconds": settings.lease_duration,
            "renewTime": rfc3339_micro(settings.now()),
        }
        if lease is not None:
            updated = copy.deepcopy(lease)
            updated["spec"] = renewed
            clientset.update("leases.coordination.k8s.io", updated)
            continue
        node = clientset.get("nodes", "", name)
        if node is None:
            continue
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"].get("uid", "")}
        metadata = {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
        clientset.create(
            "leases.coordination.k8s.io",
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": metadata,
                "spec": renewed,
            },
        )
