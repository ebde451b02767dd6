"""The webhooks that are configured, and which requests each of them wants to hear of: pure.

Source: k8s.io/apiserver v0.34.4 `admission/plugin/webhook/{generic,predicates}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.embedded.api.custom.cel import compile_rule
from labctl.embedded.api.custom.celvalues import CelError
from labctl.embedded.api.selectorobjects import label_selector
from labctl.embedded.api.selectors import matches_labels
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource

MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Operation:
    """A change that is asked for.

    Attributes:
        verb: `CREATE`, `UPDATE` or `DELETE`.
        resource: Of what.
        namespace: Where; empty for what is in no namespace.
        name: The object's name; empty when it is still to be generated.
        subresource: Of which part.
        new: The object as it would be stored; None for a deletion.
        old: The object as it is stored; None for a creation.
    """

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    new: Obj | None
    old: Obj | None

    @property
    def path(self) -> str:
        """Resource and subresource as rules write them: `pods/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration.

    Attributes:
        data: The webhook as configured, defaults filled in.
        mutating: Whether it may change the object.
    """

    data: Obj
    mutating: bool

    @property
    def name(self) -> str:
        """Its name, which stands in every message."""
        return str(self.data["name"])

    @property
    def timeout(self) -> float:
        """Seconds that it may take."""
        return float(self.data.get("timeoutSeconds") or _SECONDS)

    @property
    def may_fail(self) -> bool:
        """Whether a request goes on when the webhook cannot be asked."""
        return self.data.get("failurePolicy") == "Ignore"

    @property
    def dry(self) -> bool:
        """Whether it may be asked about a dry run."""
        return self.data.get("sideEffects") in ("None", "NoneOnDryRun")

    def hears_of(self, resource: Resource) -> bool:
        """Whether any of its rules names the resource or a part of it: a first, cheap look."""
        return any(_names_group(rule, resource) for rule in self.data.get("rules") or ())

    def wants(self, operation: Operation, namespace: Obj | None) -> bool:
        """Whether it is to be asked about an operation.

        Args:
            operation: What is asked for.
            namespace: The Namespace object that it is in; None for what is in none.

        Raises:
            CelError: A match condition cannot be evaluated.
        """
        return (
            any(_matches(rule, operation) for rule in self.data.get("rules") or ())
            and self._chooses_namespace(operation, namespace)
            and self._chooses_object(operation)
        )

    def _chooses_namespace(self, operation: Operation, namespace: Obj | None) -> bool:
        selector = self.data.get("namespaceSelector") or {}
        if operation.resource.key == "namespaces" and not operation.subresource:
            namespace = operation.new or operation.old
        elif namespace is None:
            return True
        return _chooses(selector, namespace)

    def _chooses_object(self, operation: Operation) -> bool:
        selector = self.data.get("objectSelector") or {}
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            return True
        return any(_chooses(selector, obj) for obj in (operation.new, operation.old) if obj is not None)

    def conditions_hold(self, variables: Mapping[str, Any]) -> bool:
        """Whether all its match conditions are true; one that is false decides, whatever is wrong with others.

        Raises:
            CelError: One cannot be evaluated, and none is false.
        """
        problems: list[CelError] = []
        for condition in self.data.get("matchConditions") or ():
            try:
                if compile_rule(condition["expression"])(variables) is not True:
                    return False
            except CelError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return True


def read_hooks(configurations: Iterable[Obj], *, mutating: bool) -> Iterator[Hook]:
    """The webhooks of all configurations, in the order in which they are asked: by the configurations' names."""
    for configuration in sorted(configurations, key=lambda item: str(item["metadata"]["name"])):
        for data in configuration.get("webhooks") or ():
            yield Hook(data, mutating)


def _chooses(selector: Any, obj: Obj | None) -> bool:
    labels = ((obj or {}).get("metadata") or {}).get("labels") or {}
    return matches_labels(label_selector(selector) or (), labels)


def _names_group(rule: Obj, resource: Resource) -> bool:
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    if "*" not in groups and resource.group not in groups:
        return False
    return any(item.partition("/")[0] in ("*", resource.plural) for item in resources)


def _matches(rule: Obj, operation: Operation) -> bool:
    operations, versions = rule.get("operations") or (), rule.get("apiVersions") or ()
    if "*" not in operations and operation.verb not in operations:
        return False
    if "*" not in versions and operation.resource.version not in versions:
        return False
    if not _names_group(rule, operation.resource):
        return False
    scope = rule.get("scope") or "*"
    if scope == "Namespaced" and not operation.resource.namespaced:
        return False
    if scope == "Cluster" and operation.resource.namespaced:
        return False
    return any(_names(item, operation) for item in rule.get("resources") or ())


def _names(item: str, operation: Operation) -> bool:
    resource, _, subresource = item.partition("/")
    return resource in ("*", operation.resource.plural) and subresource in (
        ("*", operation.subresource) if subresource or operation.subresource else ("",)
    )
