"""A user's own labs: making the files of a new one, and checking one whole."""

from __future__ import annotations

from pathlib import Path

from labctl.config.lab import load_lab
from labctl.config.schemas import schema_path
from labctl.errors import ConfigError, Problem, UsageError
from labctl.lab.guide import guide_path
from labctl.lab.plan import Overrides, lab_objects
from labctl.lab.skeleton import skeleton
from labctl.model.lab import CheckStep, Lab
from labctl.objects.manifests import load_manifests


def new_lab(name: str, parent: Path) -> list[Path]:
    """Write the files of a new lab; returns their paths.

    Raises:
        UsageError: The name is none, the folder exists, or cannot be written.
    """
    files = skeleton(name, schema_path("Lab").as_uri())
    folder = parent / name
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(f"{folder} exists already", hint="choose another name, or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return [folder / file for file in files]


def check_lab(folder: Path) -> tuple[Lab, list[str]]:
    """Read a lab with its manifests; returns it with what could be better.

    Raises:
        UsageError: There is no lab.
        ConfigError: lab.yaml or a manifest has mistakes; carries those of the first file that has any.
    """
    lab = load_lab(folder)
    problems: list[Problem] = []
    for manifest in dict.fromkeys(lab.manifests):
        try:
            load_manifests(lab.directory / manifest)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))
    return lab, _advice(lab)


def _advice(lab: Lab) -> list[str]:
    found = []
    if not lab.reference and not any(isinstance(step, CheckStep) for step in lab.first_steps):
        found.append("every check stands behind a change, so `labctl verify` has nothing to look at")
    if any(not step.title for step in lab.steps):
        found.append("a step without a title is shown by its name only")
    try:
        guide_path(lab.directory, "en")
    except UsageError:
        found.append("there is no guide.md, so `labctl show` has nothing to show")
    for obj in lab_objects(lab, Overrides()):
        for container in ((obj.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers", []):
            image = str(container.get("image", ""))
            if ":" not in image.rpartition("/")[2] and container.get("imagePullPolicy") != "IfNotPresent":
                found.append(f"image {image} has no tag: clusters without internet cannot start it")
    return found
