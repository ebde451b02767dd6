"""Helm values checked against what labctl renders: nothing is ignored in silence, as Helm does with a misspelt key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.config.decode import did_you_mean, kind_of
from labctl.config.positions import Document
from labctl.errors import ConfigError, UsageError
from labctl.ingress.chart import HELM_ONLY, SPEC, Leaf, Spec
from labctl.ingress.values import ValuePath

USE_HELM = "install with the real Helm (`labctl ingress install --via helm`)"


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """A value that cannot be rendered: its path, why, and what to do."""

    path: ValuePath
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def value_problems(values: Mapping[str, Any], *, helm: bool = False) -> tuple[ValueProblem, ...]:
    """Every value that the chart does not know, that labctl does not render, or that has a wrong type.

    Args:
        values: Helm values without the chart's defaults.
        helm: Helm renders them: everything that the chart has is allowed.
    """
    return tuple(_mapping(values, SPEC, (), helm))


def check_values(values: Mapping[str, Any], *, helm: bool = False) -> None:
    """Refuse values that do not fit the chart or, without Helm, that labctl does not render.

    Raises:
        UsageError: Names every one of them.
    """
    problems = value_problems(values, helm=helm)
    if len(problems) == 1:
        raise UsageError(f"{'.'.join(problems[0].path)}: {problems[0].message}", hint=problems[0].hint)
    if problems:
        raise UsageError("these Helm values do not fit:\n  " + "\n  ".join(map(str, problems)))


def check_values_file(document: Document, prefix: ValuePath = (), *, helm: bool = False) -> None:
    """Refuse values as `check_values` does, with their places in the file that holds them.

    Args:
        document: A values file, or a cluster.yaml.
        prefix: Where the values are in it: empty for a values file, `("ingress", "values")` for a cluster.yaml.
        helm: Helm renders them.

    Raises:
        ConfigError: Carries every mistake.
    """
    values = values_of(document, prefix)
    found = [
        document.problem(
            (*prefix, *problem.path), f"{'.'.join(problem.path)}: {problem.message}", problem.hint, key=True
        )
        for problem in value_problems(values, helm=helm)
    ]
    if found or document.problems:
        raise ConfigError((*document.problems, *found))


def values_of(document: Document, prefix: ValuePath = ()) -> Mapping[str, Any]:
    """The Helm values in a document.

    Raises:
        ConfigError: They are no mapping.
    """
    values: Any = document.data
    for key in prefix:
        values = values.get(key) if isinstance(values, Mapping) else None
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError((document.problem(prefix, f"Helm values must be a mapping, not {kind_of(values)}"),))
    return values


def _mapping(values: Mapping[str, Any], spec: Spec, path: ValuePath, helm: bool) -> Iterator[ValueProblem]:
    for key, value in values.items():
        here = (*path, key)
        known = spec.get(key)
        name = ".".join(here)
        if name in HELM_ONLY:
            if not helm and not _is_off(value):
                yield ValueProblem(here, f"labctl does not render {HELM_ONLY[name]}", USE_HELM)
        elif known is None:
            yield ValueProblem(here, "the chart has no such value", _suggestion(here, spec))
        elif isinstance(known, Leaf):
            yield from _leaf(value, known, here, helm)
        elif isinstance(value, Mapping):
            yield from _mapping(value, known, here, helm)
        elif value is not None:
            yield ValueProblem(here, f"must be a mapping, not {kind_of(value)}")


def _leaf(value: Any, known: Leaf, path: ValuePath, helm: bool) -> Iterator[ValueProblem]:
    if value is None:
        if not helm and isinstance(known.default, (int, str)) and known.default not in ("", False):
            yield ValueProblem(path, f"cannot be removed with null (the default is {known.default})")
        return
    stray = isinstance(value, bool) and bool not in known.kinds
    if stray or not isinstance(value, known.kinds):
        yield ValueProblem(path, f"must be {known.words}, not {kind_of(value)}")
    elif known.choices and value not in (*known.choices, known.default):
        allowed = ", ".join(choice for choice in known.choices if choice)
        near = did_you_mean(str(value), known.choices)
        yield ValueProblem(path, f"{value!r} is not one of {allowed}", f"did you mean {near!r}?" if near else "")


def _is_off(value: Any) -> bool:
    """Whether a section that only Helm renders is switched off or empty, and so asks for nothing."""
    return not value or (isinstance(value, Mapping) and value.get("enabled") is False)


def _suggestion(path: ValuePath, spec: Spec) -> str:
    elsewhere = [name for name in (*_paths(SPEC), *HELM_ONLY) if name.rpartition(".")[2] == path[-1]]
    if elsewhere:
        closest = difflib.get_close_matches(".".join(path), elsewhere, n=1, cutoff=0.0)
        return f"did you mean {closest[0]}?"
    near = did_you_mean(path[-1], spec)
    return f"did you mean {'.'.join((*path[:-1], near))}?" if near else ""


def _paths(spec: Spec, path: ValuePath = ()) -> Iterator[str]:
    for key, known in spec.items():
        yield ".".join((*path, key))
        if not isinstance(known, Leaf):
            yield from _paths(known, (*path, key))
