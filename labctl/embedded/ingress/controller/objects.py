"""Objects besides Ingresses, kept by events, and the questions that annotations and the compiler ask about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.ingress.annotations.reader import ReadOptions
from labctl.embedded.ingress.annotations.values import AuthCertificate
from labctl.embedded.ingress.compiler.compiler import Changes
from labctl.embedded.ingress.controller.certstore import CertificateStore
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.log import LogLine
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.ingress.settings import Settings, read_settings

_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(slots=True)
class _Pending:
    """What changed since the compiler last asked."""

    everything: bool = True
    services: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)


class Objects:
    """Resolver for annotations and sources for the compiler, in one view.

    Args:
        flags: The controller's flags.
        fake: The fake certificate.
        log: The controller's log.
        changed: Called when a sync is due.
    """

    def __init__(
        self, flags: Flags, fake: Certificate, *, log: Callable[[LogLine], None], changed: Callable[[], None]
    ) -> None:
        self._flags = flags
        self._fake = fake
        self._log = log
        self._changed = changed
        self._settings = read_settings({})
        self._options = ReadOptions(flags.annotations_prefix, flags.enable_annotation_validation)
        self._namespaces: dict[str, Obj] = {}
        self._services: dict[str, Obj] = {}
        self._slices: dict[str, dict[str, Obj]] = {}
        self._secrets: dict[str, Obj] = {}
        self._config_maps: dict[str, Obj] = {}
        self._certificates = CertificateStore(self._secrets, log)
        self._pending = _Pending()

    # What annotations and the compiler ask

    @property
    def settings(self) -> Settings:
        """The global configuration."""
        return self._settings

    def secret(self, key: str) -> Obj | None:
        """The Secret of that `namespace/name`."""
        return self._secrets.get(key)

    def service(self, key: str) -> Obj | None:
        """The Service of that `namespace/name`."""
        return self._services.get(key)

    def slices(self, key: str) -> Sequence[Obj]:
        """EndpointSlices of a Service, by name."""
        found = self._slices.get(key)
        return [found[name] for name in sorted(found)] if found else ()

    def config_map(self, key: str) -> Obj | None:
        """The ConfigMap of that `namespace/name`."""
        return self._config_maps.get(key)

    def certificate(self, key: str) -> Certificate | None:
        """Key pair of a Secret that some Ingress refers to."""
        local = self._certificates.get(key)
        return local.pair if local is not None else None

    def default_certificate(self) -> Certificate:
        """The one of `--default-ssl-certificate` when it is good, else the fake certificate."""
        key = self._flags.default_ssl_certificate
        return (self.certificate(key) if key else None) or self._fake

    def auth_certificate(self, key: str) -> AuthCertificate | None:
        """CA and key pair of a Secret."""
        if self._certificates.get(key) is None:
            self._sync_secret(key)
        local = self._certificates.get(key)
        return local.authority if local is not None else None

    @property
    def options(self) -> ReadOptions:
        """The flags on annotations."""
        return self._options

    def take_changes(self) -> Changes:
        """What changed since the last call."""
        changes, self._pending = self.peek_changes(), _Pending(everything=False)
        return changes

    def peek_changes(self) -> Changes:
        """What changed since `take_changes` was called."""
        pending = self._pending
        return Changes(pending.everything, frozenset(pending.services), frozenset(pending.secrets))

    # Events

    def _elsewhere(self, obj: Obj) -> bool:
        wanted = self._flags.watch_namespace
        return bool(wanted) and obj["metadata"].get("namespace", "") != wanted

    def _watches(self, namespace: str) -> bool:
        """Whether `--watch-namespace-selector` selects a namespace."""
        selector = self._flags.watch_namespace_selector
        if not selector:
            return True
        found = self._namespaces.get(namespace)
        if found is None:
            self._log(LogLine("E", "store.go:370", f"Namespace {namespace} not existed: <nil>."))
            return False
        labels = found["metadata"].get("labels") or {}
        return all(_term_selects(term.strip(), labels) for term in selector.split(","))

    def _namespace_changed(self, change: Change) -> None:
        name = change.object["metadata"]["name"]
        if change.type is ChangeType.DELETED:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = change.object

    def _slice_changed(self, change: Change) -> None:
        obj, metadata = change.object, change.object["metadata"]
        service = (metadata.get("labels") or {}).get(_SERVICE_NAME, "")
        key = f"{metadata.get('namespace', '')}/{service}"
        if change.type is ChangeType.DELETED:
            self._slices.get(key, {}).pop(metadata["name"], None)
        else:
            self._slices.setdefault(key, {})[metadata["name"]] = obj
        before = change.previous
        if before is None or before.get("endpoints") != obj.get("endpoints") or change.type is ChangeType.DELETED:
            self._pending.services.add(key)
            self._changed()

    def _service_changed(self, change: Change) -> None:
        key = object_key(change.object)
        if change.type is ChangeType.DELETED:
            self._services.pop(key, None)
        else:
            self._services[key] = change.object
        self._pending.services.add(key)
        external = (change.object.get("spec") or {}).get("type") == "ExternalName"
        if change.type is ChangeType.MODIFIED or external:
            self._changed()

    def _sync_secret(self, key: str) -> None:
        if self._certificates.sync(key):
            self._pending.secrets.add(key)
            if key == self._flags.default_ssl_certificate:
                self._pending.everything = True
            self._changed()


def _term_selects(term: str, labels: dict[str, str]) -> bool:
    """One term of a label selector: `key`, `!key`, `key=value`, `key!=value`."""
    name, unequal, value = term.partition("!=")
    if unequal:
        return labels.get(name.strip()) != value.strip()
    name, equal, value = term.partition("=")
    if equal:
        return labels.get(name.strip()) == value.lstrip("=").strip()
    return term[1:].strip() not in labels if term.startswith("!") else term in labels


def object_key(obj: Obj) -> str:
    """`namespace/name`."""
    metadata = obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
