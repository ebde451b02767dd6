"""What every namespace has from the start: the `default` ServiceAccount and the API's certificate authority.

Source of the rules: `pkg/controller/serviceaccount` and `pkg/controller/certificates/rootcacertpublisher`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.namespaces import NAMESPACES
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Create, Plan, Update

_ACCOUNTS, _CONFIGMAPS = "serviceaccounts", "configmaps"
_DEFAULT, _ROOT_CA = "default", "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the"
    " internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes"
    " clusters."
)


class ServiceAccountController(BaseController):
    """Creates the `default` ServiceAccount of each namespace."""

    name = "serviceaccount-controller"
    resources = frozenset({NAMESPACES, _ACCOUNTS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The namespace, or the one whose `default` account changed."""
        return _namespace_of(change, _DEFAULT)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create it when it is missing."""
        if not _is_open(view, key) or view.get(_ACCOUNTS, key[1], _DEFAULT) is not None:
            return ()
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _DEFAULT, "namespace": key[1]},
        }
        return (Create(_ACCOUNTS, account, exists_is_fine=True),)


class RootCAPublisher(BaseController):
    """Publishes the API's certificate authority as ConfigMap `kube-root-ca.crt` in each namespace."""

    name = "root-ca-cert-publisher"
    resources = frozenset({NAMESPACES, _CONFIGMAPS})

    def __init__(self, root_ca: str) -> None:
        self._data = {"ca.crt": root_ca}

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The namespace, or the one whose ConfigMap changed."""
        return _namespace_of(change, _ROOT_CA)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create the ConfigMap, or bring its data back."""
        if not _is_open(view, key):
            return ()
        known = view.get(_CONFIGMAPS, key[1], _ROOT_CA)
        if known is not None:
            if known.get("data") == self._data:
                return ()
            return (Update(_CONFIGMAPS, {**known, "data": self._data}),)
        published = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _ROOT_CA,
                "namespace": key[1],
                "annotations": {"kubernetes.io/description": _DESCRIPTION},
            },
            "data": self._data,
        }
        return (Create(_CONFIGMAPS, published, exists_is_fine=True),)


def _namespace_of(change: Change, watched: str) -> Iterable[Key]:
    if change.resource == NAMESPACES:
        return (("", meta.name(change.object)),)
    return (("", meta.namespace(change.object)),) if meta.name(change.object) == watched else ()


def _is_open(view: View, key: Key) -> bool:
    namespace = view.get(NAMESPACES, *key)
    return namespace is not None and not meta.deleting(namespace)
