"""What a delete request does to an object: at once, after a grace period, or once its finalizers are gone.

Source: k8s.io/apiserver v0.34.4 `registry/rest/delete.go` and `registry/generic/registry/store.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from labctl.embedded.api.errors import conflict
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.api.objectmeta import parse_timestamp, timestamp
from labctl.embedded.clientset import DeleteOptions, Obj
from labctl.embedded.kinds.resources import Resource

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
DEFINITION_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome for one object.

    Attributes:
        update: The object as it has to be stored first; None when it stays as it is.
        remove: Whether it then is removed.
    """

    update: Obj | None
    remove: bool


def check_preconditions(resource: Resource, obj: Obj, options: DeleteOptions) -> None:
    """Compare uid and resourceVersion with what the client demands.

    Raises:
        ApiError: 409, another object or another version of it.
    """
    metadata = obj["metadata"]
    uid = options.preconditions.get("uid")
    if uid is not None and uid != metadata["uid"]:
        raise conflict(
            resource,
            metadata["name"],
            f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated",
        )
    version = options.preconditions.get("resourceVersion")
    if version is not None and version != metadata["resourceVersion"]:
        raise conflict(
            resource,
            metadata["name"],
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            f"({metadata['resourceVersion']}). The object might have been modified",
        )


def plan(resource: Resource, stored: Obj, options: DeleteOptions, now: datetime) -> Deletion:
    """Decide what a delete does; `stored` is not changed.

    Raises:
        ApiError: 409, a precondition does not hold.
    """
    check_preconditions(resource, stored, options)
    grace = options.grace_period_seconds
    options = replace(options, grace_period_seconds=1 if grace is not None and grace < 0 else grace)
    if resource.key == "namespaces":
        return _namespace(stored, options, now)
    if resource.kind == "CustomResourceDefinition" and not stored["metadata"].get("deletionTimestamp"):
        return Deletion(_ending_definition(stored, now), remove=False)
    obj = copy(stored)
    graceful = False
    if resource.key == "pods":
        outcome = _graceful(obj, options, now)
        if outcome is None:
            return Deletion(None, remove=False)
        graceful = outcome
    return _finalize(resource, stored, obj, options, now, graceful=graceful)


def _finalize(
    resource: Resource, stored: Obj, obj: Obj, options: DeleteOptions, now: datetime, *, graceful: bool
) -> Deletion:
    metadata = obj["metadata"]
    finalizers = _finalizers(resource, metadata, options)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if graceful:
        period = metadata["deletionGracePeriodSeconds"]
        return Deletion(obj, remove=not finalizers and period == 0)
    if not finalizers:
        return Deletion(None, remove=True)
    _mark(metadata, now)
    return Deletion(None if obj == stored else obj, remove=False)


def _mark(metadata: Obj, now: datetime) -> None:
    existing = metadata.get("deletionTimestamp")
    if existing is None and metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    if existing is None or parse_timestamp(existing) > now:
        metadata["deletionTimestamp"] = timestamp(now)
    metadata["deletionGracePeriodSeconds"] = 0


def _finalizers(resource: Resource, metadata: Obj, options: DeleteOptions) -> list[str]:
    """The finalizers with those of the garbage collector as the propagation policy demands."""
    current: list[str] = metadata.get("finalizers") or []
    kept = [name for name in current if name not in (ORPHAN, FOREGROUND)]
    if resource.plural == "events":
        return kept
    policy = options.propagation_policy
    orphan = policy == "Orphan" or (not policy and ORPHAN in current)
    foreground = policy == "Foreground" or (not policy and FOREGROUND in current)
    wanted = [*kept, *([ORPHAN] if orphan else []), *([FOREGROUND] if foreground else [])]
    return current if set(wanted) == set(current) else wanted


def _graceful(pod: Obj, options: DeleteOptions, now: datetime) -> bool | None:
    """Give a pod its grace period. False: it has had it; None: it is on its way already and nothing changes."""
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return _shorten(metadata, options, now)
    period = options.grace_period_seconds
    if period is None:
        period = pod["spec"].get("terminationGracePeriodSeconds") or 0
    if not pod["spec"].get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        period = 0
    if period < 0:
        period = 1
    metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=period))
    metadata["deletionGracePeriodSeconds"] = period
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    return True


def _shorten(metadata: Obj, options: DeleteOptions, now: datetime) -> bool | None:
    """A second delete may only shorten the grace period."""
    running: int = metadata.get("deletionGracePeriodSeconds") or 0
    if running == 0:
        return False
    period = options.grace_period_seconds
    if period is None or period >= running:
        return None
    moment = parse_timestamp(metadata["deletionTimestamp"]) + timedelta(seconds=period - running)
    if moment < now:
        moment = now
        # The grace period has passed, yet a graceful end was asked for: the kubelet still has to confirm it.
        period = 1 if period else 0
    metadata["deletionTimestamp"] = timestamp(moment)
    metadata["deletionGracePeriodSeconds"] = period
    return True


def _namespace(stored: Obj, options: DeleteOptions, now: datetime) -> Deletion:
    """A namespace only begins to end: its controller empties it and then takes away `spec.finalizers`."""
    metadata = stored["metadata"]
    if metadata.get("deletionTimestamp"):
        if (stored.get("spec") or {}).get("finalizers") or metadata.get("finalizers"):
            return Deletion(None, remove=False)
        return Deletion(None, remove=True)
    obj: Obj = copy(stored)
    obj["metadata"]["deletionTimestamp"] = timestamp(now)
    obj.setdefault("status", {})["phase"] = "Terminating"
    current = obj["metadata"].get("finalizers") or []
    kept = [name for name in current if name not in (ORPHAN, FOREGROUND)]
    added = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(options.propagation_policy, [])
    finalizers = kept + added if options.propagation_policy else current
    if finalizers:
        obj["metadata"]["finalizers"] = finalizers
    else:
        obj["metadata"].pop("finalizers", None)
    return Deletion(obj, remove=False)


def _ending_definition(stored: Obj, now: datetime) -> Obj:
    """A CustomResourceDefinition goes when its objects are gone.

    Source: k8s.io/apiextensions-apiserver v0.34.4 `pkg/registry/customresourcedefinition/etcd.go`.
    """
    obj: Obj = copy(stored)
    metadata = obj["metadata"]
    metadata["deletionTimestamp"] = timestamp(now)
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), DEFINITION_FINALIZER]
    status = obj.get("status") or {}
    terminating = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    obj["status"] = {**status, "conditions": [*(status.get("conditions") or ()), terminating]}
    return obj


def ends_with_update(new: Obj, old: Obj) -> bool:
    """Whether an update takes away the last thing that held an object which is being deleted."""
    if new["metadata"].get("finalizers") or not old["metadata"].get("deletionTimestamp"):
        return False
    if new["kind"] == "Namespace" and (new.get("spec") or {}).get("finalizers"):
        return False
    return not old["metadata"].get("deletionGracePeriodSeconds")
