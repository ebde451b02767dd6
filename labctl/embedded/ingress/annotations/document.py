"""The catalogue of annotations as a document (docs/annotations.md)."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.ingress.annotations.catalogue import PREFIX, Annotation, Support
from labctl.embedded.ingress.annotations.extract import CATALOGUE
from labctl.embedded.ingress.settings import setting_keys

_INTRODUCTION = f"""# Annotations and ConfigMap keys of the embedded ingress-nginx

Generated from the catalogue in `labctl/embedded/ingress/annotations`. Names are without their prefix
`{PREFIX}/`. An annotation without effect gets a warning event on its Ingress and a line in the
controller's log; so does one that ingress-nginx 1.11.2 does not know. Risk is what the ConfigMap's
`annotations-risk-level` is compared with."""


def document() -> str:
    """The whole document, Markdown."""
    return "\n".join([_INTRODUCTION, "", *_annotations(), *_settings()]) + "\n"


def _annotations() -> Iterator[str]:
    for support in Support:
        found = sorted(
            (entry for entry in CATALOGUE.values() if entry.support is support), key=lambda entry: entry.name
        )
        if not found:
            continue
        yield from (f"## {support.value.capitalize()}", "")
        yield from ("| Annotation | Group | Risk | What it does |", "|---|---|---|---|")
        yield from (_row(entry) for entry in found)
        yield ""


def _row(annotation: Annotation) -> str:
    also = f"also `{'`, `'.join(annotation.aliases)}`" if annotation.aliases else ""
    note = "; ".join(text for text in (annotation.about.rstrip("."), annotation.note, also) if text).replace("|", "\\|")
    return f"| `{annotation.name}` | {annotation.group} | {annotation.risk.name.capitalize()} | {note} |"


def _settings() -> Iterator[str]:
    own, without = setting_keys()
    yield from ("## ConfigMap keys", "", "With effect: " + ", ".join(f"`{key}`" for key in own) + ".", "")
    yield "Accepted without effect: " + ", ".join(f"`{key}`" for key in without) + "."
