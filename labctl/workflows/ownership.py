"""Whose objects are these? Labs share what they have in common, make room for each other, and touch nobody else's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labctl.errors import ClusterError, UsageError
from labctl.events import Notice
from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.lab.plan import LAB_LABEL, MANAGED_BY, host_paths, lab_label, lab_objects, namespace_of, stamp
from labctl.model.actions import PatchStep
from labctl.model.lab import ExecStep, Lab, PlaceKind, actions
from labctl.objects.manifests import Obj, describe
from labctl.objects.versions import api_version
from labctl.waiting import Pending, wait_for
from labctl.workflows.bench import Bench

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
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("v1", "Namespace"),
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
            hint="nothing was touched; `--namespace NAME` runs the lab beside them, "
            f"`labctl verify {lab.name}` checks them as they are",
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
    selector = f"{MANAGED_BY}=labctl"
    found = {
        name
        for version, kind in LAB_KINDS
        for obj in api.list(version, kind, selector=selector)
        for name in labs_of(obj)
    }
    return [name for name in names if name in found]


def _unmark(api: KubeApi, obj: Obj, lab: str) -> None:
    metadata = obj["metadata"]
    patch = {"metadata": {"labels": {lab_label(lab): None}}}
    api.merge_patch(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"], patch)


def prepare_namespace(bench: Bench, lab: Lab) -> None:
    """Make the lab's namespace where it is missing; what labctl made, it removes with the lab."""
    namespace = namespace_of(lab, bench.overrides)
    found = bench.api.get("v1", "Namespace", "", namespace)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        wait_for(
            f"the namespace {namespace} of an earlier run to go",
            lambda: bench.api.get("v1", "Namespace", "", namespace) is None or Pending("it is being deleted"),
            timeout=bench.options.timeout,
            clock=bench.env.clock,
        )
        found = None
    if found is None or (found["metadata"].get("labels") or {}).get(MANAGED_BY) == "labctl":
        obj: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        bench.api.apply(stamp(obj, lab, bench.overrides), owner=lab.name)


def require_permissions(bench: Bench, lab: Lab) -> None:
    """Find out before anything is changed whether the user may do what the lab does (SelfSubjectAccessReview).

    Raises:
        ClusterError: Something is not allowed; names every missing permission.
    """
    namespace = namespace_of(lab, bench.overrides)
    wanted = {(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", "")) for obj in _touched(bench, lab)}
    missing = [
        f"{', '.join(denied)} {resource}" + (f" in namespace {place}" if place else "")
        for version, kind, place in sorted(wanted)
        for resource, denied in [_denied(bench, version, kind, place)]
        if denied
    ]
    if any(isinstance(step, ExecStep) and step.place.kind is not PlaceKind.NODE for step in lab.steps):
        missing += [f"create pods/exec in namespace {namespace}"] * (
            not _may(bench, "create", "", "pods/exec", namespace)
        )
    if missing:
        raise ClusterError(
            f"you may not do what lab {lab.name} does: {'; '.join(missing)}",
            hint="ask the cluster's administrator for a Role with these verbs, or take --namespace where you may",
        )


def _touched(bench: Bench, lab: Lab) -> Iterator[Obj]:
    yield from lab_objects(lab, bench.overrides)
    for step in actions(lab.steps):
        if isinstance(step, PatchStep):
            place = step.namespace or namespace_of(lab, bench.overrides)
            yield {"apiVersion": api_version(step.kind), "kind": step.kind, "metadata": {"namespace": place}}


def _denied(bench: Bench, version: str, kind: str, namespace: str) -> tuple[str, list[str]]:
    """The resource of a kind, and those of the verbs that a lab needs that the user has not."""
    try:
        resource = bench.api.resource(version, kind)
    except ApiRefusedError:
        return kind, []  # applying it says why
    group = version.partition("/")[0] if "/" in version else ""
    verbs = ("get", "create", "patch", "delete")
    return resource.plural, [verb for verb in verbs if not _may(bench, verb, group, resource.plural, namespace)]


def _may(bench: Bench, verb: str, group: str, resource: str, namespace: str) -> bool:
    plural, _, sub = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
    attributes |= {"subresource": sub} if sub else {}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = bench.api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"].get("allowed"))
