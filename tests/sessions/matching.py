"""Does what was printed agree with what was recorded? Placeholders stand for what no two clusters have alike.

A recorded line becomes a pattern: text is text, and a placeholder (`<pod:web:1>`, `<age>`, …) takes what has its
form. Within a step a numbered placeholder always stands for the same value, and two of them never for one. Numbers
are given by first appearance, so which of a Deployment's pods is `1` is chance; rows of such siblings may change
places, and so may the nodes that the scheduler chose between.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence

_RANDOM = "[a-z0-9]+"
_CLOCK = r"\d\d:\d\d:\d\d(?:\.\d+)?"
_TIME = "|".join(
    (
        rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?: ?[+-]\d{{4}}| ?[+-]\d\d:\d\d|Z)?(?: UTC)?(?: m=\+[\d.]+)?",
        rf"[A-Z][a-z]{{2}}, \d\d [A-Z][a-z]{{2}} \d{{4}}(?: {_CLOCK})?(?: GMT| [+-]\d{{4}})?",
        rf"[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]?\d {_CLOCK} (?:UTC )?\d{{4}}",
        r"<time>",
    )
)
_FORMS = {
    "time": f"(?:{_TIME})",
    "age": r"(?:(?:\d+(?:\.\d+)?(?:y|d|h|ms|m|s|µs))+|<unknown>|<invalid>)",
    "dur": r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|µs))+",
    "rv": r"\d+",
    "uid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "digest": "[0-9a-f]{12,64}",
    "ctr": "[0-9a-f]{12,64}",
    "jwt": r"[\w.-]{20,}",
    "evhash": "[0-9a-f]+",
    "kaa": "[a-z0-9]{5}",
    "nodeport": r"\d{5}",
    "epoch": r"\d{10}",
    "helmrelease": r"\S+",
    "ip:pod": r"172\.16\.\d+\.\d+",
    "ip:svc": r"10\.10\.200\.\d+",
}
_NAMED = {
    "pod": "{base}-" + _RANDOM + f"(?:-{_RANDOM})?",
    "rs": "{base}-" + _RANDOM,
    "eps": "{base}-" + _RANDOM,
    "cr": "{base}-" + _RANDOM,
    "crh": "(?:{base}-)?" + _RANDOM,
    "job": "{base}-" + _RANDOM,
    "pth": _RANDOM,
}
_PLACEHOLDER = re.compile(r"<(ip:pod|ip:svc|[a-z]+)(?::([^<>:\s]+))??(?::(\d+))?>")
_SIBLING = re.compile(r"<(?:pod|rs|eps|crh|cr|job|ip:pod|pth|uid):")
_PLACED = re.compile(
    r"<ip:pod:|<pod:|^\s*(?:Node|NodeName|nodeName|HolderIdentity):|hostIP|^\s*(?:- )?\"?ip\"?: |assigned \S+ to |\"nodeName\""
)
_SUFFIX = re.compile(r"(?<=[a-z0-9]-)([bcdfghjklmnpqrstvwxz2456789]{5})(?![\w-])")
_NODE = re.compile(r"\bk3s-(?:s|w\d)\b|\b192\.168\.10\.1\d\d?\b")
# What the recorded machines were: their kernel, memory, disks and addresses, and images that stood in for others.
_MACHINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d+\.\d+\.\d+-[\w.-]+(?=  |\n|\"|$)(?<!k3s1)"), "(kernel)"),
    (re.compile(r"(ephemeral-storage|memory)(\"?: *\"?)\d{6,}(?:Ki)?\b"), r"\1\2(size)"),
    (re.compile(r"((?:Machine ID|System UUID|Boot ID|machineID|systemUUID|bootID)\"?: +\"?)[\w<>:-]+"), r"\1(id)"),
    (re.compile(r"(VtepMAC\\?\":\\?\")[0-9a-f:]+"), r"\1(mac)"),
    (re.compile(r"(node-config-hash\"?: \"?)[A-Z0-9=]+"), r"\1(hash)"),
    (re.compile(r"(docker\.io/library/(?:nginx|alpine|busybox)):[\w.-]+"), r"\1:(tag)"),
    (re.compile(r"docker\.io/library/(?:alpine|busybox)"), "docker.io/library/busybox"),
    (re.compile(r"(?<=link/ether )[0-9a-f:]{17}"), "(mac)"),
    (re.compile(r"\bfe80::[0-9a-f:]+"), "(link-local)"),
    (re.compile(r"\beth0@if\d+"), "eth0@if(index)"),
    (re.compile(r"\b172\.16\.\d+\.\d+/24(?= (?:brd|dev eth0))|(?<=via )172\.16\.\d+\.1(?= dev)"), "(pods' network)"),
    (re.compile(r"^.*CgroupV1  .*\n", re.M), ""),
    (re.compile(r"^PATH=/.*$", re.M), "PATH=(image's)"),
    (re.compile(r"\trequest_scheme=http\n"), ""),
    (re.compile(r"App Uptime: (?:\(some\)|[\d.]+) ?s(?:econds)?"), "App Uptime: (some)"),
    (re.compile(r"(?<=:)(?:3[0-2]\d{3}|<nodeport:\d+>)(?=/(?:TCP|UDP))"), "(node port)"),
    (re.compile(r"\(x\d+ over "), "(several times over "),
    (re.compile(r"(?<=-)1[78]\d{8}\b"), "(epoch)"),
    (re.compile(r"(\"?resourceVersion\"?: \"?)(?:\d+|<rv>)"), r"\1(version)"),
    (re.compile(r"^Waiting for (?:deployment|daemon set|statefulset|partitioned|\d+ pods).*\n", re.M), ""),
)
_NOISE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\^@"), ""),  # `script` writes it when its own input ends, whatever else it is writing
    (re.compile(r"<time> \d\d:\d\d:\d\d GMT"), "<time>"),
    (re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000"), "(log time)"),
    (re.compile(r"^[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (\S+?):\d+\]", re.M), r"(klog) \1]"),
    (re.compile(r"\b1\d{9}\.\d{6,9}\b"), "(epoch)"),
    (re.compile(r"after \d+ (?:ms|milliseconds)"), "after (some) ms"),
    (re.compile(r"^(real|user|sys) [\d.]+$", re.M), r"\1 (seconds)"),
    (re.compile(r"App Uptime: [\d.]+"), "App Uptime: (some)"),
    (re.compile(r"/tmp/\S+?\d{6,}"), "(temporary file)"),
    (re.compile(r"\b(?<![a-z] )[A-Z][a-z]{2} [ \d]\d \d\d:\d\d\b(?!:)"), "(file time)"),
    (re.compile(r"\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+"), "(projection)"),
    (re.compile(r"(Resource Version:) +\d+"), r"\1 (version)"),
    (re.compile(r"too old resource version: (\d+) \(\d+\)"), r"too old resource version: \1 (now)"),
    (re.compile(r"(Image ID:) +\S+@sha256:\S+"), r"\1 (digest)"),
    (re.compile(r"(tls\.(?:crt|key): )(?:LS0tLS1CRUdJTi\S+|<base64 private key>)"), r"\1(certificate)"),
    (re.compile(r"^HTTP/2 (\d+) *$|^HTTP/1\.[01] (\d+) .*$", re.M), r"HTTP \1\2"),
    (re.compile(r"^(?:Connection|X-Kubernetes-Pf-\S+|Content-Length|Date|ETag|Last-Modified): .*\n", re.M | re.I), ""),
    (re.compile(r"\bnginx/1\.\d+\.\d+|nginx: 1\.\d+\.\d+"), "nginx (version)"),
    (re.compile(r"\b(?:request-id=|[xX]-[rR]equest-[iI][dD]: )[0-9a-f]{32}"), "(request id)"),
    (re.compile(r"\b(?:192\.168\.10\.1|127\.0\.0\.1)(?![\d.])"), "(client)"),
    (re.compile(r"^ *(?:[A-Za-z0-9+/=]{4,}==?|[A-Za-z0-9+/]{40,}|-----(?:BEGIN|END).*)$", re.M), "(pem)"),
    (re.compile(r"@1\d{9}\b"), "@(epoch)"),
    (re.compile(r"LS0tLS1CRUdJTi[\w+/=]+|-----BEGIN (?:\\n|[\w+/= -])+-----(?:\\n)?"), "(pem)"),
    (re.compile(r"[ \t]+$", re.M), ""),
    (re.compile(r" {2,}"), "  "),
)
_HEAD = re.compile(r"^([A-Z][\w]*(?:-[\w]+)+|Server|Location|Via|Vary|Allow):(?= )", re.M)


def smooth(text: str) -> str:
    """A text without what clocks, temporary files and the width of columns put into it."""
    text = text.replace("\r\n", "\n")
    for pattern, replacement in (*_NOISE, *_MACHINE):
        text = pattern.sub(replacement, text)
    text = _HEAD.sub(lambda match: match[1].lower() + ":", text)
    return re.sub(r"\(pem\)(?:\n *(?:\(pem\)|[A-Za-z0-9+/]{4,}(?=\n\(pem\))))+", "(pem)", text).rstrip("\n")


class Bindings:
    """Which value each numbered placeholder stands for; one to one."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._owners: dict[tuple[str, str], str] = {}

    def bind(self, kind: str, key: str, value: str) -> bool:
        """Note that a placeholder stands for a value; False when that contradicts an earlier one."""
        if self._values.setdefault(key, value) != value:
            return False
        return self._owners.setdefault((kind, value), key) == key

    def copy(self) -> Bindings:
        """A copy to try something with."""
        other = Bindings()
        other._values = dict(self._values)
        other._owners = dict(self._owners)
        return other


@functools.lru_cache(maxsize=20_000)
def _pattern(line: str, nodes: bool) -> tuple[re.Pattern[str], tuple[tuple[str, str], ...]]:
    """A recorded line as a pattern, with kind and key of each of its groups."""
    parts: list[str] = []
    keys: list[tuple[str, str]] = []
    position = 0
    for start, end, form, kind, key in _tokens(line, nodes):
        parts.append(re.escape(line[position:start]))
        parts.append(f"({form})")
        keys.append((kind, key))
        position = end
    parts.append(re.escape(line[position:]))
    return re.compile("".join(parts)), tuple(keys)


def _tokens(line: str, nodes: bool) -> Iterator[tuple[int, int, str, str, str]]:
    found = []
    for match in _PLACEHOLDER.finditer(line):
        kind, base, number = match.groups()
        form = _NAMED[kind].format(base=re.escape(base)) if kind in _NAMED and base else _FORMS.get(kind)
        if form is not None:
            found.append((match.start(), match.end(), form, kind, match.group() if number else ""))
    found += [(m.start(1), m.end(1), "[a-z0-9]{5}", "random", m.group(1)) for m in _SUFFIX.finditer(line)]
    if nodes and _PLACED.search(line):
        for match in _NODE.finditer(line):
            kind = "node" if match.group().startswith("k3s") else "address"
            found.append((match.start(), match.end(), _NODE.pattern, kind, match.group()))
    yield from sorted(found)


def _line_agrees(expected: str, got: str, bindings: Bindings, *, nodes: bool) -> bool:
    if expected == got:
        return True
    pattern, keys = _pattern(expected, nodes)
    match = pattern.fullmatch(got)
    if match is None:
        return False
    return all(
        not key or bindings.bind(kind, key, value) for (kind, key), value in zip(keys, match.groups(), strict=True)
    )


def _in_order(expected: Sequence[str], got: Sequence[str], *, nodes: bool) -> bool:
    bindings = Bindings()
    return len(expected) == len(got) and all(
        _line_agrees(one, other, bindings, nodes=nodes) for one, other in zip(expected, got, strict=True)
    )


def _blocks(lines: Sequence[str], movable: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """Runs of lines that may change places; a line that may not is a run of its own."""
    start = 0
    while start < len(lines):
        end = start + 1
        if movable(lines[start]):
            while end < len(lines) and movable(lines[end]):
                end += 1
        yield start, end
        start = end


def _siblings_in_any_order(expected: Sequence[str], got: Sequence[str], movable: Callable[[str], bool]) -> bool:
    if len(expected) != len(got):
        return False
    for start, end in _blocks(expected, movable):
        left = list(got[start:end])
        for line in expected[start:end]:
            found = next((other for other in left if _line_agrees(line, other, Bindings(), nodes=True)), None)
            if found is None:
                return False
            left.remove(found)
    return True


def agrees(expected: str, got: str, *, unordered: bool = False) -> bool:
    """Whether an output agrees with the recorded one.

    Args:
        expected: As recorded.
        got: As printed, addresses mapped to the recorded ones.
        unordered: Its rows tell of things that happen side by side (events): their order is not compared.
    """
    mine, theirs = smooth(expected).split("\n"), smooth(got).split("\n")
    if _in_order(mine, theirs, nodes=False) or _in_order(mine, theirs, nodes=True):
        return True
    if unordered:
        return _siblings_in_any_order(mine, theirs, lambda line: True)
    return _siblings_in_any_order(mine, theirs, lambda line: _SIBLING.search(line) is not None)
