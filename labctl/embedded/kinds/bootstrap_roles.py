"""The ClusterRoles and ClusterRoleBindings that the API server creates.

Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy. `data/roles.txt` has a line per role, with `to=ROLE` when its
rules go into an aggregated role, and `from=ROLE` when it is that one. The rules follow, indented: `groups resources
verbs [names]` or `urls verbs`; `core` is the core group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources as package_data

from labctl.embedded.clientset import Obj

GROUP = "rbac.authorization.k8s.io"
_AGGREGATE = f"{GROUP}/aggregate-to-"
_CONTROLLER = "system:controller:"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_UPDATED = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_AUTHENTICATED = "Group system:authenticated"
_SCHEDULER = "User system:kube-scheduler"
_MANAGER = "User system:kube-controller-manager"
_BINDINGS = {
    "cluster-admin": ("Group system:masters",),
    "system:basic-user": (_AUTHENTICATED,),
    "system:discovery": (_AUTHENTICATED,),
    "system:kube-controller-manager": (_MANAGER,),
    "system:kube-dns": ("ServiceAccount kube-dns",),
    "system:kube-scheduler": (_SCHEDULER,),
    "system:monitoring": ("Group system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("User system:kube-proxy",),
    "system:public-info-viewer": (_AUTHENTICATED, "Group system:unauthenticated"),
    "system:service-account-issuer-discovery": ("Group system:serviceaccounts",),
    "system:volume-scheduler": (_SCHEDULER,),
}


@dataclass(slots=True)
class _Role:
    name: str
    goes_into: str = ""
    made_of: str = ""
    rules: list[Obj] = field(default_factory=list)


def cluster_roles() -> list[Obj]:
    """All system ClusterRoles; aggregated ones have the rules they will be given."""
    roles = _read()
    return [_cluster_role(role, _rules_of(role, roles)) for role in roles]


def cluster_role_bindings() -> list[Obj]:
    """Who has these roles; each controller's ServiceAccount has the role of its name."""
    bound = dict(_BINDINGS)
    for role in _read():
        if role.name.startswith(_CONTROLLER):
            bound[role.name] = (f"ServiceAccount {role.name.removeprefix(_CONTROLLER)}",)
    return [
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": _LABELS, "annotations": _UPDATED},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [_subject(subject) for subject in subjects],
        }
        for name, subjects in sorted(bound.items())
    ]


def _subject(text: str) -> Obj:
    kind, _, name = text.partition(" ")
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": "kube-system"}
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def _read() -> list[_Role]:
    text = package_data.files("labctl.embedded.kinds").joinpath("data/roles.txt").read_text(encoding="utf-8")
    roles: list[_Role] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith(" "):
            roles[-1].rules.append(_rule(words))
        else:
            marks = dict(word.split("=") for word in words[1:])
            roles.append(_Role(words[0], marks.get("to", ""), marks.get("from", "")))
    return roles


def _rule(words: list[str]) -> Obj:
    lists = [word.split(",") for word in words]
    if len(lists) == 2:
        return {"verbs": lists[1], "nonResourceURLs": lists[0]}
    groups = ["" if group == "core" else group for group in lists[0]]
    rule: Obj = {"verbs": lists[2], "apiGroups": groups, "resources": lists[1]}
    if len(lists) > 3:
        rule["resourceNames"] = lists[3]
    return rule


def _rules_of(role: _Role, roles: Iterable[_Role]) -> list[Obj]:
    """A role's own rules, or those of the roles that go into it, each once, in the order of their names."""
    if not role.made_of:
        return role.rules
    rules: list[Obj] = []
    for source in sorted(roles, key=lambda item: item.name):
        if source.goes_into == role.made_of and source is not role:
            rules += [rule for rule in _rules_of(source, roles) if rule not in rules]
    return rules


def _cluster_role(role: _Role, rules: list[Obj]) -> Obj:
    labels = {**_LABELS, f"{_AGGREGATE}{role.goes_into}": "true"} if role.goes_into else _LABELS
    made: Obj = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role.name, "labels": labels, "annotations": _UPDATED},
        "rules": rules,
    }
    if role.made_of:
        selector = {"matchLabels": {f"{_AGGREGATE}{role.made_of}": "true"}}
        made["aggregationRule"] = {"clusterRoleSelectors": [selector]}
    return made
