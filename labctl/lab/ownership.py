"""Whose an object is that a lab wants to apply, and which Ingresses stand in its way. Pure.

Labs share the study's names: path and host both bring `deploy3-adminsrv`, and host, canary and https all claim
`gyull.com /`. An object that another lab brought stays that lab's; a claim can be held by one lab at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labctl.lab.plan import LAB_LABEL, MANAGED_BY, host_paths
from labctl.objects.manifests import Obj

Key = tuple[str, str, str]
"""Kind, namespace and name."""


class Owner(StrEnum):
    """Whose an object is: nobody's (it does not exist), this lab's, another lab's, or somebody else's."""

    NOBODY = "nobody"
    THIS_LAB = "this-lab"
    OTHER_LAB = "other-lab"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Conflict:
    """An Ingress on the cluster that claims a host and path which a lab needs.

    Attributes:
        host: Host of the rule; empty for every host.
        path: Path of the rule.
        ingress: The Ingress that claims it.
        lab: The lab it belongs to; empty when it is no lab's.
    """

    host: str
    path: str
    ingress: Obj
    lab: str


def key_of(obj: Obj) -> Key:
    """What identifies an object on a cluster."""
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]


def owner(wanted: Obj, live: Obj | None) -> Owner:
    """Whose the live version of an object is.

    Args:
        wanted: The stamped object of the lab.
        live: The object with that name on the cluster, if any.
    """
    if live is None:
        return Owner.NOBODY
    labels: Mapping[str, str] = live["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != "labctl" or LAB_LABEL not in labels:
        return Owner.FOREIGN
    is_own = labels[LAB_LABEL] == wanted["metadata"]["labels"][LAB_LABEL]
    return Owner.THIS_LAB if is_own else Owner.OTHER_LAB


def foreign(wanted: Sequence[Obj], live: Mapping[Key, Obj]) -> list[Obj]:
    """The live objects that have a lab's names and are somebody else's: they must not be touched."""
    return [live[key_of(obj)] for obj in wanted if owner(obj, live.get(key_of(obj))) is Owner.FOREIGN]


def keep_owners(wanted: Sequence[Obj], live: Mapping[Key, Obj]) -> list[Obj]:
    """The objects as they are to be applied: those that another lab brought keep its label.

    So `clean` of this lab leaves them to that lab, and `clean` of that lab removes them.
    """
    return [_with_label(obj, live[key_of(obj)]) if _is_borrowed(obj, live) else obj for obj in wanted]


def _is_borrowed(obj: Obj, live: Mapping[Key, Obj]) -> bool:
    return owner(obj, live.get(key_of(obj))) is Owner.OTHER_LAB


def _with_label(obj: Obj, live: Obj) -> Obj:
    metadata = obj["metadata"]
    labels = {**metadata["labels"], LAB_LABEL: live["metadata"]["labels"][LAB_LABEL]}
    return {**obj, "metadata": {**metadata, "labels": labels}}


def owned(live: Iterable[Obj], lab: str) -> list[Obj]:
    """The live objects that `clean` of a lab removes."""
    found = []
    for obj in live:
        labels = obj["metadata"].get("labels") or {}
        if labels.get(MANAGED_BY) == "labctl" and labels.get(LAB_LABEL) == lab:
            found.append(obj)
    return found


def conflicts(wanted: Sequence[Obj], live_ingresses: Sequence[Obj]) -> list[Conflict]:
    """Which Ingresses on the cluster claim what a lab's Ingresses are going to claim.

    ingress-nginx gives a host and path to the oldest Ingress that names it (and its admission webhook refuses the
    second), so a lab whose rule is taken would test somebody else's pods.

    Args:
        wanted: The lab's objects.
        live_ingresses: Every Ingress of the cluster with the same IngressClass.
    """
    ours = [obj for obj in wanted if obj["kind"] == "Ingress"]
    own_keys = {key_of(obj) for obj in ours}
    taken = host_paths(obj for obj in live_ingresses if ("Ingress", *key_of(obj)[1:]) not in own_keys)
    found = []
    for host, path in host_paths(ours):
        holder = taken.get((host, path))
        if holder is not None:
            labels = holder["metadata"].get("labels") or {}
            found.append(Conflict(host, path, holder, labels.get(LAB_LABEL, "")))
    return found
