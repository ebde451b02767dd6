"""The validating webhook: judges an Ingress before the API takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labctl.embedded.clientset import Obj
from labctl.embedded.http.messages import App, Request, Response
from labctl.embedded.ingress.annotations.catalogue import PREFIX
from labctl.embedded.ingress.annotations.extract import extract
from labctl.embedded.ingress.compiler.parsed import parse_ingress
from labctl.embedded.ingress.controller.classes import ClassError
from labctl.embedded.ingress.controller.inspector import deep_inspect, path_type_errors
from labctl.embedded.ingress.controller.store import forbidden_word
from labctl.embedded.ingress.goscalars import parse_bool
from labctl.embedded.ingress.log import LogLine, quote, structured
from labctl.embedded.ingress.model import DEFAULT_SERVER, ROOT, Server

if TYPE_CHECKING:
    from labctl.embedded.ingress.controller.controller import Controller

_DEPRECATED = frozenset(
    """
    enable-influxdb influxdb-measurement influxdb-port influxdb-host influxdb-server-name secure-verify-ca-secret
    """.split()  # noqa: SIM905 - one word per annotation reads best
)
_LAST = "9999-12-31T23:59:59Z"
_REVIEW = {"group": "networking.k8s.io", "version": "v1", "kind": "Ingress"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The webhook's answer.

    Attributes:
        allowed: Whether the API may take the Ingress.
        message: Why not.
        warnings: What its author should know in any case.
    """

    allowed: bool
    message: str = ""
    warnings: tuple[str, ...] = ()


class _DeniedIngress(Exception):  # noqa: N818 - an answer, not a fault
    """The Ingress is refused; the message goes to its author."""


def review(controller: Controller, ingress: Obj) -> Judgement:
    """Judge an Ingress as the real webhook does."""
    warnings = _warnings(controller, ingress)
    try:
        _check(controller, ingress)
    except _DeniedIngress as denied:
        key = _key(ingress)
        message = structured("invalid ingress configuration", err=str(denied), ingress=key)
        controller.journal.log(LogLine("E", "main.go:96", message))
        controller.metrics.checked(good=False)
        return Judgement(False, str(denied), warnings)
    message = structured("successfully validated configuration, accepting", ingress=_key(ingress))
    controller.journal.log(LogLine("I", "main.go:107", message))
    controller.metrics.checked(good=True)
    return Judgement(True, "", warnings)


def _warnings(controller: Controller, ingress: Obj) -> tuple[str, ...]:
    prefix = f"{controller.flags.annotations_prefix}/"
    annotations = ingress["metadata"].get("annotations") or {}
    deprecated = [
        f"annotation {name} is deprecated" for name in annotations if name.removeprefix(prefix) in _DEPRECATED
    ]
    return (*deprecated, *path_type_errors(ingress))


def _check(controller: Controller, ingress: Obj) -> None:
    """Raises _DeniedIngress with the reason."""
    flags, settings = controller.flags, controller.store.settings
    if ingress["metadata"].get("deletionTimestamp"):
        return
    error = deep_inspect(ingress) if flags.deep_inspect else ""
    if error:
        raise _DeniedIngress(f"invalid object: {error}")
    if not _is_ours(controller, ingress):
        return
    if flags.disable_catch_all and (ingress.get("spec") or {}).get("defaultBackend") is not None:
        raise _DeniedIngress(
            "this deployment is trying to create a catch-all ingress while DisableCatchAll flag is set to true. "
            "Remove '.spec.defaultBackend' or set DisableCatchAll flag to false"
        )
    if settings.strict_validate_path_type:
        errors = "\n".join(path_type_errors(ingress))
        if errors:
            raise _DeniedIngress(f"ingress contains invalid paths: {errors}")
    _check_annotations(controller, ingress)
    _try(controller, ingress)


def _is_ours(controller: Controller, ingress: Obj) -> bool:
    metadata = ingress["metadata"]
    namespace, watched = metadata.get("namespace", ""), controller.flags.watch_namespace
    try:
        controller.store.class_of(ingress)
    except ClassError as error:
        message = f"ignoring ingress {metadata['name']} in {namespace} based on annotation : {error}"
        controller.journal.log(LogLine("W", "controller.go:333", message))
        return False
    if watched and namespace != watched:
        message = (
            f"ignoring ingress {metadata['name']} in namespace {namespace} different from the namespace watched"
            f" {watched}"
        )
        controller.journal.log(LogLine("W", "controller.go:338", message))
        return False
    return True


def _check_annotations(controller: Controller, ingress: Obj) -> None:
    prefix, settings = controller.flags.annotations_prefix, controller.store.settings
    words = settings.annotation_value_word_blocklist
    if words:
        stripped = [word.strip() for word in words.strip().split(",")]
        error = forbidden_word(ingress, prefix, stripped)
        if error:
            raise _DeniedIngress(error)
    # Go ranges over annotations in random order; sorted is one of those orders.
    for name in sorted(ingress["metadata"].get("annotations") or {}):
        if prefix != PREFIX and name.startswith(f"{PREFIX}/"):
            raise _DeniedIngress(
                f"this deployment has a custom annotation prefix defined. Use '{prefix}' instead of '{PREFIX}'"
            )
        if not settings.allow_snippet_annotations and name.endswith("-snippet"):
            raise _DeniedIngress(
                f"{name} annotation cannot be used. Snippet directives are disabled by the Ingress administrator"
            )
        if name.startswith(f"{prefix}/global-rate-limit"):
            raise _DeniedIngress(
                "'global-rate-limit*' annotations require 'global-rate-limit-memcached-host' settings configured"
                " in the global configmap"
            )


def _try(controller: Controller, ingress: Obj) -> None:
    """Compile everything together with the new Ingress, look for overlaps, and let nginx test the result."""
    store = controller.store
    extracted = extract(ingress, store, store.options)
    controller.journal.log_all(extracted.log)
    if extracted.annotations is None:
        raise _DeniedIngress(extracted.refused)
    # The real webhook appends it to the sorted list: whatever its age, everything else comes first.
    candidate = replace(parse_ingress(ingress, extracted.annotations), created=_LAST)
    lines: list[LogLine] = []
    configuration = controller.trial(_key(ingress), candidate, lines)
    controller.journal.log_all(lines)
    _check_overlap(controller, ingress, configuration.servers)
    error = controller.test(configuration)
    if error:
        raise _DeniedIngress(error)


def _check_overlap(controller: Controller, ingress: Obj, servers: Mapping[str, Server]) -> None:
    mine = (ingress["metadata"].get("namespace", ""), ingress["metadata"]["name"])
    for rule in (ingress.get("spec") or {}).get("rules") or ():
        host = rule.get("host") or DEFAULT_SERVER
        for path in (rule.get("http") or {}).get("paths") or ():
            if not path["backend"].get("service"):
                continue
            text = path.get("path") or ROOT
            others = _writers(servers.get(host), text)
            if not others:
                continue
            if mine not in others:
                _compare_canaries(controller, ingress, others, f'host "{host}" and path "{text}"')
            return


def _writers(server: Server | None, path: str) -> list[tuple[str, str]]:
    """Ingresses that wrote the locations of a path."""
    if server is None:
        return []
    return [
        (location.ingress.namespace, location.ingress.name)
        for location in server.locations
        if location.path == path and not location.is_default and location.ingress is not None
    ]


def _compare_canaries(controller: Controller, ingress: Obj, others: list[tuple[str, str]], what: str) -> None:
    given, enabled = _canary(controller, ingress)
    for namespace, name in others:
        other = next((found for found in controller.store.accepted() if _key(found) == f"{namespace}/{name}"), None)
        other_given, other_enabled = _canary(controller, other) if other is not None else (False, False)
        if (enabled and other_enabled) or (not given and not other_given):
            raise _DeniedIngress(f"{what} is already defined in ingress {namespace}/{name}")


def _canary(controller: Controller, ingress: Obj) -> tuple[bool, bool]:
    """Whether the `canary` annotation is there, and whether it is on."""
    annotations = ingress["metadata"].get("annotations") or {}
    value = annotations.get(f"{controller.flags.annotations_prefix}/canary")
    return value is not None, bool(value is not None and parse_bool(value))


def _key(ingress: Obj) -> str:
    metadata = ingress["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def webhook_app(controller: Controller) -> App:
    """Answers AdmissionReviews."""

    def answer(request: Request) -> Response:
        try:
            body: dict[str, Any] = json.loads(request.body)
            asked = body["request"]
        except (ValueError, KeyError, TypeError):
            controller.journal.log(LogLine("E", "server.go:75", '"Failed to decode request body"'))
            return Response(400)
        if asked.get("kind") != _REVIEW:
            kind = asked.get("kind") or {}
            shown = f"{kind.get('group')}/{kind.get('version')}, Kind={kind.get('kind')}"
            message = f"rejecting admission review because the request does not contain an Ingress resource but {shown}"
            controller.journal.log(
                LogLine("E", "server.go:82", f'"failed to process webhook request" err={quote(message)}')
            )
            return Response(500)
        response = {"uid": asked.get("uid", ""), **_response(review(controller, asked["object"]))}
        return Response(
            200,
            [("Content-Type", "application/json")],
            json.dumps({"kind": body.get("kind"), "apiVersion": body.get("apiVersion"), "response": response}).encode(),
        )

    return answer


def _response(judgement: Judgement) -> dict[str, Any]:
    response: dict[str, Any] = {"allowed": judgement.allowed}
    if not judgement.allowed:
        response["status"] = {
            "metadata": {},
            "status": "Failure",
            "message": judgement.message,
            "reason": "BadRequest",
            "code": 400,
        }
    if judgement.warnings:
        response["warnings"] = list(judgement.warnings)
    return response
