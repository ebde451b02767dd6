"""What a lab comes to on a given cluster: the objects of each step, and the requests of each probe. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import UsageError
from labctl.lab.targets import endpoint_for
from labctl.model.actions import ApplyStep, PatchStep
from labctl.model.cluster import Cluster, Endpoint
from labctl.model.lab import Lab, ProbeStep, TargetKind, TlsMode, actions
from labctl.model.probe import ProbePlan, Request, Resolve, Tls
from labctl.model.reference import REFERENCE
from labctl.objects.manifests import Obj, load_manifests
from labctl.objects.versions import CLUSTER_WIDE

MANAGED_BY = "app.kubernetes.io/managed-by"
LAB_LABEL = "labctl.dev/lab"
"""Prefix of the label that marks a lab's objects: `labctl.dev/lab.NAME`, so that labs can share an object."""
REQUEST_TIMEOUT = 10.0
"""Seconds that one request may take."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line changes of a lab; None and the empty string leave it as it is.

    Attributes:
        count: Requests of every probe with an expectation that allows for chance, or of more than one request.
        concurrency: Most requests in flight.
        ingress_class: IngressClass of the lab's Ingresses.
        namespace: Namespace of its objects.
        timeout: Seconds for one request.
        variables: Reference → value, as far as the cluster alone tells: what manifests may hold.
    """

    count: int | None = None
    concurrency: int | None = None
    ingress_class: str = ""
    namespace: str = ""
    timeout: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def namespace_of(lab: Lab, overrides: Overrides) -> str:
    """The namespace that the lab's objects live in."""
    return overrides.namespace or lab.namespace


def lab_objects(lab: Lab, overrides: Overrides) -> list[Obj]:
    """Every object of every ApplyStep, stamped: what `clean` removes and what must belong to nobody else."""
    return [
        obj for step in actions(lab.steps) if isinstance(step, ApplyStep) for obj in step_objects(lab, step, overrides)
    ]


def first_objects(lab: Lab, overrides: Overrides) -> list[Obj]:
    """The objects that are there before anything is changed: what `verify` looks for."""
    steps = (step for step in lab.first_steps if isinstance(step, ApplyStep))
    return [obj for step in steps for obj in step_objects(lab, step, overrides)]


def step_objects(lab: Lab, step: ApplyStep, overrides: Overrides) -> list[Obj]:
    """The objects of one ApplyStep in the manifests' order, stamped with namespace, labels and IngressClass.

    Raises:
        ConfigError: A manifest is not valid.
    """
    found = (obj for manifest in step.manifests for obj in load_manifests(lab.directory / manifest))
    return [stamp(obj, lab, overrides) for obj in found]


def stamp(obj: Obj, lab: Lab, overrides: Overrides) -> Obj:
    """An object as the lab applies it: in its namespace unless it names one, labelled, of the wanted IngressClass."""
    stamped: Obj = _filled(obj, overrides.variables)
    metadata = stamped.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED_BY: "labctl", lab_label(lab.name): ""}
    if stamped["kind"] not in CLUSTER_WIDE:
        metadata.setdefault("namespace", namespace_of(lab, overrides))
    if stamped["kind"] == "Ingress" and overrides.ingress_class:
        stamped.setdefault("spec", {})["ingressClassName"] = overrides.ingress_class
    return stamped


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A copy in which the references that are known are replaced."""
    if isinstance(value, Mapping):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, str) and "${" in value:
        return REFERENCE.sub(lambda found: variables.get(found.group(1), found.group(0)), value)
    return value


def lab_label(lab: str) -> str:
    """The label that marks an object as a lab's; an object that two labs share carries both."""
    return f"{LAB_LABEL}.{lab}"


def probe_plan(
    lab: Lab,
    step: ProbeStep,
    cluster: Cluster,
    overrides: Overrides,
    ca_file: Path | None = None,
    services: Sequence[Obj] = (),
    token: str = "",
) -> ProbePlan:
    """The requests of a probe on a cluster.

    Args:
        lab: The lab.
        step: The probe.
        cluster: Where it is sent.
        overrides: From the command line.
        ca_file: The certificate of `step.ca_secret`, as a PEM file.
        services: The Services of the lab's namespace as they are; without them, as the lab's manifests have them.
        token: Bearer token that is sent.

    Raises:
        ClusterError: Nothing is there to be asked: no controller, no such Service, no address.
        UsageError: The certificate is needed and was not given.
    """
    endpoint = endpoint_for(step, cluster, services or _own_services(lab, step, overrides))
    if step.scheme == "https" and step.tls is TlsMode.VERIFY and ca_file is None:
        raise UsageError(f"lab {lab.name}, check {step.name}: the certificate of Secret {step.ca_secret} is missing")
    headers = (*step.headers, *((("Authorization", f"Bearer {token}"),) if token else ()))
    count = overrides.count if overrides.count is not None and step.count > 1 else step.count
    concurrency = overrides.concurrency if overrides.concurrency is not None else step.concurrency
    return ProbePlan(
        name=step.name,
        request=Request(url_of(step, endpoint), step.method, headers, cookie_jar=step.cookie_jar),
        count=count,
        concurrency=min(concurrency, count),
        connection=step.connection,
        timeout=overrides.timeout or step.timeout or REQUEST_TIMEOUT,
        resolve=(Resolve(step.host, endpoint.port, endpoint.address),) if step.host else (),
        tls=_tls(step, ca_file),
        by=step.by,
        versions=lab.versions,
    )


def _own_services(lab: Lab, step: ProbeStep, overrides: Overrides) -> list[Obj]:
    if step.target.kind in (TargetKind.INGRESS, TargetKind.API):
        return []
    return [obj for obj in lab_objects(lab, overrides) if obj["kind"] == "Service"]


def _tls(step: ProbeStep, ca_file: Path | None) -> Tls:
    if step.tls is TlsMode.INSECURE:
        return Tls(verify=False)
    return Tls(verify=True, ca_file=ca_file if step.tls is TlsMode.VERIFY else None)


def url_of(step: ProbeStep, endpoint: Endpoint) -> str:
    """The URL as the user would type it: the probe's host, or the endpoint's address, and the endpoint's port."""
    host = step.host or (f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address)
    default = 443 if step.scheme == "https" else 80
    port = "" if endpoint.port == default else f":{endpoint.port}"
    return f"{step.scheme}://{host}{port}{step.path}"


def resets(lab: Lab, overrides: Overrides) -> list[tuple[Obj, dict[str, Any]]]:
    """The lab's objects that its PatchSteps change, each with the merge patch that brings it back to its manifest.

    Sent at the start of a run (to those that exist), it clears what a run that was killed has left behind.
    """
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in lab_objects(lab, overrides)}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for step in actions(lab.steps):
        if isinstance(step, PatchStep) and (step.kind, step.object_name) in objects and not step.namespace:
            key = (step.kind, step.object_name)
            _add_reset(found.setdefault(key, {}), objects[key], step.patch)
    return [(objects[key], patch) for key, patch in found.items()]


def _add_reset(reset: dict[str, Any], manifest: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        before = manifest.get(key)
        if isinstance(value, Mapping) and (before is None or isinstance(before, Mapping)):
            _add_reset(reset.setdefault(key, {}), before or {}, value)
        else:
            reset[key] = before


def host_paths(ingresses: Iterable[Obj]) -> dict[tuple[str, str], Obj]:
    """Host and path of every rule → the Ingress that claims it; canaries claim nothing, they share."""
    claims: dict[tuple[str, str], Obj] = {}
    for ingress in ingresses:
        annotations: Mapping[str, Any] = ingress["metadata"].get("annotations") or {}
        if annotations.get("nginx.ingress.kubernetes.io/canary") == "true":
            continue
        spec: Mapping[str, Any] = ingress.get("spec", {})
        if spec.get("defaultBackend") and not spec.get("rules"):
            claims.setdefault(("", "/"), ingress)
        for rule in spec.get("rules") or []:
            for path in (rule.get("http") or {}).get("paths") or []:
                claims.setdefault((rule.get("host", ""), path.get("path") or "/"), ingress)
    return claims


def variables(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The references that the cluster alone tells: manifests may hold them too."""
    found = {"lab.namespace": namespace}
    endpoints = (*cluster.ingress.http, *cluster.ingress.https)
    if endpoints:
        address = endpoints[0].address
        found |= {"ingress.address": address, "ingress.dashed": address.replace(".", "-").replace(":", "-")}
        names = [node.name for node in cluster.nodes if node.address == address]
        found |= {"ingress.node": names[0]} if names else {}
    return found
