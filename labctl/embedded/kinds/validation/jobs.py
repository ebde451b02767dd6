"""Jobs.

Source: pkg/apis/batch/validation.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import (
    Cause,
    duplicate,
    invalid_value,
    not_supported,
    quote,
    required,
    too_long,
    too_many,
    without_value,
)
from labctl.embedded.kinds.internal import internal
from labctl.embedded.kinds.validation import pods
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1123_label,
    domain_prefixed_path,
    immutable,
    not_negative,
    not_negative_fields,
    qualified_name,
)
from labctl.embedded.kinds.validation.indexes import indexes_problem
from labctl.embedded.kinds.validation.meta import label_selector, selector_is_valid, selector_matches

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MOST_INDEXES = 100_000
_MANY_COMPLETIONS = 100_000
_PARALLELISM_OF_MANY = 10_000
_FAILED_OF_MANY = 10_000
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_MUTABLE_BEFORE_START = ("nodeSelector", "tolerations", "schedulingGates")


def job(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Job."""
    spec = obj["spec"]
    yield from _generated_selector(obj)
    yield from _whole_spec(spec)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        name = obj["metadata"].get("name", "")
        last = f"{name}-{completions - 1}"
        if dns1123_label(last):
            yield invalid_value("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")
    if old is not None:
        yield from _update(obj, old)


def _whole_spec(spec: Obj) -> Iterator[Cause]:
    yield from job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    else:
        yield from label_selector(selector, "spec.selector")
    labels = spec["template"]["metadata"].get("labels", {})
    if selector_is_valid(selector) and not selector_matches(selector, labels):
        text = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", labels or None, text)


def _generated_selector(obj: Obj) -> Iterator[Cause]:
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return
    uid, name = metadata.get("uid", ""), metadata.get("name", "")
    expected = {
        "controller-uid": uid,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
    }
    labels = spec["template"]["metadata"].get("labels", {})
    path = "spec.template.metadata.labels"
    for key, value in expected.items():
        if key not in labels:
            yield required(f"{path}[{key}]", f"must be '{value}'")
        elif labels[key] != value:
            yield invalid_value(f"{path}[{key}]", labels, f"must be '{value}'")
    selector = spec["selector"]
    if selector_is_valid(selector) and not selector_matches(selector, expected):
        yield invalid_value("spec.selector", selector, "`selector` not auto-generated")


def job_spec(spec: Obj, path: str) -> Iterator[Cause]:
    """What a Job and a CronJob's template have in common."""
    yield from not_negative_fields(path, spec, *_COUNTS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.get("managedBy") is not None:
        yield from domain_prefixed_path(f"{path}.managedBy", spec["managedBy"])
        if len(spec["managedBy"]) > 63:
            yield too_long(f"{path}.managedBy", 63)
    yield from _completion_mode(spec, path)
    if spec.get("podFailurePolicy") is not None:
        yield from _failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        yield from _success_policy(spec, f"{path}.successPolicy")
    yield from _replacement_policy(spec, f"{path}.podReplacementPolicy")
    yield from pods.template(spec["template"], f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _completion_mode(spec: Obj, path: str) -> Iterator[Cause]:
    mode = spec.get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        yield not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    if mode == "Indexed":
        yield from _indexed(spec, path)
    if mode in (None, "NonIndexed"):
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(name) is not None:
                yield invalid_value(f"{path}.{name}", spec[name], "requires indexed completion mode")


def _indexed(spec: Obj, path: str) -> Iterator[Cause]:
    completions, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    text = f"must be less than or equal to {_MOST_INDEXES}"
    if (spec.get("parallelism") or 0) > _MOST_INDEXES:
        yield invalid_value(f"{path}.parallelism", spec["parallelism"], f"{text} when completion mode is Indexed")
    if failed is not None and completions is not None and failed > completions:
        yield invalid_value(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if (failed or 0) > _MOST_INDEXES:
        yield invalid_value(f"{path}.maxFailedIndexes", failed, text)
    if (completions or 0) > _MANY_COMPLETIONS and spec.get("backoffLimitPerIndex") is not None:
        yield from _very_many(spec, path)


def _very_many(spec: Obj, path: str) -> Iterator[Cause]:
    failed, parallelism = spec.get("maxFailedIndexes"), spec.get("parallelism") or 0
    when = f"when completions are above {_MANY_COMPLETIONS} and used with backoff limit per index"
    if failed is None:
        text = f"must be specified when completions is above {_MANY_COMPLETIONS}"
        yield required(f"{path}.maxFailedIndexes", text)
    if parallelism > _PARALLELISM_OF_MANY:
        text = f"must be less than or equal to {_PARALLELISM_OF_MANY} {when}"
        yield invalid_value(f"{path}.parallelism", parallelism, text)
    if (failed or 0) > _FAILED_OF_MANY:
        text = f"must be less than or equal to {_FAILED_OF_MANY} {when}"
        yield invalid_value(f"{path}.maxFailedIndexes", failed, text)


def _valid_values(values: tuple[str, ...]) -> str:
    return f"valid values: [{' '.join(quote(value) for value in values)}]"


def _one_of(path: str, value: str, supported: tuple[str, ...]) -> Iterator[Cause]:
    if not value:
        yield required(path, _valid_values(supported))
    elif value not in supported:
        yield not_supported(path, value, supported)


def _failure_policy(spec: Obj, path: str) -> Iterator[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    pod = spec["template"]["spec"]
    names = {container["name"] for container in (*(pod.get("containers") or ()), *pod.get("initContainers", ()))}
    for index, rule in enumerate(rules):
        yield from _failure_rule(spec, rule, f"{path}.rules[{index}]", names)


def _failure_rule(spec: Obj, rule: Obj, path: str, names: set[str]) -> Iterator[Cause]:
    action = rule.get("action", "")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        yield invalid_value(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")
    yield from _one_of(f"{path}.action", action, _ACTIONS)
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        yield from _exit_codes(codes, f"{path}.onExitCodes", names)
    yield from _pod_conditions(conditions, f"{path}.onPodConditions")
    if codes is not None and conditions:
        yield without_value(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not conditions:
        yield without_value(path, "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(codes: Obj, path: str, names: set[str]) -> Iterator[Cause]:
    operator, values, container = codes.get("operator", ""), codes.get("values") or [], codes.get("containerName")
    yield from _one_of(f"{path}.operator", operator, _OPERATORS)
    if container is not None and container not in names:
        text = "must be one of the container or initContainer names in the pod template"
        yield invalid_value(f"{path}.containerName", container, text)
    if not values:
        yield invalid_value(f"{path}.values", None, "at least one value is required")
    elif len(values) > 255:
        yield too_many(f"{path}.values", len(values), 255)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid_value(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    if values != sorted(values):
        yield invalid_value(f"{path}.values", values, "must be ordered")


def _pod_conditions(patterns: list[Obj], path: str) -> Iterator[Cause]:
    if len(patterns) > 20:
        yield too_many(path, len(patterns), 20)
    for index, pattern in enumerate(patterns):
        yield from all_of(f"{path}[{index}].type", pattern.get("type", ""), qualified_name)
        yield from _one_of(f"{path}[{index}].status", pattern.get("status", ""), _STATUSES)


def _success_policy(spec: Obj, path: str) -> Iterator[Cause]:
    if spec.get("completionMode") != "Indexed":
        shown = internal("SuccessPolicy", spec["successPolicy"])
        yield invalid_value(path, shown, "requires indexed completion mode")
        return
    rules = spec["successPolicy"].get("rules") or []
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    for index, rule in enumerate(rules):
        yield from _success_rule(rule, spec.get("completions") or 0, f"{path}.rules[{index}]")


def _success_rule(rule: Obj, completions: int, path: str) -> Iterator[Cause]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    total, problem = indexes_problem(indexes or "", completions)
    if problem:
        yield invalid_value(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {problem}")
    if count is None:
        return
    yield from not_negative(f"{path}.succeededCount", count)
    text = "must be less than or equal to"
    if count > completions:
        shown = f"{text} {completions} (the number of specified completions)"
        yield invalid_value(f"{path}.succeededCount", count, shown)
    if indexes is not None and count > total:
        shown = f"{text} {total} (the number of indexes in the specified succeededIndexes field)"
        yield invalid_value(f"{path}.succeededCount", count, shown)


def _replacement_policy(spec: Obj, path: str) -> Iterator[Cause]:
    policy = spec.get("podReplacementPolicy")
    supported = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if policy is not None and policy not in supported:
        yield not_supported(path, policy, supported)


def _restart_policy(spec: Obj, path: str) -> Iterator[Cause]:
    policy = spec["template"]["spec"].get("restartPolicy", "")
    if policy in ("", "Always"):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(path, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _update(obj: Obj, old: Obj) -> Iterator[Cause]:
    spec, before = obj["spec"], old["spec"]
    # The API server validates the spec once as a Job's and once as an update's.
    yield from _whole_spec(spec)
    yield from _completions_update(spec, before)
    yield from immutable("spec.selector", spec.get("selector"), before.get("selector"))
    template = before["template"]
    if before.get("suspend") and not old.get("status", {}).get("startTime"):
        template = _with_scheduling_of(spec["template"], template)
    if spec["template"] != template:
        yield from immutable("spec.template", _shown(spec["template"]), _shown(template))
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        yield from immutable(f"spec.{name}", spec.get(name), before.get(name))


def _completions_update(spec: Obj, before: Obj) -> Iterator[Cause]:
    new, old = spec.get("completions"), before.get("completions")
    if spec.get("completionMode") != "Indexed":
        if new != old:
            yield from immutable("spec.completions", new, old)
    elif new is not None and new != old and new != spec.get("parallelism"):
        yield invalid_value("spec.completions", new, "can only be modified in tandem with spec.parallelism")


def _shown(template: Obj) -> Obj:
    """A template as the server's own type shows itself: metadata has no name of its own there."""
    return {**template["metadata"], "Spec": internal("PodSpec", template["spec"])}


def _with_scheduling_of(new: Obj, old: Obj) -> Obj:
    """The old template with those things of the new one that may change until a suspended Job first starts."""
    spec, metadata = dict(old["spec"]), dict(old["metadata"])
    for name in _MUTABLE_BEFORE_START:
        _take(spec, new["spec"], name)
    for name in ("labels", "annotations"):
        _take(metadata, new["metadata"], name)
    affinity = dict(spec.get("affinity") or {})
    _take(affinity, new["spec"].get("affinity") or {}, "nodeAffinity")
    if affinity or new["spec"].get("affinity") is not None:
        spec["affinity"] = affinity
    else:
        spec.pop("affinity", None)
    return {**old, "metadata": metadata, "spec": spec}


def _take(target: Obj, source: Obj, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)
