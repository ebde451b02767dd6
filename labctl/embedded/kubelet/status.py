"""From what the kubelet knows to a PodStatus, field by field as Kubernetes 1.34 writes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.kubelet.record import ContainerRecord, Kind

OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
"""Conditions the kubelet writes, in its order; conditions of others come before them."""

TERMINAL = ("Succeeded", "Failed")
"""Phases that a pod never leaves."""


@dataclass(frozen=True, slots=True)
class PodView:
    """What a pod's status is made of.

    Attributes:
        pod: The stored pod.
        records: Its containers.
        host_ip: Its node's address.
        pod_ip: Its address; empty before it has a sandbox.
        sandbox: Whether its network is set up.
        finished: Whether it is over for good and nothing of it runs.
        start_time: When the kubelet first saw it.
        now: `metav1.Time` for conditions that change.
        failure: Reason and message that fail the pod as a whole (DeadlineExceeded); empty strings for none.
    """

    pod: Obj
    records: Sequence[ContainerRecord]
    host_ip: str
    pod_ip: str
    sandbox: bool
    finished: bool
    start_time: str
    now: str
    failure: tuple[str, str] = ("", "")


def pod_status(view: PodView) -> Obj:
    """The whole status of a pod."""
    old = view.pod.get("status") or {}
    phase = "Failed" if view.failure[0] else pod_phase(view)
    # A terminal phase shows only once nothing of the pod runs; its conditions already do (mergePodStatus).
    shown = old.get("phase", "Pending") if phase in TERMINAL and not view.finished else phase
    status: Obj = {}
    generation = view.pod["metadata"].get("generation")
    if generation is not None:
        status["observedGeneration"] = generation
    status["phase"] = shown
    status["conditions"] = _conditions(view, phase, old.get("conditions") or [])
    if view.failure[0]:
        status["message"], status["reason"] = view.failure[1], view.failure[0]
    status["hostIP"] = view.host_ip
    status["hostIPs"] = [{"ip": view.host_ip}]
    if view.pod_ip:
        status["podIP"] = view.pod_ip
        status["podIPs"] = [{"ip": view.pod_ip}]
    status["startTime"] = view.start_time
    for key, kinds in STATUS_FIELDS:
        records = [record for record in view.records if record.kind in kinds]
        if key == "containerStatuses":
            records.sort(key=lambda record: record.name)
        if records:
            status[key] = [container_status(record) for record in records]
    status["qosClass"] = old.get("qosClass") or qos_class(view.pod)
    return status


STATUS_FIELDS = (
    ("initContainerStatuses", (Kind.INIT, Kind.SIDECAR)),
    ("containerStatuses", (Kind.MAIN,)),
    ("ephemeralContainerStatuses", (Kind.EPHEMERAL,)),
)


def container_status(record: ContainerRecord) -> Obj:
    """One entry of containerStatuses."""
    status: Obj = {
        "name": record.name,
        "state": record.state,
        "lastState": record.last_state,
        "ready": record.ready,
        "restartCount": record.restarts,
        "image": record.image,
        "imageID": record.image_id,
    }
    if record.container_id:
        status["containerID"] = record.container_id
    status["started"] = record.started
    if record.container_id:
        resources = record.spec.get("resources") or {}
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
        status["resources"] = {key: resources[key] for key in ("limits", "requests") if resources.get(key)}
    mounts = [_mount_status(mount) for mount in record.spec.get("volumeMounts") or []]
    if mounts:
        status["volumeMounts"] = mounts
    if record.container_id:
        status["user"] = {"linux": _user(record)}
    return status


def _mount_status(mount: Obj) -> Obj:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status


def _user(record: ContainerRecord) -> Obj:
    security = record.spec.get("securityContext") or {}
    uid, gid = security.get("runAsUser", 0), security.get("runAsGroup", 0)
    return {"uid": uid, "gid": gid, "supplementalGroups": [gid]}


def pod_phase(view: PodView) -> str:
    """`getPhase` of kubelet_pods.go: from container states and the restart policy to the pod's phase."""
    policy = view.pod["spec"].get("restartPolicy", "Always")
    inits = [record for record in view.records if record.kind is Kind.INIT]
    if policy == "Never" and any(record.terminated and not record.succeeded for record in inits):
        return "Failed"
    mains = [record for record in view.records if record.kind is Kind.MAIN]
    pending = [record for record in inits if not record.succeeded] + [
        record
        for record in view.records
        if record.kind is Kind.SIDECAR and not record.started and "running" not in record.state and not view.finished
    ]
    started = any(record.terminated or "running" in record.state or record.last_state for record in mains)
    if pending and not started:
        return "Pending"
    if any("waiting" in record.state and not record.last_state.get("terminated") for record in mains):
        return "Pending"
    if any("running" in record.state for record in mains):
        return "Running"
    return _ended_phase(view, mains, policy)


def _ended_phase(view: PodView, mains: Sequence[ContainerRecord], policy: str) -> str:
    succeeded = all(record.succeeded for record in mains)
    if view.finished:
        return "Succeeded" if succeeded else "Failed"
    if policy == "Always":
        return "Running"
    if succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _conditions(view: PodView, phase: str, old: Sequence[Obj]) -> list[Obj]:
    before = {condition["type"]: condition for condition in old}
    made = {
        "PodReadyToStartContainers": _condition(view.sandbox and not view.finished),
        "Initialized": _initialized(view, phase),
        "ContainersReady": _containers_ready(view, phase),
        "PodScheduled": _condition(True),
    }
    made["Ready"] = _pod_ready(view, made["ContainersReady"], before)
    conditions = [condition for condition in old if condition["type"] not in OWNED]
    conditions += [_dated(kind, made[kind], before.get(kind), view) for kind in OWNED]
    return conditions


def _condition(true: bool, reason: str = "", message: str = "") -> Obj:
    condition = {"status": "True" if true else "False", "reason": reason, "message": message}
    return {key: value for key, value in condition.items() if value}


def _dated(kind: str, made: Obj, before: Obj | None, view: PodView) -> Obj:
    same = before is not None and before["status"] == made["status"]
    condition: Obj = {"type": kind}
    generation = view.pod["metadata"].get("generation")
    if generation is not None:
        condition["observedGeneration"] = generation
    condition["status"] = made["status"]
    condition["lastProbeTime"] = None
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same and before else view.now
    condition |= {key: made[key] for key in ("reason", "message") if key in made}
    return condition


def _initialized(view: PodView, phase: str) -> Obj:
    if phase == "Succeeded":
        return _condition(True, "PodCompleted")
    names = [
        record.name
        for record in view.records
        if (record.kind is Kind.INIT and not record.succeeded) or (record.kind is Kind.SIDECAR and not record.started)
    ]
    mains_started = any(record.container_id for record in view.records if record.kind is Kind.MAIN)
    if names and not mains_started:
        return _condition(False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(names)}]")
    return _condition(True)


def _containers_ready(view: PodView, phase: str) -> Obj:
    if phase == "Succeeded":
        return _condition(False, "PodCompleted")
    if phase == "Failed":
        return _condition(False, "PodFailed")
    names = [record.name for record in view.records if record.kind in (Kind.MAIN, Kind.SIDECAR) and not record.ready]
    if names:
        return _condition(False, "ContainersNotReady", f"containers with unready status: [{' '.join(names)}]")
    return _condition(True)


def _pod_ready(view: PodView, containers: Obj, before: dict[str, Obj]) -> Obj:
    if containers["status"] != "True":
        return dict(containers)
    gates = [gate["conditionType"] for gate in view.pod["spec"].get("readinessGates") or []]
    missing = [
        f'the status of pod readiness gate "{gate}" is not "True", but {before[gate]["status"]}'
        if gate in before
        else f'corresponding condition of pod readiness gate "{gate}" does not exist.'
        for gate in gates
        if before.get(gate, {}).get("status") != "True"
    ]
    return _condition(False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else _condition(True)


def qos_class(pod: Obj) -> str:
    """The pod's quality of service class."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    if not any(item.get("requests") or item.get("limits") for item in resources):
        return "BestEffort"
    guaranteed = all(
        item.get("limits", {}).get(kind) and item.get("requests", {}).get(kind) == item["limits"][kind]
        for item in resources
        for kind in ("cpu", "memory")
    )
    return "Guaranteed" if guaranteed else "Burstable"
