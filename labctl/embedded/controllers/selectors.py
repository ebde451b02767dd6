"""Label selectors and node selector terms, with the meaning of `apimachinery/pkg/labels`."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.embedded.clientset import Obj


def matches(selector: Obj | None, labels: Mapping[str, str]) -> bool:
    """Whether a `metav1.LabelSelector` selects these labels. None selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(label) != value for label, value in wanted.items()):
        return False
    return all(_requirement(term, labels) for term in selector.get("matchExpressions") or ())


def matches_map(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Service's or ReplicationController's selector (a plain map) selects these labels; empty: nothing."""
    return bool(selector) and all(labels.get(label) == value for label, value in (selector or {}).items())


def is_empty(selector: Obj | None) -> bool:
    """Whether the selector has no requirement, and so selects everything."""
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def _requirement(term: Obj, labels: Mapping[str, str]) -> bool:
    label, operator, values = term["key"], term["operator"], term.get("values") or []
    match operator:
        case "In":
            return label in labels and labels[label] in values
        case "NotIn":
            return label not in labels or labels[label] not in values
        case "Exists":
            return label in labels
        case "DoesNotExist":
            return label not in labels
        case "Gt" | "Lt":
            return _compare(operator, labels.get(label), values)
    return False


def _compare(operator: str, text: str | None, values: list[str]) -> bool:
    try:
        number, bound = int(text or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def matches_node_terms(terms: list[Obj], node: Obj) -> bool:
    """Whether a node fulfils one of the `nodeSelectorTerms` (they are ORed; within one, all must hold)."""
    return any(matches_node_term(term, node) for term in terms)


def matches_node_term(term: Obj, node: Obj) -> bool:
    """Whether a node fulfils one node selector term. A term without requirements matches no node."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_requirement(entry, labels) for entry in expressions) and all(
        _requirement(entry, names) for entry in fields
    )
