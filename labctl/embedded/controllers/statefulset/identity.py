"""Names, labels and volumes of a StatefulSet's pods."""

from __future__ import annotations

import re

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.hashing import revision_hash
from labctl.embedded.controllers.revisions import POD_LABEL, patch_of, revision
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Create, Note, Record

CLAIMS = "persistentvolumeclaims"
_NAME = re.compile(r"(.*)-([0-9]+)\Z")
_POD_NAME, _POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_HASH = "controller.kubernetes.io/hash"


def ordinal(owner: Obj, pod: Obj) -> int | None:
    """The number at the end of the pod's name; None when the name is not one of this StatefulSet's."""
    found = _NAME.match(meta.name(pod))
    return int(found[2]) if found and found[1] == meta.name(owner) else None


def first_ordinal(owner: Obj) -> int:
    """`spec.ordinals.start`."""
    found: int = (meta.spec(owner).get("ordinals") or {}).get("start", 0)
    return found


def revision_of(pod: Obj) -> str:
    """Name of the revision the pod was made from."""
    return meta.labels(pod).get(POD_LABEL, "")


def update_revision(owner: Obj) -> Obj:
    """The revision of the StatefulSet's template, without a number."""
    number = revision_hash(patch_of(owner), meta.status(owner).get("collisionCount", 0))
    return revision(owner, f"{meta.name(owner)}-{number}", {_HASH: number})


def with_template_of(owner: Obj, known: Obj) -> Obj:
    """The StatefulSet with the template of one of its revisions."""
    template = {part: value for part, value in known["data"]["spec"]["template"].items() if part != "$patch"}
    return meta.with_spec(owner, template=template)


def new_pod(owner: Obj, number: int, revision_name: str) -> Obj:
    """The pod of one ordinal.

    Args:
        owner: The StatefulSet, with the template to use.
        number: The ordinal.
        revision_name: Name of that template's revision.
    """
    name = f"{meta.name(owner)}-{number}"
    template = meta.spec(owner)["template"]
    labels = {
        **((template.get("metadata") or {}).get("labels") or {}),
        _POD_NAME: name,
        _POD_INDEX: str(number),
        POD_LABEL: revision_name,
    }
    pod = pods.from_template(template, owner, name=name, generateName=f"{meta.name(owner)}-", labels=labels)
    changes: Obj = {"hostname": name}
    if service := meta.spec(owner).get("serviceName"):
        changes["subdomain"] = service
    if claims := meta.spec(owner).get("volumeClaimTemplates"):
        changes["volumes"] = _volumes(template["spec"].get("volumes") or [], claims, name)
    return meta.with_spec(pod, **changes)


def _volumes(volumes: list[Obj], claims: list[Obj], pod_name: str) -> list[Obj]:
    """The template's volumes, with the claims' in place of those of the same name."""
    mounted = [
        {"name": meta.name(claim), "persistentVolumeClaim": {"claimName": f"{meta.name(claim)}-{pod_name}"}}
        for claim in claims
    ]
    names = {volume["name"] for volume in mounted}
    return [*mounted, *(volume for volume in volumes if volume["name"] not in names)]


def claims_to_create(view: View, owner: Obj, pod: Obj) -> list[Create]:
    """The pod's PersistentVolumeClaims that do not exist."""
    found = []
    for template in meta.spec(owner).get("volumeClaimTemplates") or ():
        name = f"{meta.name(template)}-{meta.name(pod)}"
        if view.get(CLAIMS, meta.namespace(owner), name) is None:
            found.append(_create_claim(owner, pod, template, name))
    return found


def _create_claim(owner: Obj, pod: Obj, template: Obj, name: str) -> Create:
    selected = (meta.spec(owner).get("selector") or {}).get("matchLabels") or {}
    annotations = dict(meta.annotations_of(template))
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": meta.namespace(owner),
            "labels": {**meta.labels(template), **selected},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": template["spec"],
    }
    about = f"Claim {name} Pod {meta.name(pod)} in StatefulSet {meta.name(owner)}"
    return Create(
        CLAIMS,
        claim,
        then=Record(owner, Note("SuccessfulCreate", f"create {about} success")),
        otherwise=Record(owner, Note("FailedCreate", f"create {about} failed error: {{error}}", WARNING)),
        exists_is_fine=True,
    )
