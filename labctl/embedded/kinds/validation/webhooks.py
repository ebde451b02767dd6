"""Validating- and MutatingWebhookConfigurations.

Source: pkg/apis/admissionregistration/validation and k8s.io/apiserver `pkg/util/webhook/validation.go`. The expressions
of match conditions are not compiled here; one that fails does so when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, invalid_value, not_supported, required, too_many
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1035_label,
    dns1123_subdomain,
    port_number,
    qualified_name,
)
from labctl.embedded.kinds.validation.meta import label_selector

_CHOICES = (
    ("failurePolicy", ("Fail", "Ignore")),
    ("matchPolicy", ("Equivalent", "Exact")),
)
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_OLD_SIDE_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
"""What may stay in a configuration that has been stored with it."""
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_REINVOCATION = ("IfNeeded", "Never")
_REVIEWS = ("v1", "v1beta1")
_FORM = "; desired format: https://host[/path]"
_MAX_CONDITIONS = 64


def configuration(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""
    effects = _SIDE_EFFECTS if old is None or _without_side_effects(old) else _OLD_SIDE_EFFECTS
    names: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        yield from _webhook(hook, path, effects)
        yield from _review_versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")
        name = hook.get("name", "")
        if name in names:
            yield duplicate(f"{path}.name", name)
        elif name:
            names.add(name)


def _without_side_effects(obj: Obj) -> bool:
    return all(hook.get("sideEffects") in _SIDE_EFFECTS for hook in obj.get("webhooks") or ())


def _webhook(hook: Obj, path: str, effects: Sequence[str]) -> Iterator[Cause]:
    yield from _full_name(hook.get("name", ""), f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from _rule(rule, f"{path}.rules[{index}]")
    for field, choices in _CHOICES:
        yield from _chosen(hook.get(field), f"{path}.{field}", choices)
    if hook.get("sideEffects") is None:
        yield required(f"{path}.sideEffects", f"must specify one of {', '.join(effects)}")
    yield from _chosen(hook.get("sideEffects"), f"{path}.sideEffects", effects)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        yield invalid_value(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        yield from label_selector(hook.get(field), f"{path}.{field}")
    yield from _chosen(hook.get("reinvocationPolicy"), f"{path}.reinvocationPolicy", _REINVOCATION)
    yield from _client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    yield from _conditions(hook.get("matchConditions") or [], f"{path}.matchConditions")


def _chosen(value: str | None, path: str, choices: Sequence[str]) -> Iterator[Cause]:
    if value is not None and value not in choices:
        yield not_supported(path, value, choices)


def _full_name(name: str, path: str) -> Iterator[Cause]:
    problems = dns1123_subdomain(name)
    if not name:
        yield required(path)
    elif problems:
        yield invalid_value(path, name, ",".join(problems))
    elif name.count(".") < 2:
        yield invalid_value(path, name, "should be a domain with at least three segments separated by dots")


def _rule(rule: Obj, path: str) -> Iterator[Cause]:
    operations = rule.get("operations") or []
    yield from _alone(operations, f"{path}.operations", "operations")
    for index, operation in enumerate(operations):
        yield from _chosen(operation, f"{path}.operations[{index}]", _OPERATIONS)
    yield from _alone(rule.get("apiGroups") or [], f"{path}.apiGroups", "API groups")
    versions = rule.get("apiVersions") or []
    yield from _alone(versions, f"{path}.apiVersions", "API versions")
    for index, version in enumerate(versions):
        if not version:
            yield required(f"{path}.apiVersions[{index}]")
    yield from _resources(rule.get("resources") or [], f"{path}.resources")
    yield from _chosen(rule.get("scope"), f"{path}.scope", _SCOPES)


def _alone(values: list[str], path: str, what: str) -> Iterator[Cause]:
    """At least one; and where all are meant, no others."""
    if not values:
        yield required(path)
    if len(values) > 1 and "*" in values:
        yield invalid_value(path, values, f"if '*' is present, must not specify other {what}")


def _resources(resources: list[str], path: str) -> Iterator[Cause]:
    if not resources:
        yield required(path)
    whole: set[str] = set()  # x/*
    everywhere: set[str] = set()  # */x
    plain = False
    for index, text in enumerate(resources):
        resource, slash, sub = text.partition("/")
        at = f"{path}[{index}]"
        if not text:
            yield required(at)
        elif not slash:
            plain = text != "*"
        else:
            if resource in whole:
                yield invalid_value(at, text, f"if '{resource}/*' is present, must not specify {text}")
            if sub in everywhere:
                yield invalid_value(at, text, f"if '*/{sub}' is present, must not specify {text}")
            whole |= {resource} if sub == "*" else set()
            everywhere |= {sub} if resource == "*" else set()
    if len(resources) > 1 and "*/*" in resources:
        yield invalid_value(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and plain:
        yield invalid_value(path, resources, "if '*' is present, must not specify other resources without subresources")


def _client(client: Obj, path: str) -> Iterator[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(url, f"{path}.url")
    elif service is not None:
        yield from _service(service, f"{path}.service")


def _url(url: str, path: str) -> Iterator[Cause]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme != "https":
        yield invalid_value(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not host:
        yield invalid_value(path, host, f"host must be specified{_FORM}")
    if user:
        yield invalid_value(path, user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid_value(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid_value(path, parts.query, "query parameters are not permitted in the URL")


def _service(service: Obj, path: str) -> Iterator[Cause]:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{path}.{field}", f"service {field} is required")
    port = service.get("port", 443)
    problems = port_number(port)
    if problems:
        yield invalid_value(f"{path}.port", port, f"port is not valid: {', '.join(problems)}")
    yield from _url_path(service.get("path") or "/", f"{path}.path")


def _url_path(text: str, path: str) -> Iterator[Cause]:
    if text == "/":
        return
    if text == "//":
        yield invalid_value(path, text, "segment[0] may not be empty")
        return
    if text[0] != "/":
        yield invalid_value(path, text, "must start with a '/'")
    for index, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            yield invalid_value(path, text, f"segment[{index}] may not be empty")
            continue
        for problem in dns1123_subdomain(segment):
            yield invalid_value(path, text, f"segment[{index}]: {problem}")


def _conditions(conditions: list[Obj], path: str) -> Iterator[Cause]:
    if len(conditions) > _MAX_CONDITIONS:
        yield too_many(path, len(conditions), _MAX_CONDITIONS)
    names: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = f"{path}[{index}]", condition.get("name", "")
        if not condition.get("expression", "").strip():
            yield required(f"{at}.expression")
        problems = qualified_name(name)
        if not name:
            yield required(f"{at}.name")
        elif problems:
            yield invalid_value(f"{at}.name", name, ",".join(problems))
        if name in names:
            yield duplicate(f"{at}.name", name)
        elif name:
            names.add(name)


def _review_versions(versions: list[str], path: str) -> Iterator[Cause]:
    if not versions:
        yield required(path, f"must specify one of {', '.join(_REVIEWS)}")
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if version in seen:
            yield invalid_value(f"{path}[{index}]", version, "duplicate version")
            continue
        seen.add(version)
        yield from all_of(f"{path}[{index}]", version, dns1035_label)
    if not seen & set(_REVIEWS):
        yield invalid_value(path, versions, f"must include at least one of {', '.join(_REVIEWS)}")
