"""Signs approved certificate requests of clients, as kube-controller-manager does with the client CA.

Source: k8s.io/kubernetes v1.34.4 `pkg/controller/certificates/signer` and `pkg/apis/certificates/v1beta1/helpers.go`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from datetime import timedelta

from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.api.objectmeta import timestamp
from labctl.embedded.api.pki import KeyPair, sign_client
from labctl.embedded.api.registry import Registry
from labctl.embedded.clientset import ApiError, Change, ChangeType, Obj

_REQUESTS = "certificatesigningrequests.certificates.k8s.io"
_SIGNER = "kubernetes.io/kube-apiserver-client"
_DEFAULT_LIFETIME = timedelta(days=365)
_MIN_LIFETIME = timedelta(minutes=10)


class CertificateSigner:
    """Watches certificate requests and signs those for `kubernetes.io/kube-apiserver-client` that are approved.

    Args:
        registry: Where the requests are.
        authority: The client CA.
    """

    def __init__(self, registry: Registry, authority: KeyPair) -> None:
        self._registry = registry
        self._authority = authority
        self._stop: Callable[[], None] = registry.subscribe(self._notice)

    def close(self) -> None:
        """Stop watching."""
        self._stop()

    def _notice(self, change: Change) -> None:
        if change.resource == _REQUESTS and change.type is not ChangeType.DELETED and _is_due(change.object):
            # Writing is not allowed while a commit is being told of.
            asyncio.get_running_loop().call_soon(self._sign, change.object["metadata"]["name"])

    def _sign(self, name: str) -> None:
        request = self._registry.get(_REQUESTS, "", name)
        if request is None or not _is_due(request):
            return
        new = copy(request)
        status = new.setdefault("status", {})
        now = self._registry.clock.now()
        try:
            pem = base64.b64decode(request["spec"]["request"], validate=True)
            certificate = sign_client(self._authority, pem, _lifetime(request), now)
            status["certificate"] = base64.b64encode(certificate).decode()
        except (ValueError, binascii.Error) as error:
            failed: Obj = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure"}
            stamp = timestamp(now)
            failed |= {"message": str(error), "lastUpdateTime": stamp, "lastTransitionTime": stamp}
            status.setdefault("conditions", []).append(failed)
        try:
            self._registry.update(_REQUESTS, new, subresource="status")
        except ApiError as error:
            # Changed or deleted meanwhile: its own change brings us back.
            if error.code not in (404, 409):
                raise


def _is_due(request: Obj) -> bool:
    status = request.get("status") or {}
    if request["spec"].get("signerName") != _SIGNER or status.get("certificate"):
        return False
    conditions = {item["type"] for item in status.get("conditions") or ()}
    return "Approved" in conditions and not conditions & {"Denied", "Failed"}


def _lifetime(request: Obj) -> timedelta:
    seconds = request["spec"].get("expirationSeconds")
    return max(timedelta(seconds=seconds), _MIN_LIFETIME) if seconds else _DEFAULT_LIFETIME
