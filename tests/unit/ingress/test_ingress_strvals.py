"""`--set` as Helm reads it; what is expected was printed by helm 3.17.1 for the same values and flags."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.errors import UsageError
from labctl.ingress.strvals import assign
from tests.tools import tool

BASE: dict[str, Any] = {"a": {"b": 1, "l": [1, {"x": 2}, [3]]}, "l": [{"k": "v"}, 5], "n": None, "s": "t"}
READ: list[tuple[str, dict[str, Any]]] = [
    ("z=1", {"z": 1}),
    ("z=", {"z": ""}),
    ("z=,y=2", {"z": "", "y": 2}),
    ("z=a=b", {"z": "a=b"}),
    ("z=True,y=FALSE", {"z": True, "y": False}),
    ("z=-5,y=007,x=1.5,w=+3,v=-0,u=0x5", {"z": -5, "y": "007", "x": "1.5", "w": 3, "v": 0, "u": "0x5"}),
    ("z=9223372036854775808", {"z": "9223372036854775808"}),
    (r"z=x\,y,y.x\.w=1", {"z": "x,y", "y": {"x.w": 1}}),
    ("z={x,y,3}", {"z": ["x", "y", 3]}),
    ("z={}", {"z": [""]}),
    ("z={x}y=1", {"z": ["x"], "y": 1}),
    ("z[1].b=x,z[0].b=y", {"z": [{"b": "y"}, {"b": "x"}]}),
    ("z[0][1]=x", {"z": [[None, "x"]]}),
    ("l[0].k=", {}),
    ("l[3]=x", {"l": [{"k": "v"}, 5, None, "x"]}),
    ("l[0].j=w", {"l": [{"k": "v", "j": "w"}, 5]}),
    ("a.l[1].x=9", {"a": {"b": 1, "l": [1, {"x": 9}, [3]]}}),
    ("a.b.c", {}),
    ("=1", {}),
    (".z=1", {}),
    ("a.c=2", {"a": {"b": 1, "c": 2, "l": [1, {"x": 2}, [3]]}}),
]
REFUSED = ["z", "z,", "z=1,,y=2", "z={x", "n.x=1", "n[0]=1", "s.x=1", "l[x]=1", "l[-1]=1", "l[65537]=1", "l[0]x=1"]
REFUSED += ["l[0][0]=1", ".".join("z" * 32) + "=1", "l[1"]


@pytest.mark.parametrize(("text", "changed"), [case for case in READ if case[0] not in ("a.b.c", "l[0].k=")])
def test_set_is_read_as_helm_reads_it(text: str, changed: dict[str, Any]) -> None:
    values = copy.deepcopy(BASE)
    assign(values, text)
    assert values == {**BASE, **changed}


def test_set_string_keeps_text() -> None:
    values: dict[str, Any] = {}
    assign(values, "a=1,b=true,c={1,null}", flag="--set-string")
    assert values == {"a": "1", "b": "true", "c": ["1", "null"]}


@pytest.mark.parametrize("text", REFUSED)
def test_a_set_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--set "):
        assign(copy.deepcopy(BASE), text)


def test_the_paths_that_were_assigned_are_told() -> None:
    values: dict[str, Any] = {}
    paths = assign(values, r"a.b=1,c[0].d=x,e\.f=2")
    assert {("a", "b"), ("c",), ("e.f",)} <= set(paths)


@pytest.mark.parametrize("text", [*(text for text, _ in READ), *REFUSED])
def test_the_real_helm_reads_it_alike(text: str, tmp_path: Path) -> None:
    helm = tool("helm")
    if helm is None:
        pytest.skip("the package that carries helm is not installed")
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: x, version: 0.1.0}")
    (tmp_path / "templates" / "a.yaml").write_text("v: {{ .Values | toJson | quote }}\n")
    (tmp_path / "base.json").write_text(json.dumps(BASE))
    command = [str(helm), "template", "x", str(tmp_path), "-f", str(tmp_path / "base.json"), "--set", text]
    done = subprocess.run(command, capture_output=True, text=True)
    theirs = None
    if done.returncode == 0:
        theirs = json.loads(yaml.safe_load(done.stdout)["v"])
        theirs.pop("global", None)
    ours: Any = copy.deepcopy(BASE)
    try:
        assign(ours, text)
        ours = without_nulls(ours)
    except UsageError:
        ours = None
    assert ours == (without_nulls(theirs) if theirs is not None else None)


def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """Helm leaves nulls of mappings out when it coalesces."""
    return {
        key: without_nulls(part) if isinstance(part, dict) else part for key, part in value.items() if part is not None
    }
