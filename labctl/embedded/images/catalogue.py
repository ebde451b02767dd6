"""Which images the embedded cluster has: from a reference to what its containers do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from labctl.embedded.cri import Image
from labctl.embedded.images.filesystem import Directory, Node
from labctl.embedded.images.reference import InvalidReferenceError, Reference, parse_reference

EMPTY_LAYER: Mapping[str, Node] = {"": Directory()}


class ImageNotFoundError(Exception):
    """No such image or tag.

    Attributes:
        message: What containerd says when a registry answers 404.
        hint: What there is instead.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Content:
    """What one tag of an image holds.

    Attributes:
        image: What its containers do.
        rootfs: Its files, as `filesystem.layer` makes them; shared by all its containers.
        environment: Its `ENV`.
    """

    image: Image
    rootfs: Mapping[str, Node] = field(default_factory=lambda: EMPTY_LAYER)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of the catalogue.

    Attributes:
        repositories: All names it goes by, with registry, the canonical one first.
        build: From a tag to its content; called once per reference.
        tags: The tags there are; empty for any tag.
        size_bytes: Size that the kubelet reports.
        listed: Whether it is named when an unknown image is asked for.
    """

    repositories: tuple[str, ...]
    build: Callable[[str], Content]
    tags: tuple[str, ...] = ()
    size_bytes: int = 5_000_000
    listed: bool = True

    def describe(self) -> str:
        """`nginx` or `registry.k8s.io/echoserver:1.5|1.6`."""
        name = parse_reference(self.repositories[0]).familiar
        return f"{name}:{'|'.join(self.tags)}" if self.tags else name


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image as the node has it.

    Attributes:
        name: Reference that the container status shows: `docker.io/library/nginx:alpine`.
        image_id: `docker.io/library/nginx@sha256:…`.
        size_bytes: Its size.
        content: What is in it.
    """

    name: str
    image_id: str
    size_bytes: int
    content: Content


class Catalogue:
    """All images, by every name they go by."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)
        self._by_repository = {name: entry for entry in self._entries for name in entry.repositories}
        self._pulled: dict[str, Pulled] = {}

    def pull(self, text: str) -> Pulled:
        """Find an image.

        Args:
            text: Reference as a pod's spec has it; registry and `library/` may be left out, as for Docker Hub.

        Raises:
            InvalidReferenceError: It is no reference.
            ImageNotFoundError: There is no such image, or not with that tag.
        """
        known = self._pulled.get(text)
        if known is not None:
            return known
        reference = parse_reference(text)
        entry = self._by_repository.get(reference.repository)
        if entry is None or not _has_tag(entry, reference):
            raise ImageNotFoundError(not_found_message(reference), self._hint(reference, entry))
        pulled = _pulled(entry, reference)
        self._pulled[text] = pulled
        return pulled

    def node_images(self) -> list[dict[str, object]]:
        """`status.images` of a node: the largest first, as the kubelet sorts them."""
        images: list[tuple[int, list[str]]] = []
        for entry in self._entries:
            tag = entry.tags[0] if entry.tags else "latest"
            names = [f"{name}@{_digest(entry, tag)}" for name in entry.repositories]
            names += [f"{name}:{tag}" for name in entry.repositories]
            images.append((entry.size_bytes, names))
        images.sort(key=lambda image: -image[0])
        return [{"names": names[:5], "sizeBytes": size} for size, names in images]

    def _hint(self, reference: Reference, entry: Entry | None) -> str:
        if entry is not None:
            return f"of {reference.familiar} the embedded cluster has the tags {', '.join(entry.tags)}"
        names = ", ".join(sorted(entry.describe() for entry in self._entries if entry.listed))
        return f"the embedded cluster downloads nothing; it has {names}"


def not_found_message(reference: Reference) -> str:
    """The words of containerd for a manifest that the registry does not have."""
    return (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{reference}": '
        f'failed to resolve reference "{reference}": {reference}: not found'
    )


def invalid_name_message(text: str) -> str:
    """The kubelet's words for a reference that does not parse."""
    return f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": invalid reference format'


def _has_tag(entry: Entry, reference: Reference) -> bool:
    if reference.digest and not reference.tag:
        return True
    return not entry.tags or reference.tag in entry.tags


def _pulled(entry: Entry, reference: Reference) -> Pulled:
    tag = reference.tag or (entry.tags[0] if entry.tags else "latest")
    canonical = entry.repositories[0]
    digest = reference.digest or _digest(entry, tag)
    return Pulled(
        name=f"{reference.repository}:{tag}",
        image_id=f"{canonical}@{digest}",
        size_bytes=entry.size_bytes,
        content=entry.build(tag),
    )


def _digest(entry: Entry, tag: str) -> str:
    # Any stable value serves: nothing is downloaded, but the same image must look the same on every node.
    return "sha256:" + hashlib.sha256(f"{entry.repositories[0]}:{tag}".encode()).hexdigest()


__all__ = [
    "Catalogue",
    "Content",
    "Entry",
    "ImageNotFoundError",
    "InvalidReferenceError",
    "Pulled",
    "invalid_name_message",
    "not_found_message",
]
