"""Roles and their bindings.

Source: pkg/apis/rbac/validation.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.formats import all_of, dns1123_subdomain, path_segment
from labctl.embedded.kinds.validation.meta import label_selector

_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def role(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Role."""
    yield from _rules(obj, namespaced=True)


def cluster_role(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ClusterRole."""
    yield from _rules(obj, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    selectors = aggregation.get("clusterRoleSelectors", [])
    path = "aggregationRule.clusterRoleSelectors"
    if not selectors:
        yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(selectors):
        yield from label_selector(selector, f"{path}[{index}]")


def _rules(obj: Obj, *, namespaced: bool) -> Iterator[Cause]:
    for index, rule in enumerate(obj.get("rules") or ()):
        yield from _rule(rule, f"rules[{index}]", namespaced=namespaced)


def _rule(rule: Obj, path: str, *, namespaced: bool) -> Iterator[Cause]:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        at = f"{path}.nonResourceURLs"
        if namespaced:
            yield invalid_value(at, urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid_value(at, urls, text)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A RoleBinding."""
    yield from _binding(obj, old, ("Role", "ClusterRole"), namespaced=True)


def cluster_role_binding(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ClusterRoleBinding."""
    yield from _binding(obj, old, ("ClusterRole",), namespaced=False)


def _binding(obj: Obj, old: Obj | None, kinds: tuple[str, ...], *, namespaced: bool) -> Iterator[Cause]:
    reference = obj["roleRef"]
    group, kind, name = reference.get("apiGroup", ""), reference.get("kind", ""), reference.get("name", "")
    if group != _GROUP:
        yield not_supported("roleRef.apiGroup", group, (_GROUP,))
    if kind not in kinds:
        yield not_supported("roleRef.kind", kind, kinds)
    if name:
        yield from all_of("roleRef.name", name, path_segment)
    else:
        yield required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects", ())):
        yield from _subject(subject, f"subjects[{index}]", namespaced=namespaced)
    if old is not None and old["roleRef"] != reference:
        shown = {"APIGroup": group, "Kind": kind, "Name": name}
        yield invalid_value("roleRef", shown, "cannot change roleRef")


def _subject(subject: Obj, path: str, *, namespaced: bool) -> Iterator[Cause]:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from all_of(f"{path}.name", name, dns1123_subdomain)
        if group:
            yield not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind not in _SUBJECTS:
        yield not_supported(f"{path}.kind", kind, _SUBJECTS)
    elif group != _GROUP:
        yield not_supported(f"{path}.apiGroup", group, (_GROUP,))
