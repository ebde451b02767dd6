"""Requests to the Kubernetes API made by chance from its own OpenAPI document: never a fault of the server, never a hang."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labctl.embedded.http.messages import Response
from labctl.embedded.kinds import schema
from tests.unit.embedded_api.server import CONFIG_MAPS, DEPLOYMENTS, Server, deployment, pod

LONGEST = 20.0
"""Seconds until an answer is called a hang; the slowest takes milliseconds on a quiet machine."""

_JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "a/b", [], {}, [None], {"a": None}, [[]], {"": ""}, "x" * 300, "\u0000", "é",
)  # fmt: skip
_STRINGS = (
    "x",
    "",
    "web",
    "default",
    "1",
    "100Mi",
    "25%",
    "TCP",
    "Always",
    "a.b/c",
    "10.0.0.1",
    "*",
    "In",
    "-",
    "A" * 64,
)
_SCALARS: dict[str, tuple[Any, ...]] = {
    "integer": (0, 1, 2, 80, 30080, -1, 2**31, 65536),
    "number": (0, 0.5, -1),
    "boolean": (True, False),
    "string": _STRINGS,
    "date-time": ("2026-11-21T03:00:00Z", "x", "2026-11-21T03:00:00.5+09:00"),
    "int-or-string": (80, "25%", "http", -1),
}
_NAMES = ("web", "c", "p", "default", "nope", "kube-system", "..", "%2e%2e", "a%2fb", "%00", "X", "x" * 254, "")
_TYPES = (
    "application/json", "application/yaml", "application/strategic-merge-patch+json", "application/merge-patch+json",
    "application/json-patch+json", "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf", "text/plain", "",
)  # fmt: skip
_ACCEPTS = (
    "application/json", "application/yaml", "*/*", "x/y", ";;,", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf",
)  # fmt: skip
_QUERIES = {
    "limit": ("1", "0", "-1", "x"), "continue": ("", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"), "watch": ("0", "x"),
    "fieldSelector": ("metadata.name=web", "x", "=", "spec.nodeName!="), "labelSelector": ("a=b", "a in (", "!a", ",,"),
    "resourceVersion": ("0", "1", "-1", "x", "99999999"), "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "dryRun": ("All", "x"), "fieldManager": ("f", "x" * 200, "\n"), "fieldValidation": ("Strict", "Warn", "Ignore", "x"),
    "force": ("true", "x"), "gracePeriodSeconds": ("0", "-1", "x", "9" * 30), "orphanDependents": ("true", "x"),
    "propagationPolicy": ("Foreground", "Orphan", "x"), "timeoutSeconds": ("1", "x"), "pretty": ("true", "x"),
    "sendInitialEvents": ("true",), "allowWatchBookmarks": ("true",),
}  # fmt: skip
_CONNECTS = ("/exec", "/attach", "/portforward", "/proxy", "/log")
"""Subresources that a node answers, and this API has no nodes."""


_CREATED = Path(__file__).parents[1] / "unit" / "embedded_kinds" / "recorded" / "created.json"
"""Objects that a real API accepted."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document.

    Attributes:
        method: Its HTTP method.
        path: Its path, with placeholders.
        body: The schema of its body, if it has one.
        kind: Kind of the objects it is about; empty for others.
    """

    method: str
    path: str
    body: dict[str, Any] | None
    kind: str


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every operation, except those that nodes answer or that are watches by path."""
    return list(_operations(document))


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        if path.startswith("/api/v1/watch/") or "/watch/" in path or any(part in path for part in _CONNECTS):
            continue
        for method, operation in item.items():
            if method not in ("get", "put", "post", "delete", "patch", "options", "head"):
                continue
            bodies = [entry["schema"] for entry in operation.get("parameters", ()) if entry.get("in") == "body"]
            kind = operation.get("x-kubernetes-group-version-kind", {}).get("kind", "")
            yield Operation(method.upper(), path, bodies[0] if bodies else None, kind)


class Maker:
    """Makes requests by chance."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self.dice = random.Random(seed)
        self._definitions = document["definitions"]
        self._operations = operations(document)
        kinds: dict[str, tuple[str, str]] = {}
        for name, definition in self._definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", ())[:1]:
                version = "/".join(part for part in (kind["group"], kind["version"]) if part)
                kinds[name] = (version, kind["kind"])
        self._kinds = kinds
        self._samples = {entry["name"]: entry["request"] for entry in json.loads(_CREATED.read_text())}
        self._about_samples = [operation for operation in self._operations if operation.kind in self._samples]

    def request(self) -> tuple[str, str, dict[str, str], bytes]:
        """Method, target, headers and body."""
        dice, operation = self.dice, self.dice.choice(self._operations)
        if dice.random() < 0.5:
            operation = dice.choice(self._about_samples)
        path = operation.path.replace("{namespace}", dice.choice(("default",) * 60 + _NAMES))
        while "{" in path:
            start, end = path.index("{"), path.index("}")
            path = (
                path[:start]
                + (dice.choice(_NAMES[:4]) if dice.random() < 0.7 else dice.choice(_NAMES))
                + path[end + 1 :]
            )
        query = [
            f"{name}={quote(dice.choice(values))}"
            for name, values in _QUERIES.items()
            if dice.random() < 1.5 / len(_QUERIES)
        ]
        headers = {"Accept": "application/json" if dice.random() < 0.8 else dice.choice(_ACCEPTS)}
        body = b""
        if operation.body is not None or dice.random() < 0.02:
            headers["Content-Type"] = self._content_type(operation.method)
            body = self._encoded(operation)
        method = operation.method if dice.random() < 0.97 else dice.choice(("PATCH", "TRACE", "get", "OPTIONS", "POST"))
        return method, path + ("?" + "&".join(query) if query else ""), headers, body

    def _content_type(self, method: str) -> str:
        usual = self.dice.choice(_TYPES[2:6]) if method == "PATCH" else "application/json"
        return usual if self.dice.random() < 0.9 else self.dice.choice(_TYPES)

    def _encoded(self, operation: Operation) -> bytes:
        dice = self.dice
        sample = self._samples.get(operation.kind)
        if sample is not None and operation.method != "DELETE" and dice.random() < 0.7:
            named = {**sample, "metadata": {**sample["metadata"], "name": dice.choice(_NAMES[:4])}}
            made = self._spoiled(named, dice.choice((0.0, 0.005, 0.02, 0.1)))
        else:
            made = self.value(operation.body or {}, 0)
            if dice.random() < 0.4:
                made = self._spoiled(made, 0.1)
        if operation.method == "PATCH" and dice.random() < 0.3:
            made = [
                {
                    "op": dice.choice(("add", "remove", "test", "x")),
                    "path": dice.choice(("/spec", "/a~1b", "", "x")),
                    "value": made,
                }
            ]
        data = json.dumps(made).encode()
        return data[: dice.randrange(len(data) + 1)] if dice.random() < 0.03 else data

    def value(self, given: dict[str, Any], depth: int) -> Any:
        """A value of a schema."""
        dice = self.dice
        name = given.get("$ref", "").removeprefix("#/definitions/")
        known = self._definitions.get(name, {}) if name else given
        if name in self._kinds and depth == 0:
            version, kind = self._kinds[name]
            made = self._object(known, depth)
            return {**made, "apiVersion": version, "kind": kind, "metadata": self._metadata()}
        match known.get("type"):
            case "object" | None if known.get("properties"):
                return self._object(known, depth)
            case "object":
                return {
                    dice.choice(_STRINGS): self.value(known.get("additionalProperties", {"type": "string"}), depth + 1)
                }
            case "array":
                return [
                    self.value(known["items"], depth + 1) for _ in range(dice.choice((0, 1, 1, 2)) if depth < 9 else 0)
                ]
        scalar = next((known[name] for name in ("format", "type") if known.get(name) in _SCALARS), "")
        return dice.choice(known.get("enum") or _SCALARS.get(scalar, _JUNK))

    def _object(self, known: dict[str, Any], depth: int) -> dict[str, Any]:
        required = known.get("required", ())
        chance = (0.7, 0.5, 0.35, 0.3)[depth] if depth < 4 else 0.12 if depth < 9 else 0.0
        return {
            field: self.value(inner, depth + 1)
            for field, inner in known.get("properties", {}).items()
            if field in required or self.dice.random() < chance
        }

    def _metadata(self) -> dict[str, Any]:
        dice = self.dice
        good = dice.random() < 0.8
        made: dict[str, Any] = (
            {"name": dice.choice(_NAMES[:4] if good else _NAMES)} if dice.random() < 0.9 else {"generateName": "g-"}
        )
        if dice.random() < 0.3:
            made["labels"] = {dice.choice(_STRINGS): dice.choice(_STRINGS)}
        if dice.random() < 0.1:
            made["finalizers"] = [dice.choice(_STRINGS)]
        if dice.random() < 0.1:
            made["ownerReferences"] = [
                self.value({"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference"}, 1)
            ]
        return made

    def _spoiled(self, value: Any, chance: float) -> Any:
        dice = self.dice
        if dice.random() < chance:
            return dice.choice(_JUNK)
        if isinstance(value, dict):
            return {field: self._spoiled(inner, chance * 0.8) for field, inner in value.items()}
        if isinstance(value, list):
            return [self._spoiled(inner, chance * 0.8) for inner in value]
        return value


async def fuzz_api(seed: int, count: int) -> dict[int, int]:
    """Send so many; how often each status was the answer.

    Raises:
        AssertionError: With the request, for an answer of 500 and more or none in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            return await _send(server, Maker(schema.openapi_v2(), seed), count)
        finally:
            await server.api.close()


def _is_ahead(response: Response) -> bool:
    """Whether the resourceVersion that was asked for is yet to come: a time-out in the real API's words too."""
    return response.status == 504 and isinstance(response.body, bytes) and b"Too large" in response.body


async def _send(server: Server, maker: Maker, count: int) -> dict[int, int]:
    for path, subject in (
        (CONFIG_MAPS, {"metadata": {"name": "c"}}),
        (DEPLOYMENTS, deployment()),
        ("/api/v1/namespaces/default/pods", pod()),
    ):
        assert server.post(path, subject).status == 201
    statuses: dict[int, int] = {}
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    for _ in range(count):
        method, target, headers, body = maker.request()
        try:
            answer = server.answer(method, target, body, headers=headers)
            response = await asyncio.wait_for(answer, LONGEST) if inspect.isawaitable(answer) else answer
            assert isinstance(response, Response)
            assert response.status < 500 or _is_ahead(response), response.body
            await asyncio.sleep(0)
            assert not problems, problems
        except (Exception, asyncio.CancelledError) as error:
            raise AssertionError((method, target, headers, body)) from error
        statuses[response.status] = statuses.get(response.status, 0) + 1
    return statuses
