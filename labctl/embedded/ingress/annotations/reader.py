"""Reading one Ingress's annotations, with the errors that the controller tells apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations.catalogue import PREFIX, Annotation
from labctl.embedded.ingress.annotations.values import AuthCertificate
from labctl.embedded.ingress.goscalars import parse_bool, parse_int
from labctl.embedded.ingress.log import LogLine
from labctl.embedded.ingress.settings import Settings


class AnnotationError(Exception):
    """A value that cannot be used: the feature keeps its default."""


class MissingError(AnnotationError):
    """The annotation is not there."""


class ContentError(AnnotationError):
    """The value is not of its type, or empty."""


class RejectedError(AnnotationError):
    """Validation is on and refuses the value; unless the feature says otherwise the Ingress is not taken at all."""


class DeniedError(Exception):
    """The locations of this Ingress must answer 503, because serving them without the feature would be wrong."""


class Resolver(Protocol):
    """The objects that annotations refer to."""

    @property
    def settings(self) -> Settings:
        """The global configuration."""

    def secret(self, key: str) -> Obj | None:
        """The Secret of that `namespace/name`."""

    def service(self, key: str) -> Obj | None:
        """The Service of that `namespace/name`."""

    def config_map(self, key: str) -> Obj | None:
        """The ConfigMap of that `namespace/name`."""

    def auth_certificate(self, key: str) -> AuthCertificate | None:
        """CA and key pair of a Secret; None when it has neither or they are broken."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The controller's flags on annotations.

    Attributes:
        prefix: `--annotations-prefix`.
        validate: `--enable-annotation-validation`.
    """

    prefix: str = PREFIX
    validate: bool = False


class Reader:
    """Annotations of one Ingress, by their names without prefix."""

    def __init__(self, ingress: Obj, catalogue: Mapping[str, Annotation], options: ReadOptions) -> None:
        metadata = ingress["metadata"]
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self.uid: str = metadata.get("uid", "")
        self.log: list[LogLine] = []
        self._catalogue = catalogue
        self._options = options
        start = len(options.prefix) + 1
        self._values: dict[str, str] = {
            key[start:]: value
            for key, value in (metadata.get("annotations") or {}).items()
            if key.startswith(options.prefix + "/")
        }

    @property
    def names(self) -> frozenset[str]:
        """Names of all annotations with the prefix."""
        return frozenset(self._values)

    def key(self) -> str:
        """`namespace/name` of the Ingress."""
        return f"{self.namespace}/{self.name}"

    def warn(self, source: str, message: str) -> None:
        """Note a warning for the controller's log."""
        self.log.append(LogLine("W", source, message))

    def _raw(self, name: str) -> tuple[str, str]:
        """The value and the full name it came from; empty values are never validated."""
        used, value = name, self._values.get(name, "")
        if not value:
            for alias in self._catalogue[name].aliases:
                if self._values.get(alias):
                    used, value = alias, self._values[alias]
                    break
        full = f"{self._options.prefix}/{used}"
        if self._options.validate and value and not self._catalogue[name].validate(value):
            message = f"validation error on ingress {self.key()}: annotation {name} contains invalid value {value}"
            self.warn("validators.go:237", message)
            raise RejectedError(f"annotation {full} contains invalid value")
        if used not in self._values:
            raise MissingError("ingress rule without annotations")
        return value, full

    def text(self, name: str) -> str:
        """A text: every line trimmed, and not empty."""
        raw, full = self._raw(name)
        text = "\n".join(line.strip() for line in raw.split("\n"))
        if not text:
            raise ContentError(f"the annotation {full} does not contain a valid value ({raw})")
        return text

    def boolean(self, name: str) -> bool:
        """A boolean."""
        raw, full = self._raw(name)
        value = parse_bool(raw)
        if value is None:
            raise ContentError(f"the annotation {full} does not contain a valid value ({raw})")
        return value

    def integer(self, name: str) -> int:
        """An integer."""
        raw, full = self._raw(name)
        value = parse_int(raw)
        if value is None:
            raise ContentError(f"the annotation {full} does not contain a valid value ({raw})")
        return value

    def text_or(self, name: str, default: str = "") -> str:
        """A text, or the default whatever is wrong with it."""
        try:
            return self.text(name)
        except AnnotationError:
            return default

    def boolean_or(self, name: str, default: bool = False) -> bool:
        """A boolean, or the default whatever is wrong with it."""
        try:
            return self.boolean(name)
        except AnnotationError:
            return default

    def integer_or(self, name: str, default: int = 0) -> int:
        """An integer, or the default whatever is wrong with it."""
        try:
            return self.integer(name)
        except AnnotationError:
            return default

    def strict_text(self, name: str, default: str = "") -> str:
        """A text, or the default; only a refused value is an error."""
        try:
            return self.text(name)
        except RejectedError:
            raise
        except AnnotationError:
            return default

    def strict_integer(self, name: str, default: int = 0) -> int:
        """An integer, or the default; only a refused value is an error."""
        try:
            return self.integer(name)
        except RejectedError:
            raise
        except AnnotationError:
            return default

    def present_text(self, name: str) -> str:
        """A text or "" when the annotation is missing; a bad one is an error."""
        try:
            return self.text(name)
        except MissingError:
            return ""

    def present_boolean(self, name: str) -> bool:
        """A boolean or False when the annotation is missing; a bad one is an error."""
        try:
            return self.boolean(name)
        except MissingError:
            return False

    def present_integer(self, name: str) -> int:
        """An integer or 0 when the annotation is missing; a bad one is an error."""
        try:
            return self.integer(name)
        except MissingError:
            return 0
