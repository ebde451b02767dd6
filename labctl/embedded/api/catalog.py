"""Which resources are served at the moment: the built-in ones and those of CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labctl.embedded.kinds import resources
from labctl.embedded.kinds.resources import Resource, storage_key


class Catalog:
    """Lookups by what requests and objects name resources with; custom resources come and go."""

    def __init__(self) -> None:
        self._builtin = resources.BUILTIN
        self._custom: tuple[Resource, ...] = ()
        self._storage_versions: dict[str, str] = {}
        self._index()

    def _index(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str, str], Resource] = {}
        self._by_key: dict[str, Resource] = {}
        self._versions = {(resource.group, resource.version) for resource in self.resources}
        for resource in (*self._builtin, *self._custom):
            self._by_path[resource.group, resource.version, resource.plural] = resource
            self._by_kind[resource.gvk] = resource
            self._by_key.setdefault(resource.key, resource)

    def set_custom(self, custom: Iterable[Resource], storage_versions: Mapping[str, str]) -> None:
        """Replace the custom resources; their objects are stored in the given version (by key)."""
        self._custom = tuple(custom)
        self._index()
        self._storage_versions = dict(storage_versions)

    def stored(self, resource: Resource) -> Resource:
        """The resource in whose version objects are stored, whichever version a request names."""
        version = self._storage_versions.get(resource.key)
        if version:
            return self._by_path.get((resource.group, version, resource.plural), resource)
        found = self._by_key.get(storage_key(resource))
        return found if found is not None else resource

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
        return (group, version) in self._versions if version else any(group == known for known, _ in self._versions)
