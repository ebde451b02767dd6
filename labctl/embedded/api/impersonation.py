"""`kubectl --as`: acting as somebody else.

Source: k8s.io/apiserver v0.34.4 `endpoints/filters/impersonation.go`.
"""

from __future__ import annotations

from urllib.parse import unquote

from labctl.embedded.api.authorization import Attributes, Authorizer
from labctl.embedded.api.errors import internal
from labctl.embedded.api.users import AUTHENTICATED, SERVICE_ACCOUNTS, User
from labctl.embedded.http.messages import Request

_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS, _UNAUTHENTICATED = "system:anonymous", "system:unauthenticated"
_EXTRA = "impersonate-extra-"


def impersonated(request: Request, user: User, authorizer: Authorizer) -> User:
    """The user to act as: the one the headers name, or the authenticated one without any.

    Raises:
        ApiError: 403, the user may not act as that one.
    """
    if not any(key.lower().startswith("impersonate-") for key, _ in request.headers):
        return user
    name = request.header("Impersonate-User") or ""
    uid = request.header("Impersonate-Uid") or ""
    groups = [value for key, value in request.headers if key.lower() == "impersonate-group"]
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in request.headers:
        if key.lower().startswith(_EXTRA):
            field = unquote(key[len(_EXTRA) :].lower())
            extra[field] = (*extra.get(field, ()), value)
    if not name:
        raise internal(f"requested {groups or list(extra) or [uid]} without impersonating a user")
    wanted = [_user(name), *(Attributes("impersonate", resource="groups", name=group) for group in groups)]
    if uid:
        wanted.append(Attributes("impersonate", "authentication.k8s.io", "uids", name=uid))
    for field, values in extra.items():
        wanted += [Attributes("impersonate", "authentication.k8s.io", "userextras", field, name=v) for v in values]
    for attributes in wanted:
        authorizer.require(user, attributes, None)
    return User(name, tuple(dict.fromkeys(groups + _implied(name, groups))), uid, extra)


def _user(name: str) -> Attributes:
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        return Attributes("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
    return Attributes("impersonate", resource="users", name=name)


def _implied(name: str, groups: list[str]) -> list[str]:
    if name == _ANONYMOUS:
        return [_UNAUTHENTICATED]
    implied: list[str] = []
    if name.startswith(_ACCOUNT) and name.count(":") == 3 and not groups:
        implied = [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{name.split(':')[2]}"]
    return implied if _UNAUTHENTICATED in groups else [*implied, AUTHENTICATED]
