"""Steps of lab.yaml that change the cluster: apply, certificate, patch, delete."""

from __future__ import annotations

from labctl.config.decode import Fields, did_you_mean
from labctl.config.inventory import NAME_MEANING, NAME_PATTERN
from labctl.model.actions import Action, ApplyStep, CertificateStep, DeleteStep, PatchStep
from labctl.model.lab import Lab

LAB_FILE = "lab.yaml"
HOST = r"([A-Za-z0-9]|\$\{[^}]+\})(([-A-Za-z0-9.]|\$\{[^}]+\})*([A-Za-z0-9]|\$\{[^}]+\}))?\.?"
"""A host name, perhaps with references in it."""


def read_apply(fields: Fields, name: str, title: str, lab: Lab) -> Action:
    """Read an `apply:` step."""
    manifests = fields.texts("apply")
    if not manifests:
        fields.note("apply", "names no manifest")
    for index, manifest in enumerate(manifests):
        check_file(fields, ("apply", index) if isinstance(fields.data["apply"], list) else ("apply",), manifest, lab)
    return ApplyStep(name or "apply", manifests, title)


def check_file(fields: Fields, path: tuple[str | int, ...], name: str, lab: Lab) -> None:
    """Note it when a manifest is not in the lab's folder."""
    target = (lab.directory / name).resolve()
    if not target.is_relative_to(lab.directory.resolve()):
        fields.problems.add(
            (*fields.path, *path), f"{name} lies outside the lab's folder", "a lab holds its own manifests"
        )
    elif not target.is_file():
        there = [file.name for file in lab.directory.glob("*.y*ml") if file.name != LAB_FILE]
        near = did_you_mean(name, there)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(there))}" if there else ""
        fields.problems.add((*fields.path, *path), f"there is no {name} in {lab.directory}", hint)


def read_patch(fields: Fields, name: str, title: str, lab: Lab) -> Action:
    """Read a `patch:` step."""
    section = fields.section("patch")
    step = PatchStep(
        name=named(fields, name),
        kind=section.text("kind"),
        object_name=section.text("name"),
        patch=section.mapping("merge"),
        namespace=section.text("namespace", ""),
        title=title,
    )
    if not step.patch:
        section.note("", "has no `merge:`, so it changes nothing", "write the JSON merge patch as YAML under `merge:`")
    section.done()
    return step


def read_delete(fields: Fields, name: str, title: str, lab: Lab) -> Action:
    """Read a `delete:` step."""
    section = fields.section("delete")
    grace = section.integer("grace", 0, minimum=0, maximum=3600) if section.has("grace") else None
    step = DeleteStep(
        name=name or "delete",
        kind=section.text("kind"),
        object_name=section.text("name"),
        namespace=section.text("namespace", ""),
        grace=grace,
        title=title,
    )
    section.done()
    return step


def read_certificate(fields: Fields, name: str, title: str, lab: Lab) -> Action:
    """Read a `certificate:` step."""
    section = fields.section("certificate")
    step = CertificateStep(
        name=name or "certificate",
        secret=section.text("secret", pattern=NAME_PATTERN, meaning=NAME_MEANING),
        common_name=section.text("commonName", pattern=HOST, meaning="a host name"),
        organization=section.text("organization", ""),
        days=section.integer("days", 365, minimum=1, maximum=3650),
        rsa_bits=section.integer("rsaBits", 2048, minimum=2048, maximum=8192),
        title=title,
    )
    section.done()
    return step


def named(fields: Fields, name: str) -> str:
    """The step's name, noted where it is missing."""
    if not name and "name" not in fields.data:
        fields.note("", "the key 'name' is missing (text)", "reports call the step by its name")
    return name


READERS = {"apply": read_apply, "certificate": read_certificate, "patch": read_patch, "delete": read_delete}
"""Key of a step → how it is read."""


def read_during(fields: Fields, lab: Lab) -> Action | None:
    """Read the `during:` of a check: one action."""
    if not fields.has("during"):
        return None
    section = fields.section("during")
    kinds = [kind for kind in READERS if section.has(kind)]
    if len(kinds) != 1:
        section.note("", f"one thing is done during a check: {', '.join(READERS)}")
        return None
    action = READERS[kinds[0]](section, fields.text("name", "") or "during", "", lab)
    section.done()
    return action
