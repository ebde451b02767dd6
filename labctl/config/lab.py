"""lab.yaml → Lab, every default filled in and every mistake named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.config import lab_actions, lab_checks
from labctl.config.decode import Fields, did_you_mean, one_of, open_document
from labctl.config.inventory import NAME_MEANING, NAME_PATTERN
from labctl.config.lab_actions import LAB_FILE as LAB_FILE
from labctl.config.lab_checks import pattern_problem
from labctl.config.lab_probe import read_probe
from labctl.config.positions import KeyPath, parse, read_text
from labctl.errors import UsageError
from labctl.model.actions import DeleteStep, PatchStep
from labctl.model.inventory import Provider
from labctl.model.lab import CheckStep, Lab, Needs, Step
from labctl.model.reference import reference_problem


def load_lab(directory: Path) -> Lab:
    """Read a lab from its folder; the folder's name is the lab's.

    Raises:
        UsageError: There is no lab.yaml in it, or it cannot be read.
        ConfigError: It has mistakes; carries all of them.
    """
    if not (directory / LAB_FILE).is_file():
        raise UsageError(f"{directory}: no lab here", hint=f"a lab is a folder with a {LAB_FILE}")
    path = directory / LAB_FILE
    return parse_lab(read_text(path), str(path), directory)


def parse_lab(text: str, source: str, directory: Path) -> Lab:
    """Read the text of a lab.yaml.

    Args:
        text: The YAML.
        source: Its name in messages.
        directory: The lab's folder; its manifests must be there.

    Raises:
        ConfigError: It has mistakes; carries all of them.
    """
    fields = open_document(parse(text, source), "Lab")
    if not re.fullmatch(NAME_PATTERN, directory.name):
        fields.note("", f"the folder's name {directory.name!r} is the lab's and must be {NAME_MEANING}")
    lab = Lab(
        name=directory.name,
        title=fields.text("title"),
        teaches=fields.text("teaches", "").strip(),
        directory=directory,
        steps=(),
        namespace=fields.text("namespace", "default", pattern=NAME_PATTERN, meaning=NAME_MEANING),
        versions=fields.text_map("versions"),
        unsupported=_unsupported(fields),
        needs_ingress=fields.boolean("needsIngress", True),
        needs=_needs(fields),
        ingress_nginx=fields.text("ingressNginx", ""),
        exclusive=fields.boolean("exclusive", False),
        reference=fields.text("reference", ""),
    )
    _check_patterns(fields, "versions", lab.versions)
    steps = tuple(_step(item, lab) for item in fields.sections("steps", required=not lab.reference))
    fields.done()
    _check_steps(fields, steps, lab)
    _check_references(fields)
    fields.problems.check()
    return replace(lab, steps=tuple(step for step in steps if step is not None))


def _needs(fields: Fields) -> Needs:
    section = fields.section("needs")
    needs = Needs(
        nodes=section.integer("nodes", 1, minimum=1, maximum=1000),
        servers=section.integer("servers", 1, minimum=1, maximum=100),
        shell=section.boolean("shell", False),
    )
    section.done()
    return needs


def _check_references(fields: Fields) -> None:
    """Note every `${…}` that labctl cannot look up, wherever it stands in a step."""

    def walk(path: KeyPath, value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk((*path, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk((*path, index), item)
        elif isinstance(value, str) and reference_problem(value):
            fields.problems.add(path, reference_problem(value))

    walk(("steps",), fields.data.get("steps"))


def _unsupported(fields: Fields) -> dict[str, str]:
    found = fields.text_map("unsupported")
    for name in found:
        if name not in set(Provider):
            near = did_you_mean(name, list(Provider))
            hint = f"did you mean {near!r}?" if near else ""
            fields.problems.add(("unsupported", name), f"{name!r} is not one of {one_of(Provider)}", hint, key=True)
    return found


def _check_patterns(fields: Fields, key: str, patterns: dict[str, str] | Any) -> None:
    for name, pattern in patterns.items():
        problem = pattern_problem(pattern)
        if problem:
            fields.problems.add((*fields.path, key, name), problem)


def _step(fields: Fields, lab: Lab) -> Step | None:
    kinds = [kind for kind in _READERS if fields.has(kind)]
    name = fields.text("name", "", pattern=NAME_PATTERN, meaning=NAME_MEANING)
    title = fields.text("title", "")
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else _unknown_kind(fields)
        fields.note("", f"a step does one thing: {', '.join(_READERS)}", f"this one has {found}")
        return None
    step = _READERS[kinds[0]](fields, name, title, lab)
    fields.done()
    return step


def _unknown_kind(fields: Fields) -> str:
    others = [key for key in fields.data if key not in ("name", "title", "expect")]
    near = did_you_mean(others[0], _READERS) if others else ""
    fields.asked.extend(others)
    return f"{others[0]!r}; did you mean {near!r}?" if near else "none of them"


def _check_steps(fields: Fields, steps: Sequence[Step | None], lab: Lab) -> None:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if isinstance(step, (CheckStep, PatchStep, DeleteStep)) and step.name:
            if step.name in seen:
                fields.problems.add(("steps", index, "name"), f"there are two steps named {step.name!r}")
            seen.add(step.name)
    if fields.data.get("steps") == []:
        fields.problems.add(("steps",), "a lab needs at least one step")
    elif steps and None not in steps and not any(isinstance(step, CheckStep) for step in steps):
        hint = "add a `probe:`, `exec:`, `log:`, `object:` or `refused:` step"
        fields.problems.add(("steps",), "no step checks anything, so nothing could be verified", hint)


_READERS: dict[str, Callable[[Fields, str, str, Lab], Step]] = {
    **lab_actions.READERS,
    "probe": read_probe,
    **lab_checks.READERS,
}
"""Key of a step → how it is read."""
