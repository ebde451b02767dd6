"""The status of Ingresses: the addresses that they are reached by."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.log import LogLine, quote

_INGRESSES = "ingresses.networking.k8s.io"
_OF_REVISION = frozenset({"pod-template-hash", "controller-revision-hash", "pod-template-generation"})


class StatusError(Exception):
    """The addresses cannot be found out; the message is the controller's."""


class StatusWriter:
    """Keeps `status.loadBalancer` of the taken Ingresses.

    Args:
        clientset: The API.
        flags: The controller's flags.
        identity: The controller's pod.
        log: The controller's log.
    """

    def __init__(self, clientset: Clientset, flags: Flags, identity: Identity, log: Callable[[LogLine], None]) -> None:
        self._clientset = clientset
        self._flags = flags
        self._identity = identity
        self._log = log

    def write(self, ingresses: Iterable[Obj]) -> None:
        """Bring the status of these Ingresses up to date."""
        try:
            addresses = self.addresses()
        except StatusError as error:
            self._log(LogLine("E", "queue.go:131", f'"requeuing" err={quote(str(error))} key="sync status"'))
            return
        self._write(ingresses, addresses)

    def clear(self, ingresses: Iterable[Obj]) -> None:
        """Take the addresses away at the end, unless other controllers go on."""
        if not self._flags.update_status_on_shutdown:
            self._log(LogLine("W", "status.go:114", "skipping update of status of Ingress rules"))
            return
        try:
            addresses = self.addresses()
        except StatusError as error:
            self._log(LogLine("E", "status.go:120", f'"error obtaining running IP address" err={quote(str(error))}'))
            return
        if len(addresses) > 1:
            self._log(LogLine("I", "status.go:126", '"leaving status update for next leader"'))
            return
        stable = {name: value for name, value in self._identity.labels.items() if name not in _OF_REVISION}
        if len(self._pods(stable)) > 1:
            return
        self._log(LogLine("I", "status.go:135", f'"removing value from ingress status" address={_shown(addresses)}'))
        self._write(ingresses, [])

    def addresses(self) -> list[dict[str, str]]:
        """`status.loadBalancer.ingress` as it should be, sorted.

        Raises:
            StatusError: The publish Service is not there or has no address.
        """
        if self._flags.publish_status_address:
            found = [_point(address) for address in re.split(r",\s*", self._flags.publish_status_address)]
        elif self._flags.publish_service:
            found = self._of_service(self._flags.publish_service)
        else:
            found = self._of_nodes()
        return sorted(found, key=lambda point: (point.get("hostname", ""), point.get("ip", "")))

    def _of_service(self, key: str) -> list[dict[str, str]]:
        namespace, _, name = key.partition("/")
        service = self._clientset.get("services", namespace, name)
        if service is None:
            raise StatusError(f'services "{name}" not found')
        spec: dict[str, Any] = service["spec"]
        kind, external = spec.get("type", "ClusterIP"), spec.get("externalIPs") or []
        if kind == "ExternalName":
            return [{"hostname": spec.get("externalName", "")}]
        if kind == "ClusterIP" or (kind == "NodePort" and not external):
            return [{"ip": spec.get("clusterIP", "")}]
        if kind == "NodePort":
            return [{"ip": address} for address in external]
        points: list[dict[str, str]] = [
            {key: point[key] for key in ("ip", "hostname") if point.get(key)}
            for point in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        ]
        known = {value for point in points for value in point.values()}
        return points + [{"ip": address} for address in external if address not in known]

    def _of_nodes(self) -> list[dict[str, str]]:
        """Addresses of the nodes on which ready pods of this Deployment run."""
        found: dict[str, None] = {}
        for pod in self._pods(self._identity.labels):
            status = pod.get("status") or {}
            conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
            if status.get("phase") != "Running":
                continue
            node = (pod.get("spec") or {}).get("nodeName", "")
            if conditions.get("Ready") != "True":
                key = f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
                self._log(LogLine("I", "status.go:219", f'"POD is not ready" pod={quote(key)} node={quote(node)}'))
                continue
            address = self._node_address(node)
            if address:
                found[address] = None
        return [_point(address) for address in found]

    def _node_address(self, name: str) -> str:
        node = self._clientset.get("nodes", "", name)
        listed = ((node or {}).get("status") or {}).get("addresses") or ()
        by_type = {entry["type"]: entry["address"] for entry in reversed(listed) if entry.get("address")}
        internal: str = by_type.get("InternalIP", "")
        return internal if self._flags.report_node_internal_ip_address else by_type.get("ExternalIP", internal)

    def _pods(self, labels: Any) -> list[Obj]:
        wanted = dict(labels).items()
        pods = self._clientset.list("pods", self._identity.namespace)
        return [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]

    def _write(self, ingresses: Iterable[Obj], points: list[dict[str, str]]) -> None:
        for ingress in ingresses:
            metadata = ingress["metadata"]
            current = self._clientset.get(_INGRESSES, metadata.get("namespace", ""), metadata["name"])
            if current is None:
                continue
            old = ((current.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            if [_plain(point) for point in old] == points:
                continue
            text = f'"updating Ingress status" namespace={quote(metadata.get("namespace", ""))}'
            shown = f"currentValue={_shown(old) if old else 'null'} newValue={_shown(points)}"
            self._log(LogLine("I", "status.go:304", f"{text} ingress={quote(metadata['name'])} {shown}"))
            status = {"loadBalancer": {"ingress": points} if points else {}}
            try:
                self._clientset.update(_INGRESSES, {**current, "status": status}, subresource="status")
            except ApiError as error:
                self._log(LogLine("W", "status.go:308", f"error updating ingress rule: {error}"))


def _plain(point: dict[str, Any]) -> dict[str, str]:
    return {key: point[key] for key in ("ip", "hostname") if point.get(key)}


def _point(address: str) -> dict[str, str]:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return {"hostname": address}
    return {"ip": address}


def _shown(points: list[dict[str, Any]]) -> str:
    inner = ",".join(
        "{" + ",".join(f"{quote(key)}:{quote(point[key])}" for key in ("ip", "hostname") if point.get(key)) + "}"
        for point in points
    )
    return f"[{inner}]"
