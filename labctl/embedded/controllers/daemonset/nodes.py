"""Which nodes a DaemonSet's pods belong on, and the pods made for them."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.revisions import POD_LABEL
from labctl.embedded.controllers.scheduler.filters import required_affinity_matches
from labctl.embedded.controllers.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    untolerated,
)

GENERATION_LABEL = "pod-template-generation"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_NODE_NAME = "metadata.name"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_ALWAYS_TOLERATED = (
    (NOT_READY, NO_EXECUTE),
    (UNREACHABLE, NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    (UNSCHEDULABLE, NO_SCHEDULE),
)


def new_pod(owner: Obj, node: str, revision: str) -> Obj:
    """The pod for one node: bound to it by affinity, and tolerating what a daemon must.

    Args:
        owner: The DaemonSet.
        node: The node's name.
        revision: Hash of its template's revision.
    """
    template = meta.spec(owner)["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), POD_LABEL: revision}
    if generation := meta.annotations_of(owner).get(TEMPLATE_GENERATION):
        labels[GENERATION_LABEL] = generation
    pod = pods.from_template(template, owner, generateName=f"{meta.name(owner)}-", labels=labels)
    return meta.with_spec(pod, affinity=_bound_to(node, template["spec"]), tolerations=_tolerations(template["spec"]))


def _bound_to(node: str, spec: Obj) -> Obj:
    """The template's affinity with the node's name as the only required field."""
    by_name = {"matchFields": [{"key": _NODE_NAME, "operator": "In", "values": [node]}]}
    affinity = spec.get("affinity") or {}
    node_affinity = {**(affinity.get("nodeAffinity") or {}), _REQUIRED: {"nodeSelectorTerms": [by_name]}}
    return {**affinity, "nodeAffinity": node_affinity}


def _tolerations(spec: Obj) -> list[Obj]:
    wanted = list(_ALWAYS_TOLERATED)
    if spec.get("hostNetwork"):
        wanted.append(("node.kubernetes.io/network-unavailable", NO_SCHEDULE))
    found: list[Obj] = list(spec.get("tolerations") or ())
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in found:
            found.append(toleration)
    return found


def target_of(pod: Obj) -> str:
    """The node a pod is on or is bound to by its affinity; empty when there is none."""
    spec = meta.spec(pod)
    if spec.get("nodeName"):
        name: str = spec["nodeName"]
        return name
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == _NODE_NAME and field["operator"] == "In" and len(field["values"]) == 1:
                value: str = field["values"][0]
                return value
    return ""


def judge(owner: Obj, node: Obj) -> tuple[bool, bool]:
    """Whether a node should get a pod, and whether a pod that is there may stay."""
    template = meta.spec(owner)["template"]
    wanted_name = template["spec"].get("nodeName")
    if wanted_name and wanted_name != meta.name(node):
        return False, False
    if not required_affinity_matches(template, node):
        return False, False
    pod = {"spec": {"tolerations": _tolerations(template["spec"])}}
    if untolerated(pod, node, (NO_SCHEDULE, NO_EXECUTE)) is None:
        return True, True
    return False, untolerated(pod, node, (NO_EXECUTE,)) is None
