"""Selectors of nodes in affinities."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, required
from labctl.embedded.kinds.validation.formats import all_of, dns1123_subdomain, label_value, qualified_name


def node_selector(selector: Obj, path: str) -> Iterator[Cause]:
    """A `NodeSelector`: terms of which one must hold."""
    terms = selector["nodeSelectorTerms"] or ()
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from node_selector_term(term, f"{path}.nodeSelectorTerms[{index}]")


def node_selector_term(term: Obj, path: str, *, check_values: bool = True) -> Iterator[Cause]:
    """One term: requirements on labels and fields that must all hold."""
    for index, requirement in enumerate(term.get("matchExpressions", ())):
        at = f"{path}.matchExpressions[{index}]"
        yield from _label_requirement(requirement, at, check_values=check_values)
    for index, requirement in enumerate(term.get("matchFields", ())):
        yield from _field_requirement(requirement, f"{path}.matchFields[{index}]")


def _label_requirement(requirement: Obj, path: str, *, check_values: bool) -> Iterator[Cause]:
    operator, values = requirement["operator"], requirement.get("values", [])
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{path}.values", text)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid_value(f"{path}.operator", operator, "not a valid selector operator")
    yield from all_of(f"{path}.key", requirement["key"], qualified_name)
    if check_values:
        for index, value in enumerate(values):
            yield from all_of(f"{path}.values[{index}]", value, label_value)


def _field_requirement(requirement: Obj, path: str) -> Iterator[Cause]:
    values = requirement.get("values", [])
    if requirement["operator"] not in ("In", "NotIn"):
        yield invalid_value(f"{path}.operator", requirement["operator"], "not a valid selector operator")
    elif len(values) != 1:
        text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{path}.values", text)
    if requirement["key"] != "metadata.name":
        yield invalid_value(f"{path}.key", requirement["key"], "not a valid field selector key")
        return
    for index, value in enumerate(values):
        yield from all_of(f"{path}.values[{index}]", value, dns1123_subdomain)
