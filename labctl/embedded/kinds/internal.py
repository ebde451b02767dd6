"""Specs as the API server's own (unversioned) types print themselves, for messages that show what was changed.

`data/internal.txt` has a line per type: its fields in order, each with `=jsonName` where that is not the Go name in
lower case, how it looks when it is not set (`*` null, `"` empty string, `0`, `-` false, `.` an empty struct, `?` left
as it is), and the type of what it holds.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from importlib import resources as package_data
from typing import Any

from labctl.embedded.clientset import Obj

_FIELD = re.compile(r'(\w+?)(?:=(\w+))?([*"0.?-])(\w*)', re.ASCII)
_INITIALS = re.compile(r"[A-Z]+(?=[A-Z][a-z]|$|[0-9])|[A-Z]")
_UNSET: dict[str, Any] = {"*": None, '"': "", "0": 0, "-": False, "?": 0}
# These stand in the pod's spec in v1, but belong to the security context inside the server.
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


def difference(kind: str, old: Obj, new: Obj) -> str:
    """A unified diff, three lines of context, of the two objects as indented JSON; ends with a line break."""
    before, after = (_lines(kind, obj) for obj in (old, new))
    # The first two lines are file names, which the API server leaves out.
    return "".join(list(difflib.unified_diff(before, after, n=3))[2:])


def internal(kind: str, obj: Any) -> Any:
    """An object of a v1 type as the server's own type of that name, every field written."""
    if not isinstance(obj, dict) or kind not in _types():
        return obj
    if kind == "PodSpec":
        obj = _with_host_fields(obj)
    made: Obj = {}
    for name, source, unset, nested in _types()[kind]:
        value = obj.get(source)
        if value is None or (value in ([], {}) and unset == "*" and not nested):
            made[name] = internal(nested, {}) if unset == "." else _UNSET[unset]
        elif isinstance(value, list):
            made[name] = [internal(nested, item) for item in value] or None
        else:
            made[name] = internal(nested, value)
    return made


def _with_host_fields(spec: Obj) -> Obj:
    context = dict(spec.get("securityContext") or {})
    context |= {name: spec[name] for name in _HOST_FIELDS if name in spec}
    return {**spec, "securityContext": context if context or "securityContext" in spec else None}


def _lines(kind: str, obj: Obj) -> list[str]:
    text = json.dumps(internal(kind, obj), indent=1, ensure_ascii=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return [f"{line}\n" for line in text.split("\n")]


@cache
def _types() -> dict[str, list[tuple[str, str, str, str]]]:
    text = package_data.files("labctl.embedded.kinds").joinpath("data/internal.txt").read_text(encoding="utf-8")
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in text.splitlines():
        kind, _, fields = line.partition(": ")
        found[kind] = [_field(word) for word in fields.split()]
    return found


def _field(word: str) -> tuple[str, str, str, str]:
    match = _FIELD.fullmatch(word)
    assert match is not None, word
    name, source, unset, nested = match.groups()
    return name, source or _INITIALS.sub(lambda m: m[0].lower(), name, count=1), unset, nested
