"""Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and ControllerRevisions.

Source: pkg/apis/apps/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.internal import internal
from labctl.embedded.kinds.validation import claims, pods
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1123_label,
    immutable,
    int_or_percent,
    not_negative,
    not_negative_fields,
    not_over_100_percent,
    percent_value,
)
from labctl.embedded.kinds.validation.meta import (
    annotation_keys,
    label_selector,
    labels,
    selector_is_empty,
    selector_is_valid,
    selector_matches,
)

_MISMATCH = "`selector` does not match template `labels`"
_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_STATEFUL_SET_FORBIDDEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy',"
    " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_RETENTION = ("Retain", "Delete")


def deployment(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Deployment."""
    spec = obj["spec"]
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from _selected_template(spec)
    yield from _deployment_strategy(spec["strategy"], "spec.strategy")
    yield from not_negative_fields("spec", spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    yield from _same_selector(obj, old)


def replica_set(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ReplicaSet."""
    yield from not_negative_fields("spec", obj["spec"], "replicas", "minReadySeconds")
    yield from _selected_template(obj["spec"])
    yield from _same_selector(obj, old)


def _same_selector(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    if old is not None:
        yield from immutable("spec.selector", obj["spec"].get("selector"), old["spec"].get("selector"))


def _selected_template(spec: Obj) -> Iterator[Cause]:
    """The selector and the template of a Deployment or ReplicaSet, whose words for an empty selector are the same."""
    selector = spec.get("selector")
    yield from _selector(selector, "deployment")
    if not selector_is_valid(selector):
        yield invalid_value("spec.selector", selector, "invalid label selector")
        return
    yield from _template_labels(spec, strict=selector is None or not selector_is_empty(selector))
    yield from pods.template(spec["template"], "spec.template")
    yield from _always_restarted(spec["template"]["spec"], "ReplicaSet")


def _selector(selector: Any, owner: str) -> Iterator[Cause]:
    if selector is None:
        yield required("spec.selector")
        return
    yield from label_selector(selector, "spec.selector")
    if selector_is_empty(selector):
        yield invalid_value("spec.selector", selector, f"empty selector is invalid for {owner}")


def _template_labels(spec: Obj, *, strict: bool) -> Iterator[Cause]:
    pairs = spec["template"]["metadata"].get("labels", {})
    if strict and not selector_matches(spec.get("selector"), pairs):
        yield invalid_value("spec.template.metadata.labels", pairs or None, _MISMATCH)


def _always_restarted(pod: Obj, owner: str) -> Iterator[Cause]:
    if pod.get("restartPolicy") != "Always":
        yield not_supported("spec.template.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {owner} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", text)


def _deployment_strategy(strategy: Obj, path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        if rolling is None:
            yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            yield from _rolling_deployment(rolling, f"{path}.rollingUpdate")
    else:
        yield not_supported(path, internal("DeploymentStrategy", strategy), ("Recreate", "RollingUpdate"))


def _rolling_deployment(rolling: Obj, path: str) -> Iterator[Cause]:
    unavailable, surge = rolling["maxUnavailable"], rolling["maxSurge"]
    yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{path}.maxSurge", surge)
    if _amount(unavailable) == 0 and _amount(surge) == 0:
        yield invalid_value(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from not_over_100_percent(f"{path}.maxUnavailable", unavailable)


def _amount(value: Any) -> int:
    """A number or a percentage's number; what is neither counts as nothing."""
    if isinstance(value, int):
        return value
    number = percent_value(value)
    if number is not None:
        return number
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else 0


def daemon_set(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A DaemonSet."""
    spec = obj["spec"]
    selector = spec.get("selector")
    yield from _same_selector(obj, old)
    yield from label_selector(selector, "spec.selector")
    if selector_is_valid(selector):
        yield from _template_labels(spec, strict=True)
    if selector is not None and selector_is_empty(selector):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for daemonset")
    yield from pods.template(spec["template"], "spec.template")
    yield from _always_restarted(spec["template"]["spec"], "DaemonSet")
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from _daemon_set_strategy(spec["updateStrategy"], "spec.updateStrategy")
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _daemon_set_strategy(strategy: Obj, path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        yield not_supported(path, internal("DaemonSetUpdateStrategy", strategy), ("RollingUpdate", "OnDelete"))
    elif rolling is None:
        yield required(f"{path}.rollingUpdate")
    else:
        yield from _rolling_daemon_set(rolling, f"{path}.rollingUpdate")


def _rolling_daemon_set(rolling: Obj, path: str) -> Iterator[Cause]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{path}.maxSurge", surge)
    yield from not_over_100_percent(f"{path}.maxUnavailable", unavailable)
    yield from not_over_100_percent(f"{path}.maxSurge", surge)
    if _amount(unavailable) and _amount(surge):
        yield invalid_value(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not _amount(unavailable) and not _amount(surge):
        yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def stateful_set(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A StatefulSet."""
    spec = obj["spec"]
    yield from _management(spec)
    yield from _stateful_set_strategy(spec["updateStrategy"], "spec.updateStrategy")
    for name, policy in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        if policy not in _RETENTION:
            yield not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{name}", policy, _RETENTION)
    if old is None:
        for index, claim in enumerate(spec.get("volumeClaimTemplates", ())):
            yield from claims.claim_spec(claim["spec"], f"spec.volumeClaimTemplates[{index}].spec")
    yield from not_negative_fields("spec", spec, "replicas", "minReadySeconds")
    yield from not_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    if old is None and spec.get("serviceName"):
        yield from all_of("spec.serviceName", spec["serviceName"], dns1123_label)
    yield from _selector(spec.get("selector"), "statefulset")
    yield from _stateful_set_template(spec)
    yield from _always_restarted(spec["template"]["spec"], "StatefulSet")
    if old is not None and _fixed(spec) != _fixed(old["spec"]):
        yield forbidden("spec", _STATEFUL_SET_FORBIDDEN)


def _fixed(spec: Obj) -> Obj:
    return {name: value for name, value in spec.items() if name not in _STATEFUL_SET_MUTABLE}


def _management(spec: Obj) -> Iterator[Cause]:
    policy = spec.get("podManagementPolicy", "")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")


def _stateful_set_strategy(strategy: Obj, path: str) -> Iterator[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        yield required(path)
    elif kind == "OnDelete":
        if rolling is not None:
            shown = internal("RollingUpdateStatefulSetStrategy", rolling)
            yield invalid_value(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind != "RollingUpdate":
        shown = internal("StatefulSetUpdateStrategy", strategy)
        yield invalid_value(path, shown, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from _rolling_stateful_set(rolling, f"{path}.rollingUpdate")


def _rolling_stateful_set(rolling: Obj, path: str) -> Iterator[Cause]:
    yield from not_negative(f"{path}.partition", rolling.get("partition"))
    unavailable = rolling.get("maxUnavailable")
    if unavailable is not None:
        yield from int_or_percent(f"{path}.maxUnavailable", unavailable)
        if _amount(unavailable) == 0:
            yield invalid_value(f"{path}.maxUnavailable", unavailable, "cannot be 0")
        yield from not_over_100_percent(f"{path}.maxUnavailable", unavailable)


def _stateful_set_template(spec: Obj) -> Iterator[Cause]:
    selector = spec.get("selector")
    if not selector_is_valid(selector):
        yield invalid_value("spec.selector", selector, "")
        return
    yield from _template_labels(spec, strict=selector is None or not selector_is_empty(selector))
    yield from pods.template(_as_the_pods_get_it(spec), "spec.template")
    metadata = spec["template"]["metadata"]
    yield from labels(metadata.get("labels", {}), "spec.template.labels")
    yield from annotation_keys(metadata.get("annotations", {}), "spec.template.annotations")


def _as_the_pods_get_it(spec: Obj) -> Obj:
    """The template with the claims as volumes, and without the names that the controller overwrites."""
    template: Obj = spec["template"]
    pod = {name: value for name, value in template["spec"].items() if name not in ("hostname", "subdomain")}
    names = [claim["metadata"].get("name", "") for claim in spec.get("volumeClaimTemplates", ())]
    if names:
        claimed = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in dict.fromkeys(names)]
        pod["volumes"] = claimed + [volume for volume in pod.get("volumes", ()) if volume["name"] not in names]
    return {**template, "spec": pod}


def replication_controller(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ReplicationController."""
    spec = obj["spec"]
    selector, template = spec.get("selector", {}), spec.get("template")
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    if not selector:
        yield required("spec.selector")
    yield from not_negative("spec.replicas", spec.get("replicas"))
    if template is None:
        yield required("spec.template")
        return
    pairs = template["metadata"].get("labels", {})
    if not selector_matches({"matchLabels": selector}, pairs):
        yield invalid_value("spec.template.metadata.labels", pairs or None, _MISMATCH)
    yield from pods.template(template, "spec.template")
    yield from _always_restarted(template["spec"], "ReplicationController")


def controller_revision(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ControllerRevision, whose data never changes."""
    yield from not_negative("revision", obj.get("revision"))
    data = obj.get("data")
    if old is not None:
        yield from immutable("data", data, old.get("data"))
    elif data is None:
        yield required("data", "data is mandatory")
    elif not isinstance(data, dict):
        yield required("data", "data must be a valid JSON object")


def pod_template(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A PodTemplate."""
    yield from pods.template(obj["template"], "template")
