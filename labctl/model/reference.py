"""`${…}` in a lab: what is only known on a cluster. Pure: where the values come from is the caller's business.

| reference | stands for |
|---|---|
| `${ingress.address}` | where the controller answers from outside; `${ingress.dashed}`: the same with dashes |
| `${ingress.node}` | the node with that address |
| `${controller.address}` | addresses of the controller's pods; `${controller.pods}`: their names |
| `${controller.service}` | the Service in front of them; `${controller.namespace}`: its namespace |
| `${controller.lease}` | the Lease of their leader; `${controller.leader}`: the pod that holds it |
| `${client.address}` | our own address, from which the controller's node is reached |
| `${lab.namespace}` | the lab's namespace |
| `${node/NAME}` | address of a node; `server`, `server-2`, … are the control plane nodes |
| `${pod-network/NAME}` | how the addresses of a node's pods begin: `172.16.0.`; `ingress` is `${ingress.node}` |
| `${pods/SERVICE}` | addresses of the ready pods behind a Service |
| `${KIND/NAME:PATH}` | a field of an object: `${Service/redis:spec.clusterIP}`; elsewhere `KIND/NAMESPACE/NAME` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

REFERENCE = re.compile(r"\$\{([^}]*)\}")
NAMES = (
    "ingress.address",
    "ingress.dashed",
    "ingress.node",
    "controller.address",
    "controller.leader",
    "controller.lease",
    "controller.namespace",
    "controller.pods",
    "controller.service",
    "client.address",
    "lab.namespace",
)
_OBJECT = re.compile(r"[A-Z][A-Za-z]+(/[-a-z0-9.:]+){1,2}:[A-Za-z].*")
_NAMED = re.compile(r"(node|pods|pod-network)/[-a-z0-9.]+")

Lookup = Callable[[str], tuple[str, ...]]
"""From the text between the braces to its values."""


def reference_problem(text: str) -> str:
    """What is wrong with the references in a text; empty when nothing is."""
    for found in REFERENCE.finditer(text):
        name = found.group(1)
        if name not in NAMES and not _OBJECT.fullmatch(name) and not _NAMED.fullmatch(name):
            known = ", ".join(f"${{{known}}}" for known in NAMES)
            return f"${{{name}}} is unknown; there are {known}, ${{node/NAME}}, ${{pods/SERVICE}}, ${{KIND/NAME:PATH}}"
    return ""


def expanded(text: str, lookup: Lookup, *, escape: bool = False) -> tuple[str, ...]:
    """A text for each value of its references; one alone where all of them have one value.

    Args:
        text: The text.
        lookup: The values.
        escape: Whether the text is a regular expression, in which the values stand for themselves.
    """
    names = list(dict.fromkeys(found.group(1) for found in REFERENCE.finditer(text)))
    values = [lookup(name) for name in names]

    def filled(chosen: Mapping[str, str]) -> str:
        return REFERENCE.sub(
            lambda found: re.escape(chosen[found.group(1)]) if escape else chosen[found.group(1)], text
        )

    return tuple(filled(dict(zip(names, choice, strict=True))) for choice in product(*values))


def field_values(obj: Any, path: str) -> tuple[str, ...]:
    """The values at a path of an object: `spec.ports[0].nodePort`; `[*]` is every item of a list.

    Text is as it is, numbers and booleans as YAML writes them. A path that leads nowhere has no values.
    """
    found = [obj]
    for key, index in re.findall(r"([^.\[\]]+(?:\\\.[^.\[\]]+)*)|\[(\*|\d+)\]", path):
        found = [value for item in found for value in _inside(item, key.replace("\\.", "."), index)]
    return tuple(_text(value) for value in found if value is not None)


def _inside(item: Any, key: str, index: str) -> Iterator[Any]:
    if key:
        if isinstance(item, Mapping) and key in item:
            yield item[key]
    elif isinstance(item, list):
        if index == "*":
            yield from item
        elif int(index) < len(item):
            yield item[int(index)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else str(value)
