"""The controller's view of the cluster, kept by events: what it takes, what it ignores, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.embedded.clientset import Change, ChangeType, Clientset, Obj
from labctl.embedded.ingress.annotations.extract import extract
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, parse_ingress
from labctl.embedded.ingress.controller.certstore import References
from labctl.embedded.ingress.controller.classes import ClassError, IngressClasses
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.inspector import deep_inspect
from labctl.embedded.ingress.controller.objects import Objects, object_key
from labctl.embedded.ingress.log import LogLine, quote, structured
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.ingress.settings import read_settings

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
_CONFIG_MAP_ANNOTATIONS = ("auth-proxy-set-headers", "fastcgi-params-configmap", "custom-headers")


class ObjectStore(Objects):
    """All that the controller watches, and which Ingresses it has taken.

    Args:
        flags: The controller's flags.
        fake: The fake certificate.
        log: The controller's log.
        notify: Records events.
        changed: Called when a sync is due.

    Attributes:
        ingresses: The Ingresses that were taken, in the compiler's form.
        warnings: What of each of them has no effect here.
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
        super().__init__(flags, fake, log=log, changed=changed)
        self._notify = notify
        self._classes = IngressClasses(flags)
        self._references = References()
        self._accepted: dict[str, Obj] = {}
        self.ingresses: dict[str, ParsedIngress] = {}
        self.warnings: dict[str, tuple[str, ...]] = {}

    @property
    def own_config_map(self) -> Obj | None:
        """The controller's ConfigMap."""
        return self._config_maps.get(self._flags.configmap)

    def accepted(self) -> list[Obj]:
        """The Ingresses that the controller has taken, as objects."""
        return list(self._accepted.values())

    def class_of(self, ingress: Obj) -> str:
        """The class of an Ingress.

        Raises:
            ClassError: It is not for this controller.
        """
        return self._classes.class_of(ingress)

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

    def _config_map_changed(self, change: Change) -> None:
        key = object_key(change.object)
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
        obj, key = change.object, object_key(change.object)
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
        shown = f"ingress={quote(object_key(ingress))}"
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
        shown = f"ingress={quote(object_key(ingress))}"
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
        key = object_key(ingress)
        self.ingresses.pop(key, None)
        self._accepted.pop(key, None)
        self.warnings.pop(key, None)
        self._references.remove(key)
        self._changed()

    def _take(self, ingress: Obj) -> None:
        key = object_key(ingress)
        self._sync_ingress(ingress)
        cross = self._settings.allow_cross_namespace_resources
        for line in self._references.update(key, ingress, self._flags.annotations_prefix, cross_namespace=cross):
            self._log(line)
        self._sync_secrets(key)
        self._changed()

    def _sync_ingress(self, ingress: Obj) -> None:
        """Read the annotations; an Ingress that is refused keeps the version that was taken before."""
        key = object_key(ingress)
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
            message = structured("received invalid ingress", err=error, ingress=object_key(ingress))
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


def _name(key: str) -> str:
    return key.rpartition("/")[2]
