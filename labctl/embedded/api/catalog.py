"""Which resources are served at the moment: the built-in ones and those of CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.kinds import resources
from labctl.embedded.kinds.resources import Resource


class Catalog:
    """Lookups by what requests and objects name resources with; custom resources come and go."""

    def __init__(self) -> None:
        self._builtin = resources.BUILTIN
        self._custom: tuple[Resource, ...] = ()
        self._index()

    def _index(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str, str], Resource] = {}
        self._by_key: dict[str, Resource] = {}
        for resource in (*self._builtin, *self._custom):
            self._by_path[resource.group, resource.version, resource.plural] = resource
            self._by_kind[resource.gvk] = resource
            self._by_key.setdefault(resource.key, resource)

    def set_custom(self, custom: Iterable[Resource]) -> None:
        """Replace the custom resources."""
        self._custom = tuple(custom)
        self._index()

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Everything served, built-in ones first, in discovery's order."""
        return (*self._builtin, *self._custom)

    @property
    def custom(self) -> tuple[Resource, ...]:
        """The resources of CustomResourceDefinitions."""
        return self._custom

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at `/apis/GROUP/VERSION/…/PLURAL`."""
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object's apiVersion and kind."""
        group, _, version = api_version.rpartition("/")
        return self._by_kind.get((group, version, kind))

    def by_key(self, key: str) -> Resource | None:
        """The resource named `plural` or `plural.group`, in its preferred version."""
        return self._by_key.get(key)

    def has_group(self, group: str, version: str = "") -> bool:
        """Whether any resource of the group (and version) is served."""
        return any(r.group == group and (not version or r.version == version) for r in self.resources)
