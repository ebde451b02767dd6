"""Image references as containerd reads them: registry, repository, tag, digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_REGISTRY = "docker.io"

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")


class InvalidReferenceError(ValueError):
    """The text is no image reference (`invalid reference format`)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One image reference, with the defaults of Docker's grammar filled in.

    Attributes:
        repository: With registry: `docker.io/library/nginx`.
        tag: `latest` when neither tag nor digest was given; empty with a digest alone.
        digest: `sha256:…` or empty.
    """

    repository: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The repository as people write it: without `docker.io/` and `library/`."""
        return self.repository.removeprefix(DEFAULT_REGISTRY + "/").removeprefix("library/")


def parse_reference(text: str) -> Reference:
    """Read an image reference.

    Raises:
        InvalidReferenceError: The text does not follow the grammar of distribution/reference.
    """
    rest, _, digest = text.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest, ""
    elif not _TAG.fullmatch(tag):
        raise InvalidReferenceError(text)
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise InvalidReferenceError(text)
    registry, slash, path = name.partition("/")
    if not slash or not _is_registry(registry):
        registry, path = DEFAULT_REGISTRY, name
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = "library/" + path
    if not _NAME.fullmatch(path):
        raise InvalidReferenceError(text)
    return Reference(f"{registry}/{path}", tag or ("" if digest else "latest"), digest)


def _is_registry(part: str) -> bool:
    return "." in part or ":" in part or part == "localhost"
