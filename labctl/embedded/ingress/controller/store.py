"""The controller's view of the cluster, kept by events: what it takes, what it ignores, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from labctl.embedded.clientset import Change, ChangeType, Clientset, Obj
from labctl.embedded.ingress.annotations.extract import extract
from labctl.embedded.ingress.annotations.reader import ReadOptions
from labctl.embedded.ingress.annotations.values import AuthCertificate
from labctl.embedded.ingress.compiler.compiler import Changes
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, parse_ingress
from labctl.embedded.ingress.controller.certstore import CertificateStore, References
from labctl.embedded.ingress.controller.classes import ClassError, IngressClasses
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.inspector import deep_inspect
from labctl.embedded.ingress.log import LogLine, quote, structured
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.ingress.settings import Settings, read_settings

Notify = Callable[[Obj, str, str], None]
"""Records an event: about what, reason, message."""

_RESOURCES = (
    "namespaces",
    "ingressclasses.networking.k8s.io",
    "configmaps",
    "secrets",
    "services",
    "endpointslices.discovery.k8s.io",
    "ingresses.networking.k8s.io",
)
_SERVICE_NAME = "kubernetes.io/service-name"
_CONFIG_MAP_ANNOTATIONS = ("auth-proxy-set-headers", "fastcgi-params-configmap", "custom-headers")


@dataclass(slots=True)
class _Pending:
    """What changed since the compiler last asked."""

    everything: bool = True
    services: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)


class ObjectStore:
    """Resolver for annotations and sources for the compiler, in one view.

    Args:
        flags: The controller's flags.
        fake: The fake certificate.
        log: The controller's log.
        notify: Records events.
        changed: Called when a sync is due.
    """

    def __init__(
        self,
        flags: Flags,
        fake: Certificate,
        *,
        log: Callable[[LogLine], None],
        notify: Notify,
        changed: Callable[[], None],
    ) -> None:
        self._flags = flags
        self._fake = fake
        self._log = log
        self._notify = notify
        self._changed = changed
        self._settings = read_settings({})
        self._options = ReadOptions(flags.annotations_prefix, flags.enable_annotation_validation)
        self._classes = IngressClasses(flags)
        self._namespaces: dict[str, Obj] = {}
        self._services: dict[str, Obj] = {}
        self._slices: dict[str, dict[str, Obj]] = {}
        self._secrets: dict[str, Obj] = {}
        self._config_maps: dict[str, Obj] = {}
        self._certificates = CertificateStore(self._secrets, log)
        self._references = References()
        self._accepted: dict[str, Obj] = {}
        self._pending = _Pending()
        self.ingresses: dict[str, ParsedIngress] = {}
        self.warnings: dict[str, tuple[str, ...]] = {}

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

    def accepted(self) -> list[Obj]:
        """The Ingresses that the controller has taken, as objects."""
        return list(self._accepted.values())

    def class_of(self, ingress: Obj) -> str:
        """The class of an Ingress.

        Raises:
            ClassError: It is not for this controller.
        """
        return self._classes.class_of(ingress)

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

    def load(self, clientset: Clientset) -> None:
        """Take what there is."""
        if not self._flags.configmap or self._read_config_map(clientset) is None:
            message = f'Unexpected error reading configuration configmap: configmaps "{_name(self._flags.configmap)}"'
            self._log(LogLine("W", "store.go:875", f"{message} not found"))
        for resource in _RESOURCES:
            for obj in clientset.list(resource):
                self.handle(Change(ChangeType.ADDED, resource, obj))

    def _read_config_map(self, clientset: Clientset) -> Obj | None:
        namespace, _, name = self._flags.configmap.partition("/")
        found = clientset.get("configmaps", namespace, name)
        if found is not None:
            self._settings = read_settings(found.get("data") or {})
        return found

    def handle(self, change: Change) -> None:
        """An object changed."""
        handlers = {
            "ingresses.networking.k8s.io": self._ingress_changed,
            "endpointslices.discovery.k8s.io": self._slice_changed,
            "services": self._service_changed,
            "secrets": self._secret_changed,
            "configmaps": self._config_map_changed,
            "ingressclasses.networking.k8s.io": self._class_changed,
            "namespaces": self._namespace_changed,
        }
        handler = handlers.get(change.resource)
        namespaced = change.resource not in {"namespaces", "ingressclasses.networking.k8s.io"}
        if handler is not None and not (namespaced and self._elsewhere(change.object)):
            handler(change)

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

    def _class_changed(self, change: Change) -> None:
        if change.type is ChangeType.ADDED:
            due, message = self._classes.add(change.object)
            line = 531 if due else 535
        elif change.type is ChangeType.DELETED:
            due, message = self._classes.remove(change.object)
            line = 555
        else:
            return
        if message:
            self._log(LogLine("I", f"store.go:{line}", message))
        if due:
            self._changed()

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
        key = _key(change.object)
        if change.type is ChangeType.DELETED:
            self._services.pop(key, None)
        else:
            self._services[key] = change.object
        self._pending.services.add(key)
        external = (change.object.get("spec") or {}).get("type") == "ExternalName"
        if change.type is ChangeType.MODIFIED or external:
            self._changed()

    def _config_map_changed(self, change: Change) -> None:
        key = _key(change.object)
        if change.type is ChangeType.DELETED:
            self._config_maps.pop(key, None)
            return
        self._config_maps[key] = change.object
        ours = key == self._flags.configmap
        if ours:
            self._settings = read_settings(change.object.get("data") or {})
            reason = "CREATE" if change.type is ChangeType.ADDED else "UPDATE"
            self._notify(change.object, reason, f"ConfigMap {key}")
            self._pending.everything = True
        for ingress in list(self._accepted.values()):
            if ours or self._refers_to_config_map(ingress):
                self._sync_ingress(ingress)
        if ours:
            self._changed()

    def _refers_to_config_map(self, ingress: Obj) -> bool:
        annotations = ingress["metadata"].get("annotations") or {}
        prefix = self._flags.annotations_prefix
        return any(f"{prefix}/{name}" in annotations for name in _CONFIG_MAP_ANNOTATIONS)

    # Secrets

    def _secret_changed(self, change: Change) -> None:
        obj, key = change.object, _key(change.object)
        if obj.get("type") == "helm.sh/release.v1":
            return
        deleted = change.type is ChangeType.DELETED
        if deleted:
            self._secrets.pop(key, None)
        else:
            self._secrets[key] = obj
        if change.type is not ChangeType.ADDED and not self._watches(obj["metadata"].get("namespace", "")):
            return
        if deleted:
            self._certificates.forget(key)
            self._pending.secrets.add(key)
        elif key == self._flags.default_ssl_certificate:
            self._sync_secret(key)
        self._follow_references(key, change.type)

    def _follow_references(self, key: str, kind: ChangeType) -> None:
        users = self._references.to(key)
        if not users:
            return
        line, word = {
            ChangeType.ADDED: (611, "Secret was added"),
            ChangeType.MODIFIED: (645, "secret was updated"),
            ChangeType.DELETED: (687, "secret was deleted"),
        }[kind]
        message = structured(f"{word} and it is used in ingress annotations. Parsing", secret=key)
        self._log(LogLine("I", f"store.go:{line}", message))
        for user in users:
            ingress = self._accepted.get(user)
            if ingress is None:
                continue
            if kind is ChangeType.MODIFIED:
                self._sync_secrets(user)
            self._sync_ingress(ingress)
            if kind is ChangeType.ADDED:
                self._sync_secrets(user)
        self._pending.secrets.add(key)
        self._changed()

    def _sync_secrets(self, ingress: str) -> None:
        for key in self._references.of(ingress):
            self._sync_secret(key)

    def _sync_secret(self, key: str) -> None:
        if self._certificates.sync(key):
            self._pending.secrets.add(key)
            if key == self._flags.default_ssl_certificate:
                self._pending.everything = True
            self._changed()

    # Ingresses

    def _ingress_changed(self, change: Change) -> None:
        ingress = change.object
        if not self._watches(ingress["metadata"].get("namespace", "")):
            return
        if change.type is ChangeType.ADDED:
            self._ingress_added(ingress)
        elif change.type is ChangeType.DELETED:
            self._ingress_deleted(ingress)
        else:
            self._ingress_updated(change.previous or ingress, ingress)

    def _ingress_added(self, ingress: Obj) -> None:
        shown = f"ingress={quote(_key(ingress))}"
        try:
            name = self._classes.class_of(ingress)
        except ClassError as error:
            message = '"Ignoring ingress because of error while validating ingress class"'
            self._log(LogLine("I", "store.go:436", f"{message} {shown} error={quote(str(error))}"))
            return
        self._log(LogLine("I", "store.go:440", f'"Found valid IngressClass" {shown} ingressclass={quote(name)}'))
        if self._is_invalid(ingress, 444):
            return
        if self._is_catch_all(ingress):
            message = '"Ignoring add for catch-all ingress because of --disable-catch-all"'
            self._log(LogLine("I", "store.go:449", f"{message} {shown}"))
            return
        self._notify(ingress, "Sync", "Scheduled for sync")
        self._take(ingress)

    def _ingress_updated(self, before: Obj, ingress: Obj) -> None:
        shown = f"ingress={quote(_key(ingress))}"
        had, has = self._class_or_none(before), self._class_or_none(ingress)
        if has is None:
            if had is not None:
                message = '"removing ingress because of unknown ingressclass"'
                self._log(LogLine("I", "store.go:489", f"{message} {shown}"))
                self._ingress_deleted(before)
            return
        if self._is_catch_all(ingress):
            if had is None:
                message = '"ignoring update for catch-all ingress because of --disable-catch-all"'
                self._log(LogLine("I", "store.go:482", f"{message} {shown}"))
            else:
                message = '"ignoring update for catch-all ingress and delete old one because of --disable-catch-all"'
                self._log(LogLine("I", "store.go:494", f"{message} {shown}"))
                self._ingress_deleted(before)
            return
        if had is None:
            self._log(LogLine("I", "store.go:486", f'"creating ingress" {shown} ingressclass={quote(has)}'))
        self._notify(ingress, "Sync", "Scheduled for sync")
        if not self._is_invalid(ingress, 507):
            self._take(ingress)

    def _ingress_deleted(self, ingress: Obj) -> None:
        if self._class_or_none(ingress) is None or self._is_catch_all(ingress):
            return
        key = _key(ingress)
        self.ingresses.pop(key, None)
        self._accepted.pop(key, None)
        self.warnings.pop(key, None)
        self._references.remove(key)
        self._changed()

    def _take(self, ingress: Obj) -> None:
        key = _key(ingress)
        self._sync_ingress(ingress)
        cross = self._settings.allow_cross_namespace_resources
        for line in self._references.update(key, ingress, self._flags.annotations_prefix, cross_namespace=cross):
            self._log(line)
        self._sync_secrets(key)
        self._changed()

    def _sync_ingress(self, ingress: Obj) -> None:
        """Read the annotations; an Ingress that is refused keeps the version that was taken before."""
        key = _key(ingress)
        self._log(LogLine("I", "store.go:907", f"updating annotations information for ingress {key}", 3))
        bad = self._forbidden_word(ingress)
        if bad:
            self._log(LogLine("W", "store.go:914", f"skipping ingress {key}: {bad}"))
            return
        extracted = extract(ingress, self, self._options)
        for line in extracted.log:
            self._log(line)
        if extracted.annotations is None:
            self._log(LogLine("E", "store.go:938", extracted.refused))
            return
        self.ingresses[key] = parse_ingress(ingress, extracted.annotations)
        self._accepted[key] = ingress
        self.warnings[key] = extracted.warnings

    def _forbidden_word(self, ingress: Obj) -> str:
        words = self._settings.annotation_value_word_blocklist
        return forbidden_word(ingress, self._flags.annotations_prefix, words.strip().split(",")) if words else ""

    def _class_or_none(self, ingress: Obj) -> str | None:
        try:
            return self._classes.class_of(ingress)
        except ClassError:
            return None

    def _is_invalid(self, ingress: Obj, line: int) -> bool:
        error = deep_inspect(ingress) if self._flags.deep_inspect else ""
        if error:
            message = structured("received invalid ingress", err=error, ingress=_key(ingress))
            self._log(LogLine("E", f"store.go:{line}", message))
        return bool(error)

    def _is_catch_all(self, ingress: Obj) -> bool:
        return self._flags.disable_catch_all and (ingress.get("spec") or {}).get("defaultBackend") is not None


def forbidden_word(ingress: Obj, prefix: str, words: Sequence[str]) -> str:
    """The controller's complaint about a word of `annotation-value-word-blocklist`; empty without one."""
    for name, value in (ingress["metadata"].get("annotations") or {}).items():
        if name.startswith(f"{prefix}/"):
            for word in words:
                if word in value:
                    return f"{name} annotation contains invalid word {word}"
    return ""


def _term_selects(term: str, labels: dict[str, str]) -> bool:
    """One term of a label selector: `key`, `!key`, `key=value`, `key!=value`."""
    name, unequal, value = term.partition("!=")
    if unequal:
        return labels.get(name.strip()) != value.strip()
    name, equal, value = term.partition("=")
    if equal:
        return labels.get(name.strip()) == value.lstrip("=").strip()
    return term[1:].strip() not in labels if term.startswith("!") else term in labels


def _key(obj: Obj) -> str:
    metadata = obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
