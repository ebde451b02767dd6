"""Reviews: who am I, what may I do, may somebody else, is this token good; and tokens of service accounts."""

from __future__ import annotations

from datetime import timedelta

from labctl.embedded.api import managed
from labctl.embedded.api.authentication import Authenticator
from labctl.embedded.api.authorization import Attributes, Authorizer
from labctl.embedded.api.bodies import Checks, read_object
from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import bad_request, conflict, invalid_reference
from labctl.embedded.api.objectmeta import timestamp
from labctl.embedded.api.options import change_options
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.responses import respond
from labctl.embedded.api.tokens import AUDIENCES, Bound, TokenSigner
from labctl.embedded.api.users import MASTERS, User
from labctl.embedded.clientset import Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource

_TOKEN_REQUEST = Resource("authentication.k8s.io", "v1", "serviceaccounts", "", "TokenRequest", namespaced=True)
_MIN_LIFETIME, _MAX_LIFETIME, _DEFAULT_LIFETIME = 600, 1 << 32, 3600
_EVERYTHING: tuple[Obj, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class Reviews:
    """Answers what is created to be answered, not stored.

    Args:
        registry: Where service accounts are.
        checks: The kinds' rules about the form of objects.
        authenticator: Knows tokens.
        authorizer: Knows rights.
        signer: Issues tokens.
    """

    def __init__(
        self,
        registry: Registry,
        checks: Checks,
        authenticator: Authenticator,
        authorizer: Authorizer,
        signer: TokenSigner,
    ) -> None:
        self._registry = registry
        self._checks = checks
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._signer = signer
        self._handlers = {
            "SelfSubjectReview": self._self_subject,
            "SelfSubjectAccessReview": self._self_access,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._access,
            "SelfSubjectRulesReview": self._self_rules,
            "TokenReview": self._token_review,
        }

    def handles(self, resource: Resource) -> bool:
        """Whether POSTs of this resource are reviews."""
        return resource.kind in self._handlers

    def review(self, call: Call) -> Response:
        """POST of a review."""
        resource = call.target
        shape = call.representation()
        options = change_options(call.info, call.user_agent, "CreateOptions")
        body = read_object(call, resource, self._checks, options.validation)
        spec = body.get("spec") or {}
        status = self._handlers[resource.kind](call, spec)
        metadata = self._metadata(resource, body, options.manager)
        spec = body.get("spec") or {}
        answer: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if resource.kind != "SelfSubjectReview":
            answer["spec"] = spec
        return respond(answer | {"status": status}, shape, 201, call.warnings)

    def _metadata(self, resource: Resource, body: Obj, manager: str, subresource: str = "") -> Obj:
        """What is answered is never stored, yet its fields have a manager."""
        rules = self._registry.rules
        rules.defaults(resource, body)
        metadata: Obj = body["metadata"]
        update = managed.Update(manager, resource.api_version, subresource, self._registry.clock.now(), {})
        fields = managed.after_update(rules.shape(resource), body, None, rules.empty(resource), update)
        return metadata | ({"managedFields": fields} if fields else {})

    def _self_subject(self, call: Call, spec: Obj) -> Obj:
        del spec
        return {"userInfo": call.user.info()}

    def _self_access(self, call: Call, spec: Obj) -> Obj:
        return self._decision(call.user, _wanted(spec, "SelfSubjectAccessReview"))

    def _access(self, call: Call, spec: Obj) -> Obj:
        name = spec.get("user") or ""
        if not name and not spec.get("groups"):
            words = "at least one of user or group must be specified"
            problems = [("FieldValueInvalid", "spec.user", f'Invalid value: "": {words}')]
            raise invalid_reference("SubjectAccessReview", "authorization.k8s.io", "", problems)
        wanted = _wanted(spec, call.target.kind)
        return self._decision(User(name, tuple(spec.get("groups") or ())), wanted)

    def _decision(self, user: User, wanted: Attributes) -> Obj:
        decision = self._authorizer.decide(user, wanted)
        return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})

    def _self_rules(self, call: Call, spec: Obj) -> Obj:
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        rules = [rule for rule, _ in self._authorizer.rules(call.user, namespace)]
        if MASTERS in call.user.groups:
            rules = [*_EVERYTHING, *rules]
        resources = [
            {key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if rule.get(key)}
            for rule in rules
            if rule.get("resources")
        ]
        paths = [
            {key: rule[key] for key in ("verbs", "nonResourceURLs")} for rule in rules if rule.get("nonResourceURLs")
        ]
        return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}

    def _token_review(self, call: Call, spec: Obj) -> Obj:
        del call
        audiences = tuple(spec.get("audiences") or ()) or AUDIENCES
        user = self._authenticator.token_user(spec.get("token") or "", audiences)
        if user is None:
            return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
        return {"authenticated": True, "user": user.info(), "audiences": list(audiences)}

    def token(self, call: Call) -> Response:
        """POST of `serviceaccounts/token`."""
        info = call.info
        shape = call.representation()
        account = self._registry.require(call.target, info.namespace, info.name).object
        options = change_options(info, call.user_agent, "CreateOptions")
        body = read_object(call, _TOKEN_REQUEST, self._checks, options.validation)
        spec: Obj = body.get("spec") or {}
        seconds = spec.get("expirationSeconds")
        seconds = _DEFAULT_LIFETIME if seconds is None else seconds
        _check_lifetime(seconds)
        bound = self._bound(info.namespace, spec.get("boundObjectRef"))
        now = self._registry.clock.now()
        audiences = spec.get("audiences") or list(AUDIENCES)
        text = self._signer.issue(account, audiences, timedelta(seconds=seconds), now, bound)
        answer: Obj = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": info.name,
                "namespace": info.namespace,
                "uid": account["metadata"]["uid"],
                "creationTimestamp": timestamp(now),
                **self._metadata(_TOKEN_REQUEST, body, options.manager, "token"),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": text, "expirationTimestamp": timestamp(now + timedelta(seconds=seconds))},
        }
        return respond(answer, shape, 201, call.warnings)

    def _bound(self, namespace: str, reference: Obj | None) -> list[Bound]:
        if not reference:
            return []
        kind, name, uid = reference.get("kind"), reference.get("name") or "", reference.get("uid") or ""
        resources = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}
        if kind not in resources:
            words = f"cannot bind token for serviceaccount to object of type {reference.get('apiVersion')}, Kind={kind}"
            raise bad_request(words)
        resource = self._registry.resource(resources[kind])
        found = self._registry.require(resource, namespace, name).object
        if uid and uid != found["metadata"]["uid"]:
            words = f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            raise conflict(resource, name, words + "The object might have been deleted and then recreated")
        bound = [Bound(kind.lower(), name, found["metadata"]["uid"])]
        node = (found.get("spec") or {}).get("nodeName") if kind == "Pod" else ""
        if node:
            entry = self._registry.get("nodes", "", node)
            bound.insert(0, Bound("node", node, entry["metadata"]["uid"] if entry else ""))
        return bound


def _check_lifetime(seconds: int) -> None:
    words = ""
    if seconds < _MIN_LIFETIME:
        words = "may not specify a duration less than 10 minutes"
    elif seconds > _MAX_LIFETIME:
        words = "may not specify a duration larger than 2^32 seconds"
    if words:
        problem = ("FieldValueInvalid", "spec.expirationSeconds", f"Invalid value: {seconds}: {words}")
        raise invalid_reference("TokenRequest", "authentication.k8s.io", "", [problem])


def _wanted(spec: Obj, kind: str) -> Attributes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        field = "spec.resourceAttributes"
        problem = ("FieldValueInvalid", field, f"Invalid value: null: {words}")
        raise invalid_reference(kind, "authorization.k8s.io", "", [problem])
    if path is not None:
        return Attributes(path.get("verb") or "", path=path.get("path") or "")
    assert resource is not None
    return Attributes(
        resource.get("verb") or "",
        resource.get("group") or "",
        resource.get("resource") or "",
        resource.get("subresource") or "",
        resource.get("namespace") or "",
        resource.get("name") or "",
    )
