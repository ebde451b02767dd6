"""Secrets of type `kubernetes.io/service-account-token`: filled with a token, removed with their account.

Source of the rules: `pkg/controller/serviceaccount/tokens_controller.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Update

SECRETS, ACCOUNTS = "secrets", "serviceaccounts"
_TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"

IssueToken = Callable[[Obj, Obj], str]
"""Makes the token of a ServiceAccount for a Secret: `(account, secret) → token`."""


class TokenController(BaseController):
    """Puts tokens into Secrets that ask for one."""

    name = "serviceaccount-token-controller"
    resources = frozenset({SECRETS, ACCOUNTS})

    def __init__(self, issue: IssueToken, root_ca: str) -> None:
        """Make a controller.

        Args:
            issue: Makes tokens.
            root_ca: PEM of the API's certificate authority.
        """
        self._issue = issue
        self._root_ca = root_ca

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """A token Secret, or those of an account that came or went."""
        if change.resource == SECRETS:
            return (meta.key(change.object),) if change.object.get("type") == _TYPE else ()
        if change.type is ChangeType.MODIFIED:
            return ()
        return tuple(
            meta.key(secret)
            for secret in view.list(SECRETS, meta.namespace(change.object))
            if secret.get("type") == _TYPE and meta.annotations_of(secret).get(_NAME) == meta.name(change.object)
        )

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Fill the Secret, or delete it when its account is gone."""
        secret = view.get(SECRETS, *key)
        if secret is None or meta.deleting(secret):
            return ()
        notes = meta.annotations_of(secret)
        account = view.get(ACCOUNTS, key[0], notes.get(_NAME, ""))
        if account is None or notes.get(_UID, meta.uid(account)) != meta.uid(account):
            return (Delete(SECRETS, secret),)
        known = secret.get("data") or {}
        wanted = {"ca.crt": _encode(self._root_ca), "namespace": _encode(key[0])}
        if known.get("token") and wanted.items() <= known.items() and _UID in notes:
            return ()
        data = {**known, **wanted}
        if not known.get("token"):
            data["token"] = _encode(self._issue(account, secret))
        return (Update(SECRETS, {**meta.with_annotations(secret, {_UID: meta.uid(account)}), "data": data}),)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
