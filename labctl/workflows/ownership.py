"""Whose objects are these? Labs share what they have in common, make room for each other, and touch nobody else's."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.errors import UsageError
from labctl.events import Notice
from labctl.kube.client import KubeApi
from labctl.lab.plan import LAB_LABEL, MANAGED_BY, host_paths, lab_label, lab_objects
from labctl.model.lab import Lab
from labctl.objects.manifests import Obj, describe
from labctl.workflows.labs import Bench

LAB_KINDS = (
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
)
"""Kinds that labs apply, in the order in which they are removed: traffic first."""


def labs_of(obj: Obj) -> set[str]:
    """Names of the labs that an object belongs to."""
    labels = obj["metadata"].get("labels") or {}
    return {key.removeprefix(f"{LAB_LABEL}.") for key in labels if key.startswith(f"{LAB_LABEL}.")}


def refuse_foreign(bench: Bench, lab: Lab) -> None:
    """Refuse to touch objects of the lab's names that labctl did not make.

    Raises:
        UsageError: There are such objects; names them all. Nothing was changed.
    """
    foreign = []
    for wanted in lab_objects(lab, bench.overrides):
        metadata = wanted["metadata"]
        found = bench.api.get(wanted["apiVersion"], wanted["kind"], metadata.get("namespace", ""), metadata["name"])
        if found is not None and (found["metadata"].get("labels") or {}).get(MANAGED_BY) != "labctl":
            foreign.append(describe(found))
    if foreign:
        raise UsageError(
            f"lab {lab.name} would change what labctl did not make: {', '.join(foreign)}",
            hint="nothing was touched; `labctl verify` checks it as it is; delete these objects to let `run` make them",
        )


def make_room(bench: Bench, lab: Lab) -> None:
    """Remove other labs whose Ingresses claim a host and path of this one: two cannot be seen at once.

    Raises:
        UsageError: An Ingress that labctl did not make claims it.
    """
    own = host_paths(obj for obj in lab_objects(lab, bench.overrides) if obj["kind"] == "Ingress")
    if not own:
        return
    present = host_paths(
        obj for obj in bench.api.list("networking.k8s.io/v1", "Ingress") if lab.name not in labs_of(obj)
    )
    clashes = {claim: ingress for claim, ingress in present.items() if claim in own}
    for (host, path), ingress in clashes.items():
        if not labs_of(ingress):
            raise UsageError(
                f"{describe(ingress)} claims {host or '*'}{path}, which lab {lab.name} needs",
                hint="delete it, or run the lab on another cluster",
            )
    for other in sorted({name for ingress in clashes.values() for name in labs_of(ingress)}):
        removed = remove_lab(bench.api, other)
        bench.sink(
            Notice(f"lab {other} made room for {lab.name}: both claim the same host ({removed} objects removed)")
        )


def objects_of_lab(api: KubeApi, lab: str) -> list[Obj]:
    """Every object on the cluster that is marked as the lab's, traffic first."""
    return [obj for version, kind in LAB_KINDS for obj in api.list(version, kind, selector=lab_label(lab))]


def remove_lab(api: KubeApi, lab: str, *, wait_for_pods: bool = False) -> int:
    """Delete the lab's objects, and take its mark off those that other labs share; returns how many were deleted.

    With `wait_for_pods` a Deployment stays visible until its pods are gone (foreground deletion).
    """
    propagation = "Foreground" if wait_for_pods else "Background"
    deleted = 0
    for obj in objects_of_lab(api, lab):
        if labs_of(obj) - {lab}:
            _unmark(api, obj, lab)
        else:
            deleted += api.delete(obj, propagation=propagation)
    return deleted


def applied_labs(api: KubeApi, names: Iterable[str]) -> list[str]:
    """Those of the labs that have objects on the cluster."""
    return [name for name in names if objects_of_lab(api, name)]


def _unmark(api: KubeApi, obj: Obj, lab: str) -> None:
    metadata = obj["metadata"]
    patch = {"metadata": {"labels": {lab_label(lab): None}}}
    api.merge_patch(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"], patch)
