"""Who a request comes from: client certificates and service-account tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from labctl.embedded.api.errors import unauthorized
from labctl.embedded.api.tokens import AUDIENCES, TokenError, TokenSigner
from labctl.embedded.api.users import AUTHENTICATED, User, service_account
from labctl.embedded.clientset import Obj
from labctl.embedded.http.messages import Request
from labctl.env import Clock

_REMEMBERED = 256
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_NODE_NAME, _NODE_UID = "authentication.kubernetes.io/node-name", "authentication.kubernetes.io/node-uid"


class Accounts(Protocol):
    """Looks up what tokens refer to."""

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """See `Clientset.get`."""


class Authenticator:
    """Finds the user behind a request's credentials. Anonymous requests are refused.

    Args:
        signer: Checks tokens.
        accounts: Where the tokens' service accounts are.
        clock: The time that tokens are valid at.
    """

    def __init__(self, signer: TokenSigner, accounts: Accounts, clock: Clock) -> None:
        self._signer = signer
        self._accounts = accounts
        self._clock = clock
        self._certificates: OrderedDict[bytes, User] = OrderedDict()
        self._tokens: OrderedDict[str, Obj] = OrderedDict()

    def authenticate(self, request: Request) -> User:
        """The request's user.

        Raises:
            ApiError: 401, there are no credentials or they are not good.
        """
        certificate = request.flow.client_certificate
        if certificate:
            return self.certificate_user(certificate)
        kind, _, token = (request.header("Authorization") or "").strip().partition(" ")
        if kind.lower() == "bearer" and token.strip():
            user = self.token_user(token.strip())
            if user:
                return user
        raise unauthorized()

    def certificate_user(self, der: bytes) -> User:
        """The user that a (verified) client certificate names: CN is the name, every O a group.

        Raises:
            ApiError: 401, it names none.
        """
        return _remember(self._certificates, der, _certificate_user)

    def token_user(self, token: str, audiences: tuple[str, ...] = AUDIENCES) -> User | None:
        """The user of a token that is valid now for one of the audiences; None when it is not."""
        now = self._clock.now()
        try:
            claims = self._tokens.get(token)
            if claims is None or claims["exp"] <= now.timestamp():
                claims = self._signer.claims(token, now)
                _keep(self._tokens, token, claims)
        except TokenError:
            return None
        if not set(audiences) & set(claims.get("aud") or ()):
            return None
        return self._account_user(claims)

    def _account_user(self, claims: Obj) -> User | None:
        scope = claims["kubernetes.io"]
        namespace, account = scope["namespace"], scope["serviceaccount"]
        found = self._accounts.get("serviceaccounts", namespace, account["name"])
        if found is None or found["metadata"]["uid"] != account["uid"]:
            return None
        extra = {_CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
        pod = scope.get("pod")
        if pod:
            running = self._accounts.get("pods", namespace, pod["name"])
            if running is None or running["metadata"]["uid"] != pod["uid"]:
                return None
            extra |= {_POD_NAME: (pod["name"],), _POD_UID: (pod["uid"],)}
        node = scope.get("node")
        if node:
            extra |= {_NODE_NAME: (node["name"],), _NODE_UID: (node["uid"],)}
        return service_account(namespace, account["name"], account["uid"], extra)


def _certificate_user(der: bytes) -> User:
    try:
        subject = x509.load_der_x509_certificate(der).subject
    except ValueError:
        raise unauthorized() from None
    names = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names or not names[0]:
        raise unauthorized()
    groups = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    extra = {_CREDENTIAL_ID: (f"X509SHA256={sha256(der).hexdigest()}",)}
    return User(names[0], tuple(dict.fromkeys([*groups, AUTHENTICATED])), extra=extra)


def _remember(cache: OrderedDict[bytes, User], key: bytes, make: Callable[[bytes], User]) -> User:
    found = cache.get(key)
    if found is None:
        found = make(key)
        cache[key] = found
        if len(cache) > _REMEMBERED:
            cache.popitem(last=False)
    return found


def _keep(cache: OrderedDict[str, Obj], key: str, value: Obj) -> None:
    cache[key] = value
    if len(cache) > _REMEMBERED:
        cache.popitem(last=False)
