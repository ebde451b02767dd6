"""Is an answer the recorded one? Exactly where the rules decide, by distribution where chance does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labctl.conformance.corpus import Case
from labctl.conformance.target import View
from labctl.verdict.special import chi_square_tail

Json = dict[str, Any]
Difference = tuple[str, Any, Any]
"""What differs, what was recorded, what came."""

_NOT_COMPARED = frozenset({"content-length", "transfer-encoding", "date", "x-pod"})
"""Framing and time; the pod is compared by itself."""

_POD_HEADERS = frozenset({"content-type", "server", "x-pod"})
"""What another echo image's answer has otherwise by its own choice."""

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "x-pod"})
"""How a proxy handles its own connections, and the recorded echo pods' name: compared only where all bytes can be."""

_RANDOM_ID = re.compile(r"[0-9a-f]{32}")
_STICKY = re.compile(r"[0-9a-f]{32}\|[0-9a-f]{32}|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_STICKY_BACKEND = re.compile(r"\*\|[0-9a-f]{32}")
"""An affinity cookie names a hash of the backend's name, which has the namespace in it."""
_EXPIRES = re.compile(r"(?i)expires=[^;]+")
_SIGNIFICANCE = 1e-5


class Comparison:
    """Compares the results of one case.

    Args:
        case: The case.
        view: How much of an answer can be seen.
    """

    def __init__(self, case: Case, view: View = View()) -> None:  # noqa: B008 - frozen
        self._view = view
        text = str(case.data["manifests"]) + str(case.data.get("configmap", ""))
        self._uneven = "ewma" in text
        self._hashed = "upstream-hash-by" in text
        self._weighted = _is_weighted(case.data)
        self._singles: dict[str, list[tuple[str, str]]] = {}

    def result(self, entry: Json, got: Json) -> list[Difference]:
        """All differences between a recorded result and what came."""
        recorded: Json = entry["observed"]
        if "action" in entry:
            return list(_action(entry["action"], recorded, got, self._view))
        if "status_histogram" in recorded:
            return list(self._histograms(recorded, got))
        return list(self._single(entry["request"], recorded, got))

    # Single requests

    def _single(self, request: Json, recorded: Json, got: Json) -> Iterable[Difference]:
        if ("error" in recorded) != ("error" in got):
            yield "error", recorded.get("error"), got.get("error", got.get("status"))
            return
        for name in ("status", "reason") if self._view.wire else ("status",):
            if recorded.get(name) != got.get(name):
                yield name, recorded.get(name), got.get(name)
        if _truncated(recorded) != _truncated(got):
            yield "body_framing", recorded.get("body_framing"), got.get("body_framing")
        wanted, found = _headers(recorded, self._view), _headers(got, self._view)
        if wanted != found:
            yield "headers", wanted, found
        pods = recorded.get("pod"), got.get("pod")
        if self._weighted and None not in pods:
            self._singles.setdefault(str(request), []).append((str(pods[0])[:1], str(pods[1])[:1]))
        elif self._pod(pods[0]) != self._pod(pods[1]):
            yield "pod", *pods
        yield from _seen(recorded.get("backend_saw"), got.get("backend_saw"), self._view)
        yield from _bodies(recorded, got)
        if recorded.get("tls") != got.get("tls"):
            yield "tls", recorded.get("tls"), got.get("tls")
        yield from _websocket(recorded.get("first_ws_message"), got.get("first_ws_message"), self._view)

    def _pod(self, pod: str | None) -> str | None:
        """A pod as far as the rules decide it: its Service's family, or itself where a hash chooses it."""
        return pod if pod is None or (self._hashed and self._view.wire) else pod[:1]

    def pooled(self) -> Iterable[tuple[str, Difference]]:
        """Differences between requests that were sent one by one and that chance decides, taken together."""
        for request, pairs in self._singles.items():
            recorded, got = (Counter(pair[side] for pair in pairs) for side in (0, 1))
            if not _alike(recorded, got, exact=False):
                yield request, ("pods", dict(recorded), dict(got))

    # Many requests

    def _histograms(self, recorded: Json, got: Json) -> Iterable[Difference]:
        if not _alike(recorded["status_histogram"], got["status_histogram"], exact=_certain(recorded)):
            yield "status_histogram", recorded["status_histogram"], got["status_histogram"]
        families = [_by_family(part["pod_histogram"]) for part in (recorded, got)]
        if not _alike(families[0], families[1], exact=len(families[0]) < 2):
            yield "service_histogram", families[0], families[1]
        pods = [part["pod_histogram"] for part in (recorded, got)]
        if self._hashed and recorded["status_histogram"].keys() == {"200"}:
            if len(pods[0]) == 1 and (pods[0] != pods[1] if self._view.wire else len(pods[1]) != 1):
                yield "pod_histogram", pods[0], pods[1]
        elif not self._uneven and not _even_alike(*pods):
            yield "pod_histogram", pods[0], pods[1]
        if (recorded["responses_with_set_cookie"] > 0) != (got["responses_with_set_cookie"] > 0):
            yield "responses_with_set_cookie", recorded["responses_with_set_cookie"], got["responses_with_set_cookie"]


def _is_weighted(data: Json) -> bool:
    """Whether chance sends some requests to a canary."""
    weights = re.findall(r"canary-weight': '(\d+)'", str(data["manifests"]) + str(data["results"]))
    return any(0 < int(weight) < 100 for weight in weights)


def _certain(recorded: Json) -> bool:
    """Whether chance has no say in the statuses: all alike."""
    return len(recorded["status_histogram"]) == 1


def _by_family(pods: Mapping[str, int]) -> dict[str, int]:
    families: Counter[str] = Counter()
    for pod, count in pods.items():
        families[pod[:1]] += count
    return dict(families)


def _alike(recorded: Mapping[str, int], got: Mapping[str, int], *, exact: bool) -> bool:
    """Whether two histograms may come from the same distribution (chi-square test of homogeneity)."""
    if exact or not recorded or not got:
        return set(recorded) == set(got)
    keys = sorted(set(recorded) | set(got))
    return _homogeneous([recorded.get(key, 0) for key in keys], [got.get(key, 0) for key in keys])


def _homogeneous(first: Sequence[int], second: Sequence[int]) -> bool:
    total_first, total_second = sum(first), sum(second)
    if not total_first or not total_second:
        return total_first == total_second
    statistic, total = 0.0, total_first + total_second
    for one, two in zip(first, second, strict=True):
        for count, size in ((one, total_first), (two, total_second)):
            expected = (one + two) * size / total
            statistic += (count - expected) ** 2 / expected
    return chi_square_tail(statistic, len(first) - 1) >= _SIGNIFICANCE


def _even_alike(recorded: Mapping[str, int], got: Mapping[str, int]) -> bool:
    """Whether both spread as evenly: which pods get more is chance, how much more is not."""
    most = max(len(recorded), len(got))
    first = [*sorted(recorded.values()), *[0] * (most - len(recorded))]
    second = [*sorted(got.values()), *[0] * (most - len(got))]
    return not most or _homogeneous(sorted(first), sorted(second))


# Parts of a response


def _truncated(observed: Json) -> bool:
    return "truncated" in str(observed.get("body_framing"))


def _headers(observed: Json, view: View) -> list[list[str]]:
    """Headers that do not depend on the body's framing, with what is random masked."""
    kept = [pair for pair in observed.get("headers", ()) if pair[0].lower() not in _NOT_COMPARED]
    if not view.wire and observed.get("pod") is not None:
        kept = [pair for pair in kept if pair[0].lower() not in _POD_HEADERS]
    return _comparable([[name, _masked(name, value)] for name, value in kept], view)


def _comparable(headers: list[list[str]], view: View) -> list[list[str]]:
    """Headers in wire order, or as a sorted list in lower case where that cannot be seen."""
    if view.wire:
        return headers
    return sorted(
        [name.lower(), _STICKY_BACKEND.sub("*", value)] for name, value in headers if name.lower() not in _HOP_BY_HOP
    )


def _masked(name: str, value: str) -> str:
    lower = name.lower()
    if lower == "set-cookie":
        return _EXPIRES.sub("Expires=*", _STICKY.sub("*", value))
    if lower in {"x-request-id", "x-auth-request-redirect"}:
        return _RANDOM_ID.sub("*", value)
    if lower == "ssl-client-cert":
        return value[:27]
    if len(value) > 200:
        return re.sub(r"(.)\1{99,}(\.\.\.\(\d+ bytes\))?", r"\1...", value)
    return re.sub(r"(.)\1{99,}\.\.\.\(\d+ bytes\)", r"\1...", value)


def _seen(recorded: Json | None, got: Json | None, view: View) -> Iterable[Difference]:
    """What the pod saw, as far as it tells."""
    if recorded is None or got is None:
        if view.wire and recorded is not got and not (recorded is None and got is not None):
            yield "backend_saw", recorded, got
        return
    for name in ("method", "path", "proto", "host", "tls", "body_len", "chunked_in"):
        if (view.wire or got.get(name) is not None) and recorded.get(name) != got.get(name):
            yield f"backend_saw.{name}", recorded.get(name), got.get(name)
    yield from _request_headers("backend_saw.headers", recorded["headers"], got["headers"], view)


def _request_headers(
    what: str, recorded: Sequence[Sequence[str]], got: Sequence[Sequence[str]], view: View
) -> Iterable[Difference]:
    wanted = _comparable([[name, _request_value(name, value)] for name, value in recorded], view)
    found = _comparable([[name, _request_value(name, value)] for name, value in got], view)
    if wanted != found:
        yield what, wanted, found


def _request_value(name: str, value: str) -> str:
    if name.lower() == "cookie":
        return _STICKY.sub("*", value)
    return _masked(name, value)


def _bodies(recorded: Json, got: Json) -> Iterable[Difference]:
    """Bodies of nginx's own pages, byte by byte; those of echo pods are compared by what the pod saw."""
    if recorded.get("pod") is not None and got.get("pod") is not None:
        return
    if recorded.get("body") != got.get("body") and "body" in recorded:
        yield "body", recorded["body"], got.get("body")


def _websocket(recorded: Json | None, got: Json | None, view: View) -> Iterable[Difference]:
    if recorded is None or got is None:
        if recorded is not got:
            yield "first_ws_message", recorded, got
        return
    yield from _request_headers("first_ws_message.headers", recorded["headers"], got["headers"], view)


# Actions

_CONFIGURATION = re.compile(r"nginx-cfg\d+(:\d+)?")
_VOLATILE = re.compile(
    r'(UID|ResourceVersion|resourceVersion):"[^"]*"|uid=\S+|\d{4}-\d\d-\d\dT[\d:.]+Z|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d'
    r"|\d+#\d+:|\d+ms\b"
)


def normalised(text: str) -> str:
    """A log line or message without names of temporary files, identities and times."""
    return _VOLATILE.sub("*", _CONFIGURATION.sub("nginx-cfg*", text))


def _action(action: str, recorded: Json, got: Json, view: View) -> Iterable[Difference]:
    if action in {"apply", "delete", "scale", "config"}:
        if view.wire:
            yield from _change(recorded, got)
    elif action == "admission":
        wanted, found = admission(recorded["result"]), admission(got["result"])
        if wanted != found:
            yield "admission", wanted, found
    elif action == "echo" and _sorted_hits(recorded["result"]) != _sorted_hits(got["result"]):
        yield "hits", recorded["result"], got["result"]
    elif action == "get" and recorded != got:
        yield "object", recorded["result"], got["result"]
    elif action == "events":
        told, came = (sorted({tuple(event) for event in part["events"]}) for part in (recorded, got))
        if told != came:
            yield "events", told, came
    elif action == "http":
        yield from _own_port(recorded, got)


def _sorted_hits(result: str) -> tuple[int, int]:
    """How many requests reached how many pods: which ones is chance."""
    pods = re.findall(r"[a-z]\d+", result)
    return (len(pods), len(set(pods))) if result.startswith("[") else (0, 0)


def _change(recorded: Json, got: Json) -> Iterable[Difference]:
    if recorded["api"] != got["api"]:
        yield "api", recorded["api"], got["api"]
    if "reloads" in recorded and bool(recorded["reloads"]) != bool(got["reloads"]):
        yield "reloads", recorded["reloads"], got["reloads"]
    have = {normalised(line) for line in got.get("log", ())}
    missing = [line for line in recorded.get("log", ()) if normalised(line) not in have]
    if missing:
        yield "log", missing, got.get("log")


def admission(result: Json) -> Json:
    """A webhook's answer in comparable form."""
    return {key: normalised(value) if isinstance(value, str) else value for key, value in result.items()}


def _own_port(recorded: Json, got: Json) -> Iterable[Difference]:
    if recorded["status"] != got["status"]:
        yield "status", recorded["status"], got["status"]
    kind = [value for name, value in recorded["headers"] if name == "Content-Type"]
    if kind != [value for name, value in got["headers"] if name == "Content-Type"]:
        yield "headers", recorded["headers"], got["headers"]
    have = {_shape(line) for line in got["lines"]}
    wanted = [line for line in recorded["lines"] if "zz-sync" not in line]
    missing = [line for line in wanted if _shape(line) not in have]
    if missing:
        yield "lines", missing, got["lines"]


def _shape(line: str) -> str:
    """A line of the controller's own ports with numbers masked."""
    return re.sub(r"(?<![\w.])-?\d+(\.\d+)?(e[+-]?\d+)?\b", "#", line)
