"""ControllerRevisions: the history of StatefulSets and DaemonSets. Source of the rules: `pkg/controller/history`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.wanted import Create, Delete, Update, Wanted

REVISIONS = "controllerrevisions.apps"
POD_LABEL = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class History:
    """The revision that belongs to the owner's template now.

    Attributes:
        current: That revision, as it will be.
        changes: What has to be written for that.
    """

    current: Obj
    changes: tuple[Wanted, ...]


def patch_of(owner: Obj) -> Obj:
    """What a revision keeps: the template, as a patch that puts it back."""
    return {"spec": {"template": {"$patch": "replace", **meta.spec(owner)["template"]}}}


def ordered(revisions: Iterable[Obj]) -> list[Obj]:
    """Oldest first."""
    return sorted(revisions, key=lambda entry: (entry["revision"], meta.created(entry), meta.name(entry)))


def record(owner: Obj, known: Sequence[Obj], new: Obj) -> History:
    """Find the revision with `new`'s data, make it the latest, or create it.

    Args:
        owner: The StatefulSet or DaemonSet.
        known: Its revisions.
        new: The revision that its template asks for, without a number.
    """
    revisions = ordered(known)
    latest = revisions[-1]["revision"] if revisions else 0
    equal = [entry for entry in revisions if entry["data"] == new["data"]]
    if not equal:
        made = {**new, "revision": latest + 1}
        return History(made, (Create(REVISIONS, made),))
    found = equal[-1]
    if found["revision"] == latest:
        return History(found, ())
    raised = {**found, "revision": latest + 1}
    return History(raised, (Update(REVISIONS, raised),))


def revision(owner: Obj, name: str, labels: dict[str, str]) -> Obj:
    """A ControllerRevision of the owner's template, without a number."""
    template_labels = (meta.spec(owner)["template"].get("metadata") or {}).get("labels") or {}
    annotations = dict(meta.annotations_of(owner))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": meta.namespace(owner),
            "labels": {**template_labels, **labels},
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [meta.controller_reference(owner)],
        },
        "data": patch_of(owner),
    }


def truncate(owner: Obj, known: Sequence[Obj], live: Iterable[str]) -> list[Wanted]:
    """Delete the oldest revisions beyond `revisionHistoryLimit` that no pod uses.

    Args:
        owner: The StatefulSet or DaemonSet.
        known: Its revisions.
        live: Names of the revisions in use.
    """
    used = set(live)
    idle = [entry for entry in ordered(known) if meta.name(entry) not in used]
    limit = meta.spec(owner).get("revisionHistoryLimit", 10)
    return [Delete(REVISIONS, entry) for entry in idle[: max(0, len(idle) - limit)]]
