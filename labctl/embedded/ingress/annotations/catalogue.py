"""Every annotation of ingress-nginx 1.11.2: how its value is checked, how risky it is, and what happens to it here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType

from labctl.embedded.ingress.annotations.validators import Validator

PREFIX = "nginx.ingress.kubernetes.io"
"""Default of `--annotations-prefix`."""


class Risk(IntEnum):
    """How much harm a value can do; compared with the ConfigMap's `annotations-risk-level`."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3

    @classmethod
    def named(cls, name: str) -> Risk:
        """The level of that name, any case; an unknown name is the lowest."""
        return {risk.name.lower(): risk for risk in cls}.get(name.lower(), cls.LOW)


class Support(StrEnum):
    """What the embedded controller does with an annotation."""

    SUPPORTED = "supported"
    PARTLY = "supported in part"
    WITHOUT_EFFECT = "accepted without effect"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation.

    Attributes:
        name: Without the prefix.
        group: The parser it belongs to, as the controller's messages name it.
        validate: Whether a value is well-formed.
        risk: How risky values are.
        about: What it does, in a sentence.
        aliases: Other names, used when this one is absent.
        support: What happens to it here.
        note: What is missing, where support is not full.
    """

    name: str
    group: str
    validate: Validator
    risk: Risk
    about: str
    aliases: tuple[str, ...] = ()
    support: Support = Support.SUPPORTED
    note: str = ""


def index(annotations: Iterable[Annotation]) -> Mapping[str, Annotation]:
    """The annotations by name."""
    return MappingProxyType({annotation.name: annotation for annotation in annotations})
